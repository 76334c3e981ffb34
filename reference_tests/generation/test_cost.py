"""What makes a search cheap changes nothing that it finds, and stays cheap: laws beside slow ways, and counts.

Counts are of rows and tokens copied, of passes over the vocabulary and of copies of the scores. No time is taken here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender.config.dialect import TRANSFORMERS_5
from npblender.generation.decoder_state import DecoderState
from npblender.generation.logits import processors
from npblender.generation.logits import top_k as top_module
from npblender.generation.logits.chain import ChainRequest, apply, make_chain
from npblender.generation.logits.top_k import top_k, top_k_of_sums
from npblender.generation.planning import make_plan
from npblender.generation.search import parlai
from npblender.transformer.kv_cache import Cache, LayerCache
from reference_tests.support.asserts import assert_close
from reference_tests.support.forward_checks import assert_near
from reference_tests.support.generation_cases import contexts, lively_model
from reference_tests.support.tolerances import TOLERANCES

AGAIN = TOLERANCES["float64 computed another way"]

Rows = np.ndarray[Any, Any]
COMMON = [0.0, -0.0, 1.0, 2.0, -1.0, -1e9]
ODD = [np.nan, -np.inf, np.inf, -1e20]


def slowly_best(values: Rows, offsets: Rows, count: int) -> list[tuple[float, int, int]]:
    """Every sum, sorted: NaN first, then by value, then by place."""
    with np.errstate(all="ignore"):
        sums = [
            (float(np.float32(value) + np.float32(offset)), row, column)
            for row, (line, offset) in enumerate(zip(values, offsets, strict=True))
            for column, value in enumerate(line)
        ]
    return sorted(sums, key=lambda each: (not np.isnan(each[0]), -each[0] if each[0] == each[0] else 0.0))[:count]


@st.composite
def score_tables(draw: st.DrawFn) -> tuple[Rows, Rows, int, int]:
    rows, size, chunk = draw(st.integers(1, 4)), draw(st.integers(1, 30)), draw(st.integers(1, 9))
    few = st.sampled_from(COMMON if draw(st.booleans()) else COMMON + ODD)
    some = few | st.floats(-4, 4, width=32)
    values = draw(st.lists(some if draw(st.booleans()) else few, min_size=rows * size, max_size=rows * size))
    offsets = draw(st.lists(st.sampled_from([0.0, -1.0, -1e9, -1e20, -np.inf]), min_size=rows, max_size=rows))
    table = np.array(values, np.float32).reshape(rows, size)
    return table, np.array(offsets, np.float32), draw(st.integers(1, rows * size)), chunk


@given(score_tables())
def test_the_best_sums_are_those_of_sorting_all(case: tuple[Rows, Rows, int, int]) -> None:
    values, offsets, count, chunk = case
    wanted = slowly_best(values, offsets, count)
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        patch.setattr(top_module, "CHUNK", chunk)
        found = list(zip(*(part.tolist() for part in top_k_of_sums(values, offsets, count)), strict=True))
        sums = (values + offsets[:, None]).reshape(-1)
        alone = list(zip(*(part.tolist() for part in top_k(sums, count)), strict=True))
    assert repr(found) == repr(wanted) or [each[1:] for each in found] == [each[1:] for each in wanted]
    assert np.array_equal([each[0] for each in found], [each[0] for each in wanted], equal_nan=True)
    assert [place for _, place in alone] == [row * values.shape[1] + column for _, row, column in wanted]


class Counted(np.ndarray[Any, Any]):
    """An array that counts the elements that ufuncs and their reductions read of it."""

    read = 0

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **arguments: Any) -> Any:
        Counted.read += sum(each.size for each in inputs if isinstance(each, Counted))
        plain = [np.asarray(each) for each in inputs]
        return getattr(ufunc, method)(*plain, **({} if out is None else {"out": out}), **arguments)


@pytest.mark.parametrize("count", [1, 10, 20])
def test_the_vocabulary_is_read_once(count: int) -> None:
    """Once for the maxima of the chunks; of the chunks themselves hardly more are read than there are candidates."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((10, 54_944)).astype(np.float32)
    Counted.read = 0
    found = top_k_of_sums(values.view(Counted), -rng.random(10).astype(np.float32), count)
    assert len(found[0]) == count
    assert Counted.read <= values.size + 2 * (count + 2) * top_module.CHUNK


def test_equals_do_not_bring_the_whole_vocabulary_back() -> None:
    """All but one token forced out: the blocked ones are equal, and as many of them as are wanted are looked at."""
    values = np.full((10, 54_944), -np.inf, np.float32)
    values[:, 2] = 0.0
    Counted.read = 0
    _, rows, columns = top_k_of_sums(values.view(Counted), np.zeros(10, np.float32), 20)
    assert rows.tolist() == [*range(10), *[0] * 10]
    assert columns.tolist() == [2] * 10 + [0, 1, *range(3, 11)]
    assert Counted.read <= values.size + 40 * top_module.CHUNK


@given(seed=st.integers(0, 10_000), size=st.integers(1, 4), own=st.booleans())
def test_completions_are_those_of_looking_at_every_place(seed: int, size: int, own: bool) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 3, (rng.integers(1, 4), rng.integers(1, 9)))
    sources = ids if own else rng.integers(0, 3, (len(ids), rng.integers(1, 9)))
    wanted = []
    for row in range(len(ids)):
        ending = ids[row].tolist()[ids.shape[1] - size + 1 :]
        if ids.shape[1] < size - 1:
            continue
        line = sources[row].tolist()
        wanted += [
            (row, line[at + size - 1]) for at in range(len(line) - size + 1) if line[at : at + size - 1] == ending
        ]
    assert list(zip(*(part.tolist() for part in processors.completions(ids, sources, size)), strict=True)) == wanted


IN_PLACE: list[tuple[str, Any]] = [
    ("block", lambda scores, ids: processors.block(scores, [1, 2])),
    ("force", lambda scores, ids: processors.force(scores, [1])),
    ("min_length", lambda scores, ids: processors.min_length(scores, ids, 9, [2])),
    ("begin_suppress", lambda scores, ids: processors.begin_suppress(scores, ids, 4, [0])),
    ("repetition", lambda scores, ids: processors.repetition_penalty(scores, ids, 1.7)),
    ("n-gram", lambda scores, ids: processors.no_repeat_ngram(scores, ids, ids, 2)),
    ("bias", lambda scores, ids: processors.sequence_bias(scores, ids, [((3,), 1.5), ((1, 2), -2.0)], False)),
    ("decay", lambda scores, ids: processors.exponential_decay(scores, ids, 1, 1.5, [2])),
    ("invalid", lambda scores, ids: processors.remove_invalid(np.divide(scores, 0, out=scores))),
]


@pytest.mark.parametrize(("name", "function"), IN_PLACE, ids=[name for name, _ in IN_PLACE])
def test_processors_copy_no_scores(name: str, function: Any) -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        scores = rng.standard_normal((3, 5)).astype(np.float32)
        with np.errstate(divide="ignore"):
            assert function(scores, rng.integers(0, 5, (3, 4))) is scores


def test_a_chain_copies_only_what_it_does_not_own() -> None:
    """One copy of scores that the caller needs again, and one of what each of the caller's processors returns."""
    seen: list[Any] = []

    def callers(ids: Rows, scores: Rows) -> Rows:
        seen.append((scores, scores.copy()))
        return scores

    model, ids = lively_model(0), np.array([[1, 3]])
    for owned, processors_of_caller in [(True, []), (False, []), (True, [callers]), (False, [callers, callers])]:
        settings = {"suppress_tokens": [0], "do_sample": True, "top_k": 3, "repetition_penalty": 2.0}
        plan = make_plan(TRANSFORMERS_5, model.config, {}, settings)
        chain = make_chain(ChainRequest(plan, TRANSFORMERS_5, callers=processors_of_caller))
        scores = np.arange(5.0, dtype=np.float32)[None]
        found = apply(chain, ids, scores, owned=owned)
        assert np.array_equal(found, [[-np.inf, -np.inf, 2.0, 1.5, 4.0]])
        assert owned or np.array_equal(scores, np.arange(5.0)[None])
        assert all(np.array_equal(array, then) for array, then in seen), "what a caller's processor saw has changed"
        assert not any(np.shares_memory(found, array) for array, _ in seen)


@pytest.mark.parametrize("dialect", ["parlai", "transformers-4", "transformers-5"])
@pytest.mark.parametrize("way", [{}, {"num_beams": 3}, {"do_sample": True, "seed": 0}])
def test_what_a_callers_processor_saw_never_changes(dialect: str, way: dict[str, Any]) -> None:
    """Neither by the processors after it, nor by ParlAI's blocks; it may keep what it received and what it returned."""
    seen: list[tuple[Rows, Rows]] = []

    def same(ids: Rows, scores: Rows) -> Rows:
        seen.append((scores, scores.copy()))
        return scores

    settings = {"max_length": 8, "min_length": 5, "no_repeat_ngram_size": 1, "encoder_no_repeat_ngram_size": 1}
    lively_model(0, dialect).generate([[5, 6, 7]], logits_processor=[same, same], **settings, **way)
    assert len(seen) > 4
    assert all(np.array_equal(array, then) for array, then in seen)


def test_an_empty_chain_copies_nothing() -> None:
    scores = np.zeros((1, 5), np.float32)
    assert apply([], np.array([[1]]), scores) is scores


def test_phrases_that_have_not_begun_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of two thousand phrases costs a comparison for those whose last id but one has just come."""
    phrases = [(a, b) for a in range(50) for b in range(40)]
    compared: list[int] = []
    seen = type("Seen", (np.ndarray,), {"__eq__": _counting(compared)})
    log_probs, paths = np.zeros((2, 60), np.float32), np.array([[1, 7], [1, 8]])
    monkeypatch.setattr(parlai, "HOPELESS", np.float32(-1.0))
    parlai.block_phrases(log_probs, paths.view(seen), phrases)
    assert len(compared) == 80
    assert np.array_equal(log_probs, np.where(np.arange(60) < 40, -1, [[0], [0]]))
    biases = [(phrase, -1.0) for phrase in phrases]
    biased = processors.sequence_bias(np.zeros((2, 60)), paths.view(seen), biases, beyond_start=False)
    assert len(compared) == 160
    assert np.array_equal(biased, log_probs)


def _counting(compared: list[int]) -> Any:
    def equal(self: Rows, other: Any) -> Any:
        compared.append(1)
        return np.asarray(self) == np.asarray(other)

    return equal


@pytest.mark.parametrize("dialect", ["parlai", "transformers-5"])
@pytest.mark.parametrize("seed", range(3))
def test_rows_in_slots_remember_what_rows_in_order_would(seed: int, dialect: str, monkeypatch: Any) -> None:
    """The cache of a search equals one that is read anew from the ids, after any reordering within the sources."""
    model = lively_model(seed, dialect)
    rng = np.random.default_rng([5, seed])
    decoders: list[DecoderState] = []
    keep = DecoderState.keep

    def shuffled(self: DecoderState, rows: Rows) -> None:
        decoders[:] = [self]
        keep(self, rows)

    monkeypatch.setattr(DecoderState, "keep", shuffled)
    source = contexts(seed, model, 2)
    model.generate(source, num_beams=4, max_length=3)
    monkeypatch.setattr(DecoderState, "keep", keep)
    beams, decoder = 4, DecoderState(decoders[0].encoded, 4, use_cache=True)
    ids = decoder.prompts()
    for _ in range(9):
        found = decoder.logits(ids)[:, 0]
        plain = DecoderState(decoder.encoded, beams, use_cache=False).logits(ids)[:, 0]
        assert_near("logits", found, plain, AGAIN)
        read = DecoderState(decoder.encoded, beams, use_cache=True)
        read.logits(ids)
        for mine, afresh in zip(decoder.cache, read.cache, strict=True):
            for a, b in zip(mine, afresh, strict=True):
                assert_close(a, b, AGAIN)
        rows = np.concatenate([rng.choice(beams, beams), beams + rng.choice(beams, beams)])
        new = rng.integers(3, model.config.vocab_size, (len(ids), 1))
        decoder.keep(rows)
        ids = np.concatenate([ids[rows], new], axis=1)


def test_what_did_not_move_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row is copied when its parent has another child, from where the two slots parted on: not its whole length."""
    moved: list[tuple[int, int, int]] = []
    monkeypatch.setattr(Cache, "overwrite", lambda self, *places: moved.append(places))
    monkeypatch.setattr(Cache, "take", lambda *_: pytest.fail("the cache was copied"))
    decoder = DecoderState.__new__(DecoderState)
    layer = LayerCache(np.zeros((4, 1, 3, 1)), np.zeros((4, 1, 3, 1)))
    decoder.use_cache, decoder._stored, decoder.sources = True, Cache((layer,)), np.zeros(4, np.int64)
    decoder.encoded = type("EncodedSource", (), {"context": type("Context", (), {"tap": None})})  # type: ignore[assignment]
    decoder._slots = np.arange(4)
    decoder._writers = np.array([[0, 0, 0], [0, 0, 1], [0, 2, 2], [3, 3, 3]])
    decoder.keep(np.array([3, 2, 1, 0]))  # another order alone moves nothing
    assert moved == []
    assert decoder._slots.tolist() == [3, 2, 1, 0]
    decoder.keep(np.array([0, 1, 2, 2]))  # the row in slot 1 has two children, the one in slot 0 none
    assert moved == [(0, 1, 2)]
    assert decoder._slots.tolist() == [3, 2, 1, 0]
    decoder.keep(np.array([0, 0, 0, 0]))
    assert moved[1:] == [(0, 3, 0), (1, 3, 0), (2, 3, 0)]
    assert decoder._writers.tolist() == [[3, 3, 3]] * 4


def test_a_sources_beams_share_its_keys() -> None:
    cross = np.arange(6.0).reshape(1, 1, 3, 2)
    taken = LayerCache(cross[:, :, :0], cross[:, :, :0], cross, cross).take(np.zeros(5, np.int64))
    assert taken.cross_key is not None
    assert taken.cross_key.shape == (5, 1, 3, 2)
    assert np.shares_memory(taken.cross_key, cross)
    assert np.array_equal(taken.cross_key[4], cross[0])
    assert not taken.cross_key.flags.writeable
