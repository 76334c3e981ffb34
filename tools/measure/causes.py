"""Which causes `npblender compare` names: fifty mistakes planted into the C port, each compiled and compared.

    python -m tools measure causes                 # both lists
    python -m tools measure causes first           # one of them
    python -m tools measure causes --write-docs    # the table of the fresh list into docs/porting.md

reference_tests/faults/port_fault.py says how an answer is scored; the lists say for each mistake, written beforehand,
where it acts and which words name it. A mistake that is borderline in its trace is looked for again among the
re-fed operations. Needs a C compiler and pytest.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from npblender.groundtruth import compare
from reference_tests.faults.port_fault import Grade, PortFault
from reference_tests.faults.port_faults_first import FIRST
from reference_tests.faults.port_faults_fresh import FRESH
from reference_tests.faults.port_faults_reported import REPORTED
from reference_tests.faults.port_faults_second import SECOND
from reference_tests.faults.port_faults_trackers import TRACKERS
from reference_tests.support.pack_models import PACKS, load, model_folder
from tools import ROOT
from tools.docs.tables import markdown, write_between_markers

PAGE = ROOT / "docs" / "porting.md"
SOURCE = ROOT / "docs" / "port-example" / "c" / "port.c"
LISTS = {"first": FIRST, "second": SECOND, "reported": REPORTED, "trackers": TRACKERS, "fresh": FRESH}


@dataclass(frozen=True)
class Answer:
    """What the tool says of one mistake."""

    grade: Grade
    verdict: str
    point: str | None
    units: float
    remarks: tuple[str, ...]


def answer(fault: PortFault, place: Path, compiler: str) -> Answer:
    """Compile the port with one mistake, run it and compare its trace."""
    source, port, mine = place / "port.c", place / "port", place / "mine"
    source.write_text(fault.planted(SOURCE.read_text(encoding="utf-8")), encoding="utf-8")
    subprocess.run([compiler, "-std=c99", "-O1", "-o", str(port), str(source), "-lm"], check=True, timeout=120)
    pack, _, name = fault.reference.partition("/")
    reference = PACKS / pack / "forward" / f"{name}.safetensors"
    model = model_folder(reference, place)
    subprocess.run([str(port), "trace", str(model), str(reference), str(mine)], check=True, timeout=120)
    report = compare(reference, mine, model=load(model))
    first = report.first
    remarks = () if first is None else first.remarks
    units = 0.0 if first is None or first.score is None else first.score.units
    return Answer(
        fault.grade(report.first_divergence, remarks), report.verdict, report.first_divergence, units, remarks
    )


def answers(faults: dict[str, PortFault]) -> dict[str, Answer]:
    compiler = shutil.which("cc")
    if compiler is None:
        raise RuntimeError("no C compiler: install one, such as `apt-get install gcc`")
    with tempfile.TemporaryDirectory() as folder:
        return {name: answer(fault, Path(folder), compiler) for name, fault in faults.items()}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lists", nargs="*", choices=[[], *LISTS], help="which mistakes (default: both lists)")
    parser.add_argument("--write-docs", action="store_true", help=f"put the table into {PAGE.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    for name in options.lists or LISTS:
        found = answers(LISTS[name])
        rows = [
            [fault, f"`{each.point}`", "; ".join(each.remarks) or "none", each.grade] for fault, each in found.items()
        ]
        grades = Counter(each.grade for each in found.values())
        counted = ", ".join(f"{grades[grade]} {grade}" for grade in ("right", "half", "wrong"))
        table = markdown(["mistake", "first point", "remarks", "cause"], rows)
        print(f"{name}: {counted}\n\n{table}")
        if options.write_docs and name == "fresh":
            write_between_markers(PAGE, "port-faults", f"{len(found)} mistakes: {counted}.\n\n{table}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
