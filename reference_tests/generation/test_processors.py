"""Every filter against a slow one written token by token, and the laws that they obey together."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from npblender.config.dialect import TRANSFORMERS_4, TRANSFORMERS_5
from npblender.generation.logits import processors, warpers
from npblender.generation.logits.chain import ChainRequest, apply, make_chain
from npblender.generation.planning import make_plan
from reference_tests.support.asserts import assert_close
from reference_tests.support.generation_cases import lively_model
from reference_tests.support.strategies import read_only
from reference_tests.support.tolerances import TOLERANCES

V = 11


@st.composite
def score_rows(draw: st.DrawFn, rows: int = 3, blocked: bool = True) -> np.ndarray:
    """Scores [rows, V] in float32, some of them -inf but never all of a row."""
    values = draw(hnp.arrays(np.float32, (rows, V), elements=st.floats(-8, 8, width=32)))
    if blocked:
        out = draw(hnp.arrays(np.bool_, (rows, V), elements=st.booleans()))
        out[:, draw(st.integers(0, V - 1))] = False
        values = np.where(out, np.float32(-np.inf), values)
    return read_only(values)


def id_rows(rows: int = 3, most: int = 8) -> st.SearchStrategy[np.ndarray]:
    """Ids [rows, L] of few tokens, so that n-grams come back."""
    return st.integers(1, most).flatmap(
        lambda length: hnp.arrays(np.int64, (rows, length), elements=st.integers(0, 3)).map(read_only)
    )


def probabilities(row: np.ndarray) -> list[float]:
    """Softmax of one row, in float64, value by value."""
    most = max(float(value) for value in row)
    weights = [math.exp(float(value) - most) for value in row]
    return [weight / math.fsum(weights) for weight in weights]


def kept(scores: np.ndarray) -> list[set[int]]:
    return [set(np.flatnonzero(~np.isneginf(row)).tolist()) for row in scores]


def assert_cut(found: np.ndarray, scores: np.ndarray, wanted: Callable[[np.ndarray], set[int]]) -> None:
    """Exactly the wanted tokens of every row are left, with the scores that they had."""
    assert found.dtype == scores.dtype
    for row, before in zip(found, scores, strict=True):
        left = wanted(before) & set(np.flatnonzero(~np.isneginf(before)).tolist())
        assert set(np.flatnonzero(~np.isneginf(row)).tolist()) == left
        assert all(row[token] == before[token] for token in left)


def ngrams_that_end(ids: list[int], source: list[int], size: int) -> set[int]:
    """The tokens that would complete an n-gram of `source`, looked up one n-gram at a time."""
    ending = ids[len(ids) - size + 1 :]
    if len(ending) < size - 1:
        return set()
    return {source[i + size - 1] for i in range(len(source) - size + 1) if source[i : i + size - 1] == ending}


@given(scores=score_rows(), ids=id_rows(), size=st.integers(1, 4))
def test_no_repeat_ngram(scores: np.ndarray, ids: np.ndarray, size: int) -> None:
    found = processors.no_repeat_ngram(scores.copy(), ids, ids, size)
    for row, before, own in zip(found, scores, ids.tolist(), strict=True):
        blocked = ngrams_that_end(own, own, size)
        assert np.array_equal(row, np.where(np.isin(np.arange(V), list(blocked)), -np.inf, before))


@given(scores=score_rows(), ids=id_rows(), source=id_rows(), size=st.integers(1, 4))
def test_no_quoted_ngram(scores: np.ndarray, ids: np.ndarray, source: np.ndarray, size: int) -> None:
    found = processors.no_repeat_ngram(scores.copy(), ids, source, size)
    for row, own, other in zip(found, ids.tolist(), source.tolist(), strict=True):
        assert set(np.flatnonzero(np.isneginf(row)).tolist()) >= ngrams_that_end(own, other, size)
    completed = {(row, int(token)) for row, token in zip(*processors.completions(ids, source, size), strict=True)}
    assert completed == {
        (row, token)
        for row, (own, other) in enumerate(zip(ids.tolist(), source.tolist(), strict=True))
        for token in ngrams_that_end(own, other, size)
    }


@given(scores=score_rows(), seen=id_rows(), penalty=st.floats(0.25, 4))
def test_repetition_penalty(scores: np.ndarray, seen: np.ndarray, penalty: float) -> None:
    found = processors.repetition_penalty(scores.copy(), seen, penalty)
    factor = np.float32(penalty)
    for row, before, own in zip(found, scores, seen.tolist(), strict=True):
        for token in range(V):
            value = before[token]
            if token in own:
                value = value * factor if value < 0 else value / factor
            assert row[token] == value


@given(
    scores=score_rows(),
    ids=id_rows(),
    phrases=st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=3), max_size=5),
    beyond_start=st.booleans(),
)
def test_sequence_bias(scores: np.ndarray, ids: np.ndarray, phrases: list[list[int]], beyond_start: bool) -> None:
    biases = [(tuple(phrase), 0.5 * (n + 1)) for n, phrase in enumerate(phrases)]
    found = processors.sequence_bias(scores.copy(), ids, biases, beyond_start=beyond_start)
    for row, before, own in zip(found, scores, ids.tolist(), strict=True):
        for token in range(V):
            total = np.float32(0)
            for phrase, bias in biases:
                begun = list(phrase[:-1])
                fits = own[len(own) - len(begun) :] == begun if begun else True
                long_enough = len(own) >= len(begun) + (beyond_start if begun else 0)
                if phrase[-1] == token and fits and long_enough:
                    total += np.float32(bias)
            assert row[token] == before[token] + total


@given(scores=score_rows(), ids=id_rows(), start=st.integers(0, 6), factor=st.floats(1.01, 2))
def test_exponential_decay(scores: np.ndarray, ids: np.ndarray, start: int, factor: float) -> None:
    found = processors.exponential_decay(scores.copy(), ids, start, factor, [2, 4])
    steps = ids.shape[1] - start
    for row, before in zip(found, scores, strict=True):
        for token in range(V):
            value = before[token]
            if token in (2, 4) and steps > 0 and np.isfinite(value):
                value = value + abs(value) * np.float32(factor**steps - 1)
            assert_close(row[token], value, TOLERANCES["filtered score"])


@given(scores=score_rows(rows=4), rescue=st.booleans())
def test_allowed_tokens(scores: np.ndarray, rescue: bool) -> None:
    """Called once a row with its source's number; with `rescue` a source with nothing left gets what is allowed."""
    calls = []

    def allowed(source: int, ids: np.ndarray) -> list[int]:
        calls.append((source, ids.tolist()))
        return [source, int(ids[0])]

    ids = np.array([[5], [6], [7], [8]])
    found = processors.allowed_tokens(scores.copy(), ids, allowed, 2, rescue=rescue)
    assert calls == [(0, [5]), (0, [6]), (1, [7]), (1, [8])]
    for source in (0, 1):
        rows = [2 * source, 2 * source + 1]
        choices = [{source, 5 + row} for row in rows]
        hopeless = all(np.isneginf(scores[row, list(c)]).all() for row, c in zip(rows, choices, strict=True))
        for row, choice in zip(rows, choices, strict=True):
            for token in range(V):
                value = scores[row, token] if token in choice else -np.inf
                if rescue and hopeless and token in choice:
                    value = 0
                assert found[row, token] == value


def test_an_empty_choice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"allows nothing after \[5\] in source 1"):
        processors.allowed_tokens(np.zeros((2, 3)), np.array([[4], [5]]), lambda n, _: [0][n:], 1, rescue=False)


@given(scores=score_rows(), k=st.integers(1, V + 3), keep=st.integers(1, 4))
def test_top_k(scores: np.ndarray, k: int, keep: int) -> None:
    def wanted(row: np.ndarray) -> set[int]:
        bound = sorted(row.tolist(), reverse=True)[min(max(k, keep), V) - 1]
        return {token for token in range(V) if row[token] >= bound}

    assert_cut(warpers.top_k(scores, k, keep), scores, wanted)


@given(scores=score_rows(), p=st.floats(0.05, 0.95), keep=st.integers(1, 3))
def test_top_p_is_the_fewest_that_reach_p(scores: np.ndarray, p: float, keep: int) -> None:
    """They make up p, and without the least probable of them they do not."""
    found = kept(warpers.top_p(scores, p, keep))
    for left, row in zip(found, scores, strict=True):
        share = probabilities(row)
        least = min(left, key=lambda token: share[token])
        assert sum(share[token] for token in left) >= p - 1e-6
        assert len(left) >= min(keep, np.isfinite(row).sum())
        assert len(left) <= keep or sum(share[token] for token in left - {least}) <= p + 1e-6
        assert min(row[list(left)]) >= max((row[token] for token in range(V) if token not in left), default=-np.inf)


@given(scores=score_rows(), share=st.floats(0.01, 1), keep=st.integers(1, 3))
def test_min_p(scores: np.ndarray, share: float, keep: int) -> None:
    found = kept(warpers.min_p(scores, share, keep))
    for left, row in zip(found, scores, strict=True):
        p = probabilities(row)
        kth = sorted(p, reverse=True)[keep - 1]
        assert len(left) >= min(keep, np.isfinite(row).sum())
        for token in range(V):  # of tokens as probable as the last one that must stay, some stay
            if np.isfinite(row[token]) and min(abs(p[token] - share * max(p)), abs(p[token] - kth)) > 1e-6:
                assert (token in left) == (p[token] > share * max(p) or p[token] > kth)


@given(scores=score_rows(), cutoff=st.floats(0.001, 0.9), keep=st.integers(1, 3), by_entropy=st.booleans())
def test_epsilon_and_eta(scores: np.ndarray, cutoff: float, keep: int, by_entropy: bool) -> None:
    found = kept((warpers.eta if by_entropy else warpers.epsilon)(scores, cutoff, keep))
    for left, row in zip(found, scores, strict=True):
        p = probabilities(row)
        bound = cutoff
        if by_entropy:
            entropy = -math.fsum(x * math.log(x) for x in p if x > 0)
            bound = min(cutoff, math.sqrt(cutoff) * math.exp(-entropy))
        kth = sorted(row.tolist(), reverse=True)[keep - 1]
        for token in range(V):
            if np.isfinite(row[token]) and abs(p[token] - bound) > 1e-5 * bound:
                assert (token in left) == (p[token] > bound or row[token] >= kth)


@given(scores=score_rows(), mass=st.floats(0.05, 0.95), keep=st.integers(1, 3))
def test_typical_takes_what_is_nearest_to_the_entropy(scores: np.ndarray, mass: float, keep: int) -> None:
    with np.errstate(invalid="ignore"):  # as `apply` runs it
        found = kept(warpers.typical(scores, mass, keep))
    for left, row in zip(found, scores, strict=True):
        p = probabilities(row)
        entropy = -math.fsum(x * math.log(x) for x in p if x > 0)
        distance = {token: abs(-math.log(p[token]) - entropy) for token in range(V) if p[token] > 0}
        ranked = sorted(distance, key=lambda token: distance[token])
        if len(ranked) > len(left):
            assert sum(p[token] for token in left) >= mass - 1e-5
        assert len(left) >= min(keep, len(ranked))
        farthest = max(distance[token] for token in left)
        assert all(token in left for token in distance if distance[token] < farthest - 1e-5)


@given(scores=score_rows(blocked=False), value=st.floats(0.1, 5))
def test_temperature(scores: np.ndarray, value: float) -> None:
    assert np.array_equal(warpers.temperature(scores, value), scores / np.float32(value))


def test_invalid_values_are_removed() -> None:
    largest = np.finfo(np.float32).max
    found = processors.remove_invalid(np.array([[np.nan, np.inf, -np.inf, 2.0]], np.float32))
    assert found.tolist() == [[0.0, largest, -largest, 2.0]]


FUNCTIONS: list[Callable[[np.ndarray], np.ndarray]] = [
    lambda scores: processors.block(scores.copy(), [1, 2]),
    lambda scores: processors.force(scores.copy(), [1]),
    lambda scores: warpers.top_k(scores, 3),
    lambda scores: warpers.top_p(scores, 0.5),
    lambda scores: warpers.min_p(scores, 0.1),
    lambda scores: warpers.typical(scores, 0.5),
    lambda scores: warpers.epsilon(scores, 0.05),
    lambda scores: warpers.eta(scores, 0.05),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_processors_keep_dtype_and_shape(function: Callable[[np.ndarray], np.ndarray], dtype: Any) -> None:
    scores = read_only(np.arange(10.0).reshape(2, 5).astype(dtype))
    found = function(scores)
    assert found.dtype == dtype
    assert found.shape == scores.shape
    with np.errstate(invalid="ignore"):  # as `apply` runs it
        assert (np.isneginf(function(found)) >= np.isneginf(found)).all(), "what is cut stays cut"
    assert np.isfinite(found).any(axis=1).all()


def chain_of(dialect: Any = TRANSFORMERS_5, source: Any = None, **settings: Any) -> Callable[..., np.ndarray]:
    """The chain of filters for some settings, applied to float32 scores."""
    model = lively_model(0)
    plan = make_plan(dialect, model.config, {}, settings)
    chain = make_chain(ChainRequest(plan, dialect, source))
    return lambda ids, scores: apply(chain, np.asarray(ids), np.asarray(scores, np.float32))


def test_the_order_of_filters_is_that_of_transformers() -> None:
    """Penalties before blocks, forced tokens after both, suppression after that, and shapes at the end."""
    scores = [[1.0, 2.0, 3.0, 4.0, 5.0]]
    forced = chain_of(max_length=3, forced_eos_token_id=3, suppress_tokens=[4], no_repeat_ngram_size=1)
    assert forced([[1, 3]], scores).tolist() == [[-np.inf, -np.inf, -np.inf, 0.0, -np.inf]]
    shaped = chain_of(do_sample=True, temperature=0.5, top_k=2, repetition_penalty=2.0, eos_token_id=None)
    assert shaped([[4, 4]], scores).tolist() == [[-np.inf, -np.inf, 6.0, 8.0, -np.inf]]
    biased = chain_of(sequence_bias=[[[1, 4], -9.0]], repetition_penalty=2.0)
    assert biased([[4, 1]], scores).tolist() == [[1.0, 1.0, 3.0, 4.0, -8.0]]


def test_begin_suppress_waits_for_a_forced_first_token() -> None:
    scores = np.zeros((1, 5))
    plain = chain_of(begin_suppress_tokens=[2])
    assert np.isneginf(plain([[1]], scores)[0, 2])
    assert not np.isneginf(plain([[1, 3]], scores)[0, 2])
    later = chain_of(begin_suppress_tokens=[2], forced_bos_token_id=4)
    assert np.isneginf(later([[1, 4]], scores)[0, 2])
    assert np.array_equal(processors.begin_suppress(scores.copy(), np.array([[1]]), 2, [2]), scores)


def test_beam_sampling_keeps_a_token_that_is_no_end() -> None:
    """One token more than there are ids that end a reply, however sharply the distribution is cut."""
    scores = [[1.0, 2.0, 3.0, 4.0, 5.0]]
    shapes: list[dict[str, Any]] = [
        {"top_k": 1},
        {"top_k": 0, "top_p": 0.01},
        {"top_k": 0, "min_p": 0.99},
        {"top_k": 0, "epsilon_cutoff": 0.99},
    ]
    for shape in shapes:
        alone = chain_of(do_sample=True, **shape)([[1]], scores)
        beams = chain_of(do_sample=True, num_beams=2, **shape)([[1]], scores)
        both_end = chain_of(do_sample=True, num_beams=2, eos_token_id=[2, 3], **shape)([[1]], scores)
        assert [len(kept(found)[0]) for found in (alone, beams, both_end)] == [1, 2, 3]


def test_an_eos_is_no_bad_word() -> None:
    blocked = chain_of(bad_words_ids=[[2], [3]])([[1, 0]], np.zeros((1, 5)))
    assert np.isneginf(blocked).tolist() == [[False, False, False, True, False]]


def test_where_4_52_and_5_23_disagree_about_filters() -> None:
    phrase = {"bad_words_ids": [[1, 3]]}
    assert np.isneginf(chain_of(TRANSFORMERS_5, **phrase)([[1]], np.zeros((1, 5)))[0, 3])
    assert not np.isneginf(chain_of(TRANSFORMERS_4, **phrase)([[1]], np.zeros((1, 5)))[0, 3])
    source = np.array([[3], [4]])
    ids, scores = np.ones((4, 1), np.int64), np.ones((4, 5))
    penalty = {"encoder_repetition_penalty": 2.0, "num_beams": 2}
    five = chain_of(TRANSFORMERS_5, source, **penalty)(ids, scores)
    four = chain_of(TRANSFORMERS_4, source, **penalty)(ids, scores)
    assert np.argwhere(five != 1).tolist() == [[0, 3], [1, 3], [2, 4], [3, 4]]
    assert np.argwhere(four != 1).tolist() == [[0, 3], [1, 4]]


def test_renormalised_scores_are_log_probabilities() -> None:
    found = chain_of(renormalize_logits=True, suppress_tokens=[0])([[1]], [[1.0, 2.0, 3.0]])
    assert_close(np.exp(found[found > -np.inf].astype(np.float64)).sum(), 1.0, TOLERANCES["filtered score"])
