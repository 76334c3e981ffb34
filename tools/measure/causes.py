"""Which causes `npblender compare` names: 125 mistakes planted into the C port, each compiled and compared.

    python -m tools measure causes                 # all five lists
    python -m tools measure causes first           # one of them
    python -m tools measure causes --write-docs    # the counts, and the last list's table, into docs/porting.md

reference_tests/faults/port_fault.py says how an answer is scored; the lists say for each mistake, written beforehand,
where it acts and which words name it. Needs a C compiler and pytest.
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
from reference_tests.faults import (
    port_faults_first,
    port_faults_fresh,
    port_faults_reported,
    port_faults_second,
    port_faults_trackers,
)
from reference_tests.faults.port_fault import Grade, PortFault
from reference_tests.support.pack_models import PACKS, load, model_folder
from tools import ROOT
from tools.docs.tables import markdown, write_between_markers

PAGE = ROOT / "docs" / "porting.md"
SOURCE = ROOT / "docs" / "port-example" / "c" / "port.c"
LISTS: dict[str, tuple[str, dict[str, PortFault], tuple[int, int, int]]] = {
    "first": ("from experience", port_faults_first.FIRST, port_faults_first.COUNTED),
    "second": ("from experience", port_faults_second.SECOND, port_faults_second.COUNTED),
    "reported": ("trackers of other ports", port_faults_reported.REPORTED, port_faults_reported.COUNTED),
    "trackers": ("other threads there", port_faults_trackers.TRACKERS, port_faults_trackers.COUNTED),
    "fresh": ("other threads there", port_faults_fresh.FRESH, port_faults_fresh.COUNTED),
}
"""Of each list where it is from, its mistakes, and the count when it was first compared."""


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


HEADER = ["list", "from", "right at first", "half", "wrong", "right now", "half now", "wrong now"]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lists", nargs="*", choices=[[], *LISTS], help="which mistakes (default: all)")
    parser.add_argument("--write-docs", action="store_true", help=f"put the table into {PAGE.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    summary, table = [], ""
    for name in options.lists or LISTS:
        source, faults, before = LISTS[name]
        found = answers(faults)
        rows = [
            [fault, f"`{each.point}`", "; ".join(each.remarks) or "none", each.grade] for fault, each in found.items()
        ]
        grades = Counter(each.grade for each in found.values())
        now = (grades["right"], grades["half"], grades["wrong"])
        summary.append([name, source, *map(str, before), *map(str, now)])
        table = markdown(["mistake", "first point", "remarks", "cause"], rows)
        print(f"{name}: {now[0]} right, {now[1]} half, {now[2]} wrong\n\n{table}")
    counts = markdown(HEADER, summary)
    print(counts)
    if options.write_docs and not options.lists:
        write_between_markers(PAGE, "port-faults", f"{counts}\nThe last list, and what is said of it now:\n\n{table}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
