"""Tensors of a file that `torch.save` wrote before torch 1.6, or was asked to write so.

three small pickles   a mark, the protocol's number, the machine's byte order
a pickle              names, and for each tensor its storage, shape and strides
a pickle              the keys of the storages, in the order of their bytes
for each storage      how many numbers it has, in 8 bytes; the numbers
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from npblender.checkpoint.dtypes import STORED_BITS
from npblender.checkpoint.folder import StoredTensor
from npblender.checkpoint.formats.errors import DamagedFileError, UnsafeFileError
from npblender.checkpoint.formats.torch_zip import state_dict, stored
from npblender.checkpoint.formats.unpickler import Storage, read_pickle
from npblender.common.printable import shown

MAGIC: Final = 0x1950A86A20F9469CFC6C
PROTOCOL: Final = 1001
SHORTEST: Final = 1024  # bytes of each of the three small pickles; they have 14, 5 and 80


def read_torch_legacy(path: Path) -> dict[str, StoredTensor]:
    """Every tensor of the state dict in the file, by its name there.

    Raises:
        UnsafeFileError, DamagedFileError: a pickle in it is not what `torch.save` writes for weights, or the file
            is cut short.
    """
    where = str(path)
    with path.open("rb") as file:
        total = file.seek(0, 2)
        file.seek(0)
        if read_pickle(file, where, SHORTEST).value != MAGIC:
            raise DamagedFileError(f"{path} is a pickle but not torch's: its first value is another mark")
        if read_pickle(file, where, SHORTEST).value != PROTOCOL:
            raise DamagedFileError(f"{path} is of another version of torch's old format than {PROTOCOL}")
        machine = read_pickle(file, where, SHORTEST).value
        if not isinstance(machine, dict) or machine.get("little_endian") is not True:
            raise DamagedFileError(f"{path} was written on a big-endian machine, which is not read")
        content = read_pickle(file, where)
        views = state_dict(content.value, path)
        keys = read_pickle(file, where).value
        starts = _storages(path, keys, content.storages, file.tell(), total)
        return {name: stored(path, name, view, starts[view.storage.key]) for name, view in views.items()}


def _storages(path: Path, keys: object, known: Mapping[str, Storage], at: int, total: int) -> dict[str, int]:
    """Where each storage begins."""
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or len(set(keys)) != len(keys):
        raise DamagedFileError(f"{path} has no list of its storages")
    if set(keys) != set(known):
        raise DamagedFileError(f"{path} lists other storages than its tensors have")
    starts = {}
    with path.open("rb") as file:
        for key in keys:
            storage = known[key]
            size = storage.count * STORED_BITS[storage.dtype] // 8
            file.seek(at)
            count = file.read(8)
            if len(count) < 8 or at + 8 + size > total:
                raise DamagedFileError(f"{path} was cut short inside its storage {shown(key)}")
            if int.from_bytes(count, "little") != storage.count:
                raise UnsafeFileError(f"{path} describes the storage {shown(key)} twice, and not alike")
            starts[key] = at + 8
            at += 8 + size
    if at != total:
        raise DamagedFileError(f"{path} has {total - at} bytes after its last storage")
    return starts
