"""The table of docs/security.md, from what `python -m tools fuzz` and `fuzz-guided` have printed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from tools.docs.tables import markdown
from tools.fuzz.checkpoints import READERS

RUN = re.compile(r"^([\w-]+) +([\d,]+) files of seed (\d+), (\d+) s: (no fault|FAULT)(?:, (.*))?$", re.MULTILINE)
GUIDED = re.compile(r"^guided ([\w-]+)$|^Done (\d+) runs in \d+ second", re.MULTILINE)


def table(logs: Iterable[str]) -> str:
    """A row for each reader: mutated files, by seed; those that coverage led to; what was wrong."""
    text = "\n".join(logs)
    runs: dict[str, Counter[str]] = {name: Counter() for name in READERS}
    faults: dict[str, list[str]] = {name: [] for name in READERS}
    for name, count, seed, _, outcome, more in RUN.findall(text):
        runs[name][seed] += int(count.replace(",", ""))  # a run may have been made in parts
        faults[name].append("; ".join(filter(None, ("none" if outcome == "no fault" else "FOUND", more))))
    guided, name = dict.fromkeys(READERS, 0), ""
    for begun, done in GUIDED.findall(text):
        name = begun or name
        guided[name] += int(done or 0)
    rows = [
        (
            name,
            ", ".join(f"{files:,} ({seed})" for seed, files in runs[name].items()),
            f"{guided[name]:,}" if guided[name] else "",
            "; ".join(dict.fromkeys(faults[name])),
        )
        for name in READERS
        if runs[name] or guided[name]
    ]
    return markdown(("reader", "mutated files, by seed", "guided by coverage", "faults"), rows)
