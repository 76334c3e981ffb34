"""The tables of docs/from-transformers.md that say what to write instead, drawn from the code.

    python -m tools habits                 # print them
    python -m tools habits --write-docs    # put them into the page
    python -m tools habits --check         # exit 1 where the page says anything else

They are what the errors say: `INSTEAD` of `npblender.common.instead`, of `npblender.models.habits`, of
`npblender.tokenizer.instead` and of `npblender.config.generation_options` (names to import, names on a model, names on
a tokenizer, arguments of `generate`); `REFUSED` of `npblender.models.signatures`, other arguments; `NOT_COVERED` of
`npblender.config.generation_options`, settings. Needs npblender only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping

from npblender.common.instead import INSTEAD as IMPORTS
from npblender.config.generation_options import INSTEAD as GENERATE
from npblender.config.generation_options import NOT_COVERED
from npblender.models.habits import INSTEAD
from npblender.models.signatures import REFUSED
from npblender.tokenizer.instead import INSTEAD as TOKENIZERS
from tools import ROOT
from tools.docs.tables import markdown, run_tables

PAGE = ROOT / "docs" / "from-transformers.md"


def by_advice(advice: Mapping[str, str]) -> list[tuple[str, str]]:
    """Names that share what to write instead, in one row; rows in the order of the table in the code.

    >>> by_advice({"cuda": "one", "lm_head": "two", "mps": "one"})
    [('`cuda`, `mps`', 'one'), ('`lm_head`', 'two')]
    """
    names: dict[str, list[str]] = {}
    for name, text in advice.items():
        names.setdefault(text, []).append(f"`{name}`")
    return [(", ".join(each), text) for text, each in names.items()]


def values(allowed: Iterable[object]) -> str:
    """The values that a setting may have all the same.

    >>> values((None, 1))
    '`None`, `1`'
    """
    return ", ".join(f"`{value}`" for value in allowed)


def imports() -> str:
    """A row for each piece of advice about a name that one imports."""
    return markdown(["to import", "what to write instead"], by_advice(IMPORTS))


def instead() -> str:
    """A row for each piece of advice about a name on a model."""
    return markdown(["on a model", "what to write instead"], by_advice(INSTEAD))


def tokenizers() -> str:
    """A row for each piece of advice about a name on a tokenizer."""
    return markdown(["on a tokenizer", "what to write instead"], by_advice(TOKENIZERS))


def arguments_of_generate() -> str:
    """A row for each piece of advice about an argument of `generate`."""
    return markdown(["argument of `generate`", "what to write instead"], by_advice(GENERATE))


def refused() -> str:
    """A row for each piece of advice about an argument."""
    return markdown(["argument", "what to write instead"], by_advice(REFUSED))


def not_covered() -> str:
    """A row for each setting of transformers that is refused."""
    rows = [(f"`{name}`", values(allowed)) for name, allowed in NOT_COVERED.items()]
    return markdown(["setting", "taken as"], rows)


TABLES: Mapping[str, Callable[[], str]] = {
    "imports": imports,
    "instead": instead,
    "tokenizers": tokenizers,
    "refused": refused,
    "generate": arguments_of_generate,
    "not-covered": not_covered,
}
"""By the name of the markers in the page."""


def main() -> int:
    return run_tables(__doc__ or "", PAGE, TABLES, "habits")


if __name__ == "__main__":
    sys.exit(main())
