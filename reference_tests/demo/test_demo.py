"""The demo in the package: complete, small enough, consistent with itself and with its card."""

import json
import re
import string

import numpy as np
import pytest
from safetensors.numpy import load_file

from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer
from npblender.chat import Conversation
from npblender.demo import folder
from tools.demo import card_training, pieces, recipe

MOST_BYTES = 12_000_000
FILES = {
    *("config.json", "generation_config.json", "vocab.json", "merges.txt", "tokenizer_config.json"),
    *("special_tokens_map.json", "model.safetensors", "README.md", "LICENSES.txt"),
}
PRINTABLE = "".join(c for c in string.printable if c.isprintable())


@pytest.fixture(scope="module")
def card() -> str:
    return (folder() / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def model() -> BlenderbotSmallForConditionalGeneration:
    return BlenderbotSmallForConditionalGeneration.from_pretrained(folder(), dtype="float64")


def test_every_file_is_there_and_together_they_are_small():
    present = {path.name: path.stat().st_size for path in folder().iterdir() if path.is_file()}
    assert set(present) >= FILES
    assert sum(present.values()) < MOST_BYTES


def test_weights_are_finite_float16_and_as_many_as_the_card_says(card, model):
    weights = load_file(folder() / "model.safetensors")
    assert {w.dtype for w in weights.values()} == {np.dtype(np.float16)}
    assert all(np.isfinite(w).all() for w in weights.values())
    assert not weights["final_logits_bias"].any()
    stated = int(re.search(r"A BlenderbotSmall of ([\d,]+) parameters", card)[1].replace(",", ""))
    assert stated == model.num_parameters()
    assert stated == sum(w.size for name, w in weights.items() if name != "final_logits_bias")


def test_vocabulary_is_what_its_merges_make():
    lines = (folder() / "merges.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#version: 0.2"
    merges = [tuple(line.split(" ")) for line in lines[1:]]
    assert json.loads((folder() / "vocab.json").read_text(encoding="utf-8")) == pieces.vocabulary(merges)


@pytest.mark.parametrize("dialect", ["parlai", "transformers-4", "transformers-5"])
def test_no_printable_ascii_text_is_unknown(dialect):
    tokenizer = BlenderbotSmallTokenizer.from_pretrained(folder(), dialect=dialect)
    pairs = [a + b for a in PRINTABLE for b in PRINTABLE]
    for text in (*PRINTABLE, PRINTABLE, PRINTABLE[::-1], *pairs, "".join(pairs)):
        assert tokenizer.unk_token_id not in tokenizer(text)["input_ids"], repr(text)
    assert tokenizer("hello\nthere")["input_ids"].count(pieces.NEWLINE) == 1


@pytest.mark.slow
def test_the_card_shows_what_the_model_answers(card, model):
    """In float64, so that no machine's rounding decides."""
    rows = re.findall(r"^\| (?:greetings|pets|food) \| (.+?) \| (.+?) \|", card, flags=re.MULTILINE)
    assert len(rows) >= 15
    tokenizer = BlenderbotSmallTokenizer.from_pretrained(folder())
    for line, reply in rows[::4]:
        assert Conversation(model, tokenizer).reply(line).text == reply


def test_the_card_compares_with_the_baselines(card):
    """Better than unigram and bigram everywhere, and than the trigram on the published test split."""
    found = re.findall(r"^\| (this model|unigram|bigram|trigram, modified Kneser-Ney) \| (.+) \|$", card, re.MULTILINE)
    rows = {name: [float(x) for x in row.split("|")] for name, row in found}
    ours = rows.pop("this model")
    assert len(ours) == len(rows) == 3
    for name in ("unigram", "bigram"):
        assert all(mine < theirs for mine, theirs in zip(ours, rows[name], strict=True))
    assert ours[2] < rows["trigram, modified Kneser-Ney"][2]


def test_licences_name_every_corpus():
    text = (folder() / "LICENSES.txt").read_text(encoding="utf-8")
    for words in (
        "Perception, Control and Cognition Lab",
        "BSD 3-Clause",
        "creativecommons.org/licenses/by/4.0",
        "Jandaghi",
    ):
        assert words in text


def test_the_card_tells_of_the_training_that_the_recipe_has(card):
    assert card_training.kinds() in card
    assert f"a mean of stages: {card_training.parts(recipe.MEAN)}." in card
    for stage in recipe.STAGES:
        for name, told in card_training.stage(stage, {}).items():
            if name != "time":
                assert f"| {told} |" in next(line for line in card.splitlines() if line.startswith(f"| {name} |"))
