"""Terminal input and output: colours if wanted, line editing, and never a raw control character."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from npblender.common.printable import printable

STYLES: Mapping[str, str] = {"you": "\x1b[1;36m", "model": "\x1b[1;32m", "note": "\x1b[2m"}
PLAIN = "\x1b[0m"


def wants_colour(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether a stream gets colours: a capable terminal, and NO_COLOR is not set (no-color.org)."""
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


class Terminal:
    """A terminal for a conversation: `read` a line, `write` text, `note` remarks."""

    def __init__(self, output: TextIO, read_line: Callable[[str], str] = input) -> None:
        self._output = output
        self._read_line = read_line
        self._coloured = wants_colour(output, os.environ)
        self._edited = load_readline()

    def read(self, prompt: str) -> str:
        """Read a line from the user, without its line break.

        Raises:
            EOFError, KeyboardInterrupt: the user leaves, or interrupts.
        """
        shown = f"{prompt}> "
        if self._coloured:
            # \x01 and \x02 mark characters of no width, so that readline knows where the line begins.
            before, after = ("\x01", "\x02") if self._edited else ("", "")
            shown = f"{before}{STYLES['you']}{after}{shown}{before}{PLAIN}{after}"
        return self._read_line(shown)

    def typed(self) -> str:
        """Return what stood on a line whose `read` was interrupted, as far as readline knows it."""
        if not self._edited:
            return ""
        import readline

        return readline.get_line_buffer()

    def begin(self, speaker: str) -> None:
        """Write the name in front of a reply."""
        name = f"{speaker}> "
        self._put(f"{STYLES['model']}{name}{PLAIN}" if self._coloured else name)

    def write(self, text: str) -> None:
        """Write part of a reply: line breaks are kept, any other control character is escaped."""
        self._put("\n".join(map(printable, text.split("\n"))))

    def end(self) -> None:
        """End the line."""
        self._put("\n")

    def note(self, text: str) -> None:
        """Write a remark of the program, line by line."""
        for line in text.split("\n"):
            shown = printable(line)
            self._put((f"{STYLES['note']}{shown}{PLAIN}" if self._coloured else shown) + "\n")

    def _put(self, text: str) -> None:
        self._output.write(text)
        self._output.flush()


@contextmanager
def remembered_lines(words: Sequence[str], environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Keep the lines that are typed between starts, complete `words` with Tab, and take a paste as one line.

    Behind a word Tab completes the names of files. The lines are kept in npblender/history in XDG_STATE_HOME, or
    ~/.local/state; NPBLENDER_HISTORY names another file, and nothing is kept if it is empty. Without readline nothing
    happens; a file that cannot be written is passed over.
    """
    if not load_readline():
        yield
        return
    import readline

    def complete(text: str, state: int) -> str | None:
        found = completions(text, readline.get_line_buffer()[: readline.get_begidx()], words)
        return found[state] if state < len(found) else None

    before, delimiters = readline.get_completer(), readline.get_completer_delims()
    readline.set_completer(complete)
    readline.set_completer_delims(" ")
    libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")
    if not libedit and environment.get("TERM") != "dumb":
        readline.parse_and_bind("set enable-bracketed-paste on")
    path = history_file(environment)
    with suppress(OSError):
        if path is not None and path.is_file():
            readline.read_history_file(path)
    try:
        yield
    finally:
        readline.set_completer(before)
        readline.set_completer_delims(delimiters)
        if path is not None:
            with suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                for at in range(readline.get_current_history_length()):  # a paste is one line of the file, too
                    item = readline.get_history_item(at + 1)
                    if item and "\n" in item:
                        readline.replace_history_item(at, " ".join(item.split()))
                readline.write_history_file(path)
                path.chmod(0o600)  # only its owner may read what was typed


def completions(text: str, before: str, words: Sequence[str]) -> list[str]:
    """List what Tab makes of `text`, the last word of a line; `before` is what stands in front of it.

    >>> completions("/l", "", ["/help", "/load", "/look"]), completions("hi", "", ["/help"])
    (['/load ', '/look '], [])
    >>> completions("/no/such/fi", "/load ", ["/load"])
    []
    """
    if not before.strip():
        return [f"{word} " for word in words if word.startswith(text)] if text.startswith("/") else []
    if before.split()[0] not in words:
        return []
    found = sorted(glob.glob(f"{glob.escape(os.path.expanduser(text))}*"))
    typed = text[: text.rfind("/") + 1]
    return [f"{typed}{os.path.basename(name)}{'/' if os.path.isdir(name) else ''}" for name in found]


def history_file(environment: Mapping[str, str]) -> Path | None:
    """Where the typed lines are kept, or None.

    >>> history_file({"XDG_STATE_HOME": "/state"}).as_posix(), history_file({"NPBLENDER_HISTORY": ""})
    ('/state/npblender/history', None)
    """
    named = environment.get("NPBLENDER_HISTORY")
    if named is not None:
        return Path(named).expanduser() if named else None
    return Path(environment.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "npblender" / "history"


def load_readline() -> bool:
    """Give `input` line editing and history, if Python has readline."""
    try:
        import readline
    except ImportError:
        return False
    readline.set_history_length(1000)
    return True
