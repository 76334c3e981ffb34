"""The parameters as a frozen tree, each with its shape beside it.

Field names are transformers' own, so the path of a field is the name in its files without the `model.` prefix:
`weights.encoder.layers[0].self_attn.q_proj.weight` is `encoder.layers.0.self_attn.q_proj.weight`. Linear maps are
stored [out, in] as in those files. Embedding, encoder input, decoder input and output projection share one matrix.

Nothing here makes a tree (see `building`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from npblender.ops import StandIn

Array: TypeAlias = NDArray[Any]
Matrix: TypeAlias = NDArray[Any] | StandIn  # as an array, or laid out for fast products: `layout` chooses
Parts: TypeAlias = frozenset[str]

ENCODER, DECODER, LOGITS_BIAS = "encoder", "decoder", "final_logits_bias"
FULL_MODEL: Parts = frozenset({ENCODER, DECODER, LOGITS_BIAS})  # the model that answers
BASE_MODEL: Parts = frozenset({ENCODER, DECODER})  # the model without a head
CAUSAL_MODEL: Parts = frozenset({DECODER})  # the decoder alone, read as a language model


@dataclass(frozen=True, eq=False)
class Linear:
    """x @ weight.T + bias."""

    weight: Matrix  # [out, in]
    bias: Array  # [out]


@dataclass(frozen=True, eq=False)
class LayerNorm:
    """Scale and shift after normalising."""

    weight: Array  # [D]
    bias: Array  # [D]


@dataclass(frozen=True, eq=False)
class Embedding:
    """A table of rows."""

    weight: Matrix  # [V, D] for tokens, [P, D] for positions


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

    embed_positions: Embedding  # [P, D]
    layernorm_embedding: LayerNorm
    layers: tuple[EncoderLayer, ...]


@dataclass(frozen=True, eq=False)
class Decoder:
    """As the encoder, with layers that see the source."""

    embed_positions: Embedding  # [P, D]
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
