"""The Rust library `tokenizers`, set up to cut text as ParlAI does: lower case, words and single marks, then BPE.

It is given one text a call. The variant "plain" is its `encode`, which also says where in the text each token stands;
"no offsets" its `encode_batch_fast` with a batch of one, which leaves that out, as npblender does.

Newlines aside (which ParlAI makes a word of its own), it must give npblender's ids in the dialect parlai.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from tools.bench.peers.timing import mark, timed

END = "</w>"


def entries(folder: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges as that library wants them: the end of a word marked, its pieces bare."""
    given = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    vocabulary = {}
    for piece, number in given.items():
        vocabulary[piece[:-2] if piece.endswith("@@") else piece + END] = number
    lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
    merges = [(line.split()[0], line.split()[1]) for line in lines if len(line.split()) == 2 and line[0] != "#"]
    for first, second in merges:
        for piece in (first, second, first + second):
            vocabulary.setdefault(piece, len(vocabulary) + len(given))  # merged further, or unknown to the model
    return vocabulary, merges


class Engine:
    """A tokenizer's folder."""

    def __init__(self, folder: Path, threads: int, variant: str) -> None:
        given = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        self.offsets = variant == "plain"
        self.size, self.unknown = len(given), given["__unk__"]
        self.vocabulary, self.merges = entries(folder)

    def versions(self) -> dict[str, str]:
        return {"tokenizers": tokenizers.__version__}

    def _fresh(self) -> Any:
        model = models.BPE(self.vocabulary, self.merges, end_of_word_suffix=END, unk_token="__unk__" + END)
        tokenizer = Tokenizer(model)
        tokenizer.normalizer = normalizers.Lowercase()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(r"\w+|[^\w\s]"), "removed", invert=True)]
        )
        return tokenizer

    def tokenize(self, texts: list[str]) -> dict[str, Any]:
        tokenizer = self._fresh()
        if self.offsets:
            seconds, results = timed(lambda texts: [tokenizer.encode(text).ids for text in texts], [texts])
        else:
            fast = tokenizer.encode_batch_fast
            seconds, results = timed(lambda texts: [fast([text])[0].ids for text in texts], [texts])
        return {"seconds": seconds, "ids": mark(self._known(ids) for ids in results[0])}

    def _known(self, ids: list[int]) -> list[int]:
        return [number if number < self.size else self.unknown for number in ids]
