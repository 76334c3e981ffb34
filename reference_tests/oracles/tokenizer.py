"""The tokenizer from its definitions, in plain, slow Python: the oracle of the fast one.

It shares no code with npblender. Text is walked character by character, words are merged by whole rounds.
"""

from collections.abc import Iterator, Mapping, Sequence

# White space by the Unicode property of that name, which transformers uses; Python's str.isspace, which ParlAI uses,
# takes U+001C to U+001F besides.
WHITE_SPACE = frozenset("\t\n\x0b\x0c\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | {
    chr(code) for code in range(0x2000, 0x200B)
}


def parlai_words(text: str) -> list[str]:
    """Lower the text, put spaces around the word for a line break, take runs of word characters and lone marks."""
    found: list[str] = []
    run = ""
    for character in text.lower().replace("\n", " __newln__ "):
        if character.isalnum() or character == "_":
            run += character
            continue
        if run:
            found.append(run)
            run = ""
        if not character.isspace():
            found.append(character)
    return [*found, run] if run else found


def _runs(text: str) -> Iterator[str]:
    """Run of what is not white space, each with one line break that follows it directly."""
    run = ""
    for character in text:
        if character not in WHITE_SPACE:
            run += character
        else:
            if run:
                yield run + ("\n" if character == "\n" else "")
            run = ""
    if run:
        yield run


def transformers_words(text: str) -> list[str]:
    """Space marks out, squeeze spaces, spell a line break, lower each word: the steps one after the other."""
    found: list[str] = []
    for run in _runs(text):
        spaced = "".join(" " + c if c in ".,!?()" else c for c in run)
        spaced = "".join(" ' " if c == "'" else c for c in spaced)
        squeezed = ""
        at = 0
        while at < len(spaced):
            stretch = at
            while stretch < len(spaced) and spaced[stretch] in WHITE_SPACE:
                stretch += 1
            if stretch - at >= 2:
                squeezed, at = squeezed + " ", stretch
            else:
                squeezed, at = squeezed + spaced[at], at + 1
        found += [word.lower() for word in squeezed.replace("\n", " __newln__").split(" ") if word]
    return found


def rounds(word: str, merges: Sequence[tuple[str, str]]) -> Iterator[tuple[tuple[str, str], list[str]]]:
    """Each round: the first learned of the pairs that are there, and the word with all its occurrences merged."""
    symbols = [*word[:-1], word[-1] + "</w>"]
    while True:
        present = {(symbols[at], symbols[at + 1]) for at in range(len(symbols) - 1)}
        learned = [pair for pair in merges if pair in present]
        if not learned:
            return
        pair = learned[0]
        merged: list[str] = []
        at = 0
        while at < len(symbols):
            if at + 1 < len(symbols) and (symbols[at], symbols[at + 1]) == pair:
                merged.append(symbols[at] + symbols[at + 1])
                at += 2
            else:
                merged.append(symbols[at])
                at += 1
        symbols = merged
        yield pair, symbols


def segment(word: str, merges: Sequence[tuple[str, str]]) -> list[str]:
    """A word's tokens: its last one bare, the others with `@@`."""
    symbols = [*word[:-1], word[-1] + "</w>"]
    for _, after in rounds(word, merges):
        symbols = after
    return [*(symbol + "@@" for symbol in symbols[:-1]), symbols[-1][: -len("</w>")]]


def cut_special(text: str, special: Sequence[str]) -> list[tuple[bool, str]]:
    """Special tokens and what is between them: at each place the longest that begins there."""
    parts: list[tuple[bool, str]] = []
    between = ""
    at = 0
    while at < len(text):
        here = [token for token in special if text.startswith(token, at)]
        if here:
            token = max(here, key=len)
            parts += [(False, between), (True, token)]
            between, at = "", at + len(token)
        else:
            between, at = between + text[at], at + 1
    return [*parts, (False, between)]


def ids_of(text: str, vocab: Mapping[str, int], merges: Sequence[tuple[str, str]], way: str) -> list[int]:
    """The ids of a text in ParlAI's or transformers' way."""
    if way == "parlai":
        tokens = [token for word in parlai_words(text) for token in segment(word, merges)]
    else:
        tokens = []
        for special, part in cut_special(text, ["__null__", "__start__", "__end__", "__unk__"]):
            words = [] if special else transformers_words(part)
            tokens += [part] if special else [token for word in words for token in segment(word, merges)]
    return [vocab.get(token, vocab["__unk__"]) for token in tokens]
