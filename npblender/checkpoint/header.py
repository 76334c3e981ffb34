"""What a safetensors file says about itself, checked before a tensor is trusted.

The format (https://github.com/huggingface/safetensors#format): eight bytes with the length of a JSON header,
little-endian; the header, which names each tensor with its dtype, shape and place; the tensors' bytes without
gaps.

The library of that name maps the whole file and copies out of it, which holds every byte twice while a model
loads. So the header is read here, and the bytes are read straight to where they stay (see read.py).

What it does not do: it reads no tensor, and it does not know which tensors a model needs.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npblender.checkpoint.dtypes import STORED_BITS

_LENGTH_BYTES = 8
_LONGEST_HEADER = 100_000_000  # the library's own limit


@dataclass(frozen=True)
class StoredTensor:
    """Where one tensor lies: `size` bytes of `file` from `start` on, as `dtype` in safetensors' naming."""

    file: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int


def read_header(path: Path) -> dict[str, StoredTensor]:
    """Every tensor that the file describes, by name, in the order of its bytes.

    Raises:
        ValueError: the file is cut short, or anything in its header is malformed, contradicts the file's
            length, or contradicts another entry. The message names the file and what is wrong.
    """
    header, data_start, total = _read(path)
    header.pop("__metadata__", None)
    tensors = [_entry(path, name, entry, data_start) for name, entry in header.items()]
    return _check_places(path, tensors, data_start, total)


def read_metadata(path: Path) -> dict[str, str]:
    """The texts that the file's header carries beside its tensors, by name; empty if there are none.

    Raises:
        ValueError: the header is cut short or malformed.
    """
    metadata = _read(path)[0].get("__metadata__")
    return {} if metadata is None else dict(metadata)


def _read(path: Path) -> tuple[dict[str, Any], int, int]:
    """The header, where the data behind it starts, and how long the file is."""
    with path.open("rb") as file:
        prefix = file.read(_LENGTH_BYTES)
        total = file.seek(0, 2)
        if len(prefix) < _LENGTH_BYTES:
            raise ValueError(f"{path} was cut short: {total} bytes do not even hold the length of its header")
        length = int.from_bytes(prefix, "little")
        if length > _LONGEST_HEADER:
            raise ValueError(f"{path} is no safetensors file: a header of {length} bytes is longer than any can be")
        if _LENGTH_BYTES + length > total:
            raise ValueError(f"{path} was cut short: {_LENGTH_BYTES + length - total} bytes of its header are missing")
        file.seek(_LENGTH_BYTES)
        return _parse(path, file.read(length)), _LENGTH_BYTES + length, total


def _parse(path: Path, text: bytes) -> dict[str, Any]:
    def unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key, value in pairs:
            if key in out:
                raise ValueError(f"{key!r} stands in it twice")
            out[key] = value
        return out

    if not text.startswith(b"{"):
        raise ValueError(f"{path} is no safetensors file: its header does not start with a brace")
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} has a damaged header: {error}") from error
    metadata = header.get("__metadata__")
    texts = isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())
    if not (metadata is None or texts):
        raise ValueError(f"{path} has a damaged header: __metadata__ must hold texts")
    assert isinstance(header, dict)
    return header


def _entry(path: Path, name: str, entry: Any, data_start: int) -> StoredTensor:
    def damaged(what: str) -> ValueError:
        return ValueError(f"{path} has a damaged header: tensor {name!r} {what}")

    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise damaged("needs dtype, shape and data_offsets, and nothing else")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in STORED_BITS:
        raise damaged(f"has the unknown dtype {dtype!r}; known are {', '.join(STORED_BITS)}")
    if not _are_counts(shape):
        raise damaged(f"has the shape {shape!r}, which is no list of sizes")
    if not _are_counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise damaged(f"has the data_offsets {offsets!r}, which are no begin and end")
    size = offsets[1] - offsets[0]
    bits = math.prod(shape) * STORED_BITS[dtype]
    if bits != 8 * size:
        raise damaged(f"of dtype {dtype} and shape {shape} takes {bits} bits, but {size} bytes are set aside")
    return StoredTensor(path, name, dtype, tuple(shape), data_start + offsets[0], size)


def _are_counts(value: Any) -> bool:
    """A list of numbers that a file's sizes and a NumPy shape could be."""
    return (
        isinstance(value, list)
        and len(value) <= 64
        and all(isinstance(each, int) and not isinstance(each, bool) and 0 <= each < 2**63 for each in value)
    )


def _check_places(path: Path, tensors: list[StoredTensor], data_start: int, total: int) -> dict[str, StoredTensor]:
    """Tensors must follow one another without gap or overlap, and end where the file ends."""
    tensors = sorted(tensors, key=lambda tensor: (tensor.start, tensor.size))
    end, before = data_start, "the header"
    for tensor in tensors:
        if tensor.start != end:
            what = "overlaps" if tensor.start < end else "leaves a gap after"
            raise ValueError(f"{path} has a damaged header: tensor {tensor.name!r} {what} {before}")
        end, before = tensor.start + tensor.size, repr(tensor.name)
    if end > total:
        lost = [tensor.name for tensor in tensors if tensor.start + tensor.size > total]
        raise ValueError(
            f"{path} was cut short: {end - total} of its {end} bytes are missing, and with them all or part "
            f"of {len(lost)} tensors: {', '.join(lost)}"
        )
    if end < total:
        raise ValueError(f"{path} has {total - end} bytes after its last tensor; its header is not its own")
    return {tensor.name: tensor for tensor in tensors}
