"""Chat text for the tokenizers, other text in every round.

With the dialogue corpora at hand (see `tools/differential/tokenizer_texts.py`) it is their turns, each at most once in
a run. Without them it is made up: words of the vocabulary by Zipf's law, some of them capitalised, some unheard-of,
with contractions, numbers and punctuation.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

from tools.differential.tokenizer_texts import corpus_turns

ENDINGS = ("'s", "'t", "n't", "'re", "'ll")
MARKS = (".", ".", ".", "!", "?", "...", " :)")


class Texts:
    """A source of texts that gives none of them twice."""

    def __init__(self, folder: Path, corpora: Path | None, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.about = "made-up chat text"
        self.words: list[str] = []
        self.turns: Iterator[str] | None = None
        if corpora is not None:
            turns = sorted({turn for counted in corpus_turns(corpora).values() for turn in counted})
            self.random.shuffle(turns)
            self.turns = iter(turns)
            self.about = f"the {len(turns):,} distinct turns of three dialogue corpora, shuffled"
        else:
            vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
            self.words = [word for word in vocabulary if word.isalpha() and len(word) > 1]

    def draw(self, words: int) -> list[str]:
        """Texts of together at least so many words. ValueError where the corpora have no more of them."""
        texts, count = [], 0
        while count < words:
            text = self._made_up() if self.turns is None else next(self.turns, None)
            if text is None:
                raise ValueError("the corpora have no more turns; run fewer rounds, or leave them out")
            texts.append(text)
            count += len(text.split())
        return texts

    def _word(self) -> str:
        draw = self.random
        word = self.words[min(int(draw.paretovariate(0.9)), len(self.words)) - 1]
        chance = draw.random()
        if chance < 0.02:
            return str(draw.randrange(10_000))
        if chance < 0.06:
            return word + draw.choice(self.words)
        if chance < 0.12:
            return word.capitalize()
        return word + draw.choice(ENDINGS) if chance < 0.16 else word

    def _made_up(self) -> str:
        words = [self._word() for _ in range(self.random.randint(2, 18))]
        if len(words) > 8:
            words[3] += ","
        return " ".join(words) + self.random.choice(MARKS)


def words_in(texts: list[str]) -> int:
    """How many words, as white space separates them.

    >>> words_in(["how are you?", "fine"])
    4
    """
    return sum(len(text.split()) for text in texts)
