"""ParlAI's beam search against its rules carried out by hand."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npblender.generation.search.parlai import HOPELESS, Rules, Tree, beam_paths
from reference_tests.support.asserts import assert_close
from reference_tests.support.generation_cases import (
    END,
    PAD,
    START,
    contexts,
    lively_model,
    log_probabilities,
)
from reference_tests.support.strategies import seeds
from reference_tests.support.tolerances import TOLERANCES


class Path:
    """One path of ParlAI's search, as a list of tokens and a sum."""

    def __init__(self, tokens: list[int], total: float) -> None:
        self.tokens, self.total = tokens, total


def parlai_by_hand(
    model: Any, source: list[int], limit: int, options: dict[str, Any]
) -> list[tuple[tuple[int, ...], float]]:
    """ParlAI's beam search, one path, one token and one n-gram at a time, without a cache."""
    beams, penalty = options["num_beams"], options["length_penalty"]
    paths, finished, top_has_ended = [Path([START], 0.0)], [], False
    for step in range(limit):
        candidates = []
        for number, path in enumerate(paths):
            log_probs = log_probabilities(model, source, [path.tokens])[0, -1]
            dead = path.tokens[-1] == END or path.total <= -1e20
            blocked = blocked_by_hand(path.tokens, source, options)
            if step < options["min_length"]:
                blocked.add(END)
            for token in range(model.config.vocab_size):
                hopeless = dead or token in blocked or token == START
                total = -1e20 if hopeless else path.total + float(log_probs[token])
                candidates.append((-total, number, token))
        candidates.sort()
        chosen = candidates[:beams]
        paths = [Path([*paths[number].tokens, token], -total) for total, number, token in chosen]
        for path in paths:
            if path.tokens[-1] == END and path.total > -1e20:
                finished.append((tuple(path.tokens), path.total))
        top_has_ended = top_has_ended or paths[0].tokens[-1] == END
        if top_has_ended and len(finished) >= beams:
            break
    if not finished:
        finished = [((*paths[0].tokens[:-1], END), paths[0].total)]
    scored = [(ids, total / ((1 + len(ids)) / 6) ** penalty) for ids, total in finished]
    return sorted(scored, key=lambda each: -each[1])


def blocked_by_hand(tokens: list[int], source: list[int], options: dict[str, Any]) -> set[int]:
    """The tokens that an n-gram block or the block list rules out after `tokens`."""
    blocked = set()
    for size, text in (
        (options["no_repeat_ngram_size"], tokens),
        (options["encoder_no_repeat_ngram_size"], source),
    ):
        if size and len(tokens) >= size - 1:
            ending = tokens[len(tokens) - size + 1 :]
            blocked |= {text[i + size - 1] for i in range(len(text) - size + 1) if text[i : i + size - 1] == ending}
    for phrase in options["bad_words_ids"]:
        if tokens[len(tokens) - len(phrase) + 1 :] == phrase[:-1] and len(tokens) >= len(phrase) - 1:
            blocked.add(phrase[-1])
    return blocked


@settings(max_examples=25)
@given(
    seed=seeds(),
    beams=st.integers(1, 5),
    shortest=st.integers(0, 5),
    sizes=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    penalty=st.sampled_from([0.0, 0.65, 2.0]),
    phrases=st.lists(st.lists(st.integers(3, 12), min_size=1, max_size=2), max_size=4),
)
def test_parlais_search_by_hand(
    seed: int, beams: int, shortest: int, sizes: tuple[int, int], penalty: float, phrases: list[list[int]]
) -> None:
    model = lively_model(seed, "parlai", vocab_size=13)
    source = contexts(seed, model, 1)[0].tolist()
    options = {
        "num_beams": beams,
        "min_length": shortest,
        "length_penalty": penalty,
        "no_repeat_ngram_size": sizes[0],
        "encoder_no_repeat_ngram_size": sizes[1],
        "bad_words_ids": phrases,
    }
    wanted = parlai_by_hand(model, source, 9, options)
    if any(math.isclose(total, -1e20, rel_tol=1e-3) for _, total in wanted):
        return  # every path is blocked, and which of the hopeless ones is closed means nothing
    options["bad_words_ids"] = phrases or None  # an empty list is refused
    out = model.generate([source], max_length=9, return_dict_in_generate=True, **options)
    found = [(each.ids, each.score) for each in out.n_best[0]]
    assert [ids for ids, _ in found] == [ids for ids, _ in wanted]
    assert_close([s for _, s in found], [s for _, s in wanted], TOLERANCES["score of a search"])


def test_a_search_of_parlai_solved_by_hand() -> None:
    """Two beams over pad, start, eos, a, b. In step two `a` ends at the top; it keeps its place and brings nothing.

    So only `b a` goes on, in step three, where its eos is second to `b a b`; that makes two finished, and the best path
    has ended before: the search is over, and `b a b` is dropped.
    """
    eos, a, b = 2, 3, 4
    rules = Rules(2, eos, 0, 0.65, 0, 0, (), beam_paths)
    tree = Tree(rules, np.empty(0, np.int64), np.full((2, 1), START), np.empty(0, np.int64))

    def step(*rows: dict[int, float]) -> None:
        log_probs = np.full((2, 5), np.log(np.float32(1e-6)), np.float32)
        for row, shares in enumerate(rows):
            for token, share in shares.items():
                log_probs[row, token] = np.log(share)
        tree.advance(log_probs)

    step({a: 0.6, b: 0.3, eos: 0.1}, {eos: 1.0})  # the second row does not count in the first step
    assert tree.paths.tolist() == [[START, a], [START, b]]
    step({eos: 0.5, a: 0.2, b: 0.3}, {a: 0.9, b: 0.1})  # .30 ends, .27 goes on, before .18 and .12
    assert tree.paths.tolist() == [[START, a, eos], [START, b, a]]
    assert tree.top_has_ended
    assert not tree.is_done, "one has finished, of two beams"
    step({a: 1.0}, {b: 0.6, eos: 0.4})  # what comes after an eos is hopeless
    assert tree.paths.tolist() == [[START, b, a, b], [START, b, a, eos]]
    assert tree.is_done
    found, origins = tree.n_best()
    assert [each.ids for each in found] == [(START, a, eos), (START, b, a, eos)]
    assert_close(found[0].score, math.log(0.30) / (4 / 6) ** 0.65, TOLERANCES["score of a search"])
    assert_close(found[1].score, math.log(0.3 * 0.9 * 0.4) / (5 / 6) ** 0.65, TOLERANCES["score of a search"])
    assert origins == [[0, 0], [0, 1, 1]]


def test_an_end_that_is_blocked_has_not_ended() -> None:
    """Where too little is possible the beams are filled with what is not; an eos among it finishes nothing."""
    rules = Rules(4, 2, 3, 0.65, 0, 0, (), beam_paths)
    tree = Tree(rules, np.empty(0, np.int64), np.full((4, 1), START), np.empty(0, np.int64))
    log_probs = np.full((4, 5), HOPELESS)
    log_probs[:, 3] = 0
    tree.advance(log_probs)
    assert tree.paths[:, 1].tolist() == [3, 0, 1, END]
    assert tree.finished == []
    assert not tree.top_has_ended


DRAWN: list[dict[str, Any]] = [
    {"num_beams": 1},
    {"num_beams": 3},
    {"num_beams": 3, "do_sample": True, "top_k": 4, "seed": 0},
    {"num_beams": 3, "do_sample": True, "top_p": 0.9, "seed": 0},
]


@pytest.mark.parametrize("call", DRAWN)
def test_where_only_blocked_tokens_are_allowed_the_search_says_so(call: dict[str, Any]) -> None:
    """5 5 5 may not come again, an end is too early or not allowed: nothing is left, and nothing else is said."""
    model = lively_model(1, "parlai", vocab_size=13)
    for blocks in ({"no_repeat_ngram_size": 3}, {"no_repeat_ngram_size": 3, "min_length": 8}):
        with pytest.raises(ValueError, match=r"allows only what is blocked after \[1, 5, 5, 5\]: by .*no_repeat_ngram"):
            model.generate([[5, 6, 7]], max_length=9, prefix_allowed_tokens_fn=lambda n, ids: [5], **blocks, **call)
    with pytest.raises(ValueError, match=r"allows only what is blocked after \[1\]: by bad_words_ids"):
        model.generate(
            [[5, 6, 7]], max_length=9, prefix_allowed_tokens_fn=lambda n, ids: [5], bad_words_ids=[[5]], **call
        )


@pytest.mark.parametrize("call", DRAWN)
def test_nothing_is_said_that_is_not_allowed(call: dict[str, Any]) -> None:
    """Whatever the blocks leave: only the eos that closes a reply at the limit is not asked about."""
    replies = 0
    for seed in range(24):
        model, allowed = lively_model(seed, "parlai", vocab_size=13), [[5, 6], [6, 7, 8], [5, 6, END]][seed % 3]
        options = {"no_repeat_ngram_size": 2, "min_length": seed % 4, "max_length": 4 + seed % 5, **call}
        options |= {"seed": seed} if "seed" in call else {}
        for prompt in ([START], [START, 9]):  # what a reply begins with need not be allowed
            arguments: dict[str, Any] = {"decoder_input_ids": [prompt], "return_dict_in_generate": True, **options}
            try:
                out = model.generate([[5, 6, 7]], prefix_allowed_tokens_fn=lambda n, ids, a=allowed: a, **arguments)
            except ValueError as error:
                if "allows only what is blocked" in str(error):
                    continue
                raise
            for each in out.n_best[0]:
                replies += 1
                assert list(each.ids[: len(prompt)]) == prompt
                assert set(each.ids[len(prompt) : -1]) <= {*allowed} - {END}
                assert each.ids[-1] == END
                pairs = list(pairwise(each.ids[:-1]))
                assert len(set(pairs)) == len(pairs)
                assert each.score > -1e10
    assert replies > 24


def test_a_hidden_id_is_a_pad_to_the_context_block() -> None:
    """What the mask hides may be quoted; the same source with a pad in its place gives the same reply."""
    seen = 0
    for seed in range(8):
        model = lively_model(seed, "parlai", vocab_size=13)
        options: dict[str, Any] = {"max_length": 6, "min_length": 6, "encoder_no_repeat_ngram_size": 1}
        padded = model.generate([[5, 6, 7, PAD]], **options)[0].tolist()
        quoted = next((token for token in padded[1:] if token not in (5, 6, 7, PAD, END)), None)
        if quoted is not None:
            seen += 1
            hidden = [[5, 6, 7, quoted]]
            assert model.generate(hidden, attention_mask=[[1, 1, 1, 0]], **options)[0].tolist() == padded
            assert quoted not in model.generate(hidden, attention_mask=[[1, 1, 1, 1]], **options)[0].tolist()
    assert seen > 2


def test_what_parlai_returns_when_fewer_have_finished() -> None:
    model = lively_model(1, "parlai")
    out = model.generate(
        [[5, 6, 7]], max_length=5, min_length=9, num_beams=3, num_return_sequences=4, return_dict_in_generate=True
    )
    assert len(out.n_best[0]) == 1, "nothing may end, so the best path is closed"
    assert out.sequences[0, -1] == END
    assert out.sequences.shape == (4, 6)
    assert (out.sequences[1:] == PAD).all()
    assert np.isneginf(out.sequences_scores[1:]).all()
    free = model.generate(
        [[5, 6, 7]], max_length=5, min_length=9, num_beams=3, return_dict_in_generate=True, output_logits=True
    )
    assert_close(out.sequences_scores[0], free.n_best[0][0].score, TOLERANCES["score of a search"])
