"""Seeded random cases for transformers 4's Keras and Flax classes: what only they can be asked.

Positions of the caller's own, all inputs packed into the first argument, and Flax's `encode`, `init_cache` and
`decode`. Both are held to the dialect `transformers-4`, where it and they agree: Keras adds -1e8 to hidden scores, so
that a row in which every key is hidden is not uniform there, does not scale given embeddings in the decoder, and
ignores labels that are the pad.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from reference_tests.support.random_models import draw_config, draw_ids, draw_labels, draw_mask, draw_weights
from tools.differential.draft import BASE, EVERYTHING, SEQ2SEQ, Draft, pieces
from tools.originals.exchange import Case

KERAS_ORDER = (
    "input_ids",
    "attention_mask",
    "decoder_input_ids",
    "decoder_attention_mask",
    "decoder_position_ids",
    "head_mask",
    "decoder_head_mask",
    "cross_attn_head_mask",
)


def positions(draft: Draft, batch: int, length: int) -> dict[str, str]:
    """Positions in any order and twice at times."""
    return draft.array(draft.rng.integers(draft.config["max_position_embeddings"], size=(batch, length)))


def target_mask(draft: Draft, batch: int, length: int) -> np.ndarray:
    """A mask that leaves the first token, so that no row of the causal attention is empty."""
    mask = draw_mask(draft.rng, batch, length, "ragged")
    mask[:, 0] = 1
    return mask


def source(draft: Draft, batch: int, kind: str | None = "ragged") -> dict[str, Any]:
    length = draft.length()
    arguments: dict[str, Any] = {"input_ids": draft.ids(batch, length)}
    if draft.chance(0.7):
        arguments["attention_mask"] = draft.array(draw_mask(draft.rng, batch, length, kind))
    return arguments


def head_masks(draft: Draft) -> dict[str, Any]:
    places = (("head_mask", "encoder"), ("decoder_head_mask", "decoder"), ("cross_attn_head_mask", "decoder"))
    return {name: draft.head_mask(side) for name, side in places if draft.chance(0.4)}


def keras_calls(draft: Draft) -> None:
    batch, length = int(draft.rng.integers(1, 4)), draft.length()
    arguments = source(draft, batch) | {"decoder_input_ids": draft.ids(batch, length)} | head_masks(draft)
    if draft.chance(0.6):
        arguments["decoder_attention_mask"] = draft.array(target_mask(draft, batch, length))
    if draft.chance(0.7):
        arguments["decoder_position_ids"] = positions(draft, batch, length)
    class_name = "TF" + (SEQ2SEQ if draft.chance(0.7) else BASE)
    ordered = {name: arguments.get(name) for name in KERAS_ORDER}
    last = max(n for n, name in enumerate(KERAS_ORDER) if ordered[name] is not None)
    for packed in ("dict", "list"):
        shown = arguments if packed == "dict" else dict(list(ordered.items())[: last + 1])
        draft.call(class_name, shown | EVERYTHING | {"use_cache": True})
        draft.calls[-1]["packed"] = packed
    labels = draw_labels(draft.rng, draft.config, batch, length)
    ordinary = np.where(labels == draft.config["pad_token_id"], draft.config["eos_token_id"], labels)
    ordinary[0, 0] = draft.config["eos_token_id"]
    draft.call("TF" + SEQ2SEQ, source(draft, batch) | {"labels": draft.array(ordinary)})
    ids = draw_ids(draft.rng, draft.config, batch, length)
    arguments, past = source(draft, batch), None
    for start, stop in itertools.pairwise(pieces(draft, length)):
        piece = arguments | EVERYTHING | {"use_cache": True, "decoder_input_ids": draft.array(ids[:, start:stop])}
        if past is not None:
            piece["past_key_values"] = {"past_of": past}
        past = draft.call("TF" + SEQ2SEQ, piece)


def flax_calls(draft: Draft) -> None:
    batch, length = int(draft.rng.integers(1, 4)), draft.length()
    arguments = source(draft, batch, None) | {"decoder_input_ids": draft.ids(batch, length)}
    if draft.chance(0.6):
        arguments["decoder_attention_mask"] = draft.mask(batch, length)
    if draft.chance(0.7):
        shape = draft.inputs[arguments["input_ids"]["array"]].shape
        arguments["position_ids"] = positions(draft, *shape)
    if draft.chance(0.7):
        arguments["decoder_position_ids"] = positions(draft, batch, length)
    draft.call("Flax" + (SEQ2SEQ if draft.chance(0.7) else BASE), arguments | EVERYTHING)

    class_name = "Flax" + (SEQ2SEQ if draft.chance(0.7) else BASE)
    arguments = source(draft, batch)
    mask = {"encoder_attention_mask": arguments["attention_mask"]} if "attention_mask" in arguments else {}
    encoded = flax_method(draft, class_name, "encode", arguments | EVERYTHING)
    states = {"encoder_outputs": {"encoded_by": encoded}}
    whole = states | mask | {"decoder_input_ids": draft.ids(batch, length)} | EVERYTHING
    flax_method(draft, class_name, "decode", whole)
    past = flax_method(draft, class_name, "init_cache", {"batch_size": batch, "max_length": length} | states)
    ids = draw_ids(draft.rng, draft.config, batch, length)
    # As wide as the whole cache: Flax takes no other mask, nor none, for more than one token at once.
    every = np.ones((batch, length), np.int64)
    wide = draft.array(target_mask(draft, batch, length) if draft.chance(0.5) else every)
    for start, stop in itertools.pairwise(pieces(draft, length)):
        piece = states | mask | {"decoder_input_ids": draft.array(ids[:, start:stop])}
        piece["past_key_values"] = {"past_of": past}
        piece["decoder_position_ids"] = draft.array(np.tile(np.arange(start, stop), (batch, 1)))
        piece |= {"decoder_attention_mask": wide, "output_hidden_states": True}
        past = flax_method(draft, class_name, "decode", piece)


def flax_method(draft: Draft, class_name: str, method: str, arguments: dict[str, Any]) -> int:
    number = draft.call(class_name, arguments)
    draft.calls[number]["method"] = method
    return number


def keras_flax_case(rng: np.random.Generator, name: str) -> Case:
    """One model for both, in float64. With relu and silu: of the others Keras rounds constants to float32."""
    draft = Draft(rng, draw_config(rng, activations=("relu", "silu")))
    keras_calls(draft)
    flax_calls(draft)
    return draft.finish(name, "float64", draw_weights(rng, draft.config))
