"""What the exported demo answers: npblender itself speaks, with the settings of the folder.

A context is the turns so far, joined by newlines, cut from the left by whole turns: what chat does.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .batches import LONGEST_CONTEXT


class Speaker:
    """A model folder that answers; every reply is remembered, since searches are not cheap."""

    def __init__(self, folder: Path) -> None:
        from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer

        self.tokenizer = BlenderbotSmallTokenizer.from_pretrained(folder)
        self.model = BlenderbotSmallForConditionalGeneration.from_pretrained(folder)
        self._known: dict[tuple[str, ...], str] = {}

    def __call__(self, turns: Sequence[str]) -> str:
        """The reply to the last of `turns`."""
        key = tuple(turns)
        if key not in self._known:
            inputs = self.tokenizer(self.fitting(turns), return_tensors="np")
            out = self.model.generate(**inputs)
            self._known[key] = self.tokenizer.decode(
                out[0], skip_special_tokens=True, clean_up_tokenization_spaces=True
            )
        return self._known[key]

    def fitting(self, turns: Sequence[str]) -> str:
        """As many of the last turns as fit the longest context of the training."""
        text = turns[-1]
        for turn in reversed(turns[:-1]):
            longer = f"{turn}\n{text}"
            if len(self.tokenizer(longer)["input_ids"]) > LONGEST_CONTEXT:
                break
            text = longer
        return text

    def unknown(self, reply: str) -> bool:
        """Whether a reply holds the unknown token."""
        return "__unk__" in reply


def distinct(replies: Sequence[str], n: int) -> float:
    """Different n-grams of words among all of them.

    >>> distinct(["i like tea", "i like dogs"], 1), distinct(["i like tea", "i like dogs"], 2)
    (0.6666666666666666, 0.75)
    """
    grams: Counter[tuple[str, ...]] = Counter()
    for reply in replies:
        words = reply.split()
        grams.update(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    return len(grams) / sum(grams.values())


def conversation(speaker: Speaker, lines: Sequence[str]) -> list[tuple[str, str]]:
    """A user's lines, each with the reply to it and to everything before it."""
    turns: list[str] = []
    out = []
    for line in lines:
        turns.append(line)
        turns.append(speaker(turns))
        out.append((line, turns[-1]))
    return out
