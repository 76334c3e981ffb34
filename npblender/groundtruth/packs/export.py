"""Makes a whole pack: every file, the manifest, and the checks that truth must pass before it is written."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from npblender import demo
from npblender.common import json_files
from npblender.common.printable import shown
from npblender.common.version import __version__
from npblender.config.dialect import Dialect, describe_dialect, resolve_dialect
from npblender.groundtruth.packs import tiny
from npblender.groundtruth.packs.files import PackFile
from npblender.groundtruth.packs.manifest import FileRecord, Manifest, check_replaceable, sha256, write_pack
from npblender.groundtruth.packs.recipes import Recipe
from npblender.groundtruth.packs.sections import chats, filters, forward, parts, scalars, searches, tensors, texts
from npblender.groundtruth.packs.truth.arithmetic import Arithmetic, best
from npblender.groundtruth.packs.verdict import Subject
from npblender.groundtruth.tracing.inputs import TraceInputs
from npblender.groundtruth.tracing.record import record
from npblender.groundtruth.tracing.trace_file import Trace
from npblender.models import BlenderbotSmallForConditionalGeneration
from npblender.transformer.parameters import Weights, to_arrays

MODEL_FOLDER = "model"
LONGDOUBLE_BOUND = 1e-13
"""How far a small model's float64 run may lie from its longdouble run, as a fraction of a point's largest value."""
MODEL_FILES = (
    *("config.json", "generation_config.json", "model.safetensors"),
    *("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
)


def weights_sha256(weights: Weights) -> str:
    """Hash all parameters: names, shapes and float32 bytes, in the order of the tree."""
    content = b"".join(
        f"{name}{list(array.shape)}".encode() + array.astype("<f4").tobytes()
        for name, array in to_arrays(weights).items()
    )
    return sha256(content)


def export_pack(
    folder: str | os.PathLike[str],
    model: str | os.PathLike[str] | None = None,
    *,
    dialect: str | Dialect | None = None,
    seed: int = 0,
    stored: str = "float64",
    allow_pickle: bool = False,
) -> Manifest:
    """Write a pack of the demo, or of the model in a folder, without the weights.

    `allow_pickle` as in `from_pretrained`.

    Raises:
        FileNotFoundError, ValueError: no such model, a folder that cannot be written, truths that do not agree, or
            weights that are a pickle, which was not allowed.
    """
    place = json_files.model_folder(demo.folder() if model is None else model)
    name = "demo" if model is None else Path(model).name
    return _export(Path(folder), name, place, dialect, seed, stored, keep=False, allow_pickle=allow_pickle)


def export_tiny(
    folder: str | os.PathLike[str], *, dialect: str | Dialect = "parlai", seed: int = 0, stored: str = "float64"
) -> Manifest:
    """Write a pack of the tiny model, weights included."""
    with tempfile.TemporaryDirectory() as place:
        tiny.save_tiny(Path(place), seed, resolve_dialect(dialect))
        return _export(Path(folder), "tiny", Path(place), dialect, seed, stored, keep=True)


def _export(
    folder: Path,
    name: str,
    place: Path,
    dialect: str | Dialect | None,
    seed: int,
    stored: str,
    *,
    keep: bool,
    allow_pickle: bool = False,
) -> Manifest:
    check_replaceable(Path(os.path.abspath(folder)))  # before the work
    if stored not in ("float32", "float64"):
        raise ValueError(f"stored is {shown(stored)}; truths are stored as 'float32' or 'float64'")
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(place, dialect=dialect, allow_pickle=allow_pickle)
    recipe = Recipe(name, Subject(model, place), seed, stored, keep)
    arithmetic = best()
    wide = recipe.subject.sibling("float64")
    passes = recipe.scenarios()
    found = forward.traces(wide, passes)
    truth = {
        "scalar operation": arithmetic.name,
        "tensor operation": arithmetic.name,
        "filters": "the definitions in Python's float64",
        "trace": "npblender in float64, of float32 weights",
        "parts": "the traces",
        "searches": "npblender in float64, searched in float32 as the originals do",
        "texts": "npblender",
        "conversations": "npblender in float64",
    }
    if recipe.small:
        truth["trace"] += (
            f"; its longdouble run lies at most {_against_longdouble(wide, found):.1g} of a point's max off"
        )
    files = list(_files(recipe, wide, passes, found, arithmetic))
    manifest = Manifest(
        name=name,
        dialect=describe_dialect(model.dialect),
        seed=seed,
        stored=stored,
        truth=truth,
        producer=producer(arithmetic),
        model={
            "folder": MODEL_FOLDER if keep else None,
            "config": model.config.to_dict(),
            "weights_sha256": weights_sha256(model.weights),
        },
        files={
            file.path: FileRecord(file.kind, file.about, sha256(file.content), len(file.content), file.tensors)
            for file in files
        },
    )
    write_pack(folder, manifest, {file.path: file.content for file in files})
    return manifest


def producer(arithmetic: Arithmetic) -> dict[str, str]:
    """List the programs that made a pack, with their versions."""
    return {
        "npblender": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "scalars": arithmetic.name,
    }


def _files(
    recipe: Recipe,
    wide: Subject,
    passes: list[forward.Scenario],
    found: Mapping[str, Trace],
    arithmetic: Arithmetic,
) -> Iterator[PackFile]:
    if recipe.keeps_model:
        for name in MODEL_FILES:
            if (recipe.subject.folder / name).is_file():
                content = (recipe.subject.folder / name).read_bytes()
                yield PackFile(f"{MODEL_FOLDER}/{name}", "model", "the model's own file", content)
    yield from scalars.make(recipe.seed, arithmetic)
    yield from tensors.make(recipe.seed, arithmetic, recipe.stored)
    yield from forward.make(dict(found), passes, recipe.stored)
    yield parts.make(found, wide.model.config)
    yield filters.make(recipe.seed, recipe.stored)
    yield searches.make(wide, recipe.searches())
    yield from texts.make(wide)
    yield from chats.make(wide, recipe.longest)


def _against_longdouble(wide: Subject, found: Mapping[str, Trace]) -> float:
    """Measure the largest deviation of the float64 runs from runs in longdouble, relative to each point's maximum.

    Raises:
        ValueError: it is too large for float64 to be the truth.
    """
    worst, at = 0.0, ""
    for path, trace in found.items():
        inputs = TraceInputs.from_json(trace.inputs or {})
        model = forward.subject_of_path(wide, path).model
        wider = record(model, inputs, points=list(trace.points), dtype="longdouble", noise=False)
        for name, array in trace.arrays.items():
            shown = np.isfinite(array) & (np.abs(array) < 1e18)
            scale = np.abs(array[shown]).max(initial=0.0)
            difference = np.abs(wider.arrays[name][shown] - array[shown]).max(initial=0.0)
            if difference and float(difference / scale) > worst:
                worst, at = float(difference / scale), name
    if worst > LONGDOUBLE_BOUND:
        raise ValueError(f"the float64 run is {worst:.3g} of the largest value off at {at}: no truth to be exported")
    return worst
