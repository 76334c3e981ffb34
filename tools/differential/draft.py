"""A case in the making: arrays get names, calls get numbers, a target gets cut into pieces."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from reference_tests.support.random_models import draw_head_mask, draw_ids, draw_mask
from tools.originals.exchange import Case

BASE = "BlenderbotSmallModel"
SEQ2SEQ = "BlenderbotSmallForConditionalGeneration"
CAUSAL = "BlenderbotSmallForCausalLM"
EVERYTHING: dict[str, Any] = {"output_hidden_states": True, "output_attentions": True}


class Draft:
    """What one case holds so far, and the generator that draws the rest."""

    def __init__(self, rng: np.random.Generator, config: dict[str, Any]) -> None:
        self.rng, self.config = rng, config
        self.inputs: dict[str, np.ndarray] = {}
        self.calls: list[dict[str, Any]] = []

    def chance(self, probability: float) -> bool:
        return bool(self.rng.uniform() < probability)

    def array(self, value: np.ndarray) -> dict[str, str]:
        name = f"input_{len(self.inputs)}"
        self.inputs[name] = value
        return {"array": name}

    def call(self, class_name: str, arguments: dict[str, Any], originals: tuple[str, ...] = ()) -> int:
        call: dict[str, Any] = {"class": class_name, "arguments": arguments}
        if originals:
            call["originals"] = list(originals)
        self.calls.append(call)
        return len(self.calls) - 1

    def finish(self, name: str, dtype: str, weights: dict[str, np.ndarray]) -> Case:
        return Case(name, self.config, dtype, weights, self.inputs, self.calls)

    def length(self) -> int:
        return int(self.rng.integers(1, self.config["max_position_embeddings"] + 1))

    def ids(self, batch: int, length: int) -> dict[str, str]:
        return self.array(draw_ids(self.rng, self.config, batch, length))

    def embeds(self, batch: int, length: int) -> dict[str, str]:
        size = float(self.rng.choice([0.01, 1.0]))
        return self.array(self.rng.standard_normal((batch, length, self.config["d_model"])) * size)

    def mask(self, batch: int, length: int) -> dict[str, str]:
        return self.array(draw_mask(self.rng, batch, length))

    def head_mask(self, side: str) -> dict[str, str]:
        layers, heads = self.config[f"{side}_layers"], self.config[f"{side}_attention_heads"]
        return self.array(draw_head_mask(self.rng, layers, heads))

    def flags(self) -> dict[str, Any]:
        """`use_cache` and what to return, each sometimes said and sometimes left to the configuration."""
        if self.chance(0.6):
            return dict(EVERYTHING)
        names = ("use_cache", "output_hidden_states", "output_attentions", "return_dict")
        return {name: bool(self.rng.integers(2)) for name in names if self.chance(0.6)}


def pieces(draft: Draft, length: int) -> list[int]:
    """Where to cut a target: two to four pieces, of one token or several."""
    cuts = draft.rng.integers(1, length, size=int(draft.rng.integers(1, 4))).tolist() if length > 1 else []
    return sorted({0, length, *cuts})


def split_calls(
    draft: Draft,
    class_name: str,
    arguments: dict[str, Any],
    ids: np.ndarray,
    more: dict[str, Any],
    originals: tuple[str, ...] = (),
) -> None:
    """The same target piece by piece, each piece with the cache of the one before."""
    causal = class_name == CAUSAL
    ids_name, mask_name = ("input_ids", "attention_mask") if causal else ("decoder_input_ids", "decoder_attention_mask")
    batch, length = ids.shape
    mask = draw_mask(draft.rng, batch, length) if draft.chance(0.4) else None
    again_by_states = draft.chance(0.7)
    cuts, past = pieces(draft, length), None
    for start, stop in itertools.pairwise(cuts):
        piece = dict(more) | EVERYTHING | {"use_cache": True, ids_name: draft.array(ids[:, start:stop])}
        if mask is not None:
            piece[mask_name] = draft.array(mask[:, :stop])
        if originals == ("transformers-4",) and draft.chance(0.3):
            piece["cache_position"] = draft.array(np.arange(start, stop))
        if past is None or causal or not again_by_states:
            piece |= arguments
        else:
            piece["encoder_outputs"] = {"encoder_of": past}
            piece.pop("head_mask", None)  # of the encoder, which does not run again
            piece |= {"attention_mask": arguments["attention_mask"]} if "attention_mask" in arguments else {}
        if past is not None:
            piece["past_key_values"] = {"past_of": past}
        past = draft.call(class_name, piece, originals)
