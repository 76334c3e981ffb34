"""The tables of docs/from-parlai.md: every option of ParlAI's agent, and what it means here.

    python -m tools from-parlai                 # print them
    python -m tools from-parlai --write-docs    # put them into the page
    python -m tools from-parlai --check         # exit 1 where the page says anything else

Options and defaults are those of ParlAI's own parser, reference_tests/golden/parlai_options.json, which
`python -m tools goldens parlai-options` asks again. What they mean here stands in `tools/docs/parlai_options.py`, and
reference_tests/golden/test_parlai_options.py tries every row.
"""

from __future__ import annotations

import json
import sys

from npblender.config.parlai_folder import COVERED
from tools import ROOT
from tools.docs.parlai_options import ROWS, Read, Refused, Without
from tools.docs.tables import markdown, run_tables
from tools.goldens.parlai_options import FILE

PAGE, MARKED = ROOT / "docs" / "from-parlai.md", "options"


def meaning(name: str, row: Read | Refused | Without) -> tuple[str, str]:
    """The two last cells of a row: how an option fares, and as what or why.

    >>> meaning("n_segments", Refused(2, "no segments"))
    ('only `0` or `None`', 'no segments')
    """
    if isinstance(row, Read):
        names = ", ".join(f"`{name}`" for name in row.here)
        return "read", f"{names}: {row.note}" if row.note else names
    if isinstance(row, Refused):
        return f"only {' or '.join(f'`{value!r}`' for value in COVERED[name])}", row.note
    return "no effect", row.note


def table() -> str:
    """A table for each of the parser's groups."""
    options = json.loads(FILE.read_text(encoding="utf-8"))["options"]
    groups: dict[str, list[list[str]]] = {}
    for name, option in options.items():
        spelt = ", ".join(f"`{each}`" for each in option["spelt"])
        groups.setdefault(option["group"], []).append([spelt, f"`{option['default']!r}`", *meaning(name, ROWS[name])])
    header = ["option", "ParlAI's default", "here", "as, or why"]
    return "\n".join(f"### {group.capitalize()}\n\n{markdown(header, rows)}" for group, rows in groups.items())


def main() -> int:
    return run_tables(__doc__ or "", PAGE, {MARKED: table}, "from-parlai")


if __name__ == "__main__":
    sys.exit(main())
