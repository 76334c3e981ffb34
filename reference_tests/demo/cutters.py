"""Cutters with the face of the trainer's, which needs a package that tests do without."""

from collections.abc import Iterable

from npblender import BlenderbotSmallTokenizer
from npblender.demo import FOLDER
from tools.demo import pieces


class Words:
    """Cuts text into whole words, each new one with the next number."""

    def __init__(self) -> None:
        marks = "()[]{}<>"
        self.ids = dict(zip((*pieces.SPECIAL, *marks), range(100), strict=False))

    def __call__(self, text: str) -> list[int]:
        return [self.ids.setdefault(word, len(self.ids)) for word in pieces.pretokenize(text)]

    def text(self, ids: Iterable[int]) -> str:
        entries = list(self.ids)
        return " ".join(entries[i] for i in ids)


class ShippedCut:
    """The shipped tokenizer."""

    def __init__(self) -> None:
        self._tokenizer = BlenderbotSmallTokenizer.from_pretrained(FOLDER)

    def __call__(self, text: str) -> list[int]:
        return self._tokenizer(text, add_special_tokens=False)["input_ids"]

    def text(self, ids: Iterable[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True)
