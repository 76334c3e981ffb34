"""Golden packs of a tiny model and of the demo, checked by the originals before they are published.

A pack's truth is npblender's float64 run, or a definition worked out number by number. ParlAI and both transformers
are asked the same: forward passes in float64 by the original of the pack's dialect, its searches by the same, filters
by transformers' processors, texts by all tokenizers. What they were asked, by which version, and whether they agree is
written into the manifest.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from npblender.config.dialect import resolve_dialect
from npblender.groundtruth import Trace, TraceInputs, record
from npblender.groundtruth.packs.export import export_pack, export_tiny
from npblender.groundtruth.packs.files import read_cases, read_json
from npblender.groundtruth.packs.manifest import Manifest, read_manifest, write_manifest
from npblender.groundtruth.packs.sections.forward import subject_of_path
from npblender.groundtruth.packs.verdict import Subject
from npblender.groundtruth.packs.verify import subject_of, verify_pack
from tools import ROOT
from tools.goldens.asked import filters, forward, searching, texts
from tools.goldens.made import Made

FOLDER = ROOT / "reference_tests" / "golden" / "packs"
TINY_SEED = 3  # the first under which replies vary and end
TRANSFORMERS = ("transformers-5", "transformers-4")
STORED = "float32"
MOST_COMPLETE = "transformers-4"


def make(name: str, folder: Path, stored: str) -> Manifest:
    """Write one of the packs; no original is asked."""
    if name == "tiny":
        return export_tiny(folder, seed=TINY_SEED, stored=stored)
    return export_pack(folder, stored=stored)


def cross_checks(folder: Path) -> list[dict[str, Any]]:
    """What the originals say to a pack that stores float64."""
    manifest = read_manifest(folder)
    subject = subject_of(folder, manifest)
    dialect = resolve_dialect(manifest.dialect)
    original, config = dialect.name, manifest.model["config"]
    of_kind = {path: record.kind for path, record in manifest.files.items()}
    traces = {path: Trace.load(folder / path) for path, kind in of_kind.items() if kind == "trace"}
    replaced = None if dialect.start_logit is None else config["decoder_start_token_id"]
    answers: dict[str, forward.Found | None] = {}
    for path, trace in traces.items():
        weights = subject_of_path(subject, path).model.weights
        answers |= forward.ask_all(original, config, weights, {path: trace}, replaced)
    checks = [forward.record_of(path, original, found) for path, found in answers.items()]
    checks += asked_elsewhere(subject, [path for path, found in answers.items() if found is None], traces)
    for path, kind in of_kind.items():
        if kind == "searches":
            checks.append(searching.ask(original, config, subject.model.weights, read_json(folder / path)))
        elif kind == "filters":
            checks += [filters.ask(each, read_cases(folder / path)) for each in TRANSFORMERS]
        elif kind == "texts":
            asked = ("parlai",) if path.endswith("parlai.json") else TRANSFORMERS
            checks += [texts.ask(each, subject.folder, path, read_json(folder / path)) for each in asked]
    return checks


def asked_elsewhere(subject: Subject, paths: list[str], traces: dict[str, Trace]) -> list[dict[str, Any]]:
    """What transformers 4, which takes every input, says to npblender's run of the same inputs in its own dialect."""
    dialect = resolve_dialect(MOST_COMPLETE)
    config = subject.model.config.to_dict()
    answers: dict[str, forward.Found | None] = {}
    for path in paths:
        model, inputs = subject_of_path(subject, path).model, TraceInputs.from_json(traces[path].inputs or {})
        again = {path: record(model, inputs, dtype="float64", dialect=dialect)}
        answers |= forward.ask_all(MOST_COMPLETE, config, model.weights, again, None)
    return [
        forward.record_of(path, MOST_COMPLETE, found) | {"in_dialect": MOST_COMPLETE} for path, found in answers.items()
    ]


def made_with_checks(name: str, folder: Path) -> Manifest:
    """Write a pack with what the originals say to it.

    Raises RuntimeError where one of them does not agree.
    """
    with tempfile.TemporaryDirectory() as place:
        make(name, Path(place) / name, "float64")
        checks = cross_checks(Path(place) / name)
    wrong = [check for check in checks if check["asked"] and not check["within"]]
    if wrong:
        raise RuntimeError(f"{name}: the originals do not agree: {wrong}")
    manifest = dataclasses.replace(make(name, folder, STORED), cross_checks=tuple(checks))
    write_manifest(folder, manifest)
    report = verify_pack(folder)
    if report.code:
        raise RuntimeError("\n".join(report.lines()))
    return manifest


def differences(name: str, folder: Path) -> list[str]:
    """In what a pack made now differs from the stored one, other than in the last bits of another machine."""
    new, old = read_manifest(folder), read_manifest(FOLDER / name)
    wrong = [f"{name}: {path} is not in both" for path in sorted(set(new.files) ^ set(old.files))]
    if new.model["weights_sha256"] != old.model["weights_sha256"]:
        return [f"{name}: made of other weights; `python -m tools goldens {name}` makes it anew"]
    if new.cross_checks != old.cross_checks:
        wrong.append(f"{name}: the originals were asked or answered otherwise")
    return wrong + [line for line in verify_pack(FOLDER / name).lines() if line.startswith(("DAMAGED", "DIVERGES"))]


def made(name: str) -> Iterator[Made]:
    """One pack, in a temporary folder until it is written."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / name
        manifest = made_with_checks(name, folder)
        asked = sum(check["asked"] for check in manifest.cross_checks)
        yield Made(
            FOLDER / name,
            f"{len(manifest.files)} files, {asked} checks by the originals",
            partial(publish, folder, FOLDER / name),
            partial(differences, name, folder),
        )


def publish(folder: Path, place: Path) -> None:
    """Put a finished pack where the old one is."""
    if place.exists():
        shutil.rmtree(place)
    shutil.copytree(folder, place)
