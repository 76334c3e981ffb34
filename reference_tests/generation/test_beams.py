"""Beam search against every sequence there is; scores of beams; the best of many numbers."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from npblender.config.dialect import TRANSFORMERS_5
from npblender.generation.logits.sampling import draw_several
from npblender.generation.logits.top_k import CHUNK, top_k
from npblender.generation.planning import make_plan
from npblender.generation.search import beam as beam_search
from reference_tests.support.asserts import assert_close
from reference_tests.support.generation_cases import (
    END,
    PAD,
    START,
    contexts,
    every_reply,
    lively_model,
    log_probabilities,
    stripped,
    sum_of,
)
from reference_tests.support.strategies import seeds
from reference_tests.support.tolerances import TOLERANCES

TRANSFORMERS = ("transformers-4", "transformers-5")


def all_sums(model: Any, source: list[int], longest: int, tokens: int) -> dict[tuple[int, ...], float]:
    """Every reply of up to `longest` of the first `tokens` ids with its log-probability, from whole forward passes."""
    sums = {}
    for length in range(2, longest + 2):
        targets = [reply for reply in every_reply(tokens, longest) if len(reply) == length]
        log_probs = log_probabilities(model, source, targets)
        for target, rows in zip(targets, log_probs, strict=True):
            sums[target] = float(sum(rows[n, token] for n, token in enumerate(target[1:])))
    return sums


@settings(max_examples=6)
@given(seed=seeds(), dialect=st.sampled_from(TRANSFORMERS), penalty=st.sampled_from([0.0, 0.65, 1.0, -0.5]))
def test_a_wide_enough_beam_finds_the_best_of_all_replies(seed: int, dialect: str, penalty: float) -> None:
    """With more beams than there are unfinished targets the search is exhaustive, and never stops early."""
    model, source, longest = lively_model(seed, dialect, vocab_size=6), [4, 5, 3], 3
    sums = all_sums(model, source, longest, 6)
    scores = {reply: total / (len(reply) - 1) ** penalty for reply, total in sums.items()}
    wanted = sorted(scores, key=lambda reply: -scores[reply])[:5]
    out = model.generate(
        [source],
        max_new_tokens=longest,
        num_beams=40,
        num_return_sequences=5,
        length_penalty=penalty,
        early_stopping="never",
        return_dict_in_generate=True,
        output_scores=True,
    )
    assert [stripped(row) for row in out.sequences] == wanted
    assert_close(out.sequences_scores, [scores[reply] for reply in wanted], TOLERANCES["score of a search"])


@settings(max_examples=4)
@given(seed=seeds(), penalty=st.sampled_from([0.0, 0.65, 1.0]))
def test_a_wide_enough_beam_of_parlai_finishes_all_replies(seed: int, penalty: float) -> None:
    """Every reply that ends within the limit is in the n-best list, with its score; the start token never comes.

    As the first step fills the beams from the vocabulary, that must be large; all but six of its tokens are blocked.
    """
    model, source, longest = lively_model(seed, "parlai", vocab_size=90), [4, 5, 3], 3
    sums = all_sums(model, source, longest, 6)
    replies = [reply for reply in sums if reply[-1] == END and START not in reply[1:]]
    scores = {reply: sums[reply] / ((1 + len(reply)) / 6) ** penalty for reply in replies}
    out = model.generate(
        [source],
        max_length=longest,
        num_beams=90,
        min_length=0,
        length_penalty=penalty,
        bad_words_ids=[[token] for token in range(6, 90)],
        return_dict_in_generate=True,
    )
    (found,) = out.n_best
    assert {each.ids for each in found} == set(replies)
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    for each in found:
        assert_close(each.score, scores[each.ids], TOLERANCES["score of a search"])
    assert stripped(out.sequences[0]) == found[0].ids


@settings(max_examples=20)
@given(seed=seeds(), dialect=st.sampled_from((*TRANSFORMERS, "parlai")), beams=st.integers(2, 5))
def test_scores_are_sums_of_transition_scores(seed: int, dialect: str, beams: int) -> None:
    """Origins name the row in which each token was chosen; what it scored there adds up to the sequence's score."""
    model = lively_model(seed, dialect)
    source = contexts(seed, model, 2)
    out = model.generate(
        source,
        max_length=9,
        num_beams=beams,
        num_return_sequences=beams,
        length_penalty=0.8,
        no_repeat_ngram_size=2,
        return_dict_in_generate=True,
        output_scores=True,
    )
    parts = model.compute_transition_scores(out.sequences, out.scores, out.beam_indices)
    for row, score, origins, total in zip(
        out.sequences, out.sequences_scores, out.beam_indices, parts.sum(axis=1), strict=True
    ):
        length = int((origins >= 0).sum())
        is_closed = dialect == "parlai" and length == 9  # its last token was replaced, its score was not
        if score > -1e8 and not is_closed:
            assert ((origins[:length] // beams) == origins[0] // beams).all()
            divisor = ((2 + length) / 6) ** 0.8 if dialect == "parlai" else length**0.8
            assert_close(score, total / divisor, TOLERANCES["score of a search"])
            assert len(stripped(row)) == length + 1


@settings(max_examples=15)
@given(seed=seeds(), dialect=st.sampled_from(TRANSFORMERS), early=st.sampled_from([True, False, "never"]))
def test_returned_scores_are_those_of_the_sequences(seed: int, dialect: str, early: Any) -> None:
    model = lively_model(seed, dialect)
    source = contexts(seed, model, 1)
    out = model.generate(
        source,
        max_length=8,
        num_beams=4,
        num_return_sequences=4,
        early_stopping=early,
        return_dict_in_generate=True,
        output_scores=True,
    )
    assert (np.diff(out.sequences_scores) <= 0).all()
    assert len({stripped(row) for row in out.sequences}) == 4
    for row, score in zip(out.sequences, out.sequences_scores, strict=True):
        reply = stripped(row)
        assert_close(score, sum_of(model, source[0], reply) / (len(reply) - 1), TOLERANCES["score of a search"])


def some_beams(scores: list[float], ended: list[bool], first: int) -> beam_search.Beams:
    """Sequences of one source whose second id numbers them from `first` on."""
    count = len(scores)
    ids = np.array([[[START, first + n, END] for n in range(count)]])
    return beam_search.Beams(ids, np.array([scores], np.float32), np.zeros((1, count, 2), np.int64), np.array([ended]))


@pytest.mark.parametrize(
    ("early", "can_improve", "ended", "kept"),
    [
        (False, True, [True, False, False, False], [20, 10]),  # -0.5 * 2 / 2 is better than both
        (True, True, [True, False, False, False], [10, 11]),  # full, and early stopping: nothing more comes in
        (False, False, [True, False, False, False], [10, 11]),  # settled: nothing more comes in
        (False, True, [False, True, False, False], [10, 21]),
        (False, True, [False, False, True, True], [10, 11]),  # not among the best two candidates
        (False, True, [True, True, False, False], [20, 10]),
    ],
)
def test_what_is_kept_of_what_has_finished(early: bool, can_improve: bool, ended: list[bool], kept: list[int]) -> None:
    """Two finished sequences with -0.8 and -1.2; candidates of two tokens with sums of -1.0, -1.8, -1.9 and -2.0."""
    plan = make_plan(
        TRANSFORMERS_5,
        lively_model(0).config,
        {},
        {"num_beams": 2, "early_stopping": early, "length_penalty": 1.0, "max_length": 9},
    )
    finished = some_beams([-0.8, -1.2], [True, True], 10)
    candidates = some_beams([-1.0, -1.8, -1.9, -2.0], ended, 20)
    found = beam_search._finish(plan, finished, candidates, np.array([[can_improve]]), 3)
    assert found.ids[0, :, 1].tolist() == kept
    assert found.ended.all()


def test_early_stopping_stops_earlier() -> None:
    steps: dict[Any, list[int]] = {True: [], False: [], "never": []}
    for seed in range(12):
        model = lively_model(seed, max_position_embeddings=30)
        for early, counts in steps.items():
            out = model.generate(
                contexts(seed, model, 1),
                max_length=30,
                num_beams=3,
                early_stopping=early,
                return_dict_in_generate=True,
                output_logits=True,
            )
            counts.append(len(out.logits))
    assert all(a <= b <= c for a, b, c in zip(steps[True], steps[False], steps["never"], strict=True))
    assert sum(steps[True]) < sum(steps[False]) < sum(steps["never"])


def test_settled_sources_take_no_more_in_5_23() -> None:
    """A source that cannot improve while others go on: 4.52.4 still adds to its finished beams, 5.23 does not."""
    differ = 0
    for seed in range(20):
        found = []
        for dialect in TRANSFORMERS:
            model = lively_model(seed, dialect, vocab_size=13, scale_embedding=False, max_position_embeddings=20)
            source = contexts(seed, model, 3)
            found.append(model.generate(source, attention_mask=source != PAD, max_length=20, num_beams=3))
        differ += found[0].shape != found[1].shape or not np.array_equal(*found)
    assert 0 < differ < 20


@given(
    values=hnp.arrays(
        np.float32,
        st.integers(1, 3 * CHUNK),
        elements=st.one_of(st.sampled_from([-np.inf, 0.0, 1.0, 2.0]), st.floats(-3, 3, width=32)),
    ),
    count=st.integers(1, 30),
)
def test_top_is_the_head_of_a_stable_sort(values: np.ndarray, count: int) -> None:
    count = min(count, len(values))
    best, indices = top_k(values, count)
    order = sorted(range(len(values)), key=lambda n: (-values[n], n))[:count]
    assert indices.tolist() == order
    assert np.array_equal(best, values[order])


def test_top_of_a_vocabulary(rng: np.random.Generator) -> None:
    values = rng.standard_normal(10 * 54_944).astype(np.float32)
    best, indices = top_k(values, 20)
    assert indices.tolist() == np.argsort(-values, kind="stable")[:20].tolist()
    assert np.array_equal(best, values[indices])


def test_top_puts_nan_first() -> None:
    assert top_k(np.array([1.0, np.nan, 3.0]), 2)[1].tolist() == [1, 2]


@given(
    weights=hnp.arrays(np.float64, 7, elements=st.sampled_from([0.0, 0.1, 1.0, 5.0])),
    count=st.integers(1, 7),
    seed=seeds(),
)
def test_drawing_several_takes_each_once_and_the_impossible_last(weights: np.ndarray, count: int, seed: int) -> None:
    drawn = draw_several(weights, count, np.random.default_rng(seed))
    assert len(set(drawn.tolist())) == len(drawn) == count
    possible = weights[drawn] > 0
    assert possible.sum() == min(count, int((weights > 0).sum()))
    assert (np.diff(possible.astype(int)) <= 0).all()
