"""The model in ONNX operators: the same mathematics as the package's forward pass, written a second time.

Every value that has a name in `npblender.transformer.context` has that name here. Shapes are free: batch, source,
target and the number of keys so far are read from the inputs. Nothing is trained here, so there is no dropout.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import Dialect
from tools.onnx_graph.graph import Graph

EPSILON = 1e-5
ACTIVATIONS = {
    "gelu": lambda g, x, name: g.op("Gelu", x, name=name, approximate="none"),
    "gelu_new": lambda g, x, name: g.op("Gelu", x, name=name, approximate="tanh"),
    "relu": lambda g, x, name: g.op("Relu", x, name=name),
    "silu": lambda g, x, name: g.op("Mul", x, g.op("Sigmoid", x), name=name),
}


class Model:
    """The parts of one model as functions on a graph. `weights` are float32 arrays under transformers' names."""

    def __init__(
        self, graph: Graph, config: BlenderbotSmallConfig, weights: Mapping[str, np.ndarray], dialect: Dialect
    ) -> None:
        if config.activation_function not in ACTIVATIONS:
            raise ValueError(f"no operator is known for the activation {config.activation_function!r}")
        wrong = [name for name, array in weights.items() if array.dtype != np.float32]
        if wrong:
            raise ValueError(f"graphs are written in float32, but {wrong[0]} is {weights[wrong[0]].dtype}")
        self.g, self.config, self.weights, self.dialect = graph, config, weights, dialect
        self.d = config.d_model

    def constant(self, name: str) -> str:
        return self.g.constant(name, self.weights[name])

    def linear(self, w: str, x: str, name: str | None = None) -> str:
        """x @ weight.T + bias, over the last axis."""
        matrix = self.g.constant(f"{w}.weight.T", self.weights[f"{w}.weight"].T)
        return self.g.op("Add", self.g.op("MatMul", x, matrix), self.constant(f"{w}.bias"), name=name)

    def norm(self, w: str, x: str, name: str) -> str:
        """LayerNorm over the last axis."""
        scale, shift = self.constant(f"{w}.weight"), self.constant(f"{w}.bias")
        return self.g.op("LayerNormalization", x, scale, shift, name=name, axis=-1, epsilon=EPSILON)

    def split_heads(self, x: str, heads: int, name: str | None = None) -> str:
        """[B, T, D] -> [B, H, T, K]."""
        split = self.g.op("Reshape", x, self.g.ints(0, 0, heads, self.d // heads))
        return self.g.op("Transpose", split, name=name, perm=[0, 2, 1, 3])

    def scale(self, x: str, wanted: bool, name: str) -> str:
        """Times sqrt(D), if `wanted` and the config scales."""
        if wanted and self.config.scale_embedding:
            return self.g.op("Mul", x, self.g.float(np.sqrt(np.float32(self.d))), name=name)
        return self.g.op("Identity", x, name=name)

    def hide(self, scores: str, mask: str | None, name: str) -> str:
        """Scores where the mask is True, the dialect's score of a hidden key elsewhere."""
        if mask is None:
            return self.g.op("Identity", scores, name=name)
        hidden = np.finfo(np.float32).min if self.dialect.masked_score is None else self.dialect.masked_score
        return self.g.op("Where", mask, scores, self.g.float(float(hidden)), name=name)

    def queries(self, w: str, at: str, x: str, heads: int) -> str:
        """[B, T, D] -> [B, H, T, K], divided by sqrt(K)."""
        q = self.split_heads(self.linear(f"{w}.q_proj", x), heads)
        return self.g.op("Div", q, self.g.float(np.sqrt(np.float32(self.d // heads))), name=f"{at}.q")

    def keys_values(self, w: str, at: str, x: str, heads: int) -> tuple[str, str]:
        """[B, L, D] -> keys and values, [B, H, L, K] each."""
        k = self.split_heads(self.linear(f"{w}.k_proj", x), heads, f"{at}.k")
        return k, self.split_heads(self.linear(f"{w}.v_proj", x), heads, f"{at}.v")

    def attend(self, w: str, at: str, q: str, k: str, v: str, mask: str | None) -> str:
        """Queries over keys and values -> [B, T, D]."""
        g = self.g
        scores = g.op("MatMul", q, g.op("Transpose", k, perm=[0, 1, 3, 2]), name=f"{at}.scores")
        weights = g.op("Softmax", self.hide(scores, mask, f"{at}.masked_scores"), name=f"{at}.weights", axis=-1)
        mixed = g.op("Transpose", g.op("MatMul", weights, v), perm=[0, 2, 1, 3])  # [B, T, H, K]
        mixed = g.op("Reshape", mixed, g.ints(0, 0, self.d), name=f"{at}.context")
        return self.linear(f"{w}.out_proj", mixed, f"{at}.output")

    def add_and_norm(self, w: str, at: str, x: str, output: str) -> str:
        """LayerNorm(x + output)."""
        return self.norm(w, self.g.op("Add", x, output, name=f"{at}.sum"), f"{at}.norm")

    def feed_forward(self, w: str, at: str, x: str) -> str:
        """LayerNorm(x + fc2(activation(fc1(x))))."""
        hidden = self.linear(f"{w}.fc1", x, f"{at}.hidden")
        hidden = ACTIVATIONS[self.config.activation_function](self.g, hidden, f"{at}.activation")
        return self.add_and_norm(f"{w}.final_layer_norm", at, x, self.linear(f"{w}.fc2", hidden, f"{at}.output"))

    def zero_pads(self, x: str, mask: str | None, name: str) -> str:
        """States [B, S, D] with zeros at pads, where the dialect wants them; `mask` is [B, S]."""
        if mask is None or not self.dialect.zero_padded_states:
            return self.g.op("Identity", x, name=name)
        kept = self.g.op("Cast", self.g.op("Unsqueeze", mask, self.g.ints(2)), to=1)  # 1 = float32
        return self.g.op("Mul", x, kept, name=name)

    def encode(self, ids: str, mask: str | None) -> str:
        """Source ids [B, S], mask [B, S] or None -> states [B, S, D]."""
        g, at = self.g, "encoder.embed"
        tokens = g.op("Gather", self.constant("shared.weight"), ids, name=f"{at}.tokens")
        scaled = self.scale(tokens, True, f"{at}.scaled")
        if mask is not None and self.dialect.positions_follow_mask:
            counted = g.op("CumSum", g.op("Cast", mask, to=7), g.int(1))  # 7 = int64
            where = g.op("Max", g.op("Sub", counted, g.int(1)), g.int(0))
        else:
            where = g.op("Range", g.int(0), g.size(ids, 1), g.int(1))
            where = g.op("Expand", where, g.op("Shape", ids))
        rows = g.op("Gather", self.constant("encoder.embed_positions.weight"), where, name=f"{at}.positions")
        x = g.op("Add", scaled, rows, name=f"{at}.sum")
        x = self.norm("encoder.layernorm_embedding", x, f"{at}.norm")
        x = self.zero_pads(x, mask, f"{at}.output")
        keys = None if mask is None else g.op("Unsqueeze", mask, g.ints(1, 2))  # [B, 1, 1, S]
        heads = self.config.encoder_attention_heads
        for n in range(self.config.encoder_layers):
            w = f"encoder.layers.{n}"
            at = f"{w}.self_attn"
            q, (k, v) = self.queries(at, at, x, heads), self.keys_values(at, at, x, heads)
            x = self.add_and_norm(f"{w}.self_attn_layer_norm", at, x, self.attend(at, at, q, k, v, keys))
            x = self.zero_pads(self.feed_forward(w, f"{w}.ffn", x), mask, f"{w}.output")
        return g.op("Identity", x, name="encoder.states")

    def cross(self, states: str) -> list[tuple[str, str]]:
        """Each decoder layer's keys and values of the source."""
        heads = self.config.decoder_attention_heads
        names = [f"decoder.layers.{n}.encoder_attn" for n in range(self.config.decoder_layers)]
        return [self.keys_values(name, name, states, heads) for name in names]

    def embed_target(self, ids: str, so_far: str) -> str:
        """Target ids [B, T] from position `so_far` on -> [B, T, D]: the norm comes BEFORE the positions."""
        g, at = self.g, "decoder.embed"
        tokens = g.op("Gather", self.constant("shared.weight"), ids, name=f"{at}.tokens")
        scaled = self.scale(tokens, self.dialect.scale_decoder_embeddings, f"{at}.scaled")
        normed = self.norm("decoder.layernorm_embedding", scaled, f"{at}.norm")
        where = g.op("Range", so_far, g.op("Add", so_far, g.size(ids, 1)), g.int(1))
        where = g.op("Expand", where, g.op("Shape", ids))
        rows = g.op("Gather", self.constant("decoder.embed_positions.weight"), where, name=f"{at}.positions")
        return g.op("Identity", g.op("Add", normed, rows, name=f"{at}.sum"), name=f"{at}.output")

    def self_mask(self, ids: str, so_far: str, mask: str | None) -> str:
        """[1 or B, 1, T, L]: causal, without the keys that `mask` [B, L] hides."""
        g = self.g
        length = g.op("Add", so_far, g.size(ids, 1))
        of_query = g.op("Unsqueeze", g.op("Range", so_far, length, g.int(1)), g.ints(0, 1, 3))  # [1, 1, T, 1]
        of_key = g.op("Unsqueeze", g.op("Range", g.int(0), length, g.int(1)), g.ints(0, 1, 2))  # [1, 1, 1, L]
        causal = g.op("LessOrEqual", of_key, of_query)
        return causal if mask is None else g.op("And", causal, g.op("Unsqueeze", mask, g.ints(1, 2)))

    def decode(
        self,
        ids: str,
        cross: list[tuple[str, str]],
        past: list[tuple[str, str]] | None,
        self_mask: str | None,
        cross_mask: str | None,
    ) -> tuple[str, list[tuple[str, str]]]:
        """Target ids [B, T] over a source and earlier keys -> states [B, T, D], and each layer's longer keys, values.

        `cross_mask` is [B, S]. Without `past` these are the first tokens.
        """
        g, heads = self.g, self.config.decoder_attention_heads
        x = self.embed_target(ids, g.int(0) if past is None else g.size(past[0][0], 2))
        keys = None if cross_mask is None else g.op("Unsqueeze", cross_mask, g.ints(1, 2))  # [B, 1, 1, S]
        present = []
        for n in range(self.config.decoder_layers):
            w = f"decoder.layers.{n}"
            at = f"{w}.self_attn"
            q, (k, v) = self.queries(at, at, x, heads), self.keys_values(at, at, x, heads)
            if past is not None:
                k, v = (g.op("Concat", old, new, axis=2) for old, new in zip(past[n], (k, v), strict=True))
            present.append((k, v))
            x = self.add_and_norm(f"{w}.self_attn_layer_norm", at, x, self.attend(at, at, q, k, v, self_mask))
            at = f"{w}.encoder_attn"
            output = self.attend(at, at, self.queries(at, at, x, heads), *cross[n], keys)
            x = self.add_and_norm(f"{w}.encoder_attn_layer_norm", at, x, output)
            x = g.op("Identity", self.feed_forward(w, f"{w}.ffn", x), name=f"{w}.output")
        return g.op("Identity", x, name="decoder.states"), present

    def logits(self, states: str) -> str:
        """[B, T, D] -> [B, T, V]."""
        g, config = self.g, self.config
        matrix = g.op("Transpose", self.constant("shared.weight"), perm=[1, 0])
        logits = g.op("MatMul", states, matrix)
        bias: Any = self.weights["final_logits_bias"]
        start = config.decoder_start_token_id
        replaced = self.dialect.start_logit is not None and start is not None
        logits = g.op("Add", logits, g.constant("final_logits_bias", bias[0]), name=None if replaced else "logits")
        if replaced:
            is_start = g.constant("is_start", np.arange(config.vocab_size) == start)
            logits = g.op("Where", is_start, g.float(self.dialect.start_logit or 0.0), logits, name="logits")
        return logits
