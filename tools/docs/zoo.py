"""Writes the signature of every fault of the zoo: the first point that `npblender compare` names, and what follows.

    python -m tools zoo                 # print the tables
    python -m tools zoo --write-docs    # and put them into docs/porting.md
    python -m tools zoo --check         # exit 1 where the page shows something else
    python -m tools zoo --plant "tanh-GELU" PACK NAME OUT    # what a port with one fault makes of a pack's trace
    python -m tools zoo --model DIR     # the zoo's own model and reference, laid out as a golden pack has them

Each fault is planted into a float32 run of the tiny model, which is then compared with the float64 reference by the
command itself. Needs npblender and pytest.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from npblender import BlenderbotSmallForConditionalGeneration
from npblender.cli.main import main as npblender_command
from npblender.config.dialect import PARLAI
from npblender.groundtruth import Trace
from npblender.groundtruth.comparison.text_report import short
from npblender.transformer.parameters import to_arrays
from reference_tests.faults.zoo import Fault, harmed, harmed_run, reference, zoo_model
from reference_tests.faults.zoo_all import ZOO
from tools import ROOT
from tools.docs.tables import markdown, write_between_markers

PAGE = ROOT / "docs" / "porting.md"
SIGNATURES, CAUSES = "zoo", "causes"  # the names of the markers in the page
FACTOR = 2.0  # machines sum in other orders, and small units differ with them


@dataclass(frozen=True)
class Signature:
    """What the command said of one fault."""

    name: str
    fault: Fault
    exit_code: int
    report: dict[str, Any]

    @property
    def first(self) -> dict[str, Any]:
        """The point at which it shows."""
        return next(point for point in self.report["points"] if point["name"] == self.report["first_divergence"])

    @property
    def units(self) -> str:
        """How many units the first point is off."""
        units = self.first["units"]
        return "other shape" if units is None else size(units)

    @property
    def later(self) -> str:
        """How many of the points behind the first are off, too."""
        names = [point["name"] for point in self.report["points"]]
        behind = len(names) - names.index(self.first["name"]) - 1
        return f"{len(self.report['diverged']) - 1} of {behind}"

    @property
    def last_logits(self) -> str:
        """The error of the last step's logits."""
        logits = [point for point in self.report["points"] if point["name"].endswith("logits")][-1]
        return "other shape" if logits["units"] is None else size(logits["units"])


def size(units: float | str) -> str:
    """Units in a few characters.

    >>> size(31.25), size(123456.7), size("Infinity")
    ('31', '120,000', 'infinite')
    """
    value = float(units)
    if value in (float("inf"), float("-inf")):
        return short(value)
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if 10 <= rounded < 1e7 else f"{rounded:.1e}" if rounded >= 1e7 else f"{rounded:g}"


def compared(expected: Path, found: Path) -> tuple[int, dict[str, Any]]:
    """The command's exit code and what it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = npblender_command(["compare", str(expected), str(found), "--json"])
    return code, json.loads(printed.getvalue())


def signatures() -> Iterator[Signature]:
    """Every fault, in its first dialect."""
    with tempfile.TemporaryDirectory() as folder:
        expected, found = Path(folder, "reference.safetensors"), Path(folder, "mine.safetensors")
        for dialect, names in groupby(ZOO, key=lambda name: ZOO[name].dialects[0]):
            reference(dialect).save(expected)
            for name in names:
                Trace(harmed(ZOO[name], dialect)).save(found)
                yield Signature(name, ZOO[name], *compared(expected, found))


def planted(fault: Fault, pack: Path, name: str) -> Trace:
    """What a port with one fault makes of a trace of a golden pack.

    It computes in float64, so that the fault is all that differs, on any machine alike.
    """
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(pack / "model")
    inputs = Trace.load(pack / "forward" / f"{name}.safetensors").inputs
    assert inputs is not None, "traces of packs say what was run"
    return Trace(harmed_run(fault, model.config, to_arrays(model.weights), model.dialect, inputs, "float64"))


def signature_table(rows: list[Signature]) -> str:
    """One row a fault."""
    header = ["fault", "first point", "units there", "later points off", "units at the last logits", "exit code"]
    lines = []
    for row in rows:
        point = f"`{row.report['first_divergence']}`"
        lines.append([row.name, point, row.units, row.later, row.last_logits, str(row.exit_code)])
    return markdown(header, lines)


def cause_list(rows: list[Signature]) -> str:
    """The faults by the point at which they show, each with its cause and the report's remarks."""
    lines = []
    for point, group in groupby(rows, key=lambda row: row.report["first_divergence"]):
        lines.append(f"- `{point}`")
        for row in group:
            remarks = "; ".join(row.first["remarks"])
            lines.append(f"  - *{row.name}*: {row.fault.cause}" + (f" Remark: {remarks}." if remarks else ""))
    return "\n".join(lines) + "\n"


def between_markers(page: str, name: str) -> str:
    begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
    return page.split(begin)[1].split(end)[0]


def alike(shown: str, found: str) -> bool:
    """Whether two texts are the same but for numbers, which may differ by a small factor.

    >>> alike("| eps | 120 of 243 |", "| eps | 110 of 243 |"), alike("| eps | 120 |", "| q | 120 |")
    (True, False)
    """
    number = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.])")
    if number.sub("#", shown).replace(" ", "").replace("-", "") != number.sub("#", found).replace(" ", "").replace(
        "-", ""
    ):
        return False
    pairs = zip(number.findall(shown), number.findall(found), strict=True)
    values = [(float(a.replace(",", "")), float(b.replace(",", ""))) for a, b in pairs]
    return all(a == b or (min(a, b) > 0 and max(a, b) / min(a, b) <= FACTOR) for a, b in values)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write-docs", action="store_true", help=f"put the tables into {PAGE.relative_to(ROOT)}")
    what.add_argument("--check", action="store_true", help="exit 1 where the page shows something else")
    what.add_argument("--plant", nargs=4, metavar=("FAULT", "PACK", "NAME", "OUT"), help="write a trace with a fault")
    what.add_argument("--model", type=Path, metavar="DIR", help="write DIR/model/ and DIR/forward/steps.safetensors")
    arguments = parser.parse_args()
    if arguments.model:
        zoo_model(PARLAI).save_pretrained(arguments.model / "model")
        (arguments.model / "forward").mkdir(exist_ok=True)
        reference(PARLAI).save(arguments.model / "forward" / "steps.safetensors")
        return 0
    if arguments.plant:
        name, pack, trace, out = arguments.plant
        if name not in ZOO:
            parser.error(f"there is no fault {name!r}; there are {', '.join(ZOO)}")
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        planted(ZOO[name], Path(pack), trace).save(out)
        return 0
    rows = list(signatures())
    tables = {SIGNATURES: signature_table(rows), CAUSES: cause_list(rows)}
    if arguments.check:
        page = PAGE.read_text(encoding="utf-8")
        wrong = [name for name, text in tables.items() if not alike(between_markers(page, name), text)]
        print(f"{PAGE.relative_to(ROOT)}: {len(rows)} faults, " + (f"{wrong} DIFFER" if wrong else "the page holds"))
        return 1 if wrong else 0
    print("\n".join(tables.values()))
    if arguments.write_docs:
        for name, text in tables.items():
            write_between_markers(PAGE, name, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
