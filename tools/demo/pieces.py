"""The demo's tokenizer: learn a byte-pair encoding, lay out its vocabulary, cut text into ids.

Learning and applying are subword-nmt's (`pip install subword-nmt==0.3.8`). Text is pre-tokenised as ParlAI does.
It does NOT replace npblender's tokenizer: it is the trainer's fast path, and the export is checked against that one.
"""

import io
import json
import re
import string
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

SPECIAL = ("__null__", "__start__", "__end__", "__unk__", "__newln__")
NULL, START, END, UNK, NEWLINE = range(5)
# every printable ASCII character except the space and the capitals, which text never keeps
CHARACTERS = tuple(c for c in string.printable if c.isprintable() and c != " " and not c.isupper())
_PIECE = re.compile(r"\w+|[^\w\s]")


def pretokenize(text: str) -> list[str]:
    """Words and single marks, as ParlAI cuts them.

    >>> pretokenize("don't stop\\nNow")
    ['don', "'", 't', 'stop', '__newln__', 'now']
    """
    return _PIECE.findall(text.lower().replace("\n", " __newln__ "))


def learn_merges(words: Counter[str], size: int) -> list[tuple[str, str]]:
    """As many merges as fill a vocabulary of `size` entries, most frequent pair first.

    Counts decide, then the pair itself: the result depends on the counts alone, not on their order.
    """
    from subword_nmt.learn_bpe import learn_bpe

    ordered = sorted(words.items(), key=lambda item: (-item[1], item[0]))
    source, target = io.StringIO("".join(f"{w} {n}\n" for w, n in ordered)), io.StringIO()
    learn_bpe(source, target, size, is_dict=True)
    merges = [(a, b) for a, b in (line.split(" ") for line in target.getvalue().splitlines()[1:])]
    low, high = 0, len(merges)
    while low < high:  # the longest prefix whose vocabulary fits
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(vocabulary(merges[:middle])) <= size else (low, middle - 1)
    return merges[:low]


def vocabulary(merges: list[tuple[str, str]]) -> dict[str, int]:
    """Entries in id order: specials, every character in both forms, then each merge's product.

    A symbol with `</w>` ends a word and is written bare; any other is inside a word and is written with `@@`.

    >>> list(vocabulary([("h", "i</w>")]))[-1], list(vocabulary([("t", "h")]))[-1]
    ('hi', 'th@@')
    """
    entries = list(SPECIAL)
    entries += [c + form for c in CHARACTERS for form in ("", "@@")]
    for first, second in merges:
        product = first + second
        entries.append(product[:-4] if product.endswith("</w>") else product + "@@")
    return {entry: index for index, entry in enumerate(dict.fromkeys(entries))}


def write_tokenizer(folder: Path, merges: list[tuple[str, str]]) -> None:
    """`vocab.json` and `merges.txt` as the published checkpoint has them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary(merges), ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


class Cutter:
    """Text to ids with a tokenizer folder; words are cached."""

    def __init__(self, folder: Path) -> None:
        from subword_nmt.apply_bpe import BPE

        self.ids: dict[str, int] = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        self.entries = list(self.ids)
        with open(folder / "merges.txt", encoding="utf-8") as codes:
            self._bpe = BPE(codes)
        self._cache: dict[str, list[int]] = {}

    def __call__(self, text: str) -> list[int]:
        """The ids of a text; characters outside the vocabulary give the id of `__unk__`."""
        out: list[int] = []
        for word in pretokenize(text):
            if word not in self._cache:
                self._cache[word] = [self.ids.get(p, UNK) for p in self._bpe.segment_tokens([word])]
            out += self._cache[word]
        return out

    def text(self, ids: Iterable[int]) -> str:
        """Ids back to text, punctuation drawn to its word."""
        kept = [self.entries[i] for i in ids if i not in (NULL, START, END)]
        text = " ".join(kept).replace("@@ ", "").replace("__newln__", "\n")
        text = re.sub(r" ([.,!?])", r"\1", text)
        return re.sub(r" ?' ?", "'", text)
