"""Searches in a batch whose rows come and go find what each finds alone: ids, scores, random numbers."""

import numpy as np
import pytest

from npblender.chat.history import PROFILES, FittedSource
from npblender.chat.replies import DialectModel, make_settings, search_replies, without_pads
from npblender.generation.shared_decoder import SharedDecoder
from npblender.generation.walks import CAN_WALK, begin_walk
from npblender.transformer.checks import make_context
from reference_tests.support.asserts import assert_close
from reference_tests.support.tiny_folder import make_model, make_tokenizer
from reference_tests.support.tolerances import TOLERANCES

DIALECTS = ("parlai", "transformers-4", "transformers-5")
SEARCHES = {
    "greedy": {"num_beams": 1},
    "sampling": {"do_sample": True, "num_beams": 1, "temperature": 1.5, "top_k": 20},
    "nucleus": {"do_sample": True, "num_beams": 1, "top_p": 0.9, "top_k": 0},
}
PARLAI_SEARCHES = {
    **SEARCHES,
    "beams": {"num_beams": 4},
    "delayed": {"num_beams": 3, "beam_delay": 2, "top_k": 8},
    "several draws": {"do_sample": True, "num_beams": 3, "top_k": 9},
}
CASES = [(dialect, name) for dialect in DIALECTS for name in (PARLAI_SEARCHES if dialect == "parlai" else SEARCHES)]
LIMITS = {"min_length": 2, "max_length": 14, "no_repeat_ngram_size": 3}


def alone(model, tokenizer, source, settings, seed):
    """What the search itself finds, and the generator that it draws from."""
    rng = np.random.default_rng(seed) if settings.plan.is_random else None
    (found,) = search_replies(DialectModel(model, tokenizer), [FittedSource(tuple(source))], settings, rng=rng)
    return [(each.ids, each.score) for each in found]


def together(model, jobs, rng):
    """All jobs (source, settings, seed) in one decoder, joining at random steps; their replies in order."""
    decoder = SharedDecoder(model.weights, make_context(model.config, model.dialect))
    waiting, members, found = list(enumerate(jobs)), [], {}
    most = 0
    while waiting or members:
        count = int(rng.integers(0, 3)) if members else 1
        joining, waiting = waiting[:count], waiting[count:]
        new = []
        for number, (source, settings, seed) in joining:
            own = np.random.default_rng(seed) if settings.plan.is_random else None
            new.append((number, begin_walk(settings.plan, model.dialect, source, rng=own)))
        if new:
            decoder.join([jobs[number][0] for number, _ in new], [walk.width for _, walk in new])
            members += new
        most = max(most, len(members))
        logits = decoder.logits(np.concatenate([walk.newest for _, walk in members]))
        order, staying, begin = np.arange(decoder.rows), np.ones(decoder.rows, np.bool_), 0
        for number, walk in members:
            rows = slice(begin, begin + walk.width)
            begin = rows.stop
            order[rows] = rows.start + walk.step(logits[rows])
            if walk.is_done:
                found[number] = [*walk.found().replies]
                staying[rows] = False
        members = [(number, walk) for number, walk in members if not walk.is_done]
        decoder.keep(order)
        decoder.leave(staying)
    assert most > 1, "nothing was searched for together"
    assert decoder.rows == 0
    return [found[number] for number in range(len(jobs))]


@pytest.mark.parametrize(("dialect", "search"), CASES)
def test_a_walk_in_company_finds_what_the_search_finds_alone(dialect: str, search: str, rng) -> None:
    tokenizer = make_tokenizer(dialect)
    for seed in range(3):
        model = make_model(seed=seed, dialect=dialect, brevity=0.5 * seed)
        settings = make_settings(PROFILES["parlai"], model, {**LIMITS, **PARLAI_SEARCHES[search]})
        assert settings.plan.search in CAN_WALK
        sources = [rng.integers(5, len(tokenizer), size=rng.integers(1, 20)).tolist() for _ in range(7)]
        jobs = [(source, settings, number) for number, source in enumerate(sources)]
        for found, (source, _, own) in zip(together(model, jobs, rng), jobs, strict=True):
            expected = alone(model, tokenizer, source, settings, own)
            ids = [without_pads(ids, tokenizer.pad_token_id) for ids, _ in found]
            assert ids == [ids for ids, _ in expected], "a row knows of another"
            for (_, score), (_, other) in zip(found, expected, strict=True):
                assert (score is None) == (other is None)
                if score is not None:
                    assert_close(score, other, TOLERANCES["score of a search"])


def test_different_searches_share_a_decoder(rng) -> None:
    """Widths, lengths and random numbers of one request do not reach the others."""
    model, tokenizer = make_model(seed=4), make_tokenizer()
    jobs = []
    for number, call in enumerate(PARLAI_SEARCHES.values()):
        settings = make_settings(PROFILES["parlai"], model, {**LIMITS, "max_length": 6 + 2 * number, **call})
        jobs.append((rng.integers(5, len(tokenizer), size=4 + number).tolist(), settings, number))
    for found, (source, settings, seed) in zip(together(model, jobs, rng), jobs, strict=True):
        assert [ids for ids, _ in found] == [ids for ids, _ in alone(model, tokenizer, source, settings, seed)]


def test_the_cache_forgets_what_no_row_needs(rng) -> None:
    """Rows that follow each other for long leave nothing behind: the columns are those of the oldest row in work."""
    model = make_model(seed=1)
    decoder = SharedDecoder(model.weights, make_context(model.config, model.dialect))
    decoder.join([[5, 6, 7, 8, 9]], [1])
    for _ in range(20):
        decoder.logits(np.full(decoder.rows, 5))
        decoder.logits(np.full(decoder.rows, 6))
        decoder.join([[7]], [1])
        decoder.logits(np.full(decoder.rows, 7))
        decoder.leave(np.arange(decoder.rows) == decoder.rows - 1)
        assert decoder.rows == 1
        assert decoder.columns == 1
        assert decoder.source_mask.shape == (1, 1)


def test_what_is_certain_stays() -> None:
    """Of one path all tokens but ParlAI's last are final; of several none is."""
    for dialect in DIALECTS:
        model = make_model(seed=3, dialect=dialect)
        settings = make_settings(PROFILES["parlai"], model, {**LIMITS, "num_beams": 1})
        walk = begin_walk(settings.plan, model.dialect, [5, 6, 7])
        decoder = SharedDecoder(model.weights, make_context(model.config, model.dialect))
        decoder.join([[5, 6, 7]], [1])
        seen = []
        while not walk.is_done:
            walk.step(decoder.logits(walk.newest))
            seen.append(list(walk.certain))
        ids = list(walk.found().replies[0][0])[1:]
        assert all(ids[: len(each)] == each for each in seen)
        assert len(seen[-1]) >= len(ids) - 1
    model = make_model(seed=3)
    settings = make_settings(PROFILES["parlai"], model, {**LIMITS, "num_beams": 2})
    walk = begin_walk(settings.plan, model.dialect, [5])
    walk.step(np.zeros((2, model.config.vocab_size), np.float32))
    assert walk.certain == ()
