"""Greedy search against whole forward passes by hand; lengths, endings, prompts, padding, and what a record holds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npblender.config.generation_config import GenerationConfig
from reference_tests.support.asserts import assert_close
from reference_tests.support.generation_cases import (
    END,
    PAD,
    START,
    contexts,
    greedy_by_hand,
    lively_model,
    log_probabilities,
    stripped,
)
from reference_tests.support.strategies import seeds
from reference_tests.support.tolerances import TOLERANCES

# Lengths are drawn that cannot both hold, of which generate warns.
pytestmark = pytest.mark.filterwarnings("ignore:min_length . is larger than max_length")
TRANSFORMERS = ("transformers-4", "transformers-5")


@settings(max_examples=25)
@given(seed=seeds(), dialect=st.sampled_from(TRANSFORMERS), longest=st.integers(2, 9), shortest=st.integers(0, 7))
def test_greedy_is_the_most_probable_token_each_time(seed: int, dialect: str, longest: int, shortest: int) -> None:
    model = lively_model(seed, dialect, vocab_size=13)
    source = [5, 9, 4, 5]
    found = model.generate([source], max_length=longest, min_length=shortest)[0]
    assert tuple(found.tolist()) == greedy_by_hand(model, source, longest, shortest)


@settings(max_examples=15)
@given(seed=seeds(), longest=st.integers(1, 8), shortest=st.integers(0, 6))
def test_one_beam_in_parlai_is_greedy_search_closed_by_an_eos(seed: int, longest: int, shortest: int) -> None:
    """`max_length` counts generated tokens there, `min_length` tokens before the eos, which replaces the last token."""
    model = lively_model(seed, "parlai", vocab_size=13)
    found = model.generate([[5, 9, 4, 5]], max_length=longest, min_length=shortest)[0]
    wanted = list(greedy_by_hand(model, [5, 9, 4, 5], longest + 1, shortest + 1))
    if wanted[-1] != END:
        wanted[-1] = END
    assert found.tolist() == wanted


@settings(max_examples=20)
@given(seed=seeds(), dialect=st.sampled_from((*TRANSFORMERS, "parlai")), beams=st.sampled_from([1, 3]))
def test_the_cache_changes_nothing(seed: int, dialect: str, beams: int) -> None:
    model = lively_model(seed, dialect)
    source = contexts(seed, model, 2)
    cached = model.generate(source, max_length=9, num_beams=beams)
    assert np.array_equal(cached, model.generate(source, max_length=9, num_beams=beams, use_cache=False))


@settings(max_examples=30)
@given(seed=seeds(), dialect=st.sampled_from((*TRANSFORMERS, "parlai")), early=st.sampled_from([None, True, False]))
def test_batch_mates_change_nothing(seed: int, dialect: str, early: bool | None) -> None:
    """Each row of a ragged batch, its pads hidden, is what it is alone.

    Not so the beams of 4.52.4 unless they stop early: a source takes more of them as long as any other goes on.
    """
    if early is False and dialect == "transformers-4":
        early = True
    options = {} if early is None else {"num_beams": 4, "early_stopping": early}
    if early is not None and dialect == "parlai":
        options = {"num_beams": 4}
    model = lively_model(seed, dialect)
    source = contexts(seed, model, 3)
    together = model.generate(source, attention_mask=source != PAD, max_length=14, **options)
    for row, ids in zip(together, source, strict=True):
        alone = model.generate([ids[ids != PAD]], max_length=14, **options)[0]
        assert stripped(row) == stripped(alone)


def test_ended_rows_are_filled_with_pads() -> None:
    model = lively_model(3, vocab_size=13)
    source = next(
        ids
        for ids in (contexts(n, model, 3) for n in range(50))
        if len({len(greedy_by_hand(model, row[row != PAD], 12)) for row in ids}) > 1
    )
    rows = model.generate(source, attention_mask=source != PAD, max_length=12)
    ends = [stripped(row) for row in rows]
    assert any(len(end) < rows.shape[1] for end in ends)
    for row, end in zip(rows, ends, strict=True):
        assert (row[len(end) :] == PAD).all()


def test_without_a_pad_the_eos_fills_up() -> None:
    model = lively_model(3, vocab_size=13)
    for seed in range(50):
        source = contexts(seed, model, 3)
        rows = model.generate(source, attention_mask=source != PAD, max_length=12, pad_token_id=None)
        short = [row for row in rows if len(stripped(row)) < rows.shape[1]]
        for row in short:
            assert set(row[len(stripped(row)) :].tolist()) == {END}
        if short:
            return
    raise AssertionError("no reply ended early")


def test_without_an_eos_an_ended_row_is_not_filled_up() -> None:
    """As in transformers: only an eos makes pads of what follows; a criterion ends rows one by one."""
    model = lively_model(3)
    free = model.generate([[5, 6], [7, 8]], max_length=9, eos_token_id=None)
    ends = [np.array([True, False]) if n == 4 else np.array([n == 7]) for n in range(10)]
    found = model.generate(
        [[5, 6], [7, 8]],
        max_length=9,
        eos_token_id=None,
        stopping_criteria=[lambda ids, scores: ends[ids.shape[1]]],
    )
    assert np.array_equal(found, free[:, :7])


def test_several_ids_may_end_a_reply() -> None:
    model = lively_model(0)
    source = [[5, 6, 7, 8]]
    whole = model.generate(source, max_length=12, eos_token_id=None)[0]
    assert len(whole) == 12
    stop = int(whole[4])
    cut = model.generate(source, max_length=12, eos_token_id=[END, stop])[0]
    assert cut.tolist() == whole[: whole.tolist().index(stop, 1) + 1].tolist()


def test_the_last_token_may_be_forced() -> None:
    model = lively_model(1)
    free = model.generate([[5, 6]], max_length=6, eos_token_id=None)[0]
    forced = model.generate([[5, 6]], max_length=6, eos_token_id=None, forced_eos_token_id=9)[0]
    assert forced.tolist() == [*free[:-1].tolist(), 9]


@pytest.mark.parametrize("dialect", TRANSFORMERS)
def test_lengths_without_any_setting(dialect: str) -> None:
    """Twenty new tokens; a limit of twenty that a file sets counts the start, which only 4.52.4 cannot tell apart."""
    model = lively_model(2, dialect, max_position_embeddings=40)
    assert model.generate([[5, 6]], eos_token_id=None).shape == (1, 21)
    model.generation_config = GenerationConfig(max_length=20)
    expected = 21 if dialect == "transformers-4" else 20
    assert model.generate([[5, 6]], eos_token_id=None).shape == (1, expected)
    assert model.generate([[5, 6]], eos_token_id=None, max_length=20).shape == (1, 20)


def test_a_files_limit_is_cut_to_the_positions_and_a_callers_is_refused() -> None:
    model = lively_model(2, max_position_embeddings=11)
    model.generation_config = GenerationConfig(max_length=128)
    assert model.generate([[5, 6]], eos_token_id=None).shape == (1, 12)
    assert model.generate([[5, 6]], eos_token_id=None, max_length=12).shape == (1, 12)
    with pytest.raises(ValueError, match="13 tokens does not fit the model's 11 positions"):
        model.generate([[5, 6]], max_length=13)


def test_parlai_takes_its_own_limit() -> None:
    model = lively_model(2, "parlai", max_position_embeddings=12)
    assert model.generate([[5, 6]], min_length=99).shape == (1, 13)
    assert model.generate([[5, 6]], min_length=99, max_length=4).shape == (1, 5)
    assert model.generate([[5, 6]], min_length=99, max_new_tokens=4).shape == (1, 5)


@settings(max_examples=15)
@given(seed=seeds(), dialect=st.sampled_from((*TRANSFORMERS, "parlai")))
def test_a_prompt_is_taken_as_if_it_had_been_said(seed: int, dialect: str) -> None:
    """Given what greedy search says first, the rest is what it says then; the start token may be left out."""
    model = lively_model(seed, dialect)
    source = contexts(seed, model, 2)
    options = {"max_length": 9, "attention_mask": source != PAD}
    whole = model.generate(source, min_length=9, **options)
    for prompt in (whole[:, :4], whole[:, 1:4]):
        if prompt[0, 0] == START or START not in prompt[:, 0]:
            again = model.generate(source, decoder_input_ids=prompt, min_length=9, **options)
            assert np.array_equal(again, whole)


def test_a_prompts_pads_are_hidden_by_its_mask() -> None:
    """What is hidden is not read, in any step; and it would have made a difference."""
    differences = 0
    for seed in range(8):
        model = lively_model(seed)
        for mask in ([[1, 0, 1], [1, 1, 1]], None):
            first, other = (
                model.generate(
                    [[5, 6], [7, 8]],
                    decoder_input_ids=[[1, token, 4], [1, 9, 4]],
                    decoder_attention_mask=mask,
                    max_length=11,
                    eos_token_id=None,
                )
                for token in (9, 3)
            )
            assert (first[0, 1], other[0, 1]) == (9, 3)
            if mask is None:
                differences += not np.array_equal(first[:, 2:], other[:, 2:])
            else:
                assert np.array_equal(first[:, 2:], other[:, 2:])
    assert differences > 0


def test_the_source_may_come_as_embeddings_or_encoded() -> None:
    model = lively_model(5, scale_embedding=False)
    source = contexts(5, model, 2)
    mask = source != PAD
    plain = model.generate(source, attention_mask=mask, max_length=9)
    embedded = model.weights.shared.weight[source]
    assert np.array_equal(plain, model.generate(inputs_embeds=embedded, attention_mask=mask, max_length=9))
    states = model.encode(source, attention_mask=mask)
    for encoder_outputs in (states, states.last_hidden_state, states.to_tuple()):
        again = model.generate(encoder_outputs=encoder_outputs, attention_mask=mask, max_length=9)
        assert np.array_equal(plain, again)


@pytest.mark.parametrize(("dialect", "hides"), [("parlai", True), ("transformers-4", True), ("transformers-5", False)])
def test_who_hides_pads_without_a_mask(dialect: str, hides: bool) -> None:
    differ = 0
    for seed in range(6):
        model = lively_model(seed, dialect)
        source = np.array([[5, 6, 7, PAD, PAD]])
        masked = model.generate(source, attention_mask=source != PAD, max_length=8)
        differ += not np.array_equal(masked, model.generate(source, max_length=8))
    assert (differ == 0) == hides


@pytest.mark.parametrize(("dialect", "hides"), [("parlai", True), ("transformers-4", False)])
def test_pads_that_are_eos_too_are_hidden_by_parlai_only(dialect: str, hides: bool) -> None:
    source = np.array([[5, 6, 7, PAD, PAD]])
    found: dict[str, list[list[int]]] = {"attended": [], "hidden": [], "unsaid": []}
    masks = {"attended": np.ones_like(source), "hidden": (source != PAD).astype(int), "unsaid": None}
    for seed in range(6):
        model = lively_model(seed, dialect)
        for name, mask in masks.items():
            row = model.generate(source, attention_mask=mask, max_length=8, eos_token_id=PAD)[0]
            found[name].append(row.tolist())
    assert found["attended"] != found["hidden"]
    assert found["unsaid"] == found["hidden" if hides else "attended"]


def test_what_a_record_holds() -> None:
    model = lively_model(7)
    source = contexts(7, model, 2)
    mask = source != PAD
    asked = {f"output_{name}": True for name in ("scores", "logits", "attentions", "hidden_states")}
    out = model.generate(
        source,
        attention_mask=mask,
        decoder_input_ids=[[1, 8], [1, 9]],
        max_length=7,
        min_length=7,
        suppress_tokens=[5],
        return_dict_in_generate=True,
        **asked,
    )
    config, steps = model.config, 5
    heads, layers = config.decoder_attention_heads, config.decoder_layers
    assert out.sequences.shape == (2, 7)
    assert out.sequences.dtype == np.int64
    assert len(out.scores) == len(out.logits) == len(out.decoder_attentions) == len(out.cross_attentions) == steps
    assert out.scores[0].dtype == out.logits[0].dtype == np.float32
    assert [step[0].shape for step in out.decoder_attentions] == [
        (2, heads, 2, 2),
        *((2, heads, 1, length) for length in range(3, 7)),
    ]
    assert {len(step) for step in out.decoder_attentions} == {layers}
    assert out.cross_attentions[1][0].shape == (2, heads, 1, source.shape[1])
    assert [len(step) for step in out.decoder_hidden_states] == [layers + 1] * steps
    assert out.decoder_hidden_states[0][0].shape == (2, 2, config.d_model)
    assert out.encoder_attentions[0].shape == (2, config.encoder_attention_heads, source.shape[1], source.shape[1])
    assert len(out.encoder_hidden_states) == config.encoder_layers + 1
    assert out.past_key_values.length == 6
    logits = model(source, attention_mask=mask, decoder_input_ids=out.sequences[:, :-1]).logits
    assert_close(np.stack(out.logits, axis=1), logits[:, 1:], TOLERANCES["float32 computed another way"])
    assert np.isneginf(np.stack(out.scores)[..., 5]).all()
    blocked = np.isneginf(out.scores[0])
    assert np.array_equal(out.scores[0][~blocked], out.logits[0][~blocked])
    assert set(out.keys()) == {
        *("sequences", "scores", "logits", "encoder_attentions", "encoder_hidden_states", "decoder_attentions"),
        *("cross_attentions", "decoder_hidden_states", "past_key_values"),
    }


def test_transition_scores_of_greedy_search_are_log_probabilities() -> None:
    model = lively_model(8)
    source = [[5, 6, 7]]
    out = model.generate(source, max_length=7, min_length=7, return_dict_in_generate=True, output_scores=True)
    found = model.compute_transition_scores(out.sequences, out.scores, normalize_logits=True)
    target = out.sequences[0].tolist()
    log_probs = log_probabilities(model, source[0], [target])[0]
    blocked = np.log1p(-np.exp(log_probs[:-1, END]))  # an eos is out of question until the end
    blocked[-1] = blocked[-1] if len(target) < 8 else 0
    wanted = [log_probs[n, token] for n, token in enumerate(target[1:])] - blocked
    assert_close(found[0], wanted, TOLERANCES["score of a search"])


def test_the_forward_pass_is_heard_while_generating() -> None:
    model = lively_model(9)
    heard: list[str] = []
    model.generate([[5, 6]], max_length=4, eos_token_id=None, tap=lambda name, array: heard.append(name))
    assert heard.count("encoder.states") == 1
    assert heard.count("logits") == heard.count("decoder.states") == 3
