"""ParlAI's `beam_block_full_context`: n-grams of what the source was cut from, in a chat all that was said.

That the n-grams blocked are ParlAI's is shown by the goldens `generation/parlai-full-context`, which ParlAI made.
"""

from typing import Any

import numpy as np
import pytest

from npblender import Conversation
from npblender.chat import replies
from npblender.chat.batch import reply_to_all
from npblender.generation.decoder_state import CallerArrays
from reference_tests.support.generation_cases import lively_model
from reference_tests.support.tiny_folder import make_model, make_tokenizer

BLOCKED = {"num_beams": 3, "max_length": 9, "encoder_no_repeat_ngram_size": 1}
FULL = {**BLOCKED, "beam_block_full_context": True}
SOURCE = [[5, 6, 7]]


def test_ids_of_the_full_context_never_come() -> None:
    """With n-grams of 1 every id of the context is ruled out; by hand, what the model says freely is."""
    model = lively_model(0, "parlai")
    free = model.generate(SOURCE, **BLOCKED)
    said = sorted({*free[0].tolist()} - {0, 1, 2})
    assert said
    other = model.generate(SOURCE, full_input_ids=[[*said, 5, 6, 7]], **FULL)
    assert not {*other[0].tolist()} & {*said, 5, 6, 7}
    np.testing.assert_array_equal(model.generate(SOURCE, full_input_ids=SOURCE, **FULL), free)
    np.testing.assert_array_equal(model.generate(SOURCE, **FULL), free), "alone, the source is all there is"


@pytest.mark.parametrize(
    ("dialect", "call", "message"),
    [
        ("parlai", BLOCKED, "full_input_ids would not be used: .* beam_block_full_context=True"),
        ("parlai", {**FULL, "encoder_no_repeat_ngram_size": 0}, "full_input_ids would not be used"),
        ("transformers-5", {"encoder_no_repeat_ngram_size": 1}, "full_input_ids would not be used: a ParlAI-style"),
        ("transformers-5", {"beam_block_full_context": True}, "beam_block_full_context=True is not used by greedy"),
        ("parlai", {**FULL, "full_input_ids": [[5], [6]]}, "full_input_ids have 2 rows, and there are 1 sources"),
        ("parlai", {**FULL, "full_input_ids": [[5, 10**6]]}, "full_input_ids"),
    ],
)
def test_what_is_not_honoured_is_refused(dialect: str, call: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lively_model(0, dialect).generate(SOURCE, **{"full_input_ids": SOURCE, "max_length": 8, **call})


def arrays_of(monkeypatch: pytest.MonkeyPatch) -> list[CallerArrays]:
    """The arrays of every search of a chat from now on."""
    seen: list[CallerArrays] = []
    monkeypatch.setattr(replies, "CallerArrays", lambda **arrays: seen.append(CallerArrays(**arrays)) or seen[-1])
    return seen


def test_a_chat_passes_all_that_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = arrays_of(monkeypatch)
    talk = Conversation(make_model(seed=2), make_tokenizer(), persona="i like cats", **{**FULL, "num_beams": 1})
    talk.reply("hello")
    assert seen[-1].full_input_ids is None, "nothing was cut"
    for _ in range(9):
        talk.reply("what is your name?")
    encode = talk.tokenizer.encode
    full = seen[-1].full_input_ids[0].tolist()
    assert len(full) > len(seen[-1].input_ids[0])
    assert full[: len(encode("your persona: i like cats"))] == encode("your persona: i like cats")
    assert full == list(talk.last_reply.source.full_ids)  # type: ignore[union-attr]
    assert sum(ids == encode("name")[0] for ids in full) >= 9
    talk.configure(beam_block_full_context=False)
    talk.reply("hello")
    assert seen[-1].full_input_ids is None, "it was not asked for"


def test_a_batch_passes_it_too(monkeypatch: pytest.MonkeyPatch, tiny_folder: Any) -> None:
    seen = arrays_of(monkeypatch)
    lines = ["hello", {"turns": ["what is your name?"] * 21}]
    records = list(reply_to_all(lines, tiny_folder, **FULL))
    assert all("reply" in record for record in records)
    (full,) = [each.full_input_ids for each in seen]
    assert full.shape[0] == 2
    assert np.count_nonzero(full, axis=1).tolist()[0] != np.count_nonzero(full, axis=1).tolist()[1]
