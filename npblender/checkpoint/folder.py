"""Finds the tensors in a model's folder: which files hold them, and what each safetensors file says about itself.

The format (https://github.com/huggingface/safetensors#format): eight bytes with the length of a JSON header,
little-endian; the header, with the dtype, shape and place of each tensor; the tensors' bytes without gaps. The library
of that name maps the whole file and copies out of it, which needs twice the memory while a model loads. So the header
is read and checked here, and read.py reads the bytes straight to where they stay.

As in transformers, `model.safetensors` is taken if it exists, and `model.safetensors.index.json` with its shards
otherwise. The files of other frameworks come behind it, each read by a module of `formats`. Those that are pickles need
`allow_pickle=True`: what reads them here runs nothing, but a file of a stranger should be a decision.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from npblender.checkpoint.dtypes import STORED_BITS
from npblender.common import json_files
from npblender.common.mistaken_files import refuse_file, refuse_mistaken_file
from npblender.common.printable import cut, first_of, shown
from npblender.common.replacing import is_plain_name

_LENGTH_BYTES = 8
_LONGEST_HEADER = 100_000_000  # the library's own limit
MOST_TENSORS = 100_000
"""Tensors of a file; the published sizes have 364, the most layers of a configuration some 40,000. A million, which
fit a header, would take minutes."""


@dataclass(frozen=True)
class StoredTensor:
    """The place of one tensor: `size` bytes of `file` from `start` on, as `dtype` in safetensors' naming.

    `strides`, in numbers, are there if the rows do not lie one behind the other: a transposed kernel of Keras or
    Flax, a slice that torch saved as it was.
    """

    file: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int
    strides: tuple[int, ...] | None = None


def view_end(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Count how many numbers a tensor spans from its first to behind its last; 0 if it has none.

    >>> view_end((2, 3), (10, 1)), view_end((0, 3), (3, 1)), view_end((), ())
    (13, 0, 1)
    """
    if 0 in shape:
        return 0
    return 1 + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))


def with_weight_axes(tensor: StoredTensor) -> StoredTensor:
    """Turn a kernel [in, out] of Keras or Flax into the weight [out, in] of everybody else; others stay as they are.

    >>> with_weight_axes(StoredTensor(Path("file"), "fc1.kernel", "F32", (2, 3), 0, 24)).strides
    (1, 3)
    """
    if not (tensor.name.endswith("kernel") and len(tensor.shape) == 2 and tensor.strides is None):
        return tensor
    inner, out = tensor.shape
    return replace(tensor, shape=(out, inner), strides=(1, out))


def read_header(path: Path) -> dict[str, StoredTensor]:
    """Read every tensor that the file describes, by name, in the order of its bytes.

    Raises:
        ValueError: the file is cut short, or anything in its header is malformed, contradicts the file's
            length, or contradicts another entry. The message names the file and what is wrong.
    """
    header, data_start, total = _read(path)
    header.pop("__metadata__", None)
    tensors = [_entry(path, name, entry, data_start) for name, entry in header.items()]
    return _check_places(path, tensors, data_start, total)


def read_metadata(path: Path) -> dict[str, str]:
    """Read the texts in the file's header beside its tensors, by name; empty if there are none.

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
            refuse_file(path, f"was cut short: {total} bytes do not even hold the length of its header")
        length = int.from_bytes(prefix, "little")
        if length > _LONGEST_HEADER:
            refuse_file(path, f"is no safetensors file: a header of {length} bytes is longer than any can be")
        if _LENGTH_BYTES + length > total:
            refuse_file(path, f"was cut short: {_LENGTH_BYTES + length - total} bytes of its header are missing")
        file.seek(_LENGTH_BYTES)
        return _parse(path, file.read(length)), _LENGTH_BYTES + length, total


def _parse(path: Path, text: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        out = dict(pairs)
        if len(out) < len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise ValueError(f"{shown(twice)} stands in it twice")
        return out

    if not text.startswith(b"{"):
        refuse_file(path, "is no safetensors file: its header does not start with a brace")
    if text.count(b'"dtype"') > MOST_TENSORS:
        raise ValueError(f"{path} has a header of more than {MOST_TENSORS:,} tensors; no model has so many")
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} has a damaged header: {cut(str(error))}") from error
    metadata = header.get("__metadata__")
    texts = isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())
    if not (metadata is None or texts):
        raise ValueError(f"{path} has a damaged header: __metadata__ must hold texts")
    assert isinstance(header, dict)
    return header


def _entry(path: Path, name: str, entry: Any, data_start: int) -> StoredTensor:
    def damaged(what: str) -> ValueError:
        return ValueError(f"{path} has a damaged header: tensor {shown(name)} {what}")

    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise damaged("needs dtype, shape and data_offsets, and nothing else")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in STORED_BITS:
        raise damaged(f"has the unknown dtype {shown(dtype)}; known are {', '.join(STORED_BITS)}")
    if not _are_counts(shape):
        raise damaged(f"has the shape {shown(shape)}, which is no list of sizes")
    if not _are_counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise damaged(f"has the data_offsets {shown(offsets)}, which are no begin and end")
    size = offsets[1] - offsets[0]
    bits = math.prod(shape) * STORED_BITS[dtype]
    if bits != 8 * size:
        raise damaged(f"of dtype {dtype} and shape {shown(shape)} takes {bits} bits, but {size} bytes are set aside")
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
    end, before = data_start, ""
    for tensor in tensors:
        if tensor.start != end:
            what = "overlaps" if tensor.start < end else "leaves a gap after"
            place = shown(before) if before else "the header"
            raise ValueError(f"{path} has a damaged header: tensor {shown(tensor.name)} {what} {place}")
        end, before = tensor.start + tensor.size, tensor.name
    if end > total:
        lost = [tensor.name for tensor in tensors if tensor.start + tensor.size > total]
        raise ValueError(
            f"{path} was cut short: {end - total} of its {end} bytes are missing, and with them all or part "
            f"of {len(lost)} tensors: {cut(', '.join(lost))}"
        )
    if end < total:
        raise ValueError(f"{path} has {total - end} bytes after its last tensor; its header is not its own")
    return {tensor.name: tensor for tensor in tensors}


SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

_PICKLE = (
    "{path} is a pickle, a kind of file that is a program where others read it. Here nothing in it is run, but whether "
    "to read it is for you to decide: pass allow_pickle=True (--allow-pickle), or write it once as safetensors with\n"
    "    npblender convert {folder} NEW_FOLDER --allow-pickle"
)

Reader: TypeAlias = Callable[[Path], dict[str, StoredTensor]]


def read_torch(path: Path) -> dict[str, StoredTensor]:
    """Read what `torch.save` says of the tensors in a file, in its form of today or of before torch 1.6.

    Raises:
        ValueError: it is neither, is damaged, or asks for something that weights do not need.
    """
    from npblender.checkpoint.formats.errors import DamagedFileError
    from npblender.checkpoint.formats.torch_legacy import read_torch_legacy
    from npblender.checkpoint.formats.torch_zip import read_torch_zip

    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PK\3\4":
        return read_torch_zip(path)
    if start[:1] == b"\x80":
        return read_torch_legacy(path)
    refuse_file(path, f"is no file of torch.save: it begins with {shown(start)}", DamagedFileError)


def _read_other(path: Path) -> dict[str, StoredTensor]:
    from npblender.checkpoint.formats.flax_msgpack import read_flax
    from npblender.checkpoint.formats.keras_h5 import read_keras

    refuse_mistaken_file(path)
    return read_flax(path) if path.suffix == ".msgpack" else read_keras(path)


_SAFETENSORS: tuple[tuple[str, Reader], ...] = (
    (SINGLE_FILE, read_header),
    (INDEX_FILE, lambda path: _read_shards(path, read_header)),
)
_PICKLES: tuple[tuple[str, Reader], ...] = (
    ("pytorch_model.bin", read_torch),
    ("pytorch_model.bin.index.json", lambda path: _read_shards(path, read_torch)),
    ("model", read_torch),  # ParlAI's, best so far
    ("model.checkpoint", read_torch),  # and at the end of its training
)
_OTHERS: tuple[tuple[str, Reader], ...] = (("flax_model.msgpack", _read_other), ("tf_model.h5", _read_other))


def weights_file(folder: Path, allow_pickle: bool = False) -> tuple[Path, Reader]:
    """Choose the file that holds a folder's weights, or the index of several, and what reads it.

    safetensors come first; then, if they are allowed, pickles; then Flax's and Keras's files.

    Raises:
        FileNotFoundError: there are no weights.
        ValueError: they come as a pickle only, and `allow_pickle` is False.
    """
    every = (*_SAFETENSORS, *_PICKLES, *_OTHERS)
    for name, read in (*_SAFETENSORS, *(_PICKLES if allow_pickle else ()), *_OTHERS):
        if (folder / name).is_file():
            return folder / name, read
    for name, _ in _PICKLES:
        if (folder / name).is_file():
            import shlex  # only for a refusal

            raise ValueError(_PICKLE.format(path=folder / name, folder=shlex.quote(str(folder))))
    folders = [name for name, _ in every if (folder / name).is_dir() and name != "model"]
    if folders:
        refuse_mistaken_file(folder / folders[0])
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    hint = f"; it holds {cut(', '.join(others))}: rename the right one" if others else ""
    raise FileNotFoundError(f"{folder} holds neither {SINGLE_FILE} nor {INDEX_FILE} nor another framework's file{hint}")


def find_tensors(folder: Path, allow_pickle: bool = False) -> dict[str, StoredTensor]:
    """Find every tensor of the folder's weights by its name in the file.

    Raises:
        FileNotFoundError: there are no weights, or the index names a file that is not there.
        ValueError: the weights come as a pickle, which `allow_pickle` would allow; a file or the index is damaged, or
            asks for something that weights do not need; or the index and the files disagree.
        ImportError: they are in tf_model.h5, and h5py is not installed.
    """
    path, read = weights_file(folder, allow_pickle)
    return {name: with_weight_axes(tensor) for name, tensor in read(path).items()}


def _read_shards(index: Path, read: Reader) -> dict[str, StoredTensor]:
    weight_map = json_files.read_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise ValueError(f"{index} needs a weight_map from the names of tensors to the names of files")
    names = sorted(set(weight_map.values()))
    elsewhere = [name for name in names if not is_plain_name(name)]
    if elsewhere:
        raise ValueError(f"{index} names files outside its folder: {cut(', '.join(map(repr, elsewhere)))}")
    absent = [name for name in names if not (index.parent / name).is_file()]
    if absent:
        raise FileNotFoundError(f"{index} names files that are not there: {cut(', '.join(absent))}")
    shards = {name: read(index.parent / name) for name in names}
    problems = []
    for tensor, name in weight_map.items():
        homes = [other for other in names if tensor in shards[other]]
        if name not in homes:
            problems.append(f"{tensor} should be in {name} but is in {', '.join(homes) or 'none of the files'}")
        if len(homes) > 1:
            problems.append(f"{tensor} is in several files: {', '.join(homes)}")
    for name, tensors in shards.items():
        problems += [f"{tensor} is in {name} but not in the index" for tensor in tensors if tensor not in weight_map]
    if problems:
        raise ValueError(f"{index} does not fit its files: " + "; ".join(first_of(problems, 20)))
    return {tensor: shards[name][tensor] for tensor, name in weight_map.items()}
