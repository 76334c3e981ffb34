"""Checks a pack: whether it is whole, and whether npblender agrees with every file of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from npblender import demo
from npblender.checkpoint import resolve_dtype
from npblender.common import json_files
from npblender.common.printable import cut, shown
from npblender.config.dialect import resolve_dialect
from npblender.groundtruth.packs.export import weights_sha256
from npblender.groundtruth.packs.manifest import MANIFEST, Manifest, damage, path_within, read_manifest
from npblender.groundtruth.packs.sections import chats, filters, forward, parts_check, scalars, searches, tensors, texts
from npblender.groundtruth.packs.verdict import Subject, Verdict
from npblender.groundtruth.tracing.tensor_file import read_tensors
from npblender.models import BlenderbotSmallForConditionalGeneration

AGREES, DIVERGES, DAMAGED = 0, 1, 2
"""Exit codes, as those of `npblender compare`."""


@dataclass(frozen=True)
class PackReport:
    """The findings of a check, file by file."""

    manifest: Manifest
    damage: Mapping[str, str]  # path -> how the file differs from the manifest
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)  # path -> whether npblender agrees

    @property
    def code(self) -> int:
        """0: all agrees; 1: npblender does not agree with a file; 2: the pack itself is not as it was made."""
        if self.damage:
            return DAMAGED
        return AGREES if all(verdict.good for verdict in self.verdicts.values()) else DIVERGES

    def lines(self) -> Iterator[str]:
        """The report as text."""
        dialect, maker = resolve_dialect(self.manifest.dialect).name, self.manifest.producer.get("npblender")
        yield f"pack {self.manifest.name}, dialect {dialect}, made by npblender {maker}"
        for path, what in self.damage.items():
            yield f"DAMAGED   {path} {what}"
        for path, verdict in self.verdicts.items():
            yield f"{'ok      ' if verdict.good else 'DIVERGES'}  {path}: {verdict.summary}"
            yield from (f"          {problem}" for problem in verdict.problems[:5])
            if len(verdict.problems) > 5:
                yield f"          and {len(verdict.problems) - 5} more"
        yield {
            AGREES: f"{len(self.verdicts)} files agree",
            DIVERGES: f"{sum(not v.good for v in self.verdicts.values())} of {len(self.verdicts)} files diverge",
            DAMAGED: f"the pack is damaged: {len(self.damage)} files are not as they were made",
        }[self.code]

    def to_json(self) -> dict[str, Any]:
        """The report as one object."""
        verdicts = {
            path: vars(verdict) | {"problems": list(verdict.problems)} for path, verdict in self.verdicts.items()
        }
        return {"pack": self.manifest.name, "code": self.code, "damage": dict(self.damage), "files": verdicts}


def subject_of(
    folder: str | os.PathLike[str],
    manifest: Manifest,
    model: str | os.PathLike[str] | None = None,
    dtype: DTypeLike = "float32",
    *,
    allow_pickle: bool = False,
) -> Subject:
    """Load the model of a pack: its own, the demo, or the one in the folder named.

    `allow_pickle` as in `from_pretrained`; a pack's own model is no pickle.

    Raises:
        FileNotFoundError: the pack does not hold its model, and no folder is named.
        ValueError: the model has other weights than the pack was made with.
    """
    own = manifest.model["folder"]
    if model is not None:
        place = json_files.model_folder(model)
    elif own is not None:
        place = path_within(Path(folder), own, Path(folder) / MANIFEST)
    elif manifest.name == "demo":
        place = demo.folder()
    else:
        raise FileNotFoundError(f"the pack of {shown(manifest.name)} does not hold its model: name the model's folder")
    dialect = resolve_dialect(manifest.dialect)
    found = BlenderbotSmallForConditionalGeneration.from_pretrained(
        place, dialect=dialect, allow_pickle=allow_pickle and model is not None
    )
    if weights_sha256(found.weights) != manifest.model["weights_sha256"]:
        raise ValueError(f"the pack {str(folder)!r} was made of other weights than those in {str(place)!r}")
    subject = Subject(found, place)
    wanted = resolve_dtype(dtype)
    return subject if wanted == np.float32 else subject.sibling(wanted)


def verify_pack(
    folder: str | os.PathLike[str],
    model: str | os.PathLike[str] | None = None,
    *,
    dtype: DTypeLike = "float32",
    only: str = "*",
    allow_pickle: bool = False,
) -> PackReport:
    """Check a pack's files, and npblender against those whose path matches the glob `only`, in the given dtype.

    `allow_pickle` as in `from_pretrained`, for the `model` that is named.

    Raises:
        FileNotFoundError, ValueError: it is not a pack, has another schema, or its model cannot be loaded.
    """
    manifest = read_manifest(folder)
    broken = damage(folder, manifest) or dict(_untrue_records(Path(folder), manifest))
    if broken:
        return PackReport(manifest, broken)
    subject = subject_of(folder, manifest, model, dtype, allow_pickle=allow_pickle)
    exact = manifest.truth["scalar operation"].startswith("mpmath")
    checks: dict[str, Callable[[Path, Subject], Verdict]] = {
        scalars.KIND: partial(scalars.check, exact=exact),
        **{section.KIND: section.check for section in (tensors, forward, parts_check, filters, searches, texts, chats)},
        "model": lambda path, subject: Verdict(True, "as it was made"),
    }
    if not any(fnmatchcase(path, only) for path in manifest.files):
        raise ValueError(f"no file of the pack matches {shown(only)}; there are {cut(', '.join(manifest.files))}")
    strange = {path: record.kind for path, record in manifest.files.items() if record.kind not in checks}
    for path, kind in strange.items():
        raise ValueError(f"{path} is of the unknown kind {shown(kind)}; known are {', '.join(checks)}")
    verdicts = {}
    for path, record in manifest.files.items():
        if not fnmatchcase(path, only):
            continue
        try:
            verdicts[path] = checks[record.kind](Path(folder) / path, subject)
        except Exception as error:  # a file may be as its manifest says and hold anything
            verdicts[path] = Verdict(False, "it cannot be computed", (f"{type(error).__name__}: {cut(str(error))}",))
    return PackReport(manifest, {}, verdicts)


def _untrue_records(folder: Path, manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Yield files whose tensors differ from those that the manifest lists."""
    for path, record in manifest.files.items():
        if record.tensors:
            arrays, _ = read_tensors(folder / path)
            there = {name: (str(array.dtype), list(array.shape)) for name, array in arrays.items()}
            said = {name: (each["dtype"], each["shape"]) for name, each in record.tensors.items()}
            if there != said:
                name = sorted(name for name in there.keys() | said.keys() if there.get(name) != said.get(name))[0]
                yield path, f"holds tensor {shown(name)} as {there.get(name)}, and the manifest says {said.get(name)}"
