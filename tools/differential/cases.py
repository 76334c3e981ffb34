"""Seeded random cases: one model each, and a dozen calls that between them use every argument.

`transformers_case` draws for both versions of transformers, `parlai_case` for ParlAI, `head_mask_case` for the one
original that honours head masks, on ground where all dialects agree. A call that uses what only one original has
says so (`"originals"`), so an original is never sent what it does not take.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from reference_tests.support.random_models import (
    draw_config,
    draw_ids,
    draw_labels,
    draw_mask,
    draw_ordinary_ids,
    draw_weights,
)
from tools.differential.draft import BASE, CAUSAL, EVERYTHING, SEQ2SEQ, Draft, pieces, split_calls
from tools.originals.exchange import Case


def source(draft: Draft, batch: int) -> tuple[dict[str, Any], int]:
    """The encoder's input: ids or embeddings, or states from elsewhere; with a mask or without one."""
    length = draft.length()
    if draft.chance(0.2):
        # States that no encoder made may be longer than the positions.
        length += int(draft.rng.integers(9))
        states = draft.rng.standard_normal((batch, length, draft.config["d_model"]))
        arguments: dict[str, Any] = {"encoder_outputs": {"arrays": [draft.array(states)["array"]]}}
    elif draft.chance(0.25):
        arguments = {"inputs_embeds": draft.embeds(batch, length)}
    else:
        arguments = {"input_ids": draft.ids(batch, length)}
    if draft.chance(0.7):
        arguments["attention_mask"] = draft.mask(batch, length)
    return arguments, length


def whole_call(draft: Draft) -> None:
    """One call of the model with a decoder input, labels or both."""
    batch, length = int(draft.rng.integers(1, 5)), draft.length()
    class_name = SEQ2SEQ if draft.chance(0.75) else BASE
    arguments, _ = source(draft, batch)
    labels = class_name == SEQ2SEQ and draft.chance(0.4)
    if labels:
        arguments["labels"] = draft.array(draw_labels(draft.rng, draft.config, batch, length))
    if not labels or draft.chance(0.4):
        if draft.chance(0.3):
            arguments["decoder_inputs_embeds"] = draft.embeds(batch, length)
        else:
            arguments["decoder_input_ids"] = draft.ids(batch, length)
    if draft.chance(0.5):
        arguments["decoder_attention_mask"] = draft.mask(batch, length)
    draft.call(class_name, arguments | draft.flags())


def head_masks(draft: Draft) -> None:
    """Head masks in all three places, whole and in two pieces: only transformers 4 honours them."""
    batch, length = int(draft.rng.integers(1, 4)), draft.length()
    arguments, _ = source(draft, batch)
    places: tuple[tuple[str, str], ...] = (
        ("head_mask", "encoder"),
        ("decoder_head_mask", "decoder"),
        ("cross_attn_head_mask", "decoder"),
    )
    if "encoder_outputs" in arguments:
        places = places[1:]  # no encoder runs, so its head mask would mask nothing
    chosen = [place for place in places if draft.chance(0.7)] or [places[int(draft.rng.integers(len(places)))]]
    masks = {name: draft.head_mask(side) for name, side in chosen}
    ids = draw_ids(draft.rng, draft.config, batch, length)
    only = ("transformers-4",)
    draft.call(
        BASE if draft.chance(0.3) else SEQ2SEQ,
        arguments | masks | EVERYTHING | {"decoder_input_ids": draft.array(ids)},
        only,
    )
    split_calls(draft, SEQ2SEQ, arguments, ids, masks, only)
    context = causal_context(draft, batch)
    names = ["head_mask"]
    if "encoder_hidden_states" in context:
        names = [name for name in ("head_mask", "cross_attn_head_mask") if draft.chance(0.7)] or names
    masks = {name: draft.head_mask("decoder") for name in names}
    draft.call(CAUSAL, context | masks | EVERYTHING | {"input_ids": draft.array(ids)}, only)
    split_calls(draft, CAUSAL, context, ids, masks, only)


def split_decoding(draft: Draft) -> None:
    """A target in pieces, then whole for comparison."""
    batch, length = int(draft.rng.integers(1, 4)), draft.length()
    arguments, _ = source(draft, batch)
    ids = draw_ids(draft.rng, draft.config, batch, length)
    class_name = SEQ2SEQ if draft.chance(0.75) else BASE
    split_calls(draft, class_name, arguments, ids, {})
    draft.call(class_name, arguments | EVERYTHING | {"decoder_input_ids": draft.array(ids)})


def causal_context(draft: Draft, batch: int) -> dict[str, Any]:
    """Encoder states for the causal head, or none."""
    if draft.chance(0.4):
        return {}
    length = int(draft.rng.integers(1, 30))
    states = draft.rng.standard_normal((batch, length, draft.config["d_model"]))
    arguments: dict[str, Any] = {"encoder_hidden_states": draft.array(states)}
    if draft.chance(0.6):
        arguments["encoder_attention_mask"] = draft.mask(batch, length)
    return arguments


def causal_calls(draft: Draft) -> None:
    """The decoder alone as a language model, whole and in pieces."""
    batch, length = int(draft.rng.integers(1, 4)), draft.length()
    context = causal_context(draft, batch)
    arguments = dict(context)
    if draft.chance(0.3):
        arguments["inputs_embeds"] = draft.embeds(batch, length)
    else:
        arguments["input_ids"] = draft.ids(batch, length)
    if draft.chance(0.5):
        arguments["attention_mask"] = draft.mask(batch, length)
    if draft.chance(0.5):
        arguments["labels"] = draft.array(draw_labels(draft.rng, draft.config, batch, length))
    draft.call(CAUSAL, arguments | draft.flags())
    if "labels" not in arguments:
        some = draft.array(np.unique(draft.rng.integers(length, size=3)))
        keep = some if draft.chance(0.5) else int(draft.rng.integers(length + 1))
        draft.call(CAUSAL, arguments | {"logits_to_keep": keep}, ("transformers-5",))
    split_calls(draft, CAUSAL, context, draw_ids(draft.rng, draft.config, batch, length), {})


def refused_calls(draft: Draft) -> None:
    """A caller's mistake. The originals answer most with an error; npblender has to refuse them all."""
    batch, length = 2, draft.length()
    ids = draft.ids(batch, length)
    too_long = draft.ids(batch, draft.config["max_position_embeddings"] + 1)
    outside = draft.array(np.full((batch, length), draft.config["vocab_size"]))
    every = [
        {"input_ids": ids},
        {"decoder_input_ids": ids},
        {"input_ids": too_long, "decoder_input_ids": ids},
        {"input_ids": ids, "decoder_input_ids": too_long},
        {"input_ids": outside, "decoder_input_ids": ids},
        {"input_ids": ids, "inputs_embeds": draft.embeds(batch, length), "decoder_input_ids": ids},
        {"input_ids": ids, "decoder_input_ids": ids, "decoder_inputs_embeds": draft.embeds(batch, length)},
        {
            "input_ids": ids,
            "decoder_input_ids": ids,
            "attention_mask": draft.array(np.ones((batch, length + 2), int)),
        },
    ]
    draft.call(SEQ2SEQ, every[int(draft.rng.integers(len(every)))])
    draft.calls[-1]["refused"] = True


def transformers_case(rng: np.random.Generator, name: str) -> Case:
    """One model for both versions of transformers, in float64."""
    draft = Draft(rng, draw_config(rng))
    for part in (whole_call, whole_call, split_decoding, causal_calls, head_masks, refused_calls):
        part(draft)
    return draft.finish(name, "float64", draw_weights(rng, draft.config))


def head_mask_case(rng: np.random.Generator, name: str) -> Case:
    """One model on which all dialects agree but for the logits of the start token: unscaled, and nothing padded."""
    config = draw_config(rng) | {"scale_embedding": False}
    draft = Draft(rng, config)
    batch, length, target = int(rng.integers(1, 4)), draft.length(), draft.length()
    arguments = {"input_ids": draft.array(draw_ordinary_ids(rng, config, batch, length))}
    masks = {"head_mask": draft.head_mask("encoder"), "decoder_head_mask": draft.head_mask("decoder")}
    masks["cross_attn_head_mask"] = draft.head_mask("decoder")
    ids = draw_ids(rng, config, batch, target)
    for name_and_mask in (*masks.items(), None):
        chosen = masks if name_and_mask is None else dict([name_and_mask])
        draft.call(SEQ2SEQ, arguments | chosen | EVERYTHING | {"decoder_input_ids": draft.array(ids)})
    split_calls(draft, BASE, arguments, ids, masks)
    states = {"encoder_hidden_states": draft.array(rng.standard_normal((batch, length, config["d_model"])))}
    causal = states | {"head_mask": draft.head_mask("decoder"), "cross_attn_head_mask": draft.head_mask("decoder")}
    draft.call(CAUSAL, causal | EVERYTHING | {"input_ids": draft.array(ids)})
    return draft.finish(name, "float64", draw_weights(rng, config))


def parlai_case(rng: np.random.Generator, name: str, dtype: str) -> Case:
    """One model for ParlAI: its own activations, no final bias, only arguments that it can be given.

    Weights are float32 numbers in either dtype. In float32 they are milder: a livelier model magnifies its own
    rounding errors, and then two correct programs lie as far apart as each of them from the truth.
    """
    config = draw_config(rng, activations=("gelu", "relu"))
    draft = Draft(rng, config)
    pad = config["pad_token_id"]
    for _ in range(3):
        batch, length, target = int(rng.integers(1, 5)), draft.length(), draft.length()
        ids = draw_ordinary_ids(rng, config, batch, length)
        hidden = draw_mask(rng, batch, length) if draft.chance(0.8) else np.ones((batch, length), np.int64)
        arguments: dict[str, Any] = {"input_ids": draft.array(np.where(hidden == 1, ids, pad))}
        if draft.chance(0.5):
            # The mask said aloud, over ids that the mask hides: the same to ParlAI, which sees pads there.
            arguments = {"input_ids": draft.array(ids), "attention_mask": draft.array(hidden)}
        # Pads among the decoder's ids are ordinary tokens to ParlAI.
        ids = draw_ids(rng, config, batch, target)
        cuts, past = pieces(draft, target), None
        for start, stop in itertools.pairwise(cuts):
            piece = EVERYTHING | {"use_cache": True, "decoder_input_ids": draft.array(ids[:, start:stop])}
            if past is None:
                piece |= arguments
            else:
                piece |= {"encoder_outputs": {"encoder_of": past}, "past_key_values": {"past_of": past}}
                piece |= {"attention_mask": draft.array(hidden)}
            past = draft.call(SEQ2SEQ, piece)
        draft.call(SEQ2SEQ, arguments | EVERYTHING | {"use_cache": True, "decoder_input_ids": draft.array(ids)})
    gain = (0.4, 0.8) if dtype == "float32" else (0.7, 2.0)
    weights = draw_weights(rng, config, "float32", final_bias=False, gain=gain)
    return draft.finish(name, dtype, {key: value.astype(dtype) for key, value in weights.items()})
