"""What is drawn: repeatable, and as often as its probability says."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from npblender.generation.logits.sampling import draw, draw_several
from npblender.ops import softmax
from reference_tests.support.asserts import assert_close
from reference_tests.support.generation_cases import (
    END,
    PAD,
    START,
    every_reply,
    lively_model,
    log_probabilities,
    stripped,
)
from reference_tests.support.tolerances import TOLERANCES

DIALECTS = ("transformers-4", "transformers-5", "parlai")
SOURCE = [5, 3, 4, 5]
DRAWS = 2000


def chi_square(counts: dict[Any, int], probabilities: dict[Any, float]) -> tuple[float, int]:
    """Pearson's statistic and its degrees of freedom; outcomes expected less than five times are put together."""
    total = sum(counts.values())
    assert set(counts) <= {outcome for outcome, p in probabilities.items() if p > 0}, "something impossible was drawn"
    likely = [outcome for outcome, p in probabilities.items() if p * total >= 5]
    groups = [(counts.get(outcome, 0), probabilities[outcome] * total) for outcome in likely]
    seen, expected = total - sum(c for c, _ in groups), total - sum(e for _, e in groups)
    if expected >= 5:
        groups.append((seen, expected))
    return sum((c - e) ** 2 / e for c, e in groups), len(groups) - 1


def assert_distribution(counts: dict[Any, int], probabilities: dict[Any, float]) -> None:
    """Within what chance does once in some ten thousand such tests (Wilson and Hilferty's approximation)."""
    statistic, freedom = chi_square(counts, probabilities)
    assert freedom >= 1
    bound = freedom * (1 - 2 / (9 * freedom) + 3.7 * math.sqrt(2 / (9 * freedom))) ** 3
    assert statistic < bound, f"chi-square {statistic:.1f} with {freedom} degrees of freedom"


def drawn_first_tokens(model: Any, rng: np.random.Generator, **options: Any) -> Counter[int]:
    """The first tokens of many replies to one source."""
    counts: Counter[int] = Counter()
    batch = 500
    for _ in range(DRAWS // batch):
        rows = model.generate([SOURCE] * batch, max_new_tokens=2, do_sample=True, seed=rng, **options)
        counts.update(rows[:, 1].tolist())
    return counts


def first_probabilities(model: Any, temperature: float = 1.0) -> np.ndarray:
    """The exact distribution of the first token."""
    scores = log_probabilities(model, SOURCE, [[START]])[0, 0] / temperature
    weights = np.exp(scores - scores.max())
    return weights / weights.sum()


@pytest.mark.parametrize("dialect", ["transformers-5", "parlai"])
def test_tokens_come_as_often_as_they_are_probable(dialect: str, rng: np.random.Generator) -> None:
    model = lively_model(12, dialect, vocab_size=13)
    p = first_probabilities(model, 1.3)
    if dialect == "parlai":
        p[[START, END]] = 0  # never the start; no eos before the default minimum of one token
        p /= p.sum()
    counts = drawn_first_tokens(model, rng, temperature=1.3, top_k=0)
    assert_distribution(counts, dict(enumerate(p)))


@pytest.mark.parametrize("dialect", ["transformers-5", "parlai"])
def test_the_k_most_probable(dialect: str, rng: np.random.Generator) -> None:
    model = lively_model(12, dialect, vocab_size=13)
    p = first_probabilities(model)
    if dialect == "parlai":
        p[[START, END]] = 0
    best = np.argsort(-p)[:5]
    wanted = {int(token): p[token] / p[best].sum() for token in best}
    assert_distribution(drawn_first_tokens(model, rng, top_k=5), wanted)


@pytest.mark.parametrize("dialect", ["transformers-5", "parlai"])
def test_the_nucleus(dialect: str, rng: np.random.Generator) -> None:
    model = lively_model(12, dialect, vocab_size=13)
    p = first_probabilities(model)
    if dialect == "parlai":
        p[[START, END]] = 0
        p /= p.sum()
    order = np.argsort(-p)
    count = int(np.searchsorted(np.cumsum(p[order]), 0.9)) + 1
    wanted = {int(token): p[token] / p[order[:count]].sum() for token in order[:count]}
    options = {"top_p": 0.9} if dialect == "parlai" else {"top_p": 0.9, "top_k": 0}
    assert_distribution(drawn_first_tokens(model, rng, **options), wanted)


def test_whole_replies_come_as_often_as_they_are_probable(rng: np.random.Generator) -> None:
    """Of a model of seven tokens every reply of up to three: each step is drawn given the ones before it."""
    model = lively_model(3, vocab_size=7)
    replies = list(every_reply(7, 3))
    wanted = {}
    for length in (2, 3, 4):
        some = [reply for reply in replies if len(reply) == length]
        for reply, rows in zip(some, log_probabilities(model, SOURCE, some), strict=True):
            wanted[reply] = math.exp(sum(rows[n, token] for n, token in enumerate(reply[1:])))
    assert_close(sum(wanted.values()), 1.0, TOLERANCES["numbers worked out by hand"])
    counts: Counter[tuple[int, ...]] = Counter()
    for _ in range(12):
        rows = model.generate([SOURCE] * 500, max_new_tokens=3, do_sample=True, top_k=0, seed=rng)
        counts.update(stripped(row) for row in rows)
    assert_distribution(counts, wanted)


def test_one_draw(rng: np.random.Generator) -> None:
    p = np.array([0.0, 0.5, 0.0, 0.125, 0.375, 0.0])
    counts = Counter(draw(np.tile(p, (20_000, 1)), rng).tolist())
    assert_distribution(counts, dict(enumerate(p)))


def test_draws_without_putting_back(rng: np.random.Generator) -> None:
    """Pairs come as if drawn one after another, the second by its share of what is left."""
    p = np.array([0.1, 0.2, 0.3, 0.4])
    counts = Counter(tuple(draw_several(p, 2, rng).tolist()) for _ in range(10_000))
    wanted = {(i, j): p[i] * p[j] / (1 - p[i]) for i in range(4) for j in range(4) if i != j}
    assert_distribution(counts, wanted)


def test_the_smallest_number_draws_nothing_impossible() -> None:
    class Zero(np.random.Generator):
        def random(self, size: Any = None, *_: Any, **__: Any) -> Any:
            return np.zeros(size)

    assert draw(np.array([[0.0, 0.5, 0.5]]), Zero(np.random.PCG64(0))).tolist() == [1]


def test_nothing_to_draw_is_an_error() -> None:
    with pytest.raises(ValueError, match="no token left to draw"):
        draw(np.zeros((1, 3)), np.random.default_rng(0))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("options", [{}, {"top_p": 0.9}, {"num_beams": 3}])
def test_a_seed_makes_draws_repeatable(dialect: str, options: dict[str, Any]) -> None:
    model = lively_model(14, dialect)
    call = {"do_sample": True, "max_length": 12, "num_return_sequences": 3, **options}
    first = model.generate([SOURCE], seed=5, **call)
    assert np.array_equal(first, model.generate([SOURCE], seed=5, **call))
    assert np.array_equal(first, model.generate([SOURCE], seed=np.random.default_rng(5), **call))
    others = [model.generate([SOURCE], seed=seed, **call) for seed in range(6, 10)]
    assert any(other.shape != first.shape or not np.array_equal(first, other) for other in others)
    assert first.shape[0] == 3


def test_a_generator_is_used_up_and_no_seed_means_other_replies() -> None:
    model = lively_model(14)
    rng = np.random.default_rng(5)
    rows = [model.generate([SOURCE], do_sample=True, max_length=20, seed=rng).tolist() for _ in range(3)]
    assert rows[0] != rows[1]
    free = [model.generate([SOURCE], do_sample=True, max_length=20).tolist() for _ in range(3)]
    assert free[0] != free[1] or free[1] != free[2]


@pytest.mark.parametrize(
    ("dialect", "call"),
    [
        ("transformers-5", {"do_sample": True}),
        ("transformers-5", {"do_sample": True, "num_beams": 2, "temperature": 5.0}),
        ("parlai", {"do_sample": True, "top_k": 50}),
        ("parlai", {"beam_delay": 10, "top_k": 50}),
    ],
)
def test_every_search_that_draws_does_so_without_a_seed(dialect: str, call: dict) -> None:
    model = lively_model(14, dialect)
    replies = {tuple(model.generate([SOURCE], max_length=20, **call)[0].tolist()) for _ in range(8)}
    assert len(replies) > 1


def test_sampling_in_parlai_gives_as_many_replies_as_are_asked_for() -> None:
    """`num_beams` of them are drawn side by side, ranked by score; more if more are to be returned."""
    model = lively_model(15, "parlai")
    call = {"do_sample": True, "top_k": 5, "seed": 1, "max_length": 25, "return_dict_in_generate": True}
    out = model.generate([SOURCE], num_beams=2, num_return_sequences=4, **call)
    assert out.sequences.shape[0] == 4
    finished = len(out.n_best[0])
    assert [bool((row == PAD).all()) for row in out.sequences] == [False] * finished + [True] * (4 - finished)
    assert (np.diff(out.sequences_scores[:finished]) <= 0).all()


def test_a_delayed_beam_search_draws_and_then_searches(rng: np.random.Generator) -> None:
    """Of one beam: the first token is drawn from the k best, the rest is greedy search."""
    model = lively_model(16, "parlai", vocab_size=13)
    p = first_probabilities(model)
    p[[START, END]] = 0
    best = np.argsort(-p)[:4]
    wanted = {int(token): p[token] / p[best].sum() for token in best}
    counts: Counter[int] = Counter()
    for _ in range(200):
        row = model.generate([SOURCE], beam_delay=1, top_k=4, max_length=6, seed=rng)[0]
        counts[int(row[1])] += 1
        rest = model.generate([SOURCE], decoder_input_ids=[row[:2]], max_length=6)[0]
        assert row.tolist() == rest.tolist()
    assert_distribution(counts, wanted)


def test_beam_sampling_prefers_the_probable(rng: np.random.Generator) -> None:
    """Without a reference for its distribution: every reply is one that sampling could give, and probable ones lead."""
    model = lively_model(17, vocab_size=13)
    p = softmax(log_probabilities(model, SOURCE, [[START]])[0, 0])
    counts: Counter[int] = Counter()
    for _ in range(20):
        rows = model.generate([SOURCE] * 10, max_new_tokens=3, num_beams=3, do_sample=True, top_k=0, seed=rng)
        counts.update(rows[:, 1].tolist())
    assert counts[int(p.argmax())] > 1.2 * p.max() * 200
    assert len(counts) > 1
