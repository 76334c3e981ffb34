"""Hypothesis strategies for text, words and merges: Unicode of every kind, and what tokenizers trip over."""

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

SPECIAL_TOKENS = ("__null__", "__start__", "__end__", "__unk__", "__newln__")

# Glued marks, odd spaces, line breaks, half-written special tokens, letters whose lower case is not one other letter.
FRAGMENTS = (
    *SPECIAL_TOKENS,
    *("__START__", "__end_", "_", "__", "@@", "</w>", "</w>lo", "lo@@ w", "_@@"),
    *("low", "lower", "hello", "Hello", "LOW", "don't", "(low)", "low!!", "3.14", "hello.low", "''", "'\n", "!\n"),
    *(" ", "  ", "\n", "\n\n", " \n", "\n ", "\t", "\r\n", "\xa0", "\x85", "\u2028", "\u3000", "\x0b", "\x1c", "\x1f"),
    *("İ", "Σ", "ΑΣ", "ΑΣ.", "ẞ", "ǅ", "K", "ﬀ", "e\u0301", "😀", "👩\u200d👧", "生活", "مرحبا", "٣", "²"),
    *("\x00", "\x7f", "\u200b", "\ufeff", "\ufffd", "\ud800", "\udfff"),
)


def characters() -> SearchStrategy[str]:
    """Any code point that a `str` can hold, surrogates included."""
    return st.characters() | st.characters(categories=["Cs", "Cc", "Zs", "Mn", "Po"])


def texts() -> SearchStrategy[str]:
    """Any text: plain Unicode, fragments that matter, and mixtures of both."""
    mixture = st.lists(st.sampled_from(FRAGMENTS) | characters(), max_size=12).map("".join)
    return st.text(alphabet=characters(), max_size=30) | mixture


def words(letters: str = "lower_hn", max_size: int = 40) -> SearchStrategy[str]:
    """One word of few letters, so that merges meet often."""
    return st.text(alphabet=letters, min_size=1, max_size=max_size)


@st.composite
def merge_tables(draw: DrawFn, letters: str = "abc") -> list[tuple[str, str]]:
    """Merge as a file may hold them: each joins symbols that exist by then, in any order of usefulness.

    They are wilder than learned ones: one symbol may have several derivations, and a merge may make a pair of lower
    rank than its own.
    """
    open_symbols, closed_symbols = list(letters), [letter + "</w>" for letter in letters]
    merges: list[tuple[str, str]] = []
    for _ in range(draw(st.integers(0, 14))):
        left = draw(st.sampled_from(open_symbols))
        right = draw(st.sampled_from(open_symbols + closed_symbols))
        if (left, right) in merges:
            continue
        merges.append((left, right))
        (closed_symbols if right.endswith("</w>") else open_symbols).append(left + right)
    return merges
