"""The table of docs/generation.md that lists every setting of `generate`, drawn from the table in the code.

    python -m tools settings                 # print it
    python -m tools settings --write-docs    # put it into the page
    python -m tools settings --check         # exit 1 where the page says anything else

Rows are those of `npblender.config.generation_options`, in their order. Needs npblender only.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

from npblender.config.generation_options import OPTIONS, Option
from npblender.config.searches import (
    CONSTRAINED_BEAM,
    CONTRASTIVE,
    EVERY,
    GROUP_BEAM,
    LOOKUP,
    ONE_REPLY,
    PARLAI,
    PARLAI_DELAYED,
    PARLAI_RANDOM,
    SEVERAL_BEAMS,
    TRANSFORMERS,
    WARPED,
)
from tools import ROOT
from tools.docs.tables import between_markers, markdown, write_between_markers

PAGE, MARKED = ROOT / "docs" / "generation.md", "settings"

GROUPS: Mapping[str, frozenset[str]] = {
    "all": EVERY,
    "all but greedy, contrastive, lookup": EVERY - ONE_REPLY,
    "transformers'": TRANSFORMERS,
    "beams": SEVERAL_BEAMS,
    "beams, ParlAI's": SEVERAL_BEAMS | PARLAI,
    "sampling": WARPED,
    "sampling, ParlAI's": WARPED | PARLAI,
    "sampling, ParlAI's sampling": WARPED | PARLAI_RANDOM,
    "sampling, contrastive, ParlAI's sampling": WARPED | {CONTRASTIVE} | PARLAI_RANDOM,
    "group beams": frozenset({GROUP_BEAM}),
    "constrained beams": frozenset({CONSTRAINED_BEAM}),
    "contrastive": frozenset({CONTRASTIVE}),
    "prompt lookup": frozenset({LOOKUP}),
    "ParlAI's delayed": frozenset({PARLAI_DELAYED}),
}
"""Short names of the sets of searches that settings have; "sampling" includes beam sampling."""


def searches_of(option: Option) -> str:
    """A name for the searches that read a setting.

    >>> searches_of(OPTIONS["max_length"]), searches_of(OPTIONS["min_p"])
    ('all', 'sampling')
    """
    for name, searches in GROUPS.items():
        if option.searches == searches:
            return name
    return ", ".join(sorted(option.searches))


def shown(value: object) -> str:
    """A default in a cell: nothing where there is none.

    >>> shown(None), shown(False), shown(1.0)
    ('', 'false', '1.0')
    """
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def table() -> str:
    """A row for every setting."""
    rows = [
        [
            f"`{name}`",
            option.kind.text,
            shown(option.default),
            shown(option.parlai_default),
            searches_of(option),
            option.meaning,
        ]
        for name, option in OPTIONS.items()
    ]
    return markdown(["setting", "takes", "default", "ParlAI's", "read by", "meaning"], rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write-docs", action="store_true", help="put the table into docs/generation.md")
    what.add_argument("--check", action="store_true", help="exit 1 where the page has another table")
    arguments = parser.parse_args()
    text = table()
    if arguments.write_docs:
        write_between_markers(PAGE, MARKED, text)
    elif arguments.check:
        if between_markers(PAGE, MARKED) != text:
            print("docs/generation.md is not what the code says: run python -m tools settings --write-docs")
            return 1
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
