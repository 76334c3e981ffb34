"""What a token costs besides its arithmetic, as counts, which do not vary from run to run as seconds do.

`sys.setprofile` reports each call of a Python function ("call") and of a C function ("c_call"); ufuncs, which do the
arithmetic, are neither. The model has 8 + 8 layers, as the original has, and narrow ones.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from npblender import BlenderbotSmallConfig, BlenderbotSmallForConditionalGeneration
from npblender.ops import checked
from npblender.transformer import forward
from npblender.transformer.parameters import from_arrays, random_weights, to_arrays

CONFIG = BlenderbotSmallConfig(
    vocab_size=60,
    d_model=32,
    encoder_layers=8,
    decoder_layers=8,
    encoder_attention_heads=2,
    decoder_attention_heads=2,
    encoder_ffn_dim=48,
    decoder_ffn_dim=48,
    max_position_embeddings=64,
)
DIALECTS = pytest.mark.parametrize("dialect", ["parlai", "transformers-4", "transformers-5"])
Hook = Callable[[FrameType, str, Any], None]


def of_a_token(hook_of: Callable[[list[int]], Hook], dialect: str) -> float:
    """How much a hook adds to its counter for each greedy token, once a reply has begun."""
    model = BlenderbotSmallForConditionalGeneration.from_config(CONFIG, seed=0, dialect=dialect)

    def counted(tokens: int) -> int:
        counter, before = [0], sys.getprofile()
        sys.setprofile(hook_of(counter))
        try:
            model.generate([[5, 6, 7, 8]], num_beams=1, do_sample=False, min_new_tokens=tokens, max_new_tokens=tokens)
        finally:
            sys.setprofile(before)
        return counter[0]

    counted(4)  # what is made once a process
    return (counted(24) - counted(4)) / 20


def all_calls(counter: list[int]) -> Hook:
    def hook(frame: FrameType, event: str, _: Any) -> None:
        counter[0] += event in ("call", "c_call")

    return hook


def calls_inside(step: Any, of: Any = None) -> Callable[[list[int]], Hook]:
    """Those that a Python function makes, directly or not; of them all, or only those of another."""

    def hook_of(counter: list[int]) -> Hook:
        depth = 0

        def hook(frame: FrameType, event: str, _: Any) -> None:
            nonlocal depth
            if event in ("call", "return") and frame.f_code is step.__code__:
                depth += 1 if event == "call" else -1
            if depth and event in ("call", "c_call"):
                counter[0] += of is None or (event == "call" and frame.f_code is of.__code__)

        return hook

    return hook_of


@DIALECTS
def test_a_greedy_token_costs_few_calls(dialect: str) -> None:
    assert 1000 < of_a_token(all_calls, dialect) <= 2000
    assert 1000 < of_a_token(calls_inside(forward.next_logits), dialect) <= 1750


@DIALECTS
def test_warnings_are_turned_off_once_a_token(dialect: str) -> None:
    assert of_a_token(calls_inside(forward.next_logits, np.errstate.__enter__), dialect) == 1


def test_no_argument_is_checked_inside_a_pass() -> None:
    """Nothing of `ops.checked` runs, in a pass with every array collected, a loss, and masks of all kinds."""
    model = BlenderbotSmallForConditionalGeneration.from_config(CONFIG, seed=0)
    ran = []

    def hook(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and Path(frame.f_code.co_filename) == Path(checked.__file__):
            ran.append(frame.f_code.co_name)

    before = sys.getprofile()
    sys.setprofile(hook)
    try:
        model.forward(
            [[5, 6, 7, 8], [5, 6, 0, 0]],
            attention_mask=[[1, 1, 1, 1], [1, 1, 0, 0]],
            labels=[[9, 8], [7, -100]],
            head_mask=np.ones((8, 2), np.float32),
            output_attentions=True,
            output_hidden_states=True,
            training=True,
            generator=0,
        )
    finally:
        sys.setprofile(before)
    assert ran == []


def test_a_pass_raises_no_warning_and_a_tap_is_called_under_the_callers_settings() -> None:
    huge = {name: array * np.float32(1e30) for name, array in to_arrays(random_weights(CONFIG, seed=0)).items()}
    model = BlenderbotSmallForConditionalGeneration(CONFIG, from_arrays(CONFIG, huge))
    seen: list[Any] = []
    with np.errstate(all="raise"):
        settings = np.geterr()
        quiet = model.forward([[5, 6]], decoder_input_ids=[[1, 5]], labels=[[5, 6]])
        model.forward([[5, 6]], decoder_input_ids=[[1, 5]], labels=[[5, 6]], tap=lambda *_: seen.append(np.geterr()))
        assert np.geterr() == settings
    assert np.isnan(quiet.loss)
    assert seen
    assert all(each == settings for each in seen)
