"""Which settings count, which search they ask for, and what is refused, with the names that would do."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from npblender.config import searches
from npblender.config.dialect import PARLAI, TRANSFORMERS_4, TRANSFORMERS_5
from npblender.config.generation_config import GenerationConfig
from npblender.config.generation_options import OPTIONS
from npblender.generation.plan import Plan
from npblender.generation.planning import make_plan
from reference_tests.support.generation_cases import lively_model

MODELS = {dialect: lively_model(0, dialect) for dialect in ("parlai", "transformers-4", "transformers-5")}
SOURCE = [[5, 6, 7]]


def plan_of(dialect: Any = TRANSFORMERS_5, own: Any = None, given: Any = None, **call: Any) -> Plan:
    settings = GenerationConfig(**(own or {})).set_values | GenerationConfig(**(given or {})).set_values
    return make_plan(dialect, MODELS["parlai"].config, settings, call)


@pytest.mark.parametrize(
    ("call", "search"),
    [
        ({}, searches.GREEDY),
        ({"num_beams": 1, "do_sample": False, "num_beam_groups": 1}, searches.GREEDY),
        ({"do_sample": True}, searches.SAMPLE),
        ({"num_beams": 2}, searches.BEAM),
        ({"num_beams": 2, "do_sample": True}, searches.BEAM_SAMPLE),
        ({"num_beams": 2, "num_beam_groups": 2, "diversity_penalty": 0.5}, searches.GROUP_BEAM),
        ({"num_beams": 2, "force_words_ids": [[5]]}, searches.CONSTRAINED_BEAM),
        ({"penalty_alpha": 0.6, "top_k": 4}, searches.CONTRASTIVE),
        ({"penalty_alpha": 0.6}, searches.CONTRASTIVE),
        ({"prompt_lookup_num_tokens": 3}, searches.LOOKUP),
    ],
)
@pytest.mark.parametrize("dialect", [TRANSFORMERS_4, TRANSFORMERS_5])
def test_options_choose_the_search_of_transformers(dialect: Any, call: dict[str, Any], search: str) -> None:
    assert plan_of(dialect, **call).search == search


@pytest.mark.parametrize(
    ("call", "search"),
    [
        ({}, searches.PARLAI_BEAM),
        ({"num_beams": 1}, searches.PARLAI_BEAM),
        ({"num_beams": 10}, searches.PARLAI_BEAM),
        ({"do_sample": True, "top_k": 3}, searches.PARLAI_SAMPLE),
        ({"do_sample": True, "top_p": 0.3, "num_beams": 3}, searches.PARLAI_SAMPLE),
        ({"beam_delay": 3, "top_k": 3}, searches.PARLAI_DELAYED),
        ({"beam_delay": 3, "top_p": 0.3, "do_sample": True}, searches.PARLAI_DELAYED),
    ],
)
def test_options_choose_the_search_of_parlai(call: dict[str, Any], search: str) -> None:
    assert plan_of(PARLAI, **call).search == search


def test_the_call_counts_before_its_configuration_and_that_before_the_models_own() -> None:
    own = {"num_beams": 4, "length_penalty": 0.65, "no_repeat_ngram_size": 3}
    plan = plan_of(own=own, given={"num_beams": 3, "no_repeat_ngram_size": 2}, num_beams=2)
    settings = plan.settings
    assert (settings.num_beams, settings.no_repeat_ngram_size, settings.length_penalty) == (2, 2, 0.65)
    assert plan_of().settings.no_repeat_ngram_size == 0


def test_a_limit_in_the_call_is_not_outdone_by_a_file() -> None:
    assert plan_of(own={"max_new_tokens": 15}, max_length=5).max_length == 5
    assert plan_of(own={"max_length": 15}, max_new_tokens=5).max_length == 6
    assert plan_of(max_length=15, max_new_tokens=5).max_length == 6, "of two in one call max_new_tokens counts"
    assert plan_of(own={"min_new_tokens": 15}, min_length=5).min_length == 5


def test_none_switches_a_setting_off() -> None:
    own = {"forced_eos_token_id": 2, "min_length": 5, "top_k": 7, "do_sample": True, "no_repeat_ngram_size": 3}
    call = dict.fromkeys(["forced_eos_token_id", "min_length", "top_k", "no_repeat_ngram_size", "eos_token_id"])
    plan = plan_of(own=own, **call)
    settings = plan.settings
    assert settings.forced_eos_token_id is None
    assert (plan.min_length, settings.top_k, settings.no_repeat_ngram_size, plan.eos) == (0, 0, 0, ())
    assert plan_of(PARLAI, own={"min_length": 5}, min_length=None).min_length == 1


def test_what_is_unset_in_parlai_is_as_parlai_sets_it() -> None:
    plan = plan_of(PARLAI)
    settings = plan.settings
    assert (settings.length_penalty, plan.min_length, settings.no_repeat_ngram_size) == (0.65, 2, 0)
    long = lively_model(0, "parlai", max_position_embeddings=300)
    assert make_plan(PARLAI, long.config, {}, {}).max_length == 257


def test_settings_of_files_that_a_search_does_not_use_are_left_unused() -> None:
    own = {"top_k": 5, "temperature": 0.5, "num_beams": 4, "early_stopping": True, "forced_eos_token_id": 2}
    own |= {"repetition_penalty": 2.0}
    greedy = plan_of(own=own, num_beams=1).settings
    assert greedy.top_k is greedy.temperature is greedy.early_stopping is None
    parlai = plan_of(PARLAI, own=own).settings
    assert parlai.forced_eos_token_id is parlai.early_stopping is parlai.repetition_penalty is None
    assert parlai.temperature == 0.5
    free, files = MODELS["parlai"].generate(SOURCE, max_length=6, num_beams=4, temperature=0.5), MODELS["parlai"]
    saved = files.generation_config
    try:
        files.generation_config = GenerationConfig(**own)
        assert np.array_equal(files.generate(SOURCE, max_length=6), free)
    finally:
        files.generation_config = saved


@pytest.mark.parametrize(
    ("settings", "call", "top_k", "top_p"),
    [
        ({}, {}, 10, None),
        ({}, {"top_k": 3}, 3, None),
        ({}, {"top_p": 0.4}, None, 0.4),
        ({"top_k": 3}, {"top_p": 0.4}, None, 0.4),
        ({"top_p": 0.4}, {"top_k": 3}, 3, None),
        ({"top_p": 1.0, "top_k": 3}, {}, 3, None),
        ({"top_p": 0.4, "top_k": 0}, {}, None, 0.4),
        ({"top_p": 0.4}, {"top_k": None}, None, 0.4),
    ],
)
def test_parlais_sampling_cuts_by_one_of_two(settings: Any, call: Any, top_k: Any, top_p: Any) -> None:
    found = plan_of(PARLAI, own=settings, do_sample=True, **call).settings
    assert (found.top_k, found.top_p) == (top_k, top_p)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    # unknown, or nothing that this search uses
    ("transformers-5", {"num_beam": 3}, r"no option 'num_beam'; did you mean num_beams\? There are bad_words_ids"),
    ("parlai", {"nonsense": 3}, "no option 'nonsense'; There are"),
    ("transformers-5", {"temperature": 0.5}, "temperature=0.5 is not used by greedy search, .* it uses .*min_length"),
    ("transformers-4", {"top_k": 5}, "top_k=5 is not used by greedy search"),
    ("transformers-5", {"early_stopping": True}, "early_stopping=True is not used by greedy search"),
    ("transformers-5", {"length_penalty": 0.5}, "length_penalty=0.5 is not used"),
    ("transformers-5", {"num_beams": 3, "top_p": 0.5}, "top_p=0.5 is not used by beam search"),
    ("transformers-5", {"do_sample": True, "penalty_alpha": 0.5}, "penalty_alpha=0.5 is not used by sampling"),
    ("transformers-5", {"num_beams": 3, "diversity_penalty": 0.5}, "diversity_penalty=0.5 is not used by beam search"),
    ("transformers-5", {"beam_delay": 3}, "beam_delay=3 is not used"),
    ("transformers-5", {"num_beams": 3, "prompt_lookup_num_tokens": 3}, "prompt_lookup_num_tokens=3 is not used"),
    ("transformers-5", {"max_matching_ngram_size": 2}, "max_matching_ngram_size=2 is not used by greedy"),
    ("parlai", {"early_stopping": True}, "early_stopping=True is not used by ParlAI beam search"),
    ("parlai", {"forced_eos_token_id": 2}, "forced_eos_token_id=2 is not used"),
    ("parlai", {"num_beams": 4, "num_beam_groups": 2}, "num_beam_groups=2 is not used"),
    ("parlai", {"force_words_ids": [[5]]}, "force_words_ids=.* is not used"),
    ("parlai", {"penalty_alpha": 0.5}, "penalty_alpha=0.5 is not used"),
    ("parlai", {"prompt_lookup_num_tokens": 2}, "prompt_lookup_num_tokens=2 is not used"),
    ("parlai", {"top_k": 5}, "top_k=5 is not used by ParlAI beam search"),
    ("parlai", {"stop_strings": "x"}, "stop_strings='x' is not used"),
    ("parlai", {"repetition_penalty": 1.2}, "repetition_penalty=1.2 is not used"),
    # not together
    ("transformers-5", {"output_scores": True}, "also pass return_dict_in_generate=True"),
    ("transformers-5", {"num_return_sequences": 2}, "num_return_sequences=2 .*greedy"),
    ("transformers-5", {"num_beams": 2, "num_return_sequences": 3}, "needs as many beams"),
    ("transformers-5", {"force_words_ids": [[5]]}, "need a beam search: give num_beams"),
    ("transformers-5", {"num_beams": 2, "force_words_ids": [[5]], "do_sample": True}, "not go together with do_sample"),
    ("transformers-5", {"num_beams": 5, "num_beam_groups": 2, "diversity_penalty": 1.0}, "must be a multiple"),
    ("transformers-5", {"num_beams": 4, "num_beam_groups": 2}, "diversity_penalty must be above 0"),
    (
        "transformers-5",
        {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 1.0, "do_sample": True},
        "do_sample=True draws",
    ),
    ("transformers-5", {"penalty_alpha": 0.5, "use_cache": False}, "use_cache=False is not for it"),
    ("transformers-5", {"do_sample": True, "temperature": 0.0}, "temperature must be above 0"),
    ("transformers-5", {"forced_bos_token_id": 5, "suppress_tokens": [4, 5]}, r"forces \[5\], and suppress_tokens"),
    ("parlai", {"do_sample": True, "top_k": 5, "top_p": 0.5}, "give the other its neutral value"),
    ("parlai", {"eos_token_id": [2, 3]}, r"stops at a single eos_token_id, not at \[2, 3\]"),
    ("parlai", {"eos_token_id": None}, r"stops at a single eos_token_id, not at \[\]"),
    ("parlai", {"num_beams": 5000}, "to be filled from the"),
    # not in this model
    ("transformers-5", {"bad_words_ids": [[5, 9999]]}, "bad_words_ids holds 9999, which is no token"),
    ("transformers-5", {"suppress_tokens": [9999]}, "suppress_tokens holds 9999"),
    ("transformers-5", {"sequence_bias": [[[9999], 1.0]]}, "sequence_bias holds 9999"),
    ("parlai", {"bad_words_ids": [[9999]]}, "bad_words_ids holds 9999"),
    ("transformers-5", {"eos_token_id": 9999}, "eos_token_id holds 9999"),
    ("transformers-5", {"forced_eos_token_id": [2, 9999]}, "forced_eos_token_id holds 9999"),
    # values
    ("transformers-5", {"num_beams": 0}, "num_beams must be at least 1"),
    ("transformers-5", {"max_length": 1}, "nothing is left to generate"),
    ("transformers-5", {"max_length": 2000}, "does not fit the model's .* positions"),
    ("parlai", {"max_new_tokens": 2000}, "does not fit the model's .* positions"),
]


@pytest.mark.parametrize(("dialect", "call", "message"), REFUSED)
def test_refusals(dialect: str, call: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        MODELS[dialect].generate(SOURCE, **call)


GIVEN: list[tuple[str, dict[str, Any], str]] = [
    ("transformers-5", {"seed": 3}, "seed=3 would not be used: greedy search draws nothing"),
    ("parlai", {"seed": 3, "num_beams": 2}, "seed=3 would not be used"),
    ("transformers-5", {"seed": "3", "do_sample": True}, "seed must be a whole number or a numpy.random.Generator"),
    ("transformers-5", {"stop_strings": "x"}, "pass tokenizer="),
    ("transformers-5", {"tokenizer": object()}, "tokenizer is used by stop_strings only"),
    ("parlai", {"stopping_criteria": [lambda ids, scores: False]}, "stopping_criteria: a ParlAI-style search"),
    ("transformers-5", {"decoder_attention_mask": [[1]]}, "masks decoder_input_ids, and none were given"),
    ("transformers-5", {"decoder_input_ids": [[1, 5], [1, 6]]}, "have 2 rows, the source 1"),
    ("transformers-5", {"decoder_input_ids": [[1, 9999]]}, "decoder_input_ids hold 9999"),
    ("transformers-5", {"attention_mask": [[1, 1]]}, "attention_mask must have shape"),
    ("transformers-5", {"input_ids": SOURCE}, "'input_ids' is given twice, by name and in 'inputs'"),
    ("transformers-5", {"inputs_embeds": np.zeros((1, 2, 3))}, "exactly one of input_ids and inputs_embeds"),
    ("transformers-5", {"past_key_value": None}, "no option 'past_key_value'"),
]


@pytest.mark.parametrize(("dialect", "call", "message"), GIVEN)
def test_refusals_of_other_arguments(dialect: str, call: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        MODELS[dialect].generate(SOURCE, max_length=5, **call)


def test_more_refusals() -> None:
    model = MODELS["transformers-5"]
    states = model.encode(SOURCE)
    with pytest.raises(ValueError, match="looks at the source's ids: pass input_ids too"):
        model.generate(encoder_outputs=states, max_length=5, encoder_no_repeat_ngram_size=2)
    assert model.generate(SOURCE, encoder_outputs=states, max_length=5, encoder_no_repeat_ngram_size=2).shape[0] == 1
    with pytest.raises(ValueError, match=r"input_ids have shape \(1, 2\), but encoder_outputs cover \(1, 3\)"):
        model.generate([[5, 6]], encoder_outputs=states, max_length=5)
    with pytest.raises(ValueError, match="head_mask would not be used"):
        model.generate(encoder_outputs=states, head_mask=np.ones((1, 1)), max_length=5)
    with pytest.raises(ValueError, match="one source at a time"):
        model.generate([[5, 6], [7, 8]], prompt_lookup_num_tokens=2)
    with pytest.raises(ValueError, match="exactly one of"):
        MODELS["parlai"].generate(max_length=5)
    with pytest.raises(ValueError, match="a streamer cannot follow beam search with 3 rows"):
        model.generate(SOURCE, num_beams=3, streamer=SimpleNamespace(put=print, end=print))
    with pytest.raises(ValueError, match="a streamer cannot follow beam search"):
        next(model.stream(SOURCE, num_beams=3))


@pytest.mark.parametrize("returned", [None, np.zeros((1, 2)), 1.0])
@pytest.mark.parametrize("dialect", MODELS)
def test_what_a_processor_returns_must_be_scores(dialect: str, returned: Any) -> None:
    with pytest.raises(ValueError, match=r"must return scores of shape \(1, "):
        MODELS[dialect].generate(SOURCE, max_length=5, logits_processor=[lambda ids, scores: returned])


def test_more_ends_than_tokens_are_refused() -> None:
    model = MODELS["transformers-5"]
    with pytest.raises(ValueError, match=r"continuations; .* tokens do not give as many"):
        model.generate(SOURCE, num_beams=2, eos_token_id=list(range(model.config.vocab_size)))


def test_neutral_values_are_welcome_anywhere() -> None:
    call = {name: option.off[0] for name, option in OPTIONS.items() if option.off}
    for model in MODELS.values():
        plain = model.generate(SOURCE, max_length=6, length_penalty=1.0)
        assert np.array_equal(plain, model.generate(SOURCE, max_length=6, **call))


def test_a_generator_is_welcome_where_nothing_is_drawn() -> None:
    rng = np.random.default_rng(3)
    before = rng.bit_generator.state
    MODELS["parlai"].generate(SOURCE, max_length=4, seed=rng)
    assert rng.bit_generator.state == before


def test_the_users_filters_and_criteria_are_called_as_in_transformers() -> None:
    model = MODELS["transformers-5"]
    seen: list[tuple[Any, ...]] = []

    def favour(ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
        seen.append((ids.shape, scores.shape, scores.dtype))
        changed = scores.copy()
        changed[:, 9] += 100
        return changed

    def enough(ids: np.ndarray, scores: Any) -> np.ndarray:
        assert scores is None
        return ids.shape[1] >= np.array([4, 6])

    rows = model.generate(
        [[5, 6], [7, 8]], max_length=20, logits_processor=[favour], stopping_criteria=[enough], no_repeat_ngram_size=0
    )
    assert rows.tolist() == [[1, 9, 9, 9, 0, 0], [1, 9, 9, 9, 9, 9]]
    assert seen[0] == ((2, 1), (2, model.config.vocab_size), np.float32)
    everything = model.generate(SOURCE, max_length=9, stopping_criteria=[lambda ids, scores: True])
    assert everything.shape == (1, 2)


def test_parlai_takes_filters_before_its_own_blocks() -> None:
    model = MODELS["parlai"]

    def favour(ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
        scores = scores.copy()
        scores[:, [8, 9]] = [50, 60]
        return scores

    row = model.generate(SOURCE, max_length=4, logits_processor=[favour], no_repeat_ngram_size=1)[0]
    assert row[:3].tolist() == [1, 9, 8]
    only = model.generate(SOURCE, max_length=4, num_beams=2, prefix_allowed_tokens_fn=lambda n, ids: [4, 5, 2])
    assert set(only[0, 1:].tolist()) <= {4, 5, 2}


def test_time_ends_a_search() -> None:
    for model in MODELS.values():
        for beams in (1, 3):
            row = model.generate(SOURCE, num_beams=beams, max_time=0.0, max_length=9, min_length=9)[0]
            assert len(row) <= 3
