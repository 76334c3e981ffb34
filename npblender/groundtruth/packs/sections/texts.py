"""Tokenizer cases in a pack: texts to pieces, merges, tokens and ids, and back, one file for each way of splitting.

The two ways are ParlAI's, with which the model was trained, and transformers', which is the same in both versions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from npblender.common.printable import shown
from npblender.config.dialect import PARLAI, TRANSFORMERS_5, Dialect
from npblender.groundtruth.packs.files import PackFile, json_file, read_json
from npblender.groundtruth.packs.verdict import Subject, Tally, Verdict
from npblender.tokenizer import BlenderbotSmallTokenizer

KIND = "texts"
WAYS: Mapping[str, Dialect] = {"parlai": PARLAI, "transformers": TRANSFORMERS_5}
TEXTS = (
    "Hello, lower low!",
    "My friends are cool but they eat too many carbs.",
    "i'm fine (thanks), and you?",
    "hi!!to",
    "they:@ 3.14",
    "one line\nand another\n\nand a third",
    "  spaces   between\tand a tab  ",
    "__end__ glued__end__to a word",
    "hello __start__ __newln__ __null__",
    "UPPER Case, naïve café",
    "slow newer hellolow",
    ".",
    "don't... stop",
    "wörld 日本 🙂",
    "½ ² ⅷ ① ª º x_y",  # \w for Python, no letters for iswalnum of some C libraries
    "e\u0301tude cafe\u0301 हिन्दी",  # combining marks are no \w
    "٣ ۴ 五 snake_case __init__",
    "a\u200db a\u00adb \u2060x",  # joiners and soft hyphens
    "ﬁne ǅ ß İstanbul ΟΔΟΣ",  # letters whose lower case is another length or depends on their place
    "don’t “quote” – dash… ♪",
    "",
)


def _explained(tokenizer: BlenderbotSmallTokenizer, text: str) -> dict[str, Any]:
    steps = list(tokenizer.explain(text))
    ids = [number for step in steps for number in step.ids]
    pieces = [
        {
            "piece": step.piece,
            "word": step.word,
            "merges": [[m.rank, m.left, m.right, list(m.symbols)] for m in step.merges],
            "tokens": list(step.tokens),
            "ids": list(step.ids),
        }
        for step in steps
    ]
    return {"text": text, "pieces": pieces, "ids": ids, "decoded": tokenizer.decode(ids)}


def make(subject: Subject) -> Iterator[PackFile]:
    """Make both files, or none where the model has no tokenizer."""
    if not subject.has_texts:
        return
    for way, dialect in WAYS.items():
        tokenizer = subject.tokenizer(dialect)
        about = f"texts, every merge, ids, and texts again, cut as {way} does"
        yield json_file(f"tokenizer/{way}.json", KIND, about, [_explained(tokenizer, text) for text in TEXTS])


def check(path: Path, subject: Subject) -> Verdict:
    """Compare the model's tokenizer with the file."""
    tally = Tally()
    tokenizer = subject.tokenizer(WAYS[path.stem])
    for expected in read_json(path):
        text = expected["text"]
        mine = _explained(tokenizer, text)
        tally.equal(f"the ids of {shown(text)}", expected["ids"], mine["ids"])
        tally.equal(f"what {shown(text)} is decoded to", expected["decoded"], mine["decoded"])
        tally.equal(f"the pieces of {shown(text)}", expected["pieces"], mine["pieces"])
        tally.equal(f"the ids of {shown(text)} by a call", expected["ids"], tokenizer(text)["input_ids"])
    return tally.verdict("comparisons of texts")
