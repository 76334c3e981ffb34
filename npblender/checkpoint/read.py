"""Weights from a folder: every tensor checked, converted, and read once to where it stays.

Bytes pass through small buffers (see row_reader.py), in which they are converted and checked, so that loading needs the
weights themselves and little else, and costs one pass over memory.

What it does not do: it reads no configuration and repairs nothing. What does not fit is
gathered and refused in one error that names all of it.
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from npblender.checkpoint.dtypes import STORED_FLOATS, resolve_storage
from npblender.checkpoint.folder import find_tensors
from npblender.checkpoint.header import StoredTensor
from npblender.checkpoint.parameter_names import SHARED, canonical_name, copies_in_order
from npblender.checkpoint.row_reader import each_piece, in_order
from npblender.common import json_files
from npblender.common.array_types import Array
from npblender.config import BlenderbotSmallConfig
from npblender.transformer.packing import MatrixAllocator, rounded_to_storage, store_rows
from npblender.transformer.parameters import (
    FULL_MODEL,
    LOGITS_BIAS,
    Matrix,
    Parts,
    Weights,
    expected_shapes,
    from_arrays,
)


def load(
    folder: str | os.PathLike[str],
    config: BlenderbotSmallConfig,
    parts: Parts = FULL_MODEL,
    dtype: str | npt.DTypeLike = "float32",
) -> Weights:
    """The weights in a folder as the tree for `config`, every parameter in `dtype`.

    "float16" and "bfloat16" keep only the large matrices so, rounded from float32 to the nearest (see `layout`);
    everything else is in float32.

    `parts` says what the model has: `FULL_MODEL`, `BASE_MODEL` or `CAUSAL_MODEL`. Tensors of
    the other parts may be in the file and stay unread. `final_logits_bias` is zeros where the file has none,
    as in transformers. Peak memory is the weights and a few megabytes.

    Raises:
        FileNotFoundError: no such folder, no weights in it, or a shard that is not there.
        ValueError: the dtype is not covered; a file is damaged, cut short or a pickle; or tensors are
            missing, unknown, of another shape than `config` says, no floats, not finite, or copies that
            disagree. The message names every one of them.

    >>> from tempfile import TemporaryDirectory
    >>> from npblender.checkpoint import save
    >>> from npblender.transformer.parameters import random_weights
    >>> config = BlenderbotSmallConfig(vocab_size=7, d_model=4, encoder_layers=1, decoder_layers=1,
    ...     encoder_attention_heads=2, decoder_attention_heads=1, encoder_ffn_dim=3, decoder_ffn_dim=5)
    >>> with TemporaryDirectory() as folder:
    ...     save(folder, config, random_weights(config, seed=0))
    ...     weights = load(folder, config, dtype="float64")
    >>> weights.shared.weight.shape, weights.dtype
    ((7, 4), dtype('float64'))
    """
    place = json_files.model_folder(folder)
    target, storage = resolve_storage(dtype)
    problems: list[str] = []
    sources = _match(find_tensors(place), config, parts, problems)
    arrays = _read_all({name: copies[0] for name, copies in sources.items()}, target, storage, problems)
    _compare_copies(sources, arrays, problems)
    if problems:
        raise ValueError("\n    ".join([f"the weights in {place} do not fit the configuration:", *problems]))
    if LOGITS_BIAS in parts and LOGITS_BIAS not in arrays:
        arrays[LOGITS_BIAS] = np.zeros((1, config.vocab_size), target)
    return from_arrays(config, arrays, parts)


def _match(
    tensors: dict[str, StoredTensor], config: BlenderbotSmallConfig, parts: Parts, problems: list[str]
) -> dict[str, list[StoredTensor]]:
    """For each parameter of these parts the tensors to read it from; what does not fit goes to `problems`.

    Only the token embeddings can come from several: the first is to be read, the others must agree with it.
    """
    known, wanted = expected_shapes(config, FULL_MODEL), expected_shapes(config, parts)
    found: dict[str, list[str]] = {}
    for name in tensors:
        bare = name.removeprefix("model.")
        canonical = bare if bare in known else canonical_name(name)  # which takes some time, for several hundred names
        if canonical is not None:
            found.setdefault(canonical, []).append(name)
    sources: dict[str, list[StoredTensor]] = {}
    for canonical, names in found.items():
        if canonical not in known:
            problems += [f"unknown: {name} {list(tensors[name].shape)}" for name in names]
            continue
        if canonical == SHARED:
            names = copies_in_order(names, parts)
        elif len(names) > 1:
            problems.append(f"one parameter under several names: {', '.join(names)}")
        fitting = [tensors[name] for name in names if _fits(tensors[name], known[canonical], problems)]
        if canonical in wanted and fitting:
            sources[canonical] = fitting
    missing = [name for name in wanted if name not in found and name != LOGITS_BIAS]
    problems[:0] = [f"missing: {name} {list(wanted[name])}" for name in missing]
    return sources


def _fits(tensor: StoredTensor, shape: tuple[int, ...], problems: list[str]) -> bool:
    wrong = []
    if tensor.shape != shape:
        wrong.append(f"of another shape: {tensor.name} is {list(tensor.shape)}, the config asks for {list(shape)}")
    if tensor.dtype not in STORED_FLOATS:
        wrong.append(f"no float: {tensor.name} is {tensor.dtype}; {', '.join(STORED_FLOATS)} are read")
    problems += wrong
    return not wrong


def _read_all(
    tensors: Mapping[str, StoredTensor], dtype: np.dtype[Any], storage: str, problems: list[str]
) -> dict[str, Matrix]:
    """Each parameter, read from its tensor and laid out as it is multiplied fastest."""
    rooms = MatrixAllocator({name: tensor.shape for name, tensor in tensors.items()}, dtype, storage)
    arrays = {name: rooms.room(name) for name in tensors}
    places = {tensor.name: arrays[name] for name, tensor in tensors.items()}
    broken: set[str] = set()

    def put(tensor: StoredTensor, first: int, rows: Array) -> None:
        if not store_rows(places[tensor.name], first, rows):
            broken.add(tensor.name)

    each_piece(tensors.values(), dtype, put)
    problems += [
        f"not finite as {storage}: {tensor.name} holds NaN, infinity or too large a number"
        for tensor in in_order(tensors.values())
        if tensor.name in broken
    ]
    return arrays


def _compare_copies(sources: dict[str, list[StoredTensor]], arrays: dict[str, Matrix], problems: list[str]) -> None:
    """The token embeddings are one matrix; a file may hold it several times, but always the same."""
    if SHARED not in sources:
        return
    first, *others = sources[SHARED]
    shared = arrays[SHARED]
    other: set[str] = set()

    def compare(tensor: StoredTensor, first: int, rows: Array) -> None:
        kept = shared.take(np.arange(first, first + len(rows)), axis=0)
        if not np.array_equal(rounded_to_storage(shared, rows), kept, equal_nan=True):
            other.add(tensor.name)

    each_piece(others, shared.dtype, compare)
    for tensor in in_order(others):
        if tensor.name in other:
            what = "an untied head" if tensor.name == "lm_head.weight" else "a second embedding"
            problems.append(f"{what} is not covered: {tensor.name} differs from {first.name}")
