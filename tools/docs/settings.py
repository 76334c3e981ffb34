"""What lists every setting of `generate`: the table of docs/generation.md, and the types of `config/call_options.py`.

    python -m tools settings                 # print both
    python -m tools settings --write-docs    # put them into the page and the module
    python -m tools settings --check         # exit 1 where one of them says anything else

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
TYPES = ROOT / "npblender" / "config" / "call_options.py"
BY_OVERLOAD = "return_dict_in_generate"
AT = "    # A line for each row of the table:\n"

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
    "ParlAI's": PARLAI,
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


def types() -> str:
    """A line for every setting but the one that the overloads of `generate` name themselves.

    >>> types().splitlines()[0]
    '    max_length: Whole | None'
    """
    lines = (f"    {name}: {option.kind.type} | None\n" for name, option in OPTIONS.items() if name != BY_OVERLOAD)
    return "".join(lines)


def typed_parts() -> tuple[str, str, str]:
    """The module of types: what stands before the lines of settings, these, and what follows."""
    before, at, rest = TYPES.read_text(encoding="utf-8").partition(AT)
    lines, end, after = rest.partition("\n\n")
    if not (at and end):
        raise ValueError(f"{TYPES.name} needs the line {AT.strip()!r}, and an empty one behind the settings")
    return before + at, f"{lines}\n", end[1:] + after


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write-docs", action="store_true", help="put them into the page and the module")
    what.add_argument("--check", action="store_true", help="exit 1 where one of them says anything else")
    arguments = parser.parse_args()
    before, lines, after = typed_parts()
    if arguments.write_docs:
        write_between_markers(PAGE, MARKED, table())
        TYPES.write_text(before + types() + after, encoding="utf-8")
    elif arguments.check:
        stale = [PAGE] * (between_markers(PAGE, MARKED) != table()) + [TYPES] * (lines != types())
        for path in stale:
            print(f"{path.name} is not what the table of settings says: run python -m tools settings --write-docs")
        return 1 if stale else 0
    else:
        print(table())
        print(types(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
