"""Mistakes that ports of this model make, to be planted one at a time: what a golden file must see.

A fault is planted in the running package, or it changes the dialect; `shows` says which goldens can see it.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from npblender.ops import unchecked as ops
from npblender.transformer import attention, decoder, encoder, forward, masks
from tools.goldens.files import Golden
from tools.originals.exchange import wanted


@dataclass(frozen=True)
class Fault:
    """A mistake: how to plant it, and which goldens must see it (`shows`); it may change the dialect instead."""

    plant: Callable[[pytest.MonkeyPatch], None] | None
    shows: Callable[[Golden, str], bool] = lambda golden, run: True
    dialect: Callable[[Any], Any] | None = None


def everywhere(function: Any, make: Callable[[Any], Any]) -> Callable[[pytest.MonkeyPatch], None]:
    """A fault that puts `make(function)` in its place in every module of the package that has it by name."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        faulty, found = make(function), 0
        for module_name, module in list(sys.modules.items()):
            if module_name.split(".")[0] == "npblender":
                for name, value in list(vars(module).items()):
                    if value is function:
                        patch.setattr(module, name, faulty)
                        found += 1
        assert found, f"{function} is not used anywhere"

    return plant


def unbiased_variance(x: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, ddof=1, keepdims=True) + eps) * weight + bias


def eps_outside_the_root(x: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    return (x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + eps) * weight + bias


def norm_after_positions(w: Any, tokens: Any, positions: Any, context: Any) -> Any:
    norm = w.layernorm_embedding
    return ops.layer_norm(tokens + ops.embed(positions, w.embed_positions.weight), norm.weight, norm.bias)


def restarted_positions(embed_target: Any) -> Any:
    return lambda w, tokens, positions, context: embed_target(w, tokens, positions - positions.min(), context)


def cross_states_shifted(start: Any) -> Any:
    return lambda w, batch, states, context: start(w, batch, None if states is None else states[:, ::-1], context)


def keys_and_values_swapped(patch: pytest.MonkeyPatch) -> None:
    everywhere(attention.project_keys_values, lambda f: lambda *a: f(*a)[::-1])(patch)
    everywhere(attention.project_qkv, lambda f: lambda *a: [f(*a)[n] for n in (0, 2, 1)])(patch)


def without_head_mask(attend: Any) -> Any:
    return lambda w, q, k, v, mask, head_mask, context: attend(w, q, k, v, mask, None, context)


def flips(field: str) -> Callable[[Any], Any]:
    return lambda dialect: dataclasses.replace(dialect, **{field: not getattr(dialect, field)})


def scaled(golden: Golden, run: str) -> bool:
    return bool(golden.case.config["scale_embedding"])


def biased(golden: Golden, run: str) -> bool:
    return bool(golden.case.weights["final_logits_bias"].any())


def has_argument(name: str) -> Callable[[Golden, str], bool]:
    def shows(golden: Golden, run: str) -> bool:
        original = golden.answers[run].original
        return any(name in call["arguments"] for call in golden.case.calls if wanted(call, original))

    return shows


# gelu and gelu_new are each other's usual mistake, relu and silu likewise
SWAPPED = {"gelu": ops.gelu_new, "gelu_new": ops.gelu, "relu": ops.silu, "silu": ops.relu}

FAULTS = {
    "tanh-GELU for erf-GELU, and other activations swapped": Fault(everywhere(ops.ACTIVATIONS, lambda _: SWAPPED)),
    "LayerNorm with unbiased variance": Fault(everywhere(ops.layer_norm, lambda _: unbiased_variance)),
    "LayerNorm with eps outside the root": Fault(everywhere(ops.layer_norm, lambda _: eps_outside_the_root)),
    "decoder norm after the positions": Fault(everywhere(decoder.embed_target, lambda _: norm_after_positions)),
    "positions restarted with the cache": Fault(everywhere(decoder.embed_target, restarted_positions)),
    "queries never scaled": Fault(everywhere(attention.scale_queries, lambda _: lambda q: q)),
    "causal mask off by one": Fault(
        everywhere(masks.causal_mask, lambda _: lambda new, keys: np.tri(new, keys, keys - new + 1, dtype=bool))
    ),
    "pads attended": Fault(everywhere(masks.key_mask, lambda _: lambda mask: None)),
    "heads merged in the wrong order": Fault(
        everywhere(attention.merge_heads, lambda _: lambda x: x.transpose(0, 2, 3, 1).reshape(*x.shape[::2], -1))
    ),
    "keys and values swapped": Fault(keys_and_values_swapped),
    "cross keys of the states in reverse": Fault(everywhere(decoder.start_cache, cross_states_shifted)),
    "linear maps without their bias": Fault(everywhere(ops.linear, lambda f: lambda x, w, b=None: f(x, w))),
    "final bias dropped": Fault(
        everywhere(
            forward.logits_of, lambda f: lambda w, s, c: f(dataclasses.replace(w, final_logits_bias=None), s, c)
        ),
        biased,
    ),
    "encoder embeddings not scaled": Fault(
        everywhere(encoder.scale_embeddings, lambda _: lambda x, context: x), scaled
    ),
    "decoder embeddings scaled or not, as the other version does": Fault(
        None, scaled, flips("scale_decoder_embeddings")
    ),
    "given decoder embeddings scaled or not": Fault(
        None,
        lambda golden, run: scaled(golden, run) and has_argument("decoder_inputs_embeds")(golden, run),
        flips("scale_decoder_inputs_embeds"),
    ),
    "positions by column or by mask": Fault(None, dialect=flips("positions_follow_mask")),
    "pads hidden without a mask or not": Fault(None, dialect=flips("mask_from_ids")),
    "states at pads zeroed or not": Fault(None, dialect=flips("zero_padded_states")),
    "start token free or not": Fault(
        None,
        dialect=lambda d: dataclasses.replace(d, start_logit=-1e20 if d.start_logit is None else None),
    ),
    "head masks ignored": Fault(everywhere(attention.attend, without_head_mask), has_argument("cross_attn_head_mask")),
    "loss counts every label": Fault(
        everywhere(forward.loss_of, lambda f: lambda logits, labels, c: f(logits, np.maximum(labels, 0), c)),
        has_argument("labels"),
    ),
}
