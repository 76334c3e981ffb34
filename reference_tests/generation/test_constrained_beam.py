"""Words that must come: constrained beam search, and the progress of each word."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npblender.generation.search.constrained_beam import Progress, no_progress, words_of
from reference_tests.support.asserts import assert_close
from reference_tests.support.generation_cases import (
    contexts,
    lively_model,
    stripped,
    sum_of,
)
from reference_tests.support.strategies import seeds
from reference_tests.support.tolerances import TOLERANCES

TRANSFORMERS = ("transformers-4", "transformers-5")


def contains(reply: tuple[int, ...], phrase: tuple[int, ...]) -> bool:
    return any(reply[n : n + len(phrase)] == phrase for n in range(len(reply)))


@settings(max_examples=20)
@given(seed=seeds(), dialect=st.sampled_from(TRANSFORMERS), words=st.data())
def test_forced_words_come(seed: int, dialect: str, words: st.DataObject) -> None:
    model = lively_model(seed, dialect, vocab_size=23, max_position_embeddings=30)
    token = st.integers(3, 22)
    phrase = words.draw(st.lists(token, min_size=1, max_size=3).map(tuple))
    choices = words.draw(st.lists(token, min_size=2, max_size=3, unique=True).map(lambda ts: [(t,) for t in ts]))
    out = model.generate(
        contexts(seed, model, 2),
        max_length=20,
        num_beams=5,
        force_words_ids=[list(phrase), [list(c) for c in choices]],
        return_dict_in_generate=True,
        output_scores=True,
    )
    for row, score in zip(out.sequences, out.sequences_scores, strict=True):
        reply = stripped(row)
        assert contains(reply, phrase)
        assert any(contains(reply, choice) for choice in choices)
        assert np.isfinite(score)


@settings(max_examples=10)
@given(seed=seeds())
def test_scores_of_forced_replies_are_those_of_the_sequences(seed: int) -> None:
    model = lively_model(seed, "transformers-5", vocab_size=23)
    source = contexts(seed, model, 1)
    out = model.generate(
        source, max_length=10, num_beams=4, force_words_ids=[[7, 8]], return_dict_in_generate=True, output_scores=True
    )
    reply = stripped(out.sequences[0])
    total = sum_of(model, source[0], reply) / (len(reply) - 1)
    assert_close(out.sequences_scores[0], total, TOLERANCES["score of a search"])
    parts = model.compute_transition_scores(out.sequences, out.scores, out.beam_indices)
    # The record's scores are sums here.
    assert_close(parts[0].min(), total * (len(reply) - 1), TOLERANCES["score of a search"])


def test_without_room_for_the_words_the_best_without_them_come_back() -> None:
    model = lively_model(2, vocab_size=23)
    out = model.generate([[5, 6]], max_length=4, num_beams=3, num_return_sequences=3, force_words_ids=[[7, 8, 9, 10]])
    assert out.shape == (3, 4)
    assert len({tuple(row) for row in out.tolist()}) == 3


@given(
    words=st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple), min_size=1, max_size=3),
    tokens=st.lists(st.integers(0, 4), max_size=12),
)
def test_progress_never_loses_what_is_met(words: list[tuple[int, ...]], tokens: list[int]) -> None:
    """Met constraints stay met and none is lost; a complete target has said every phrase."""
    progress = no_progress([(word,) for word in words])
    longest = max(map(len, words))
    said: tuple[int, ...] = ()
    for token in tokens:
        before, progress = progress, progress.add(token)
        said = (*said, token)
        assert progress.met >= before.met
        assert progress.met + len(progress.pending) + (progress.current is not None) == len(words)
        if token in before.next_tokens():
            assert progress.bank(longest) > before.bank(longest) - longest
    if progress.is_complete:
        assert all(contains(said, word) for word in words)
    for token in progress.next_tokens():
        further = progress.add(token)
        assert further.met > progress.met or further.current is not None


def test_a_begun_word_that_is_not_continued_begins_anew() -> None:
    progress = no_progress([((5, 6, 7),), ((8,),)])
    begun = progress.add(5)
    assert begun.current is not None
    assert (begun.current.begun, begun.next_tokens(), begun.bank(3)) == ((5,), [6], 1)
    broken = begun.add(8)
    assert (broken.met, broken.current, broken.bank(3)) == (0, None, 0), "the token that breaks off begins nothing"
    assert [c.phrases for c in broken.pending] == [((8,),), ((5, 6, 7),)], "and the word goes to the end of the line"
    assert broken.add(8).bank(3) == 3


def test_tokens_of_one_begun_word_are_tried_one_after_another() -> None:
    """What 4.52.4 makes of several continuations of one constraint: the second is judged as if after the first."""
    begun = Progress(0, None, no_progress([((5, 6), (5, 7))]).pending).add(5)
    first, second = begun.after_each(begun.next_tokens())
    assert first.is_complete
    assert not second.is_complete
    assert (second.met, second.current) == (0, None)


def test_a_word_that_begins_another_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[5\] begins another"):
        words_of([((5,), (5, 6))])
    with pytest.raises(ValueError, match="twice"):
        words_of([((5,), (5,))])
