"""Texts to compare tokenizers on: seeded random ones of every kind, and the turns of the dialogue corpora.

It does NOT tokenize.
"""

from __future__ import annotations

import gzip
import json
import random
import unicodedata
from collections import Counter
from pathlib import Path

CORPORA = {
    "chitchat": "chitchat_dataset_mit.jsonl.gz",
    "self-dialogue": "self_dialogue_bsd3.jsonl.gz",
    "synthetic persona chat": "synthetic_persona_chat_valid_test_ccby4.jsonl.gz",
}

_WORDS = ["i", "you", "the", "don't", "it's", "what're", "CAN'T", "Hello", "WORLD", "friends", "carbohydrates", "naïve"]
_WORDS += ["3.14", "10,000", "e.g.", ":)", "<3"]
_MARKS = list(".,!?()'\"-_@#$%&*+/:;<=>[\\]^`{|}~…’“”—")
_SPACES = [
    " ",
    "  ",
    "\n",
    "\n\n",
    "\t",
    "\r\n",
    " \n",
    "\n ",
    "\xa0",
    "\u2003",
    "\u2028",
    "\x85",
    "\x1c",
    "\x0b",
    "\u3000",
]
_SPECIALS = ["__null__", "__start__", "__end__", "__unk__", "__newln__", "__START__", "__end_", "_", "__", "@@", "</w>"]
# Characters whose lower case is longer, depends on the neighbours, or is that of another letter.
_CASES = ["İ", "Σ", "ΑΣ", "ẞ", "ß", "ſ", "ŉ", "ǅ", "K", "Å", "ᾈ", "ﬀ", "I\u0307", "Ⅷ", "Ⓐ"]
_OTHERS = [
    "\x00",
    "\x7f",
    "\u200b",
    "\u200d",
    "\ufeff",
    "\ufffd",
    "\ud800",
    "\udfff",
    "e\u0301",
    "😀",
    "👩\u200d👩\u200d👧",
    "🇩🇪",
    "生活",
    "مرحبا",
    "ไทย",
    "한국어",
    "٣",
    "²",
    "½",
]


def random_texts(count: int, seed: int) -> list[str]:
    """Texts out of words, marks, white space, special tokens, odd letters, and characters of every category.

    >>> len(random_texts(3, seed=1)), random_texts(3, seed=1) == random_texts(3, seed=1)
    (3, True)
    """
    draw = random.Random(seed)
    by_category: dict[str, list[str]] = {}
    for code in range(0x110000):
        by_category.setdefault(unicodedata.category(chr(code)), []).append(chr(code))
    categories = sorted(by_category)
    kinds = [_WORDS, _MARKS, _SPACES, _SPECIALS, _CASES, _OTHERS]
    texts = []
    for _ in range(count):
        weights = [draw.choice((0, 1, 1, 6)) for _ in kinds]
        parts = []
        for _ in range(draw.choice((1, 2, 3, 5, 8, 13, 40))):
            if draw.random() < 0.25 or not any(weights):
                parts.append(draw.choice(by_category[draw.choice(categories)]))
            else:
                parts.append(draw.choice(draw.choices(kinds, weights)[0]))
            if draw.random() < 0.3:
                parts.append(" ")
        texts.append("".join(parts))
    return texts


def corpus_turns(folder: Path) -> dict[str, Counter[str]]:
    """How often each turn stands in each corpus; persona lines are no turns.

    Raises FileNotFoundError for a corpus that is not there.
    """
    found = {}
    for name, file in CORPORA.items():
        with gzip.open(folder / file, "rt", encoding="utf-8") as lines:
            found[name] = Counter(turn for line in lines for turn in json.loads(line)["turns"])
    return found
