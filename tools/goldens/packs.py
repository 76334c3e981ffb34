"""Makes the golden packs of `reference_tests/golden/packs/`, and asks the originals about every file of them.

    python tools/goldens/packs.py                # both packs
    python tools/goldens/packs.py demo           # the demo's alone, after its weights have changed
    python tools/goldens/packs.py --check        # write nothing: make them anew, ask again, and compare with the files

A pack's truth is npblender's float64 run, or a definition worked out number by number. Nothing is published before
ParlAI and both transformers have been asked the same: forward passes in float64 by the original of the pack's dialect,
its searches by the same, filters by transformers' processors, texts by all tokenizers. What they were asked, by which
version, and whether they agree is written into the manifest. The originals' environments are made by
`tools/originals/environments.py`.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from npblender.config.dialect import resolve_dialect  # noqa: E402
from npblender.groundtruth import Trace, TraceInputs, record  # noqa: E402
from npblender.groundtruth.packs.export import export_pack, export_tiny  # noqa: E402
from npblender.groundtruth.packs.files import read_cases, read_json  # noqa: E402
from npblender.groundtruth.packs.manifest import Manifest, read_manifest, write_manifest  # noqa: E402
from npblender.groundtruth.packs.verdict import Subject  # noqa: E402
from npblender.groundtruth.packs.verify import subject_of, verify_pack  # noqa: E402
from tools.goldens.asked import filters, forward, searching, texts  # noqa: E402

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
    answers = forward.ask_all(original, config, subject.model.weights, traces, replaced)
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
    again = {
        path: record(subject.model, TraceInputs.from_json(traces[path].inputs or {}), dtype="float64", dialect=dialect)
        for path in paths
    }
    config = subject.model.config.to_dict()
    answers = forward.ask_all(MOST_COMPLETE, config, subject.model.weights, again, None) if again else {}
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
        return [f"{name}: made of other weights; `python tools/goldens/packs.py {name}` makes it anew"]
    if new.cross_checks != old.cross_checks:
        wrong.append(f"{name}: the originals were asked or answered otherwise")
    return wrong + [line for line in verify_pack(FOLDER / name).lines() if line.startswith(("DAMAGED", "DIVERGES"))]


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the published golden packs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="tiny, demo (default: both)")
    parser.add_argument("--check", action="store_true", help="write nothing; compare with the stored packs")
    options = parser.parse_args()
    names = options.names or ["tiny", "demo"]
    if set(names) - {"tiny", "demo"}:
        parser.error("there are two packs, tiny and demo")
    wrong = []
    for name in names:
        if options.check:
            with tempfile.TemporaryDirectory() as place:
                made_with_checks(name, Path(place) / name)
                wrong += differences(name, Path(place) / name)
            continue
        manifest = made_with_checks(name, FOLDER / name)
        total = sum(record.bytes for record in manifest.files.values())
        asked = sum(check["asked"] for check in manifest.cross_checks)
        print(f"{name}: {len(manifest.files)} files, {total:,} bytes, {asked} checks by the originals", flush=True)
    if options.check:
        print("\n".join(wrong) if wrong else f"{', '.join(names)}: as stored, and the originals agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
