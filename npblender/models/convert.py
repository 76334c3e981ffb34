"""Writes any folder that can be read here as one that both transformers load: safetensors, and json files beside them.

The new folder appears under its name only when it is complete and was read back: every number in it was compared with
the source's.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from npblender import checkpoint
from npblender.checkpoint.dtypes import FORMAT_OF
from npblender.checkpoint.folder import StoredTensor, find_tensors, weights_file
from npblender.checkpoint.parameter_names import canonical_name
from npblender.checkpoint.read import each_piece
from npblender.common import json_files
from npblender.common.array_types import Array
from npblender.common.printable import shown
from npblender.config import BlenderbotSmallConfig
from npblender.config.generation_config import GenerationConfig
from npblender.config.parlai_folder import find_parlai
from npblender.tokenizer import BlenderbotSmallTokenizer
from npblender.tokenizer.fast_file import FILE, fast_file
from npblender.transformer.parameters import (
    BASE_MODEL,
    CAUSAL_MODEL,
    FULL_MODEL,
    LOGITS_BIAS,
    Parts,
    Weights,
    parameters,
)

TOKENIZER_FILES = (
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.json",
)
UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


@dataclass(frozen=True)
class Converted:
    """What was written: the source's file, what the model has, and each new file's bytes and sha256."""

    source: Path
    parts: Parts
    dtype: str
    tensors: int
    files: dict[str, tuple[int, str]]


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    dtype: str | None = None,
    shard_size: int | None = None,
    allow_pickle: bool = False,
    tokenizer_json: str | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> Converted:
    """Write the model in one folder to another, new one, and read it back.

    `dtype` is what the new file stores, "float16", "bfloat16", "float32" or "float64"; None is what the source stores.
    `shard_size` as in `checkpoint.save`. `tokenizer_json` also writes a tokenizer.json for the Rust library
    `tokenizers`, which cuts text in this dialect's way ("folder" for the one that the folder names, else ParlAI's).
    `say` is called with a line for each thing that is done.

    Raises:
        FileNotFoundError, ValueError: the source does not fit its configuration, or is a pickle that was not allowed.
        ValueError: the target is there already and not empty, or a number is too large for `dtype`.
    """
    place, goal = json_files.model_folder(source), Path(target)
    if goal.exists() and (not goal.is_dir() or any(goal.iterdir())):
        raise ValueError(f"{goal} is there already; name a new folder")
    if shard_size is not None and shard_size < 1:
        raise ValueError(f"shard_size must be at least 1 byte, not {shard_size}")
    file, _ = weights_file(place, allow_pickle)
    tensors = find_tensors(place, allow_pickle)
    parts, stored = parts_of(tensors), dtype or stored_as(tensors.values())
    config = BlenderbotSmallConfig.from_pretrained(place)
    say(f"reads {file}: {len(tensors)} tensors, {sum(tensor.size for tensor in tensors.values()):,} bytes")
    wide = "float64" if "float64" in (stored, stored_as(tensors.values())) else "float32"
    weights = checkpoint.load(place, config, parts, wide, allow_pickle=allow_pickle)
    json_files.new_folder(goal.absolute().parent)
    with tempfile.TemporaryDirectory(prefix=f".{goal.name}-", dir=goal.absolute().parent) as unfinished:
        new = Path(unfinished) / "folder"
        say(f"writes {goal} in {stored}")
        # The settings of the search go along where the folder has them in a file of their own.
        own = (place / "generation_config.json").exists()
        own |= not (place / "config.json").exists() and find_parlai(place) is not None
        settings = GenerationConfig.from_pretrained(place) if own else None
        checkpoint.save(new, config, weights, settings, dtype=stored, shard_size=shard_size)
        _save_tokenizer(place, new)
        if tokenizer_json is not None:
            dialect = None if tokenizer_json == "folder" else tokenizer_json
            tokenizer = BlenderbotSmallTokenizer.from_pretrained(new, dialect=dialect)
            (new / FILE).write_bytes(fast_file(tokenizer.codec).encoded())
        say("reads it back and compares every number")
        _compare(weights, new, stored, wide)
        files = {path.name: (path.stat().st_size, sha256(path)) for path in sorted(new.iterdir())}
        if goal.exists():
            goal.rmdir()  # it is empty
        os.replace(new, goal)
    return Converted(file, parts, stored, len(parameters(weights)), files)


def parts_of(tensors: Iterable[str]) -> Parts:
    """Tell what a file's model has by the names of its tensors.

    >>> parts_of(["model.shared.weight", "model.encoder.layers.0.fc1.bias"]) == FULL_MODEL
    True
    >>> parts_of(["shared.weight", "encoder.layers.0.fc1.bias"]) == BASE_MODEL
    True
    """
    names = list(tensors)
    canonical = {canonical_name(name) for name in names}
    if not any(name is not None and name.startswith("encoder.") for name in canonical):
        return CAUSAL_MODEL
    parlai = "embeddings.weight" in names  # which has no other model
    headed = any(name.startswith(("model.", "lm_head.")) for name in names)
    return FULL_MODEL if parlai or headed or LOGITS_BIAS in canonical else BASE_MODEL


def stored_as(tensors: Iterable[StoredTensor]) -> str:
    """Name the number format of most bytes of a file, "float32" for one that holds no floats.

    A file that mixes formats is mostly one of half precision with a few parameters kept in float32.
    """
    names = {stored: name for name, stored in FORMAT_OF.items()}
    sizes: dict[str, int] = {}
    for tensor in tensors:
        if tensor.dtype in names:
            sizes[names[tensor.dtype]] = sizes.get(names[tensor.dtype], 0) + tensor.size
    return max(sizes, key=sizes.__getitem__) if len(sizes) == 1 else ("float64" if "float64" in sizes else "float32")


def sha256(path: Path) -> str:
    """Compute the sha256 of a file, some of it at a time."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def bytes_of(text: str) -> int:
    """Read a size such as 500MB, as transformers spells the largest size of a shard.

    >>> bytes_of("500MB"), bytes_of("2GiB")
    (500000000, 2147483648)
    """
    found = re.fullmatch(r"(\d{1,12})\s*([KMG]?I?B?)", text.strip().upper())
    unit = found[2] if found else ""
    if found is None or unit not in UNITS:
        raise ValueError(f"{shown(text)} is no size; say it as 500MB, 2GB or 1GiB")
    return int(found[1]) * UNITS[unit]


def _save_tokenizer(place: Path, new: Path) -> None:
    """The tokenizer's files as they are; ParlAI's dictionary as the files that transformers reads."""
    if not (place / "vocab.json").exists() and find_parlai(place) is not None:
        BlenderbotSmallTokenizer.from_pretrained(place).save_pretrained(new)
        return
    for name in TOKENIZER_FILES:
        if (place / name).is_file():
            shutil.copyfile(place / name, new / name)


def _compare(weights: Weights, new: Path, stored: str, wide: str) -> None:
    """The new folder must hold the source's numbers, rounded to what it stores."""
    ours = parameters(weights)
    step = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 0.0}[stored]

    def same(tensor: StoredTensor, first: int, rows: Array) -> None:
        kept = ours[str(canonical_name(tensor.name))].take(np.arange(first, first + len(rows)), axis=0)
        error = np.abs(rows - kept)
        # Half a step of the format, or of its smallest number where numbers are smaller than its range.
        bound = 0.0 if stored == wide else np.maximum(np.abs(kept) * (step / 2), 2.0**-25)
        assert (error <= bound).all(), f"{tensor.name} was not written as it was read"

    each_piece(find_tensors(new).values(), np.dtype(wide), same)
