"""The parameters as a frozen tree, each with its shape beside it; and how a tree is made, from arrays or at random.

Field names are transformers' own, so the path of a field is the name in its files without the `model.` prefix:
`weights.encoder.layers[0].self_attn.q_proj.weight` is `encoder.layers.0.self_attn.q_proj.weight`. Linear maps are
stored [out, in] as in those files. Embedding, encoder input, decoder input and output projection share one matrix.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from npblender.common.array_types import Array
from npblender.common.checks import as_array
from npblender.common.printable import shown
from npblender.config import BlenderbotSmallConfig
from npblender.ops import unchecked as ops
from npblender.ops.linear import Matrix as Matrix

Parts: TypeAlias = frozenset[str]

ENCODER, DECODER, LOGITS_BIAS = "encoder", "decoder", "final_logits_bias"
FULL_MODEL: Parts = frozenset({ENCODER, DECODER, LOGITS_BIAS})  # the model that answers
BASE_MODEL: Parts = frozenset({ENCODER, DECODER})  # the model without a head
CAUSAL_MODEL: Parts = frozenset({DECODER})  # the decoder alone, read as a language model
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "out_proj")  # of an attention


class Linear(NamedTuple):
    """x @ weight.T + bias, which is `ops.linear(x, *w)`."""

    weight: Matrix  # [out, in]
    bias: Array  # [out]


@dataclass(frozen=True, eq=False)
class LayerNorm:
    """Scale and shift after normalising."""

    weight: Array  # [D]
    bias: Array  # [D]


@dataclass(frozen=True, eq=False)
class Embedding:
    """A table of rows; called with ids, as torch's, it gives their rows."""

    weight: Matrix  # [V, D] for tokens, [positions, D] for positions

    def __call__(self, input: Any) -> Array:
        """Look up the rows of ids: ids [...], whole numbers from 0 to V - 1 -> [..., D], as they lie in the table.

        They are not scaled: where `scale_embedding` is set, what `inputs_embeds` takes is these rows times sqrt(D).

        Raises:
            TypeError: the ids are not whole numbers.
            ValueError: an id is negative, or not below V.

        >>> Embedding(np.array([[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]]))([[2, 0]])
        array([[[2. , 2.5],
                [0. , 0.5]]])
        """
        ids, size = as_array("ids", input), self.weight.shape[0]
        if not np.issubdtype(ids.dtype, np.integer):
            raise TypeError(f"ids must be whole numbers, not {ids.dtype}")
        wrong = ids[(ids < 0) | (ids >= size)]
        if wrong.size:
            raise ValueError(f"ids hold {wrong[0]}, outside the table of {size} rows: ids run from 0 to {size - 1}")
        return ops.embed(ids, self.weight)


@dataclass(frozen=True, eq=False)
class Attention:
    """The four maps of an attention; H heads of K = D / H share each."""

    q_proj: Linear  # [D, D]
    k_proj: Linear  # [D, D]
    v_proj: Linear  # [D, D]
    out_proj: Linear  # [D, D]


@dataclass(frozen=True, eq=False)
class EncoderLayer:
    """Self-attention, then feed-forward, each with the norm that follows it."""

    self_attn: Attention
    self_attn_layer_norm: LayerNorm
    fc1: Linear  # [F, D]
    fc2: Linear  # [D, F]
    final_layer_norm: LayerNorm


@dataclass(frozen=True, eq=False)
class DecoderLayer:
    """Self-attention, attention to the source, then feed-forward, each with the norm that follows it."""

    self_attn: Attention
    self_attn_layer_norm: LayerNorm
    encoder_attn: Attention
    encoder_attn_layer_norm: LayerNorm
    fc1: Linear  # [F, D]
    fc2: Linear  # [D, F]
    final_layer_norm: LayerNorm


@dataclass(frozen=True, eq=False)
class Encoder:
    """Positions, the norm of the embeddings, and the layers."""

    embed_positions: Embedding  # [positions, D]
    layernorm_embedding: LayerNorm
    layers: tuple[EncoderLayer, ...]


@dataclass(frozen=True, eq=False)
class Decoder:
    """As the encoder, with layers that see the source."""

    embed_positions: Embedding  # [positions, D]
    layernorm_embedding: LayerNorm
    layers: tuple[DecoderLayer, ...]


@dataclass(frozen=True, eq=False)
class Weights:
    """All parameters of a model."""

    shared: Embedding  # [V, D]: tokens in, tokens out
    encoder: Encoder | None  # None in a causal head
    decoder: Decoder
    final_logits_bias: Array | None  # [1, V]; None in a base model and in a causal head

    @property
    def dtype(self) -> np.dtype[Any]:
        """The one dtype of every parameter."""
        return self.shared.weight.dtype


@lru_cache(maxsize=32)
def expected_shapes(config: BlenderbotSmallConfig, parts: Parts = FULL_MODEL) -> Mapping[str, tuple[int, ...]]:
    """Name every parameter and its shape, in the order of the tree; worked out once for each configuration.

    >>> shapes = expected_shapes(BlenderbotSmallConfig(vocab_size=54944))
    >>> shapes["encoder.layers.0.fc1.weight"]
    (2048, 512)
    """
    vocab, d, positions = config.vocab_size, config.d_model, config.max_position_embeddings
    shapes: dict[str, tuple[int, ...]] = {"shared.weight": (vocab, d)}

    def linear(name: str, out: int, inner: int) -> None:
        shapes.update({f"{name}.weight": (out, inner), f"{name}.bias": (out,)})

    def norm(name: str) -> None:
        shapes.update({f"{name}.weight": (d,), f"{name}.bias": (d,)})

    def stack(name: str, layers: int, inner: int, attentions: tuple[str, ...]) -> None:
        shapes[f"{name}.embed_positions.weight"] = (positions, d)
        norm(f"{name}.layernorm_embedding")
        for layer in (f"{name}.layers.{n}" for n in range(layers)):
            for attention in attentions:
                for projection in PROJECTIONS:
                    linear(f"{layer}.{attention}.{projection}", d, d)
                norm(f"{layer}.{attention}_layer_norm")
            linear(f"{layer}.fc1", inner, d)
            linear(f"{layer}.fc2", d, inner)
            norm(f"{layer}.final_layer_norm")

    if ENCODER in parts:
        stack(ENCODER, config.encoder_layers, config.encoder_ffn_dim, ("self_attn",))
    stack(DECODER, config.decoder_layers, config.decoder_ffn_dim, ("self_attn", "encoder_attn"))
    if LOGITS_BIAS in parts:
        shapes[LOGITS_BIAS] = (1, vocab)
    return MappingProxyType(shapes)


Make: TypeAlias = Callable[[str, tuple[int, ...]], Any]  # an array, or a matrix laid out


def build(config: BlenderbotSmallConfig, make: Make, parts: Parts = FULL_MODEL) -> Weights:
    """Build the tree for `config`, each array given by `make(name, shape)`; layers come first, which seeds rely on.

    >>> build(config, lambda name, shape: f"{name} {shape}").decoder.layers[1].fc2.weight
    'decoder.layers.1.fc2.weight (6, 7)'
    """
    shapes = expected_shapes(config, parts)

    def array(name: str) -> Any:
        return make(name, shapes[name])

    def linear(name: str) -> Linear:
        return Linear(array(f"{name}.weight"), array(f"{name}.bias"))

    def norm(name: str) -> LayerNorm:
        return LayerNorm(array(f"{name}.weight"), array(f"{name}.bias"))

    def attention(name: str) -> Attention:
        return Attention(*(linear(f"{name}.{each}") for each in PROJECTIONS))

    def feed_forward(name: str) -> tuple[Linear, Linear, LayerNorm]:
        return linear(f"{name}.fc1"), linear(f"{name}.fc2"), norm(f"{name}.final_layer_norm")

    def encoder_layer(name: str) -> EncoderLayer:
        self_attn, self_norm = attention(f"{name}.self_attn"), norm(f"{name}.self_attn_layer_norm")
        return EncoderLayer(self_attn, self_norm, *feed_forward(name))

    def decoder_layer(name: str) -> DecoderLayer:
        self_attn, self_norm = attention(f"{name}.self_attn"), norm(f"{name}.self_attn_layer_norm")
        cross_attn, cross_norm = attention(f"{name}.encoder_attn"), norm(f"{name}.encoder_attn_layer_norm")
        return DecoderLayer(self_attn, self_norm, cross_attn, cross_norm, *feed_forward(name))

    def stem(name: str) -> tuple[Embedding, LayerNorm]:
        return Embedding(array(f"{name}.embed_positions.weight")), norm(f"{name}.layernorm_embedding")

    shared = Embedding(array("shared.weight"))
    encoder = None
    if ENCODER in parts:
        layers = tuple(encoder_layer(f"encoder.layers.{n}") for n in range(config.encoder_layers))
        encoder = Encoder(*stem("encoder"), layers)
    decoder_layers = tuple(decoder_layer(f"decoder.layers.{n}") for n in range(config.decoder_layers))
    decoder = Decoder(*stem("decoder"), decoder_layers)
    return Weights(shared, encoder, decoder, array(LOGITS_BIAS) if LOGITS_BIAS in parts else None)


def parameter_count(config: BlenderbotSmallConfig) -> int:
    """How many numbers training sets: every parameter but the logits' bias, which is a constant of the file.

    >>> parameter_count(BlenderbotSmallConfig(vocab_size=54944))
    87508992
    """
    return sum(math.prod(shape) for shape in expected_shapes(config, BASE_MODEL).values())


def from_arrays(config: BlenderbotSmallConfig, arrays: Mapping[str, Matrix], parts: Parts = FULL_MODEL) -> Weights:
    """The tree over the given arrays, which must be there under every expected name and in the expected shape.

    >>> from_arrays(config, {})
    Traceback (most recent call last):
    ValueError: the parameter 'shared.weight' of shape (11, 6) is missing
    """

    def take(name: str, shape: tuple[int, ...]) -> Matrix:
        if name not in arrays:
            raise ValueError(f"the parameter {shown(name)} of shape {shape} is missing")
        if arrays[name].shape != shape:
            raise ValueError(f"the parameter {shown(name)} has shape {arrays[name].shape}; the config asks for {shape}")
        return arrays[name]

    weights = build(config, take, parts)
    dtypes = {parameter.dtype for parameter in parameters(weights).values()}
    if len(dtypes) > 1:
        raise ValueError(f"the parameters of one model have one dtype; found {sorted(map(str, dtypes))}")
    return weights


_RECORDS: dict[type, tuple[str, ...]] = {
    Linear: Linear._fields,
    **{
        record: tuple(field.name for field in fields(record))
        for record in (LayerNorm, Embedding, Attention, EncoderLayer, DecoderLayer, Encoder, Decoder, Weights)
    },
}


def _walk(node: Any, name: str, found: dict[str, Matrix]) -> None:
    """Put every parameter at and below a node into `found`; `name` is the node's, with a dot behind it."""
    if type(node) is tuple:
        for n, child in enumerate(node):
            _walk(child, f"{name}{n}.", found)
    elif type(node) in _RECORDS:
        for field in _RECORDS[type(node)]:
            _walk(getattr(node, field), f"{name}{field}.", found)
    elif node is not None:
        found[name[:-1]] = node


def parameters(weights: Weights) -> dict[str, Matrix]:
    """Every parameter under its name as it is laid out, in the order of the tree; no copies.

    >>> list(parameters(random_weights(config, seed=0)))[:2]
    ['shared.weight', 'encoder.embed_positions.weight']
    """
    found: dict[str, Matrix] = {}
    _walk(weights, "", found)
    return found


def to_arrays(weights: Weights) -> dict[str, Array]:
    """Every parameter under its name as an array, in the order of the tree; copies only of what is in panels.

    >>> to_arrays(weights)["shared.weight"][0, :2].round(4)
    array([ 0.0513, -0.0539], dtype=float32)
    """
    return {name: np.asarray(parameter) for name, parameter in parameters(weights).items()}


def random_weights(
    config: BlenderbotSmallConfig, seed: int, dtype: DTypeLike = np.float32, parts: Parts = FULL_MODEL
) -> Weights:
    """Seeded parameters for any config, lively enough that every part of the model shows in its output.

    transformers draws from N(0, 0.02), under which a fresh model's attention is all but uniform and a wrong mask or
    a lost factor hides in the noise. Here matrices have variance 1/in, norms scatter around 1 and biases around 0.
    Drawn in float64 and rounded once, so the float32 model is the float64 one rounded.

    >>> random_weights(config, seed=0).shared.weight[0, :2].round(4)
    array([ 0.0513, -0.0539], dtype=float32)
    """
    rng = np.random.default_rng(seed)

    def draw(name: str, shape: tuple[int, ...]) -> Array:
        noise = rng.standard_normal(shape)
        if name.endswith(("norm.weight", "layernorm_embedding.weight")):
            noise = 1.0 + 0.2 * noise
        elif name.endswith("bias"):
            noise *= 0.1
        else:
            noise *= shape[-1] ** -0.5
        return noise.astype(dtype)

    return build(config, draw, parts)
