"""Faults of single operations: activations, LayerNorm, products, softmax, and what is done to scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from npblender.ops import unchecked as ops
from npblender.transformer import attention, masks, parameters
from npblender.transformer.context import Context
from reference_tests.faults.zoo import Array, Fault, Patch, everywhere

NORM, ACTIVATION = "encoder.embed.norm", "encoder.layers.0.ffn.activation"
QUERIES, SCORES = "encoder.layers.0.self_attn.q", "encoder.layers.0.self_attn.scores"
MASKED, WEIGHTS = "encoder.layers.0.self_attn.masked_scores", "encoder.layers.0.self_attn.weights"


def activated(function: Callable[[Array], Array]) -> Callable[[Patch], None]:
    """Another activation in every feed-forward block."""
    return everywhere(ops.ACTIVATIONS, lambda table: {**table, "gelu": function})


def sigmoid_gelu(x: Array) -> Array:
    return x / (1 + np.exp(-x.dtype.type(1.702) * x))


def rough_gelu(x: Array) -> Array:
    """GELU by the three-term erf of Abramowitz and Stegun, 7.1.25, good to 2.5e-5."""
    z = np.abs(x.astype(np.float64)) / np.sqrt(2)
    t = 1 / (1 + 0.47047 * z)
    erf = np.sign(x) * (1 - t * (0.3480242 + t * (-0.0958798 + t * 0.7478556)) * np.exp(-z * z))
    return (0.5 * x * (1 + erf)).astype(x.dtype)


def normed(scale: Callable[[Array], Array], axis: int = -1, centred: bool = True) -> Callable[[Patch], None]:
    """LayerNorm with another denominator, over another axis, or without taking the mean off."""

    def layer_norm(x: Array, weight: Array, bias: Array, **options: Any) -> Array:
        middle = x.mean(axis, keepdims=True) if centred else x.dtype.type(0)
        return (((x - middle) / scale(x)) * weight + bias).astype(x.dtype)

    return everywhere(ops.layer_norm, lambda _: layer_norm)


def rooted(epsilon: float, ddof: int = 0, axis: int = -1) -> Callable[[Array], Array]:
    return lambda x: np.sqrt(x.var(axis, ddof=ddof, keepdims=True) + x.dtype.type(epsilon))


def scaled_queries(factor: Callable[[int, int], float]) -> Callable[[Patch], None]:
    """Queries times a function of the head size and of d_model, as they are handed on and as they are recorded."""

    def make(right: Any) -> Any:
        def projected(w: Any, x: Array, heads: int, context: Context) -> Any:
            d = x.shape[-1]
            w = parameters.Attention(times(w.q_proj, factor(d // heads, d)), w.k_proj, w.v_proj, w.out_proj)
            return right(w, x, heads, context)

        return projected

    def plant(patch: Patch) -> None:
        everywhere(attention.project_queries, make)(patch)
        everywhere(attention.project_qkv, make)(patch)

    return plant


def times(linear: Any, factor: float) -> Any:
    return type(linear)(*(part * part.dtype.type(factor) for part in (linear.weight, linear.bias)))


def linear_maps(wrong: Callable[..., Array]) -> Callable[[Patch], None]:
    """Another linear map, and several of the same input by it."""

    def plant(patch: Patch) -> None:
        everywhere(ops.linear, lambda _: wrong)(patch)
        everywhere(ops.linears, lambda _: lambda x, maps: [wrong(x, *each) for each in maps])(patch)

    return plant


def products(to: Callable[[Array], Array]) -> Callable[[Patch], None]:
    """Matrix products of operands that were rounded first."""
    right = ops.linear
    return linear_maps(lambda x, weight, bias=None: right(to(x), to(weight), bias))


def halves_summed(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """A linear map whose sums are kept in float16, term by term."""
    total = np.zeros((*x.shape[:-1], len(weight)), np.float16)
    for column in range(x.shape[-1]):
        total += (x[..., column, None] * weight[:, column]).astype(np.float16)
    return total.astype(x.dtype) + (0 if bias is None else bias)


def keep_bits(bits: int) -> Callable[[Array], Array]:
    """Round float32 to so many bits of mantissa, as TensorFloat-32 (10) and bfloat16 (7) do with operands."""

    def rounded(x: Array) -> Array:
        mantissa, exponent = np.frexp(x)
        return np.ldexp(np.round(np.ldexp(mantissa, bits + 1)), exponent - bits - 1).astype(x.dtype)

    return rounded


def hidden(score: float, added: bool = False) -> Callable[[Patch], None]:
    """Another score for hidden keys, put in their place or added to theirs."""

    def hide(scores: Array, mask: Array | None, masked_score: float | None) -> Array:
        if mask is None:
            return scores
        wrong = scores.dtype.type(score)
        return np.where(mask, scores, scores + wrong if added else wrong)

    return everywhere(masks.hide, lambda _: hide)


ARITHMETIC: dict[str, Fault] = {
    "tanh-GELU": Fault(
        ACTIVATION,
        "GELU by its tanh formula (`gelu_new`, torch's `approximate='tanh'`), off by up to 4.7e-4.",
        activated(ops.gelu_new),
    ),
    "sigmoid-GELU": Fault(ACTIVATION, "GELU as x * sigmoid(1.702 x), off by up to 2e-2.", activated(sigmoid_gelu)),
    "rough erf": Fault(ACTIVATION, "GELU over an erf of three terms, good to 2.5e-5 only.", activated(rough_gelu)),
    "ReLU for GELU": Fault(ACTIVATION, "The feed-forward block of the first transformers: ReLU.", activated(ops.relu)),
    "GELU missing": Fault(ACTIVATION, "fc2 is applied to fc1's result as it is.", activated(lambda x: x)),
    "eps outside the root": Fault(
        NORM,
        "LayerNorm divides by sqrt(variance) + eps; it is sqrt(variance + eps).",
        normed(lambda x: x.std(-1, keepdims=True) + x.dtype.type(1e-5)),
    ),
    "eps of 1e-12": Fault(NORM, "BERT's epsilon; this model's is 1e-5.", normed(rooted(1e-12))),
    "unbiased variance": Fault(
        NORM, "The variance is divided by D - 1, the habit of statistics and of torch's `var`.", normed(rooted(1e-5, 1))
    ),
    "norm over the sequence": Fault(
        NORM, "LayerNorm runs over the tokens instead of the features.", normed(rooted(1e-5, axis=1), axis=1)
    ),
    "mean not taken off": Fault(
        NORM,
        "RMSNorm in LayerNorm's place.",
        normed(lambda x: np.sqrt(np.square(x).mean(-1, keepdims=True) + x.dtype.type(1e-5)), centred=False),
    ),
    "q never scaled": Fault(
        QUERIES, "Queries, or scores, are not divided by sqrt(K).", scaled_queries(lambda k, d: k**0.5)
    ),
    "q scaled twice": Fault(
        QUERIES,
        "Queries are divided by sqrt(K) twice, as where a converter has already divided their weights.",
        scaled_queries(lambda k, d: k**-0.5),
    ),
    "scores scaled again": Fault(
        SCORES,
        "Queries are divided by sqrt(K), and the attention kernel divides their products with the keys again.",
        everywhere(
            attention.attend, lambda right: lambda w, q, *rest: right(w, q / np.sqrt(q.dtype.type(q.shape[-1])), *rest)
        ),
    ),
    "q scaled by sqrt(D)": Fault(
        QUERIES,
        "Queries are divided by the root of d_model, not of the head size.",
        scaled_queries(lambda k, d: (k / d) ** 0.5),
    ),
    "fp16 accumulation": Fault(QUERIES, "Products are summed in float16.", linear_maps(halves_summed)),
    "TF32 products": Fault(
        QUERIES,
        "Operands of products are rounded to 10 bits (a GPU's TensorFloat-32 default).",
        products(keep_bits(10)),
    ),
    "bfloat16 products": Fault(QUERIES, "Operands of products are rounded to bfloat16.", products(keep_bits(7))),
    "softmax over the queries": Fault(
        WEIGHTS,
        "Softmax over the wrong axis of the scores.",
        everywhere(ops.softmax, lambda right: lambda x: right(x.swapaxes(-1, -2)).swapaxes(-1, -2)),
    ),
    "-1e4 masks": Fault(
        MASKED,
        "-1e4 is added to hidden scores: a row that may attend to nothing keeps its own weights, not uniform ones.",
        hidden(-1e4, added=True),
    ),
    "-inf masks": Fault(
        "prefill.decoder.layers.0.self_attn.weights",
        "Hidden scores are -inf: a row that may attend to nothing becomes NaN.",
        hidden(-np.inf),
    ),
    "hidden scores of 0": Fault(
        MASKED, "Scores are multiplied by the mask before the softmax, so pads have weight.", hidden(0.0)
    ),
}
