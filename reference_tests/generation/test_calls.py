"""How often things are done in one call, counted: plans, records of settings, and Python's calls of functions.

`sys.setprofile` reports each call of a Python function ("call", a generator's resumption included) and of a C function
("c_call"). Counts of calls do not vary from run to run, as seconds do.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from npblender import BlenderbotSmallConfig, BlenderbotSmallForConditionalGeneration, Conversation, GenerationConfig
from npblender.config.generation_config import of_checked
from npblender.generation.decoder_state import CallerArrays
from npblender.generation.plan import Plan
from npblender.generation.planning import plan_of
from npblender.transformer import forward
from reference_tests.support.calls import calls_of, profiled
from reference_tests.support.generation_cases import lively_model

DIALECTS = ["parlai", "transformers-4", "transformers-5"]
SOURCE = [[5, 6, 7]]


def times_called(work: Callable[[], Any], *functions: Any) -> list[int]:
    """How often each function is called by `work`."""
    calls = calls_of(work)
    return [calls[function.__code__] for function in functions]


MADE = (plan_of, Plan.__init__, of_checked, GenerationConfig.__post_init__)

WAYS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a limit": {"max_length": 6},
    "beams": {"num_beams": 3, "max_length": 6},
    "random": {"do_sample": True, "num_beams": 2, "max_length": 6, "seed": 0},
    "switched off": {"min_length": None, "max_new_tokens": 4, "forced_eos_token_id": None},
    "of a record": {"generation_config": GenerationConfig(num_beams=2, max_length=6)},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_call_makes_one_plan_and_one_record_of_settings(way: str, dialect: str) -> None:
    model = lively_model(0, dialect)
    model.generation_config = GenerationConfig(num_beams=2, length_penalty=0.65, no_repeat_ngram_size=3, max_length=8)
    plans, records, unchecked, checked = times_called(lambda: model.generate(SOURCE, **WAYS[way]), *MADE)
    assert (plans, records, unchecked, checked) == (1, 1, 1, 0)
    if way != "beams" and "generation_config" not in WAYS[way]:
        options = {**WAYS[way], "num_beams": 1}
        assert times_called(lambda: list(model.stream(SOURCE, **options)), *MADE) == [1, 1, 1, 0]


@pytest.mark.parametrize("settings", [{}, {"num_beams": 1}, {"num_beams": 3, "max_length": 12}, {"max_length": 12}])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_reply_of_a_chat_makes_one_plan_and_one_record_of_settings(dialect: str, settings: dict[str, Any]) -> None:
    """However its settings are put together of the call's, the model's and the profile's, which may not fit.

    Beams return the runners-up, too, without another plan.
    """
    talk = Conversation.from_pretrained(dialect=dialect, **settings)
    for own in (talk.model.generation_config, GenerationConfig(), GenerationConfig(max_length=9)):
        talk.model.generation_config = own
        plans, made, unchecked, checked = times_called(lambda: talk.reply("hello!"), *MADE)
        assert (plans, made, unchecked, checked) == (1, 1, 1, 0)


def test_an_array_of_a_call_is_packed_once() -> None:
    model = lively_model(0)
    call = {"attention_mask": [[1, 1, 0]], "max_length": 5}
    assert times_called(lambda: model.generate(SOURCE, **call), CallerArrays.__init__) == [1]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_greedy_token_costs_few_calls_besides_the_model(dialect: str) -> None:
    """Of a step's calls, C functions included, those outside the decoder and its logits."""
    sizes = {"d_model": 12, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "decoder_layers": 2}
    config = BlenderbotSmallConfig(vocab_size=50, encoder_ffn_dim=8, decoder_ffn_dim=8, encoder_layers=1, **sizes)
    model = BlenderbotSmallForConditionalGeneration.from_config(config, seed=0, dialect=dialect)
    inside = {forward.next_logits.__code__}

    def calls(tokens: int) -> int:
        count, depth = 0, 0

        def hook(frame: FrameType, event: str, _: Any) -> None:
            nonlocal count, depth
            if event in ("call", "return") and frame.f_code in inside:
                depth += 1 if event == "call" else -1
            elif event in ("call", "c_call") and depth == 0:
                count += 1

        with profiled(hook):
            model.generate(SOURCE, num_beams=1, do_sample=False, min_new_tokens=tokens, max_new_tokens=tokens)
        return count

    calls(4)  # what is made once a process
    assert (calls(24) - calls(4)) / 20 <= 250


@pytest.mark.parametrize("dialect", DIALECTS)
def test_one_token_of_the_demo_costs_few_functions(dialect: str) -> None:
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(dialect=dialect)

    def one_token() -> None:
        model.generate([[5, 6, 7]], num_beams=1, max_new_tokens=1)

    one_token()  # what is made once a process
    assert calls_of(one_token).total() <= 1600


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_greedy_token_of_eight_layers_costs_few_calls(dialect: str) -> None:
    """C functions included: what a token costs besides arithmetic, with as many layers as the published model has."""
    sizes = {"d_model": 32, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    config = BlenderbotSmallConfig(vocab_size=100, encoder_ffn_dim=64, decoder_ffn_dim=64, **sizes)
    assert (config.encoder_layers, config.decoder_layers) == (8, 8)
    model = BlenderbotSmallForConditionalGeneration.from_config(config, seed=0, dialect=dialect)

    def calls(tokens: int) -> int:
        count = 0

        def hook(_: FrameType, event: str, __: Any) -> None:
            nonlocal count
            count += event in ("call", "c_call")

        with profiled(hook):
            model.generate(SOURCE, num_beams=1, min_new_tokens=tokens, max_new_tokens=tokens)
        return count

    calls(4)
    assert (calls(24) - calls(4)) / 20 <= 2000
