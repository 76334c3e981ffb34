"""The network's own earlier replies: whose turns they take, and that what is learned stays the corpus's."""

from pathlib import Path

import numpy as np
import pytest

from npblender import BlenderbotSmallForConditionalGeneration
from npblender.demo import FOLDER
from reference_tests.demo.cutters import ShippedCut
from tools.demo import own, pieces, samples
from tools.demo.everyday import Everyday


@pytest.fixture(scope="module")
def model():
    return BlenderbotSmallForConditionalGeneration.from_pretrained(FOLDER)


def talk(*turns: str, part: str = "train", persona: tuple[str, ...] = (), file: str = "threads") -> Everyday:
    return Everyday(file, part, persona, turns)


LONG = talk("my cat is sick", "oh no.", "she does not eat", "poor cat.", "thanks", "get well soon!")
LONGER = talk("hi", "hello!", "it rains", "stay dry.", "i will", "good.", "bye", "bye!")


def test_only_long_talks_that_are_learned_and_led_by_the_user_are_answered():
    others = [
        talk("hi", "hello!"),
        talk(*LONG.turns, part="held out"),
        talk(*LONG.turns, persona=("i ski.",)),
        talk(*LONG.turns, file="words_food"),
    ]
    assert own.chosen([*others, LONG]) == [LONG]


def test_every_reply_is_the_greedy_one_after_its_own_earlier_replies(model, tmp_path):
    cut = ShippedCut()
    assert own.answer([LONG, LONGER], model, cut, tmp_path) == 5
    found = own.read(tmp_path)
    assert {turns: len(replies) for turns, replies in found.items()} == {LONG.turns: 2, LONGER.turns: 3}
    for each in (LONG, LONGER):
        before: list[str] = []
        for line, reply in zip(each.turns[::2], found[each.turns], strict=False):
            before.append(line)
            source = np.array([samples.join([cut(text) for text in before], [])])
            ids = model.generate(
                source, attention_mask=np.ones_like(source), num_beams=1, do_sample=False, min_length=3,
                max_length=own.LONGEST, decoder_start_token_id=pieces.START, no_repeat_ngram_size=3,
                encoder_no_repeat_ngram_size=0,
            )  # fmt: skip
            assert reply == cut.text(ids[0]).strip()
            before.append(reply)


def test_what_was_answered_is_not_answered_again(model, tmp_path):
    own.answer([LONG], model, ShippedCut(), tmp_path)
    before = (tmp_path / own.NAME).read_text()
    own.answer([LONG, LONGER], model, ShippedCut(), tmp_path)
    assert (tmp_path / own.NAME).read_text().startswith(before)
    assert len(own.read(tmp_path)) == 2


def test_without_a_file_there_are_none(tmp_path: Path):
    assert own.read(tmp_path) == {}
