"""The published tokenizer: recorded cases and facts, where NPBLENDER_SHARED names the folder with its files."""

import json
import os
from pathlib import Path

import pytest

from npblender.config.dialect import PARLAI
from npblender.tokenizer import BlenderbotSmallTokenizer


def shared(*parts: str) -> Path:
    place = os.environ.get("NPBLENDER_SHARED")
    if not place:
        pytest.skip("NPBLENDER_SHARED names no folder with the published tokenizer")
    path = Path(place, *parts)
    if not path.exists():
        pytest.skip(f"NPBLENDER_SHARED has no {'/'.join(parts)}")
    return path


def test_the_published_cases():
    """Tokens, ids and decoded text as published, with the real vocabulary."""
    folder = shared("checkpoint", "blenderbot_small-90M")
    cases = json.loads(shared("goldens", "tokenizer_published.json").read_text(encoding="utf-8"))
    tokenizer = BlenderbotSmallTokenizer.from_pretrained(folder, dialect="transformers-5")
    assert len(cases) == 26
    for case in cases:
        ids = tokenizer(case["text"])["input_ids"]
        assert tokenizer.tokenize(case["text"]) == case["tokens"]
        assert ids == case["ids"]
        assert tokenizer.decode(ids, clean_up_tokenization_spaces=True) == case["decoded"]


def test_the_published_vocabulary():
    tokenizer = BlenderbotSmallTokenizer.from_pretrained(shared("checkpoint", "blenderbot_small-90M"))
    assert (len(tokenizer), tokenizer.model_max_length, tokenizer.dialect) == (54_944, 512, PARLAI)
    assert tokenizer.encode("sam") == [1384]
    carbs = [42, 643, 46, 1430, 45, 52, 1176, 146, 177, 753, 2430, 5]
    assert tokenizer.encode("My friends are cool but they eat too many carbs.") == carbs
    # The merges put a special token together, glued to letters before it too; splitting takes it apart.
    assert tokenizer.encode("foo__end__") == [9887, 2]
    assert tokenizer.tokenize("foo__end__", split_special_tokens=True) == ["foo@@", "__end@@", "__"]
