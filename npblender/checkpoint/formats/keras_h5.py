"""Tensors of a tf_model.h5, as transformers 4's Keras classes write it.

    /model/tf_blenderbot_small_model/model/encoder/layers.0/fc1/kernel:0

h5py (`pip install 'npblender[formats]'`) reads the names and says where each tensor lies; the numbers are then read as
those of every other format. Only what Keras writes is accepted: groups and plain datasets of floats that lie in this
file in one piece. A link to another file or place, a dataset in chunks, behind a filter or in outside files, and
a reference are refused before anything is read through them.

The library behind h5py is written in C, for files of friends. It runs in a process of its own, with bounded time and,
where the system allows it, bounded memory: what it does with a malicious file ends there.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from npblender.checkpoint.dtypes import STORED_BITS
from npblender.checkpoint.folder import StoredTensor
from npblender.checkpoint.formats.errors import DamagedFileError, UnsafeFileError
from npblender.common.printable import shown

DEEPEST: Final = 16  # groups within groups; Keras nests 9
MOST_OBJECTS: Final = 20_000  # groups and datasets; Keras makes some 600 for the published sizes
MOST_SECONDS: Final = 60  # a few tenths of a second are usual
MOST_MEMORY: Final = 2 << 30  # bytes of address space for the index alone; no tensor is read there

SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"


def read_keras(path: Path) -> dict[str, StoredTensor]:
    """Every dataset in the file by its path without `:0`, as Keras keeps it.

    Raises:
        ImportError: h5py is not installed; the message names the command that installs it.
        UnsafeFileError: a link, a filter, a reference, an outside file, chunks; more than weights need.
        DamagedFileError: no HDF5 file, or one that the library does not understand.
    """
    if find_spec("h5py") is None:
        raise ImportError(f"{path} needs h5py to be read: pip install 'npblender[formats]'")
    with path.open("rb") as file:
        if file.read(len(SIGNATURE)) != SIGNATURE:
            raise DamagedFileError(f"{path} is no HDF5 file")
        total = file.seek(0, 2)
    return placed(path, _index(path), total)


def placed(path: Path, datasets: Iterable[Sequence[Any]], total: int) -> dict[str, StoredTensor]:
    """Check where the library says that each dataset lies, in a file of `total` bytes.

    Raises:
        DamagedFileError: one has no place, or reaches beyond the file's end.
        UnsafeFileError: two have one name.
    """
    found: dict[str, StoredTensor] = {}
    for name, dtype, shape, start in datasets:
        size = math.prod(shape) * STORED_BITS[dtype] // 8
        if start is None and size:
            raise DamagedFileError(f"{path} has no numbers for {shown(name)}")
        start = start or 0
        if start + size > total:
            raise DamagedFileError(f"{path} was cut short: {shown(name)} reaches beyond its end")
        bare = name.removesuffix(":0")
        if bare in found:
            raise UnsafeFileError(f"{path} has two datasets called {shown(bare)}")
        found[bare] = StoredTensor(path, bare, dtype, tuple(shape), start, size)
    return found


def _index(path: Path) -> list[list[Any]]:
    """What the other process found."""
    command = [sys.executable, "-m", "npblender.checkpoint.formats.h5_index", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=MOST_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise UnsafeFileError(f"{path} kept the HDF5 library busy for more than {MOST_SECONDS} seconds") from None
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"it ended with {done.returncode}"]
        raise DamagedFileError(f"{path} brought the HDF5 library down: {last[0]:.300}") from None
    if "unsafe" in answer:
        raise UnsafeFileError(f"{path} {answer['unsafe']}")
    if "damaged" in answer:
        raise DamagedFileError(f"{path} is damaged: {answer['damaged']}")
    return list(answer["datasets"])
