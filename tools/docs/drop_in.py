"""The table of docs/from-transformers.md of code that people write, and how it fares here.

    python -m tools drop-in                 # print it
    python -m tools drop-in --write-docs    # put it into the page
    python -m tools drop-in --check         # exit 1 where the page says anything else

The code is that of `tools/goldens/drop_in_calls.py`. It is run here, in the dialect of each transformers, and compared
with what that answered: reference_tests/golden/drop_in.json, which `python -m tools goldens drop-in` makes. Needs
npblender only.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools import ROOT
from tools.docs.tables import markdown, run_tables
from tools.goldens.drop_in import FILE, ORIGINALS, make_folder, same
from tools.goldens.drop_in_calls import CALLS, GROUPS
from tools.originals.run_drop_in import answers

PAGE, MARKED = ROOT / "docs" / "from-transformers.md", "drop-in"
MEANINGS = {
    "same": "the same value, numbers within float32's rounding",
    "other": "another value, for the reason given",
    "refused": "an error here, and what to write instead",
    "only here": "an error there",
    "both refuse": "an error on both sides",
}


def verdict(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """How an answer of ours compares with an original's.

    >>> verdict({"value": 1}, {"value": 1}), verdict({"value": 1}, {"error": "TypeError: no"})
    ('same', 'refused')
    """
    if "error" in ours:
        return "both refuse" if "error" in theirs else "refused"
    if "error" in theirs:
        return "only here"
    return "same" if same(theirs["value"], ours["value"]) else "other"


def verdicts() -> dict[str, dict[str, str]]:
    """The verdict on every piece of code, by its name and the original."""
    stored = json.loads(FILE.read_text(encoding="utf-8"))["originals"]
    found: dict[str, dict[str, str]] = {name: {} for name in CALLS}
    with tempfile.TemporaryDirectory() as place:
        for original in ORIGINALS:
            folder = make_folder(Path(place), original)
            ours = answers("npblender", str(folder), {name: call.code for name, call in CALLS.items()})
            for name in CALLS:
                found[name][original] = verdict(stored[original]["answers"][name], ours[name])
    return found


def table() -> str:
    """A table for each group of calls."""
    found = verdicts()
    versions = {name: each["version"] for name, each in json.loads(FILE.read_text("utf-8"))["originals"].items()}
    parts = []
    for group, calls in GROUPS.items():
        rows = [
            [_code(call.code), *(found[name][each] for each in ORIGINALS), call.why] for name, call in calls.items()
        ]
        parts.append(f"### {group}\n\n" + markdown(["code", *(versions[each] for each in ORIGINALS), "instead"], rows))
    return "\n".join(parts)


def _code(code: str) -> str:
    """A piece of code in a cell: a line after the other.

    >>> _code("a = [1 | 2]\\nb")
    '`a = [1 \\\\| 2]`<br>`b`'
    """
    return "<br>".join(f"`{line.strip()}`" for line in code.replace("|", "\\|").split("\n"))


def main() -> int:
    return run_tables(__doc__ or "", PAGE, {MARKED: table}, "drop-in")


if __name__ == "__main__":
    sys.exit(main())
