"""Replies of the real model that others have recorded: what they obey, and, with its weights, the same again.

The first part needs the recorded self-chats (100 turns of the 90M in ParlAI, 1,121 finished hypotheses with scores)
and the real tokenizer files, in the folder that NPBLENDER_SHARED names. The second needs the weights too, in the
folder that NPBLENDER_90M names, and answers one question: are these the replies?
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer
from npblender.generation.search.parlai import HOPELESS, Rules, Tree, beam_paths
from npblender.groundtruth.published import BLENDERBOT_SMALL_90M, PublishedReply
from reference_tests.support.asserts import assert_close
from reference_tests.support.tolerances import TOLERANCES

SETTINGS = {
    "num_beams": 10,
    "min_length": 20,
    "max_length": 128,
    "length_penalty": 0.65,
    "no_repeat_ngram_size": 3,
    "encoder_no_repeat_ngram_size": 3,
}
"""The settings of the recorded agents."""


@dataclass(frozen=True)
class Turn:
    """One recorded turn: what the agent had seen, and its hypotheses as text with their scores, best first."""

    conversation: str
    context: str
    hypotheses: tuple[tuple[str, float], ...]


def turns(folder: Path) -> Iterator[Turn]:
    """The recorded turns. An agent sees its persona and the opening lines, and then all that both have said."""
    for path in sorted(folder.glob("*.jsonl")):
        for number, line in enumerate(path.read_text().splitlines()):
            record = json.loads(line)
            said: list[str] = []
            for exchange in record["dialog"]:
                for agent, turn in enumerate(exchange):
                    context = "\n".join([record["context"][agent]["text"], *said])
                    yield Turn(f"{path.stem} {number}", context, tuple((t, s) for t, s in turn["beam_texts"]))
                    said.append(turn["text"])


@pytest.fixture(scope="module")
def shared() -> Path:
    place = os.environ.get("NPBLENDER_SHARED")
    if place is None:
        pytest.skip("NPBLENDER_SHARED does not name the folder with checkpoint/ and goldens/")
    return Path(place)


@pytest.fixture(scope="module")
def recorded(shared: Path) -> list[Turn]:
    found = list(turns(shared / "goldens" / "parlai_selfchat"))
    assert (len(found), sum(len(turn.hypotheses) for turn in found)) == (100, 1121)
    return found


@pytest.fixture(scope="module")
def tokenizer(shared: Path) -> BlenderbotSmallTokenizer:
    return BlenderbotSmallTokenizer.from_pretrained(shared / "checkpoint" / "blenderbot_small-90M", dialect="parlai")


def rules(**changes: Any) -> Rules:
    settings = {
        "beams": 1,
        "eos": 2,
        "min_length": SETTINGS["min_length"] + 1,
        "length_penalty": SETTINGS["length_penalty"],
        "block_ngram": SETTINGS["no_repeat_ngram_size"],
        "context_block_ngram": SETTINGS["encoder_no_repeat_ngram_size"],
        "block_list": (),
        "select": beam_paths,
    }
    return Rules(**(settings | changes))


def blocked(hypotheses: list[list[int]], context: np.ndarray, limits: Rules, vocabulary: int) -> list[bool]:
    """Which finished hypotheses hold a token that these rules would not have let come; place by place."""
    found = [False] * len(hypotheses)
    for place in range(1, max(map(len, hypotheses))):
        rows = [n for n, ids in enumerate(hypotheses) if len(ids) > place]
        paths = np.array([hypotheses[n][:place] for n in rows])
        allowed = np.zeros((len(rows), vocabulary), np.float32)
        Tree(limits, context, paths, np.empty(0, np.int64)).block(allowed)
        for row, n in enumerate(rows):
            found[n] |= bool(allowed[row, hypotheses[n][place]] == HOPELESS)
    return found


def ids_of(turn: Turn, tokenizer: BlenderbotSmallTokenizer) -> tuple[list[list[int]], np.ndarray]:
    """A turn's hypotheses as ids, start and end included, and its context's."""
    hypotheses = [[1, *tokenizer.encode(text), 2] for text, _ in turn.hypotheses]
    return hypotheses, np.array(tokenizer.encode(turn.context)[-512:])


def test_recorded_hypotheses_obey_the_rules(recorded: list[Turn], tokenizer: BlenderbotSmallTokenizer) -> None:
    """Twenty tokens before the eos, no trigram twice, none of the context's: whatever was said was not blocked."""
    for turn in recorded:
        assert not any(blocked(*ids_of(turn, tokenizer), rules(), len(tokenizer))), turn.hypotheses


def test_the_rules_are_no_stricter_than_they_were(recorded: list[Turn], tokenizer: BlenderbotSmallTokenizer) -> None:
    """One token more, or n-grams of two, and many of the same hypotheses could not have been."""
    stricter = {
        "min_length": rules(min_length=22),
        "own bigrams": rules(block_ngram=2),
        "the context's bigrams": rules(context_block_ngram=2),
    }
    for name, limits in stricter.items():
        count = sum(sum(blocked(*ids_of(turn, tokenizer), limits, len(tokenizer))) for turn in recorded[::5])
        assert count > 20, name


def test_recorded_lists_have_the_length_and_order_that_the_search_gives(
    recorded: list[Turn], tokenizer: BlenderbotSmallTokenizer
) -> None:
    """Ten to fifteen for ten beams: the search goes on until its best path has ended, and drops what has not.

    From score and length the sum of log-probabilities comes back; ranked again by the package's own arithmetic, the
    hypotheses stand in the recorded order with the recorded scores. By their sums alone they would not.
    """
    resorted = 0
    for turn in recorded:
        assert 10 <= len(turn.hypotheses) <= 15
        lengths = [len(tokenizer.encode(text)) + 2 for text, _ in turn.hypotheses]
        scores = [score for _, score in turn.hypotheses]
        assert scores == sorted(scores, reverse=True)
        totals = [score * ((1 + n) / 6) ** 0.65 for score, n in zip(scores, lengths, strict=True)]
        resorted += totals != sorted(totals, reverse=True)
        tree = Tree(rules(beams=10), np.empty(0, np.int64), np.full((10, 1), 1), np.empty(0, np.int64))
        step = (np.arange(10), np.full(10, 2), np.zeros(10, np.float32))
        tree.histories = [step] * max(lengths)
        tree.finished = [(np.float32(total), n, 0) for total, n in zip(totals, lengths, strict=True)]
        assert tree.is_done is False, "not before the best path has ended"
        tree.top_has_ended = True
        assert tree.is_done
        hypotheses, _ = tree.n_best()
        assert [len(each.ids) for each in hypotheses] == lengths
        assert_close([each.score for each in hypotheses], scores, TOLERANCES["score of a search"])
    assert resorted > 50


# With the real weights


PUBLISHED = BLENDERBOT_SMALL_90M.replies


@pytest.fixture(scope="module")
def real_folder() -> Path:
    folder = os.environ.get("NPBLENDER_90M")
    if folder is None:
        pytest.skip("NPBLENDER_90M does not name a folder with the published weights as safetensors")
    return Path(folder)


@pytest.mark.real_weights
@pytest.mark.parametrize("case", PUBLISHED, ids=[case.source for case in PUBLISHED])
def test_published_replies(real_folder: Path, case: PublishedReply) -> None:
    """By the settings of the model's own files, as transformers 4 reads them, with spaces cleaned up."""
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(real_folder, dialect="transformers-4")
    words = BlenderbotSmallTokenizer.from_pretrained(real_folder, dialect="transformers-4")
    inputs = words([case.text], return_tensors="np")
    row = model.generate(**inputs)[0]
    reply = words.decode(row, skip_special_tokens=True, clean_up_tokenization_spaces=True)
    assert reply in case.replies


@pytest.mark.real_weights
@pytest.mark.parametrize("every", range(10))
def test_recorded_self_chats(real_folder: Path, recorded: list[Turn], every: int) -> None:
    """Every finished hypothesis of a tenth of the turns, in the recorded order, its score within 1e-3."""
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(real_folder, dialect="parlai")
    words = BlenderbotSmallTokenizer.from_pretrained(real_folder, dialect="parlai")
    chosen = recorded[every::10]
    assert len(chosen) == 10
    for turn in chosen:
        source = words.encode(turn.context)[-512:]
        out = model.generate([source], return_dict_in_generate=True, **SETTINGS)
        found = [(words.decode(each.ids, skip_special_tokens=True), each.score) for each in out.n_best[0]]
        assert [text for text, _ in found] == [text for text, _ in turn.hypotheses], turn.conversation
        assert_close(
            [score for _, score in found], [score for _, score in turn.hypotheses], TOLERANCES["published scores"]
        )
