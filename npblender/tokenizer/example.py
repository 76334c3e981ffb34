"""A vocabulary small enough to follow by hand, for examples and tests. It is not the demo's.

It knows the words `hello` and `low`, the pieces of `lower`, single letters and marks. Its merges also make the line
break's token and `__end__`, as the published ones do, so that a user can type them.
"""

from __future__ import annotations

from npblender.config.dialect import Dialect
from npblender.tokenizer.bpe import spell_symbol
from npblender.tokenizer.tokenizer import BlenderbotSmallTokenizer

EXAMPLE_MERGES: tuple[tuple[str, str], ...] = (
    # low, lower and hello
    *(("l", "o"), ("lo", "w"), ("lo", "w</w>"), ("e", "r</w>")),
    *(("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o</w>")),
    # __newln__
    *(("_", "_"), ("_", "_</w>"), ("n", "e"), ("ne", "w"), ("l", "n"), ("new", "ln")),
    *(("__", "newln"), ("__newln", "__</w>")),
    # __end__
    *(("e", "n"), ("en", "d"), ("__", "end"), ("__end", "__</w>")),
)


def _vocabulary() -> dict[str, int]:
    tokens = ["__null__", "__start__", "__end__", "__unk__", "__newln__"]
    tokens += ["hello", "low", "low@@", "er", ",", "!", ".", "?", "'", "(", ")"]
    tokens += [spell_symbol(left + right) for left, right in EXAMPLE_MERGES]
    tokens += [letter + form for letter in "dehlnorw_" for form in ("", "@@")]
    return {token: index for index, token in enumerate(dict.fromkeys(tokens))}


EXAMPLE_VOCABULARY = _vocabulary()


def example_tokenizer(dialect: str | Dialect = "parlai") -> BlenderbotSmallTokenizer:
    """Make the tokenizer of the example vocabulary.

    >>> example_tokenizer().tokenize("Hello, low lower!")
    ['hello', ',', 'low', 'low@@', 'er', '!']
    >>> len(example_tokenizer())
    48
    """
    return BlenderbotSmallTokenizer(EXAMPLE_VOCABULARY, EXAMPLE_MERGES, dialect=dialect)
