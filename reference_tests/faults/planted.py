"""Mistakes in the forward pass, as patches: what each is called, how it is planted, and which check must catch it.

They were made, or nearly made, by people who wrote this model before. Each keeps all shapes, so nothing but the numbers
can tell. `test_faults` plants them one by one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from npblender.models import heads
from npblender.ops import unchecked as ops
from npblender.transformer import attention, context, decoder, encoder, forward, masks
from npblender.transformer.kv_cache import LayerCache

Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Fault:
    plant: Callable[[Patch], None]
    check: str
    error: type[BaseException] = AssertionError


def everywhere(patch: Patch, name: str, value: Any, *modules: Any) -> None:
    """Patch a name in the modules that imported it."""
    for module in modules:
        patch.setattr(module, name, value)


def norm_with(scale: Callable[[np.ndarray], np.ndarray]) -> Callable[[Patch], None]:
    """Another denominator for LayerNorm."""

    def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
        return (x - x.mean(-1, keepdims=True)) / scale(x) * weight + bias

    return lambda patch: patch.setattr(ops, "layer_norm", layer_norm)


def positions_first(w: Any, tokens: np.ndarray, positions: np.ndarray, here: Any) -> np.ndarray:
    """The decoder's embedding as every other model has it: the norm after the positions."""
    rows = ops.embed(positions, w.embed_positions.weight)
    x = ops.layer_norm(tokens + rows, w.layernorm_embedding.weight, w.layernorm_embedding.bias)
    for name, value in {"norm": x, "positions": rows, "sum": tokens + rows, "output": x}.items():
        here.tap(name, value)
    return x


def positions_restart(patch: Patch) -> None:
    right = decoder.embed_target
    patch.setattr(decoder, "embed_target", lambda w, x, positions, here: right(w, x, positions - positions.min(), here))


def queries_unscaled(patch: Patch) -> None:
    patch.setattr(attention, "scale_queries", lambda q: q)


def attend_with(change: Callable[..., tuple[Any, ...]]) -> Callable[[Patch], None]:
    """attend(), with its mask and head mask changed."""
    right = attention.attend

    def attend(w: Any, q: Any, k: Any, v: Any, mask: Any, head_mask: Any, here: Any) -> Any:
        return right(w, q, k, v, *change(mask, head_mask), here)

    return lambda patch: everywhere(patch, "attend", attend, encoder, decoder)


def of_neighbours(patch: Patch) -> None:
    right = decoder.start_cache

    def start_cache(weights: Any, batch: int, states: Any, here: Any) -> Any:
        return right(weights, batch, None if states is None else np.roll(states, 1, axis=0), here)

    patch.setattr(forward, "start_cache", start_cache)


def residual_lost(patch: Patch) -> None:
    right = attention.add_and_norm
    wrong = lambda norm, residual, output, here: right(norm, residual * 0, output, here)  # noqa: E731
    everywhere(patch, "add_and_norm", wrong, encoder, decoder, attention)


def logits_with(change: Callable[[Any, Any], tuple[Any, Any]]) -> Callable[[Patch], None]:
    right = forward.logits_of

    def logits_of(weights: Any, states: Any, here: Any) -> Any:
        weights, here = change(weights, here)
        return right(weights, states, here)

    return lambda patch: patch.setattr(heads, "logits_of", logits_of)


def in_float64(patch: Patch) -> None:
    right = ops.softmax
    patch.setattr(ops, "softmax", lambda x: right(x.astype(np.float64)).astype(x.dtype))


def positions_in_place(patch: Patch) -> None:
    right = decoder.embed_target

    def embed_target(w: Any, tokens: np.ndarray, positions: np.ndarray, here: Any) -> np.ndarray:
        tokens *= 1.0
        return right(w, tokens, positions, here)

    patch.setattr(decoder, "embed_target", embed_target)


def scores_added(scores: np.ndarray, mask: Any, masked_score: Any) -> np.ndarray:
    return scores if mask is None else scores + np.where(mask, 0.0, -1e4)


def by_column(batch: int, length: int, mask: Any, here: Any) -> np.ndarray:
    return np.broadcast_to(np.arange(length), (batch, length))


def prepended(memory: LayerCache, key: np.ndarray, value: np.ndarray) -> LayerCache:
    joined = [np.concatenate(pair, axis=2) for pair in ((key, memory.key), (value, memory.value))]
    return replace(memory, key=joined[0], value=joined[1])


def split_by_turns(x: np.ndarray, heads: int) -> np.ndarray:
    batch, new, d = x.shape
    return x.reshape(batch, new, d // heads, heads).transpose(0, 3, 1, 2)


def whole_rows(x: np.ndarray, p: float, rng: Any) -> np.ndarray:
    return x if p == 0 or rng is None else x * (rng.random((*x.shape[:-1], 1)) >= p) / (1 - p)


def loud_call(tap: context.Tap, name: str, array: np.ndarray) -> None:
    if tap.sink is not None:
        tap.sink(tap.path + name, array)


def silent_point(tap: context.Tap, name: str, array: np.ndarray) -> None:
    if tap.sink is not None and name != "masked_scores":
        tap.sink(tap.path + name, array)


def biases_dropped(patch: Patch) -> None:
    for name in ("linear", "linears", "mlp"):
        patch.setattr(ops, name, {"linear": unbiased, "linears": unbiased_maps, "mlp": unbiased_mlp}[name])


def unbiased(x: np.ndarray, weight: Any, bias: Any = None) -> np.ndarray:
    return right_linear(x, weight)


def unbiased_maps(x: np.ndarray, maps: Any) -> list[np.ndarray]:
    return [right_linear(x, weight) for weight, _ in maps]


def unbiased_mlp(x: np.ndarray, fc1: Any, activation: Any, fc2: Any, between: Any = None) -> np.ndarray:
    seen = between or (lambda name, inner: inner)
    return right_linear(seen("activation", activation(seen("hidden", right_linear(x, fc1[0])))), fc2[0])


right_linear, right_dropout, right_entropy = ops.linear, ops.dropout, ops.cross_entropy
FAULTS: dict[str, Fault] = {
    "tanh for erf": Fault(lambda p: p.setattr(ops, "ACTIVATIONS", {**ops.ACTIVATIONS, "gelu": ops.gelu_new}), "oracle"),
    "decoder scale lost": Fault(lambda p: p.setattr(decoder, "scale_embeddings", lambda x, here: x), "oracle"),
    "encoder scale lost": Fault(lambda p: p.setattr(encoder, "scale_embeddings", lambda x, here: x), "oracle"),
    "norm after positions": Fault(lambda p: p.setattr(decoder, "embed_target", positions_first), "oracle"),
    "unbiased variance": Fault(norm_with(lambda x: np.sqrt(x.var(-1, ddof=1, keepdims=True) + 1e-5)), "oracle"),
    "epsilon outside the root": Fault(norm_with(lambda x: x.std(-1, keepdims=True) + 1e-5), "oracle"),
    "epsilon of 1e-12": Fault(norm_with(lambda x: np.sqrt(x.var(-1, keepdims=True) + 1e-12)), "oracle"),
    "queries unscaled": Fault(queries_unscaled, "oracle"),
    "residual lost": Fault(residual_lost, "oracle"),
    "heads merged wrongly": Fault(
        lambda p: p.setattr(attention, "merge_heads", lambda x: x.reshape(len(x), x.shape[2], -1)), "oracle"
    ),
    "heads split by turns": Fault(lambda p: p.setattr(attention, "split_heads", split_by_turns), "oracle"),
    "biases dropped": Fault(biases_dropped, "oracle"),
    "final bias dropped": Fault(
        logits_with(lambda weights, here: (replace(weights, final_logits_bias=None), here)), "oracle"
    ),
    "start token free": Fault(
        logits_with(lambda w, here: (w, replace(here, dialect=replace(here.dialect, start_logit=None)))), "oracle"
    ),
    "ignored labels counted": Fault(
        lambda p: p.setattr(ops, "cross_entropy", lambda x, y, ignored: right_entropy(x, np.where(y < 0, 0, y))),
        "oracle",
    ),
    "pads not zeroed": Fault(lambda p: p.setattr(encoder, "zero_pads", lambda x, mask, here: x), "oracle"),
    "source of the neighbour": Fault(of_neighbours, "right padding"),
    "pads attended to": Fault(
        lambda p: everywhere(p, "key_mask", lambda mask: None, encoder, decoder, masks), "right padding"
    ),
    "positions by column": Fault(lambda p: p.setattr(encoder, "source_positions", by_column), "left padding"),
    "a look ahead of one": Fault(
        lambda p: p.setattr(masks, "causal_mask", lambda new, keys: np.tri(new, keys, keys - new + 1, bool)),
        "causality",
    ),
    "causal from the upper left": Fault(
        lambda p: p.setattr(masks, "causal_mask", lambda new, keys: np.tri(new, keys, 0, bool)), "cached"
    ),
    "positions restart with the cache": Fault(positions_restart, "cached"),
    "cache prepended to": Fault(lambda p: p.setattr(LayerCache, "append", prepended), "cached"),
    "mask added": Fault(lambda p: p.setattr(attention, "hide", scores_added), "uniform"),
    "head mask ignored": Fault(attend_with(lambda mask, head_mask: (mask, None)), "head masks"),
    "head mask reversed": Fault(
        attend_with(lambda mask, kept: (mask, None if kept is None else np.roll(kept, 1))), "head masks"
    ),
    "norm by place in the batch": Fault(
        norm_with(lambda x: np.sqrt(x.var(-1, keepdims=True) + 1e-5 * (1 + np.arange(len(x)))[:, None, None])),
        "permuted",
    ),
    "softmax in float64": Fault(in_float64, "digits"),
    "dropout not rescaled": Fault(
        lambda p: p.setattr(ops, "dropout", lambda x, q, rng: right_dropout(x, q, rng) * (1 - q)), "dropout"
    ),
    "dropout of whole tokens": Fault(lambda p: p.setattr(ops, "dropout", whole_rows), "dropout"),
    "dropout rescaled twice": Fault(
        lambda p: p.setattr(ops, "dropout", lambda x, q, rng: right_dropout(x, q, rng) / (1 - q)), "expectations"
    ),
    "LayerDrop keeps its share": Fault(
        lambda p: p.setattr(context.Context, "skips_layer", lambda here, q: q > 0 and here.rng.random() >= q),
        "LayerDrop",
    ),
    "written in place": Fault(positions_in_place, "read-only", ValueError),
    "a point forgotten": Fault(lambda p: p.setattr(context.Tap, "__call__", silent_point), "taps"),
    "arrays lent to write": Fault(
        lambda p: p.setattr(context.Tap, "__call__", loud_call), "vandal", pytest.fail.Exception
    ),
}
