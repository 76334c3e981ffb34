"""Writes weights and configuration to a folder, as transformers 4 and 5 read them.

The same weights give the same bytes. The files appear under their names together, when all of them are complete.
"""

import json
import os
from pathlib import Path
from typing import TypeAlias

from npblender.checkpoint.dtypes import FORMAT_OF
from npblender.checkpoint.folder import INDEX_FILE, SINGLE_FILE
from npblender.checkpoint.parameter_names import stored_name
from npblender.common import json_files
from npblender.common.array_types import Array
from npblender.common.checks import check_whole
from npblender.common.printable import shown
from npblender.common.replacing import FilesTogether, replacing_files
from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import Dialect, describe_dialect, resolve_dialect
from npblender.config.generation_config import GenerationConfig
from npblender.transformer.packing import HALF_FORMATS, is_half, storage_of, stored_bits
from npblender.transformer.parameters import (
    BASE_MODEL,
    CAUSAL_MODEL,
    FULL_MODEL,
    Parts,
    Weights,
    expected_shapes,
    parameters,
)

METADATA = {"format": "pt"}  # transformers 4 asks for it

Stored: TypeAlias = tuple[str, Array]  # the format's name, and the numbers; bfloat16 as its bits, uint16


_UNITS: dict[str, int] = {"B": 1, **{f"{c}B": 10 ** (3 * n) for n, c in enumerate("KMG", 1)}}
_UNITS |= {f"{c}iB".upper(): 2 ** (10 * n) for n, c in enumerate("KMG", 1)}


def shard_bytes(size: int | str) -> int:
    """Read transformers' `max_shard_size`: bytes, or a whole number with KB, MB, GB or KiB, MiB, GiB.

    >>> shard_bytes("200MB"), shard_bytes("1KiB"), shard_bytes(5)
    (200000000, 1024, 5)
    """
    if not isinstance(size, str):
        return check_whole("max_shard_size", size, at_least=1)
    number = size.rstrip("BKMGIbkmgi ")
    unit = size[len(number) :].strip().upper()
    if not (number.isascii() and number.isdigit() and int(number) > 0 and unit in _UNITS):
        raise ValueError(f"max_shard_size must be bytes or a text such as '5GB', not {shown(size)}")
    return int(number) * _UNITS[unit]


def save(
    folder: str | os.PathLike[str],
    config: BlenderbotSmallConfig,
    weights: Weights,
    generation_config: GenerationConfig | None = None,
    dialect: str | Dialect | None = None,
    dtype: str | None = None,
    shard_size: int | None = None,
) -> None:
    """Write model.safetensors, config.json and, if there are settings, generation_config.json.

    Names are transformers': those of a model with a head, of the bare model or of the causal head, according to the
    parts that `weights` has. `dtype` is the format of all parameters, "float16", "bfloat16" (by way of float32),
    "float32" or "float64"; None stores the weights as they are, large matrices that are kept in 16 bits in 16 bits and
    the rest in float32, so that nothing is lost. `dialect`, if given, is kept in config.json under a key of ours, which
    transformers ignores. With `shard_size` no file has more bytes of tensors than that, unless one tensor alone has:
    then there are several, and model.safetensors.index.json says which tensor is where.

    Raises:
        ValueError: weights that `config` does not describe, that hold NaN or infinity, or that `dtype`
            cannot hold; an unknown dialect or dtype; a place that cannot be written to.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     save(folder, config, weights, GenerationConfig(num_beams=2), "parlai")
    ...     sorted(os.listdir(folder))
    ['config.json', 'generation_config.json', 'model.safetensors']
    """
    parts = _parts(weights)
    stored = storage_of(weights) if dtype is None else dtype
    if stored not in FORMAT_OF:
        which = "the weights' own dtype" if dtype is None else "dtype"
        raise ValueError(f"{which} {shown(stored)} cannot be stored; choose dtype={' or '.join(map(repr, FORMAT_OF))}")
    if dialect is not None:
        config = config.replace(npblender_dialect=describe_dialect(resolve_dialect(dialect)))
    arrays = _checked(weights, config, parts, stored, rounded_to_storage=dtype is None)
    place = json_files.new_folder(folder)
    said = {key: stored for key in ("torch_dtype", "dtype") if key in config.extra}  # some files name it so
    contents = {"config.json": config.replace(extra={**config.extra, **said}).to_dict()}
    if generation_config is not None:
        contents["generation_config.json"] = generation_config.to_dict()
    data = {name: json_files.object_bytes(name, content) for name, content in contents.items()}
    tensors = {stored_name(name, parts): array for name, array in arrays.items()}
    with replacing_files(place) as files:
        _write_shards(files, tensors, shard_size)
        for name, content in data.items():
            files.beside(name).write_bytes(content)


def _parts(weights: Weights) -> Parts:
    if weights.encoder is None:
        return CAUSAL_MODEL
    return BASE_MODEL if weights.final_logits_bias is None else FULL_MODEL


def _checked(
    weights: Weights, config: BlenderbotSmallConfig, parts: Parts, dtype: str, rounded_to_storage: bool
) -> dict[str, Stored]:
    """Every parameter in the dtype to store, contiguous, after all of them were found to be in order."""
    arrays, expected = parameters(weights), expected_shapes(config, parts)
    problems = [f"missing: {name}" for name in expected if name not in arrays]
    problems += [f"unknown: {name}" for name in arrays if name not in expected]
    out: dict[str, Stored] = {}
    for name, array in arrays.items():
        wanted = expected.get(name, array.shape)
        if array.shape != wanted:
            problems.append(f"of another shape: {name} is {list(array.shape)}, the config asks for {list(wanted)}")
        one = dtype if is_half(array) or not (rounded_to_storage and dtype in HALF_FORMATS) else "float32"
        numbers = stored_bits(array, one)
        if numbers is None:
            problems.append(f"not finite as {one}: {name}")
        else:
            out[name] = one, numbers
    if problems:
        raise ValueError("\n    ".join(["these weights cannot be saved:", *problems]))
    return out


def _write_shards(files: FilesTogether, tensors: dict[str, Stored], shard_size: int | None) -> None:
    """Write one file, or as many as the size asks for, their index, and no single one, which would be read first."""
    shards = _dealt(tensors, shard_size)
    if len(shards) == 1:
        _write_tensors(files.beside(SINGLE_FILE), tensors)
        return
    names = [f"model-{number:05}-of-{len(shards):05}.safetensors" for number in range(1, len(shards) + 1)]
    for name, shard in zip(names, shards, strict=True):
        _write_tensors(files.beside(name), shard)
    index = {
        "metadata": {"total_size": sum(array.nbytes for _, array in tensors.values())},
        "weight_map": {tensor: name for name, shard in zip(names, shards, strict=True) for tensor in shard},
    }
    files.beside(INDEX_FILE).write_bytes(json_files.object_bytes(INDEX_FILE, index))
    files.remove(SINGLE_FILE)


def _dealt(tensors: dict[str, Stored], shard_size: int | None) -> list[dict[str, Stored]]:
    """Deal tensors out in their order, a new file where the next one would make it too large."""
    shards: list[dict[str, Stored]] = [{}]
    filled = 0
    for name, (dtype, array) in tensors.items():
        if shard_size is not None and shards[-1] and filled + array.nbytes > shard_size:
            shards.append({})
            filled = 0
        shards[-1][name] = dtype, array
        filled += array.nbytes
    return shards


def _write_tensors(path: Path, tensors: dict[str, Stored]) -> None:
    from safetensors import SafetensorError  # only to write: a reply starts sooner without it
    from safetensors.numpy import save_file

    if any(dtype == "bfloat16" for dtype, _ in tensors.values()):
        _write_bytes(path, tensors)
        return
    try:
        arrays = {name: array for name, (_, array) in tensors.items()}
        save_file(arrays, path, metadata=METADATA)
    except SafetensorError as error:
        raise OSError(str(error)) from error  # which file it is stands in the error that becomes of it


def _write_bytes(path: Path, tensors: dict[str, Stored]) -> None:
    """Write what the library would, which takes only NumPy arrays, and those are never bfloat16."""
    order = sorted(tensors, key=lambda name: (-tensors[name][1].itemsize, name))  # so every place is a multiple of it
    header: dict[str, object] = {"__metadata__": METADATA}
    end = 0
    for name in order:
        dtype, array = tensors[name]
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": FORMAT_OF[dtype], "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            array = tensors[name][1]
            file.write(array.astype(array.dtype.newbyteorder("<"), copy=False).data)
