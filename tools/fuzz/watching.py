"""What a reader of files may do, whatever it is given: answer with places inside the file, or refuse.

Anything else is a `Fault`: another exception, a place outside the file, more than `MOST_SECONDS`, and above all any of
`FORBIDDEN`, the events by which Python reports that something is run, imported, connected to or written.
"""

from __future__ import annotations

import atexit
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from npblender.checkpoint.folder import StoredTensor

MOST_SECONDS = 5.0  # of the processor
FORBIDDEN = (
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "subprocess.Popen", "exec"),
    *("compile", "import", "pickle.find_class", "marshal.loads", "ctypes.dlopen", "socket.connect", "socket.__new__"),
    *("os.remove", "os.rename", "os.mkdir", "os.symlink", "shutil.rmtree", "webbrowser.open", "code.__new__"),
)


class Fault(Exception):
    """A reader did what it must not."""


class Watch:
    """Raises a `Fault` if one of `FORBIDDEN` happens while it is on."""

    def __init__(self) -> None:
        self.on = False
        sys.addaudithook(self.hear)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
        if event in FORBIDDEN or writes:
            self.on = False
            raise Fault(f"the reader caused {event} {arguments!r:.200}")


@cache
def watch() -> Watch:
    """The one watch of a process: an audit hook cannot be taken off again."""
    return Watch()


def guarded(read: Callable[[], Any], refusals: tuple[type[Exception], ...] = (ValueError,)) -> Any:
    """What a reader answers, None if it refuses; raises a `Fault` for everything else."""
    started, guard = time.process_time(), watch()
    guard.on = True
    try:
        answer = read()
    except refusals:
        answer = None
    except RecursionError as error:
        raise Fault("the reader recursed without end") from error
    finally:
        guard.on = False
    seconds = time.process_time() - started
    if seconds > MOST_SECONDS:
        raise Fault(f"the reader took {seconds:.1f} seconds")
    return answer


@cache
def place() -> Path:
    """The file or folder that readers of paths are given; in memory where the system has such a place."""
    parent = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())
    path = parent / f"fuzzed-{os.getpid()}"
    atexit.register(path.unlink, missing_ok=True)
    return path


def through_file(read: Callable[[Path], dict[str, StoredTensor]]) -> Callable[[bytes], None]:
    """Give a file's bytes to a reader of paths, and check the places that it answers with."""

    def execute(data: bytes) -> None:
        path = place()
        path.write_bytes(data)
        check_places(guarded(lambda: read(path)), len(data))

    return execute


def check_places(tensors: Mapping[str, StoredTensor] | None, total: int) -> None:
    for tensor in (tensors or {}).values():
        if tensor.start < 0 or tensor.size < 0 or tensor.start + tensor.size > total:
            raise Fault(f"{tensor} lies outside a file of {total} bytes")
