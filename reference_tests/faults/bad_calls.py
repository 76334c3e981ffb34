"""Calls that must fail: one table, from a few words on what is wrong to the call, its error and what the error says.

The models are tiny, of two layers a side and nine positions; the good call is two rows of three source and two target
tokens. `test_bad_input` runs the table.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from npblender.config.dialect import TRANSFORMERS_5
from reference_tests.faults.bad_values import Bad, of_floats, of_head_masks, of_ids, of_masks, of_positions
from reference_tests.support.model_cases import CLASSES, draw_model

SIZES = {"d_model": 15, "encoder_attention_heads": 5, "decoder_attention_heads": 3}
MODEL = draw_model(np.random.default_rng(2), TRANSFORMERS_5, encoder_layers=2, decoder_layers=2, **SIZES)
CAUSAL = draw_model(np.random.default_rng(2), TRANSFORMERS_5, "causal", decoder_layers=2, **SIZES)
SINGLE = draw_model(np.random.default_rng(2), TRANSFORMERS_5, dtype=np.float32, **SIZES)
DROPS = draw_model(np.random.default_rng(2), TRANSFORMERS_5, decoder_layerdrop=0.5)
BASE = CLASSES["base"](MODEL.config, replace(MODEL.weights, final_logits_bias=None))
NO_PAD = type(MODEL)(MODEL.config.replace(pad_token_id=None), MODEL.weights)
CONFIG = MODEL.config
V, D, H, HE = CONFIG.vocab_size, CONFIG.d_model, CONFIG.decoder_attention_heads, CONFIG.encoder_attention_heads

IDS, TARGET = [[3, 4, 5], [6, 3, 4]], [[1, 3], [1, 4]]
STATES = np.ones((2, 3, D))
OUT = MODEL(IDS, decoder_input_ids=TARGET)
PAST = OUT.past_key_values


def call(**changes: Any) -> Callable[[], Any]:
    """The model on two rows of three and two tokens, with some arguments changed."""
    return lambda: MODEL(**{"input_ids": IDS, "decoder_input_ids": TARGET, **changes})


def causal(**changes: Any) -> Callable[[], Any]:
    return lambda: CAUSAL(**{"input_ids": TARGET, **changes})


def decode(**changes: Any) -> Callable[[], Any]:
    given = {"decoder_input_ids": TARGET, "encoder_outputs": (STATES,), **changes}
    return lambda: MODEL.decode(**given)


LONG = [[3] * 10] * 2


def of_values() -> dict[str, Bad]:
    """Each argument's value on its own."""
    with_states = lambda **given: causal(encoder_hidden_states=STATES, **given)  # noqa: E731
    encoded = lambda **given: call(input_ids=None, encoder_outputs=(STATES,), **given)  # noqa: E731
    found: dict[str, Bad] = {}
    found |= of_ids("input_ids", call, V)
    found |= of_ids("decoder_input_ids", call, V)
    found |= of_ids("labels", lambda labels: call(labels=labels, decoder_input_ids=None), V)
    found |= of_masks("attention_mask", call, (2, 3))
    found |= of_masks("attention_mask", encoded, (2, 3), " of given states")
    found |= of_masks("decoder_attention_mask", call, (2, 2))
    found |= of_masks("encoder_attention_mask", with_states, (2, 3))
    found |= of_masks("encoder_attention_mask", decode, (2, 3), " in decode")
    found |= of_floats("inputs_embeds", lambda **given: call(input_ids=None, **given), 3, D)
    found |= of_floats("decoder_inputs_embeds", lambda **given: call(decoder_input_ids=None, **given), 2, D)
    found |= of_floats("encoder_outputs", lambda **given: call(input_ids=None, **given), 3, D)
    found |= of_floats("encoder_hidden_states", causal, 3, D)
    found |= of_head_masks("head_mask", call, HE)
    found |= of_head_masks("decoder_head_mask", call, H)
    found |= of_head_masks("cross_attn_head_mask", call, H)
    found |= of_head_masks("head_mask", causal, H, " of the causal head")
    found |= of_positions("position_ids", call, 3)
    found |= of_positions("decoder_position_ids", call, 2)
    return found


NO_SOURCE = "input_ids inputs_embeds encoder_outputs past_key_values"

FUSED_PROJECTIONS: dict[str, Bad] = {
    "both ids and embeddings": Bad(call(inputs_embeds=STATES), ValueError, "exactly one input_ids inputs_embeds"),
    "both targets": Bad(call(decoder_inputs_embeds=STATES), ValueError, "one decoder_input_ids decoder_inputs_embeds"),
    "no source": Bad(call(input_ids=None), ValueError, NO_SOURCE),
    "no target": Bad(call(decoder_input_ids=None), ValueError, "decoder_input_ids [[ labels"),
    "nothing": Bad(lambda: MODEL(), ValueError, "decoder_input_ids missing"),
    "no ids for the causal head": Bad(lambda: CAUSAL(), ValueError, "exactly one input_ids inputs_embeds"),
    "no ids for the encoder": Bad(lambda: MODEL.encode(), ValueError, "exactly one input_ids inputs_embeds"),
    "None in the first position": Bad(lambda: MODEL(None), ValueError, "decoder_input_ids missing"),
    "source too long": Bad(call(input_ids=LONG), ValueError, "input_ids 10 tokens 9 positions shorten"),
    "embedded source too long": Bad(
        call(input_ids=None, inputs_embeds=np.ones((2, 10, D))), ValueError, "inputs_embeds 10 tokens 9 positions"
    ),
    "target too long": Bad(call(decoder_input_ids=LONG), ValueError, "decoder_input_ids 10 tokens 9 positions"),
    "labels too long": Bad(call(labels=LONG, decoder_input_ids=None), ValueError, "10 tokens 9 positions"),
    "causal ids too long": Bad(causal(input_ids=LONG), ValueError, "input_ids 10 tokens 9 positions"),
    "cache and target too long": Bad(
        call(decoder_input_ids=[[3] * 8] * 2, past_key_values=PAST), ValueError, "8 tokens after 2 cached 9 positions"
    ),
    "fewer targets than sources": Bad(call(decoder_input_ids=[[1]]), ValueError, "decoder_input_ids 1 rows source 2"),
    "states for another batch": Bad(causal(encoder_hidden_states=STATES[:1]), ValueError, "input_ids 2 rows source 1"),
    "ids beside states": Bad(call(encoder_outputs=STATES), ValueError, "input_ids not be used encoded already"),
    "a head mask beside states": Bad(
        call(input_ids=None, encoder_outputs=STATES, head_mask=np.ones((2, HE))), ValueError, "head_mask not be used"
    ),
    "labels of another length": Bad(call(labels=[[3], [4]]), ValueError, "labels shape (2, 1)"),
    "labels without a head": Bad(lambda: BASE(IDS, decoder_input_ids=TARGET, labels=TARGET), TypeError, "labels head"),
    "labels without a pad id": Bad(lambda: NO_PAD(IDS, labels=TARGET), ValueError, "decoder_input_ids labels pad id"),
    "a mask of states without states": Bad(
        causal(encoder_attention_mask=np.ones((2, 3))), ValueError, "encoder_attention_mask encoder states none"
    ),
    "a cross mask without states": Bad(
        causal(cross_attn_head_mask=np.ones((2, H))), ValueError, "cross_attn_head_mask cross-attention encoder states"
    ),
    "a target's mask without the past": Bad(
        call(past_key_values=PAST, decoder_attention_mask=np.ones((2, 2))),
        ValueError,
        "decoder_attention_mask shape (2, 4)",
    ),
    "an unknown argument": Bad(call(tempreature=1), TypeError, "forward() no argument 'tempreature' takes input_ids"),
    "an unknown argument of decode": Bad(decode(use_cache=True), TypeError, "decode() no argument 'use_cache'"),
    "an unknown argument in a dict": Bad(lambda: MODEL({"inputs": IDS}), TypeError, "no argument 'inputs'"),
    "an unknown None in a dict": Bad(lambda: MODEL({"inputs": None}), TypeError, "no argument 'inputs'"),
    "a key that is no text": Bad(lambda: MODEL({1: IDS}), TypeError, "no argument 1"),
    "too many in a list": Bad(lambda: MODEL([np.ones((1, 1))] * 13), ValueError, "13 arrays input_ids attention_mask"),
    "a list and more by position": Bad(lambda: MODEL([np.array(IDS)], None), TypeError, "first position name others"),
    "twice, in a dict and by name": Bad(
        lambda: MODEL({"input_ids": IDS}, input_ids=IDS), TypeError, "'input_ids' given twice first argument"
    ),
    "twice, in Flax's name and ours": Bad(call(train=True, training=True), TypeError, "'train' 'training' both"),
    "generator without training": Bad(call(generator=0), ValueError, "generator training=True"),
    "Flax's generator without training": Bad(call(dropout_rng=0), ValueError, "dropout_rng train=True"),
    "training without a generator": Bad(call(training=True), ValueError, "training generator default_rng"),
    "a text for a generator": Bad(call(training=True, generator="x"), TypeError, "generator seed 'x'"),
    "a negative seed": Bad(call(training=True, generator=-1), ValueError, "generator seed -1"),
    "a bool for a seed": Bad(call(training=True, generator=True), TypeError, "generator True"),
    "the old kind of generator": Bad(
        call(training=True, generator=np.random.mtrand._rand), TypeError, "generator numpy.random.Generator"
    ),
    "LayerDrop and a cache": Bad(
        lambda: DROPS(IDS, decoder_input_ids=TARGET, use_cache=True, training=True, generator=0),
        ValueError,
        "use_cache LayerDrop",
    ),
    "a tap that cannot be called": Bad(call(tap=5), TypeError, "tap callable int"),
    "cache positions of the past": Bad(call(cache_position=[1, 2]), ValueError, "cache_position 0 to 1 [1, 2]"),
    "cache positions as text": Bad(call(cache_position="01"), TypeError, "cache_position text"),
    "ragged cache positions": Bad(call(cache_position=[0, [1]]), ValueError, "cache_position"),
    "embeddings too large for float32": Bad(
        lambda: SINGLE(inputs_embeds=np.full((1, 2, D), 1e30), decoder_input_ids=[[1]]),
        ValueError,
        "inputs_embeds 1e+30",
    ),
    **{
        f"{name} is {value!r}": Bad(call(**{name: value}), TypeError, f"{name} True False None {value!r}")
        for name in ("use_cache", "output_attentions", "output_hidden_states", "return_dict", "training")
        for value in ("yes", 1, 0.0)
    },
    **{
        f"logits_to_keep is {value!r}": Bad(causal(logits_to_keep=value), error, "logits_to_keep")
        for value, error in [
            *((-1, ValueError), (3, ValueError), ([2], ValueError), ([-3], ValueError), ([], TypeError)),
            *((True, TypeError), ("2", TypeError), (1.0, TypeError), (None, TypeError), ([[0]], TypeError)),
        ]
    },
}
