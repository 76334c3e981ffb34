"""The searches that few programs have: groups, contrast, and prompt lookup."""

import itertools
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from npblender.config.dialect import TRANSFORMERS_4
from npblender.generation.planning import make_plan
from npblender.generation.search.beam_hypotheses import BeamHypotheses, advance
from npblender.generation.search.contrastive import likeness
from npblender.generation.search.diverse_beam import diversity
from npblender.generation.search.prompt_lookup import guess
from reference_tests.support.asserts import assert_close
from reference_tests.support.generation_cases import (
    END,
    PAD,
    contexts,
    lively_model,
    log_probabilities,
    stripped,
)
from reference_tests.support.strategies import seeds
from reference_tests.support.tolerances import TOLERANCES

TRANSFORMERS = ("transformers-4", "transformers-5")


# Groups


@settings(max_examples=15)
@given(seed=seeds(), groups=st.integers(2, 4))
def test_without_other_groups_a_group_is_greedy(seed: int, groups: int) -> None:
    """Groups of one beam: the first is greedy search; and each pays for what the ones before it have just said."""
    model = lively_model(seed, "transformers-4", vocab_size=17)
    source = contexts(seed, model, 1)
    penalty = 1.5
    out = model.generate(
        source,
        max_length=7,
        min_length=7,
        num_beams=groups,
        num_beam_groups=groups,
        diversity_penalty=penalty,
        num_return_sequences=groups,
        length_penalty=0.0,
        return_dict_in_generate=True,
        output_scores=True,
    )
    rows: list[list[int]] = [[1] for _ in range(groups)]
    totals = [0.0] * groups
    for length in range(2, 8):
        said: list[int] = []
        for n, row in enumerate(rows):
            scores = log_probabilities(model, source[0], [row])[0, -1]
            if length < 8:
                scores[END] = -np.inf
            for token in said:
                scores[token] -= penalty
            token = int(scores.argmax())
            totals[n] += scores[token]
            row.append(token)
            said.append(token)
        if length == 7:
            break
    wanted = sorted(zip(totals, rows, strict=True), key=lambda each: -each[0])
    assume(all(a[0] - b[0] > 1e-4 for a, b in itertools.pairwise(wanted)))
    assert [row.tolist() for row in out.sequences] == [row for _, row in wanted]
    assert_close(out.sequences_scores, [total for total, _ in wanted], TOLERANCES["score of a search"])


@settings(max_examples=15)
@given(seed=seeds(), way=st.sampled_from(["groups", "words"]))
def test_scores_are_sums_over_the_rows_that_tokens_came_from(seed: int, way: str) -> None:
    """Of groups of several beams; the record of constrained beams holds sums, the last of which is the score."""
    model = lively_model(seed, "transformers-4")
    options: dict[str, Any] = {"num_beam_groups": 2, "diversity_penalty": 0.7}
    if way == "words":
        options = {"force_words_ids": [[7, 9]]}
    out = model.generate(
        contexts(seed, model, 2),
        max_length=9,
        num_beams=6,
        num_return_sequences=2,
        length_penalty=0.0,
        return_dict_in_generate=True,
        output_scores=True,
        **options,
    )
    parts = model.compute_transition_scores(out.sequences, out.scores, out.beam_indices)
    for row, score, origins, part in zip(out.sequences, out.sequences_scores, out.beam_indices, parts, strict=True):
        length = int((origins >= 0).sum())
        assert length == len(stripped(row)) - 1
        total = part.sum() if way == "groups" else part[length - 1]
        assert_close(score, total, TOLERANCES["score of a search"])


def test_what_one_step_of_a_group_keeps() -> None:
    """Two beams: the best continuation ends and is kept; the third, behind the best two, ends and is passed over."""
    model = lively_model(0)
    call = {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 1.0, "max_length": 9}
    plan = make_plan(TRANSFORMERS_4, model.config, {}, call)
    hypotheses = BeamHypotheses(plan, 2)
    log_probs = np.full((2, 6), -9.0, np.float32)
    log_probs[0, [END, 3]] = [-0.1, -0.2]
    log_probs[1, [END, 4]] = [-0.3, -0.4]
    step = advance(
        plan, hypotheses, np.array([[1, 5], [1, 6]]), np.zeros(2, np.float32), log_probs, np.array([4, 5]), [()] * 6, 2
    )
    assert [(kept.ids.tolist(), kept.origins) for kept in hypotheses.kept] == [([1, 5], (4,))]
    assert_close(hypotheses.kept[0].score, -0.1 / 2, TOLERANCES["score of a search"])
    assert (step.rows.tolist(), step.tokens.tolist()) == ([0, 1], [3, 4])
    assert_close(step.scores, [-0.2, -0.4], TOLERANCES["score of a search"])


def test_a_higher_penalty_makes_groups_differ_more() -> None:
    """Counted over several models: tokens that two groups say at the same place."""
    shared = []
    for penalty in (0.01, 5.0):
        count = 0
        for seed in range(8):
            model = lively_model(seed, "transformers-5")
            rows = model.generate(
                contexts(seed, model, 1),
                max_length=8,
                min_length=8,
                num_beams=2,
                num_beam_groups=2,
                diversity_penalty=penalty,
                num_return_sequences=2,
            )
            count += int((rows[0, 1:8] == rows[1, 1:8]).sum())
        shared.append(count)
    assert shared[1] == 0 < shared[0]


@given(seed=seeds(), batch=st.integers(1, 3), rows=st.integers(1, 3), before=st.integers(1, 4))
def test_what_diversity_costs(seed: int, batch: int, rows: int, before: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((batch * rows, 5)).astype(np.float32)
    chosen = rng.integers(5, size=(batch, before))
    found = diversity(scores, chosen, 0.5)
    for row in range(batch * rows):
        for token in range(5):
            times = list(chosen[row // rows]).count(token)
            assert_close(found[row, token], scores[row, token] - 0.5 * times, TOLERANCES["filtered score"])


# Contrast


@settings(max_examples=15)
@given(seed=seeds(), alpha=st.floats(0.1, 0.9), k=st.integers(2, 5))
def test_contrastive_search_by_hand(seed: int, alpha: float, k: int) -> None:
    """Every candidate is read by a whole forward pass, and its last state compared with all states before it."""
    model = lively_model(seed, "transformers-4", vocab_size=17)
    source = contexts(seed, model, 1)
    target = [1]
    while len(target) < 7:
        p = np.exp(log_probabilities(model, source[0], [target])[0, -1])
        ranked: list[tuple[float, int]] = []
        for token in np.argsort(-p, kind="stable")[:k]:
            out = model(source, decoder_input_ids=[[*target, int(token)]], output_hidden_states=True)
            states = out.decoder_hidden_states[-1][0]
            norms = np.linalg.norm(states, axis=1)
            likest = max(float(states[-1] @ states[n]) / (norms[-1] * norms[n]) for n in range(len(target)))
            ranked.append(((1 - alpha) * p[token] - alpha * likest, int(token)))
        ranked.sort(reverse=True)
        assume(ranked[0][0] - ranked[1][0] > 1e-6)
        target.append(ranked[0][1])
        if target[-1] == END:
            break
    found = model.generate(source, max_length=7, penalty_alpha=alpha, top_k=k)
    assert found[0].tolist() == target


def test_likeness_does_not_look_at_hidden_places(rng: np.random.Generator) -> None:
    candidates, context = rng.standard_normal((2, 3, 5)), rng.standard_normal((2, 4, 5))
    mask = np.array([[True, False, True, True], [True, True, True, False]])
    found = likeness(candidates, context, mask)
    for row in range(2):
        alone = likeness(candidates[row : row + 1], context[row : row + 1, mask[row]], None)[0]
        assert_close(found[row], alone, TOLERANCES["float32 computed another way"])


def test_contrastive_records_have_one_entry_a_token() -> None:
    model = lively_model(3, "transformers-4")
    asked = {f"output_{name}": True for name in ("scores", "logits", "attentions", "hidden_states")}
    out = model.generate(
        [[5, 6, 7]], max_length=6, min_length=6, penalty_alpha=0.5, top_k=3, return_dict_in_generate=True, **asked
    )
    steps = out.sequences.shape[1] - 1
    for name in ("scores", "logits", "decoder_attentions", "cross_attentions", "decoder_hidden_states"):
        assert len(out[name]) == steps, name
    assert out.decoder_attentions[-1][0].shape[2:] == (1, steps)
    assert out.past_key_values.length == steps


# Prompt lookup


@settings(max_examples=25)
@given(seed=seeds(), dialect=st.sampled_from(TRANSFORMERS), count=st.integers(1, 6), longest=st.integers(1, 3))
def test_prompt_lookup_is_greedy_search(seed: int, dialect: str, count: int, longest: int) -> None:
    """Token for token in float64, with filters and whatever ends the reply."""
    model = lively_model(seed, dialect, vocab_size=11, max_position_embeddings=30)
    source = contexts(seed, model, 1)
    options: dict[str, Any] = {"max_length": 30, "repetition_penalty": 0.9, "min_length": 6}
    plain = model.generate(source, return_dict_in_generate=True, output_scores=True, **options)
    guessed = model.generate(
        source,
        prompt_lookup_num_tokens=count,
        max_matching_ngram_size=longest,
        return_dict_in_generate=True,
        output_scores=True,
        **options,
    )
    assert np.array_equal(plain.sequences, guessed.sequences)
    assert len(plain.scores) == len(guessed.scores)
    for a, b in zip(plain.scores, guessed.scores, strict=True):
        assert_close(a, b, TOLERANCES["float32 computed another way"])


def test_prompt_lookup_in_float32_differs_at_near_ties_only() -> None:
    """Where the first difference is, the best two tokens lie within rounding of each other."""
    replies = differences = 0
    for seed in range(15):
        model = lively_model(seed, dtype="float32", vocab_size=11, max_position_embeddings=40)
        source = contexts(seed, model, 1)
        plain = model.generate(source, max_length=40, eos_token_id=None)[0]
        guessed = model.generate(source, max_length=40, eos_token_id=None, prompt_lookup_num_tokens=5)[0]
        replies += 1
        if not np.array_equal(plain, guessed):
            differences += 1
            place = int(np.flatnonzero(plain != guessed)[0])
            scores = np.sort(log_probabilities(model, source[0], [plain[:place]])[0, -1])
            assert scores[-1] - scores[-2] < 1e-4
    assert replies == 15
    assert differences <= 3


def test_prompt_lookup_calls_the_decoder_less_often() -> None:
    """Of a model that repeats itself, several tokens are accepted at a time."""
    model = lively_model(0, vocab_size=11, max_position_embeddings=40)
    calls: dict[bool, int] = {}
    for guesses in (False, True):
        heard: list[str] = []
        options = {"prompt_lookup_num_tokens": 5} if guesses else {}
        model.generate(
            [[5, 6]],
            max_length=40,
            eos_token_id=None,
            forced_bos_token_id=5,
            suppress_tokens=list(range(6, 11)),
            tap=lambda name, array, heard=heard: heard.append(name),
            **options,
        )
        calls[guesses] = heard.count("decoder.states")
    assert calls[False] == 39
    assert calls[True] < 25


def test_guesses_come_from_the_latest_place_in_the_reply_and_then_from_the_source() -> None:
    reply, source = np.array([1, 5, 6, 7, 5, 6, 8, 5, 6]), np.array([3, 5, 6, 9])
    assert guess(reply, source, 2, 2).tolist() == [8, 5]
    assert guess(np.array([1, 5, 6]), source, 3, 2).tolist() == [9]
    assert guess(np.array([1, 4, 6]), source, 3, 2).tolist() == [9], "a shorter n-gram will do"
    assert guess(np.array([1, 9]), source, 3, 2).tolist() == [], "nothing follows it"
    assert guess(np.array([1, 4]), source, 3, 2).tolist() == []


@given(
    reply=st.lists(st.integers(0, 3), min_size=1, max_size=10),
    source=st.lists(st.integers(0, 3), max_size=10),
    count=st.integers(1, 4),
    longest=st.integers(1, 3),
)
def test_a_guess_has_followed_the_last_tokens_before(
    reply: list[int], source: list[int], count: int, longest: int
) -> None:
    found = guess(np.array(reply), np.array(source, np.int64), count, longest).tolist()
    assert len(found) <= count
    if found:
        assert any(
            text[n : n + size + len(found)] == reply[-size:] + found
            for text in (reply, source)
            for size in range(1, longest + 1)
            for n in range(len(text))
        )
    else:
        assert reply[-1] not in (*reply[:-1], *source[:-1])


def test_pads_of_the_source_are_no_guesses() -> None:
    model = lively_model(1, vocab_size=11)
    source = np.array([[5, 6, PAD, PAD]])
    plain = model.generate(source, attention_mask=source != PAD, max_length=20)
    assert np.array_equal(
        plain, model.generate(source, attention_mask=source != PAD, max_length=20, prompt_lookup_num_tokens=4)
    )
