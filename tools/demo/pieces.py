"""The demo's tokenizer: how merges make its vocabulary, and text cut into ids.

Applying the merges is subword-nmt's (`pip install subword-nmt==0.3.8`). Text is pre-tokenised as ParlAI does.
It does NOT replace npblender's tokenizer: it is the trainer's fast path, and the export is checked against that one.
"""

import json
import re
import string
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


def name_parts(cut: Cutter) -> list[str]:
    """Short pieces that names may be joined of."""
    parts = [piece.removesuffix("@@") for piece in cut.ids if piece.endswith("@@")]
    return [part for part in parts if part.isalpha() and len(part) < 5]
