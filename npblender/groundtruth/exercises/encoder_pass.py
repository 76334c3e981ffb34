"""The demo's encoder, point by point: by the package, and with the functions of a file.

The functions are `layer_norm`, `split_heads`, `attention` and `gelu` of the exercises; what they lack is here:
embedding, linear maps, sums.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from npblender.common.array_types import Array
from npblender.groundtruth.tracing.inputs import TraceInputs
from npblender.groundtruth.tracing.record import record
from npblender.models import BlenderbotSmallForConditionalGeneration
from npblender.ops import embed, linear
from npblender.tokenizer import BlenderbotSmallTokenizer
from npblender.transformer.parameters import LayerNorm


@cache
def demo() -> tuple[BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer]:
    """The demo in float64, and its tokenizer."""
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(dtype="float64")
    return model, BlenderbotSmallTokenizer.from_pretrained()


def encoder_of_the_demo(text: str) -> dict[str, Array]:
    """What the package computes: the points that `encoder_with` has, [S, D] or [H, S, K] each."""
    model, tokenizer = demo()
    inputs = TraceInputs([tokenizer(text)["input_ids"]])  # [1, S]
    points = record(model, inputs, points="encoder.*", noise=False).arrays
    size = model.config.d_model // model.config.encoder_attention_heads
    found = {}
    for name, array in points.items():
        *place, last = name.split(".")
        if last in ("norm", "q", "context", "activation", "sum") or name == "encoder.states":
            # The exercises divide the scores, not the queries.
            found[name] = array[0] * np.sqrt(size) if last == "q" and "self_attn" in place else array[0]
    del found["encoder.embed.sum"]
    return found


def encoder_with(functions: Mapping[str, Callable[..., Any]], text: str) -> dict[str, Array]:
    """The same points, computed with given functions, in causal order."""
    model, tokenizer = demo()
    weights, config = model.weights.encoder, model.config
    assert weights is not None
    points: dict[str, Array] = {}

    def norm(name: str, x: Array, w: LayerNorm) -> Array:
        points[name] = functions["layer_norm"](x, w.weight, w.bias)
        return points[name]

    ids = np.array(tokenizer(text)["input_ids"])  # [S]
    tokens = embed(ids, model.weights.shared.weight) * (np.sqrt(config.d_model) if config.scale_embedding else 1.0)
    positions = embed(np.arange(len(ids)), weights.embed_positions.weight)
    x = norm("encoder.embed.norm", tokens + positions, weights.layernorm_embedding)
    for n, layer in enumerate(weights.layers):
        at, w = f"encoder.layers.{n}", layer.self_attn
        heads = config.encoder_attention_heads
        q, k, v = (functions["split_heads"](linear(x, *part), heads) for part in (w.q_proj, w.k_proj, w.v_proj))
        points[f"{at}.self_attn.q"] = q
        mixed = np.asarray(functions["attention"](q, k, v, np.ones((len(x), len(x)), np.bool_)))  # [H, S, K]
        context = points[f"{at}.self_attn.context"] = mixed.transpose(1, 0, 2).reshape(x.shape)  # [H, S, K] -> [S, D]
        total = points[f"{at}.self_attn.sum"] = x + linear(context, *w.out_proj)
        x = norm(f"{at}.self_attn.norm", total, layer.self_attn_layer_norm)
        active = points[f"{at}.ffn.activation"] = functions["gelu"](linear(x, *layer.fc1))  # [S, F]
        total = points[f"{at}.ffn.sum"] = x + linear(active, *layer.fc2)
        x = norm(f"{at}.ffn.norm", total, layer.final_layer_norm)
    points["encoder.states"] = x
    return points
