"""Tensors of a file that `torch.save` wrote, in the zip form of torch 1.6 and later.

NAME/data.pkl     the pickle: names, and for each tensor its storage, shape and strides
NAME/data/KEY     the bytes of one storage
NAME/byteorder    "little"; not there in files of early versions
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from npblender.checkpoint.dtypes import STORED_BITS
from npblender.checkpoint.folder import StoredTensor, view_end
from npblender.checkpoint.formats.errors import DamagedFileError, UnsafeFileError
from npblender.checkpoint.formats.unpickler import LONGEST_PICKLE, Storage, TensorView, read_pickle
from npblender.checkpoint.formats.zip_members import Member, read_members
from npblender.common.printable import shown


def read_torch_zip(path: Path) -> dict[str, StoredTensor]:
    """Every tensor of the state dict in the file, by its name there.

    Raises:
        UnsafeFileError, DamagedFileError: the zip or the pickle in it is not what `torch.save` writes for weights.
    """
    members = read_members(path)
    roots = [name.removesuffix("/data.pkl") for name in members if name.endswith("/data.pkl")]
    if len(roots) != 1 or "/" in roots[0]:
        raise DamagedFileError(f"{path} is a zip but not torch's: it has {len(roots)} members called data.pkl")
    (root,) = roots
    if any(name in members for name in (f"{root}/constants.pkl", f"{root}/code")):
        raise UnsafeFileError(f"{path} is a TorchScript program, not weights; save the model's state_dict()")
    order = members.get(f"{root}/byteorder")
    if order is not None and (order.size > 8 or _bytes(path, order) != b"little"):
        raise DamagedFileError(f"{path} was written on a big-endian machine, which is not read")
    program = members[f"{root}/data.pkl"]
    if program.size > LONGEST_PICKLE:
        raise UnsafeFileError(f"{path} has a pickle of {program.size:,} bytes; weights need {LONGEST_PICKLE:,} at most")
    content = read_pickle(io.BytesIO(_bytes(path, program)), str(path)).value

    def start_of(storage: Storage) -> int:
        member = members.get(f"{root}/data/{storage.key}")
        size = storage.count * STORED_BITS[storage.dtype] // 8
        if member is None or member.size != size:
            found = "is not there" if member is None else f"has {member.size} bytes"
            raise DamagedFileError(f"{path} names a storage {shown(storage.key)} of {size} bytes, which {found}")
        return member.start

    views = state_dict(content, path)
    return {name: stored(path, name, view, start_of(view.storage)) for name, view in views.items()}


def _bytes(path: Path, member: Member) -> bytes:
    with path.open("rb") as file:
        file.seek(member.start)
        return file.read(member.size)


def state_dict(content: Any, path: Path) -> dict[str, TensorView]:
    """The tensors of what a file holds: a state dict, or ParlAI's record with the state dict under "model"."""
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path} holds no state dict but a {type(content).__name__.lstrip('_')}")
    others = [
        str(name) for name, value in content.items() if not (isinstance(value, TensorView) and isinstance(name, str))
    ]
    if others:
        named = ", ".join(f"{name:.80}" for name in others[:5])
        raise ValueError(f"{path} holds more than tensors: {named}; save the model's state_dict() alone")
    return content


def stored(path: Path, name: str, view: TensorView, start: int) -> StoredTensor:
    """Where a tensor lies in the file whose storage begins at `start`."""
    dtype, item = view.storage.dtype, STORED_BITS[view.storage.dtype] // 8
    size = view_end(view.shape, view.strides) * item
    strides = None if _is_contiguous(view) else view.strides
    return StoredTensor(path, name, dtype, view.shape, start + view.offset * item, size, strides)


def _is_contiguous(view: TensorView) -> bool:
    step = 1
    for size, stride in zip(reversed(view.shape), reversed(view.strides), strict=True):
        if size != 1 and stride != step:
            return 0 in view.shape
        step *= size
    return True
