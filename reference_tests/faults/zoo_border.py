"""Faults of the border: parameters read wrongly, the habits of another original, and what is fed to the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from npblender.config.dialect import PARLAI, TRANSFORMERS_5
from npblender.ops import unchecked as ops
from npblender.transformer import attention, context, encoder, forward
from npblender.transformer.parameters import Embedding
from reference_tests.faults.zoo import SCALED, TRANSFORMERS, Array, Arrays, Fault, Inputs, Patch, everywhere
from reference_tests.faults.zoo_arithmetic import keep_bits, linear_maps

right_linear = ops.linear
SOURCE, TARGET = "encoder.layers.0.self_attn", "prefill.decoder.layers.0"


def named(arrays: Arrays, *endings: str) -> Iterator[str]:
    """The names with one of the endings; there are some."""
    found = [name for name in arrays if name.endswith(endings)]
    assert found, f"no parameter ends in {endings}"
    yield from found


def swapped(one: str, other: str, within: str = "") -> Callable[[Arrays], None]:
    """Parameters of two names read for each other."""

    def change(arrays: Arrays) -> None:
        for kind in (".weight", ".bias"):
            for name in named(dict(arrays), one + kind):
                if within in name:
                    mate = name.replace(one, other)
                    arrays[name], arrays[mate] = arrays[mate], arrays[name]

    return change


def transposed(*endings: str) -> Callable[[Arrays], None]:
    """Square matrices stored [in, out] and read as [out, in]."""

    def change(arrays: Arrays) -> None:
        arrays.update({name: arrays[name].T.copy() for name in named(arrays, *endings)})

    return change


def zeroed(*endings: str) -> Callable[[Arrays], None]:
    def change(arrays: Arrays) -> None:
        arrays.update({name: np.zeros_like(arrays[name]) for name in named(arrays, *endings)})

    return change


def tables_shared(arrays: Arrays) -> None:
    arrays["decoder.embed_positions.weight"] = arrays["encoder.embed_positions.weight"]


def one_layer_for_all(arrays: Arrays) -> None:
    arrays.update(
        {name: arrays[name.replace("decoder.layers.1", "decoder.layers.0")] for name in named_layer(arrays, 1)}
    )


def named_layer(arrays: Arrays, number: int) -> list[str]:
    return [name for name in arrays if name.startswith(f"decoder.layers.{number}.")]


def rounded(to: Callable[[Array], Array]) -> Callable[[Arrays], None]:
    def change(arrays: Arrays) -> None:
        arrays.update({name: to(array) for name, array in arrays.items()})

    return change


def pad_row_zero(arrays: Arrays) -> None:
    arrays["shared.weight"] = arrays["shared.weight"] * (np.arange(len(arrays["shared.weight"])) > 0)[:, None]


def norms_unread(arrays: Arrays) -> None:
    for name in named(arrays, "norm.weight", "layernorm_embedding.weight"):
        arrays[name] = np.ones_like(arrays[name])


def unbiased(x: Array, weight: Array, bias: Array | None = None) -> Array:
    return right_linear(x, weight)


def untied(right: Any) -> Any:
    """A head of its own, freshly drawn, because the file has no `lm_head.weight`."""

    def logits_of(weights: Any, states: Array, here: Any) -> Array:
        table = weights.shared.weight
        drawn = np.random.default_rng(1).standard_normal(table.shape) * table.shape[1] ** -0.5
        return right(replace(weights, shared=Embedding(drawn.astype(table.dtype))), states, here)

    return logits_of


def unprojected(right: Any) -> Any:
    """attend() without its output projection."""

    def attend(w: Any, *arguments: Any) -> Any:
        projection = w.out_proj
        identity = type(projection)(
            np.eye(*projection.weight.shape, dtype=projection.weight.dtype), 0 * projection.bias
        )
        return right(replace(w, out_proj=identity), *arguments)

    return attend


def training(patch: Patch) -> None:
    rng = np.random.default_rng(0)
    patch.setattr(context.Context, "dropout", lambda here, x, p: ops.dropout(x, 0.1, rng))


def started_with_end(inputs: Inputs) -> None:
    for row in inputs["decoder_input_ids"]:
        row[row.index(1)] = 2


def flipped(field: str) -> Any:
    return lambda dialect: replace(dialect, **{field: not getattr(dialect, field)})


BORDER: dict[str, Fault] = {
    "encoder scale lost": Fault(
        "encoder.embed.scaled",
        "The encoder's embeddings are not multiplied by sqrt(d_model).",
        lambda patch: patch.setattr(encoder, "scale_embeddings", lambda tokens, here: tokens),
    ),
    "decoder scale lost": Fault(
        "prefill.decoder.embed.scaled",
        "The decoder's embeddings are not multiplied by sqrt(d_model), as in transformers since 4.53; the norm behind "
        "hides it but for eps.",
        dialect=flipped("scale_decoder_embeddings"),
        dialects=SCALED,
    ),
    "decoder scale kept": Fault(
        "prefill.decoder.embed.scaled",
        "Right by the model's training, but not what transformers 5 computes.",
        dialect=flipped("scale_decoder_embeddings"),
        dialects=(TRANSFORMERS_5,),
    ),
    "q and k swapped": Fault(f"{SOURCE}.q", "Two parameters read for each other.", weights=swapped("q_proj", "k_proj")),
    "k and v swapped": Fault(f"{SOURCE}.k", "Two parameters read for each other.", weights=swapped("k_proj", "v_proj")),
    "v transposed": Fault(
        f"{SOURCE}.v", "A square matrix stored [out, in] is read as [in, out].", weights=transposed("v_proj.weight")
    ),
    "square matrices transposed": Fault(
        f"{SOURCE}.q",
        "As Flax and Keras store them; those of the feed-forward blocks would not fit, so only these pass.",
        weights=transposed("_proj.weight"),
    ),
    "norms taken for each other": Fault(
        f"{TARGET}.encoder_attn.norm",
        "ParlAI's norm2 is the feed-forward's norm in the encoder, but cross-attention's in the decoder.",
        weights=swapped("encoder_attn_layer_norm", "final_layer_norm", "decoder.layers"),
    ),
    "norm weights not read": Fault("encoder.embed.norm", "LayerNorm's gain stays at 1.", weights=norms_unread),
    "biases dropped": Fault(
        f"{SOURCE}.q",
        "Linear maps without their bias.",
        linear_maps(unbiased),
    ),
    "output projection forgotten": Fault(
        f"{SOURCE}.output", "Heads are joined, but not mixed by out_proj.", everywhere(attention.attend, unprojected)
    ),
    "encoder positions in the decoder": Fault(
        "prefill.decoder.embed.positions", "The two tables of positions are taken for one.", weights=tables_shared
    ),
    "one layer for all": Fault(
        "decoder.layers.1.encoder_attn.k", "Every layer is given the first one's parameters.", weights=one_layer_for_all
    ),
    "weights stored in float16": Fault(
        "encoder.embed.tokens",
        "The parameters went through half precision.",
        weights=rounded(lambda x: x.astype(np.float16).astype(x.dtype)),
    ),
    "weights stored in bfloat16": Fault(
        "encoder.embed.tokens", "The parameters went through bfloat16.", weights=rounded(keep_bits(7))
    ),
    "pad row zeroed": Fault(
        "encoder.embed.tokens",
        "The pad's embedding is 0 (`padding_idx`); the file has one that is not.",
        weights=pad_row_zero,
    ),
    "untied head": Fault(
        "prefill.logits",
        "The head has a matrix of its own, left as it was drawn, since the file has only the shared one.",
        everywhere(forward.logits_of, untied),
    ),
    "final bias dropped": Fault(
        "prefill.logits", "`final_logits_bias` is not added.", weights=zeroed("final_logits_bias")
    ),
    "decoder started with eos": Fault(
        "prefill.decoder.embed.tokens",
        "The target begins with `__end__`, as BART's does; here it begins with `__start__`.",
        inputs=started_with_end,
    ),
    "dropout left on": Fault("encoder.embed.output", "The model runs in training mode.", training),
    "positions by column": Fault(
        "encoder.embed.positions",
        "Positions count columns, as transformers does; ParlAI counts tokens, so that left padding changes nothing.",
        dialect=flipped("positions_follow_mask"),
        dialects=(PARLAI,),
    ),
    "positions by mask": Fault(
        "encoder.embed.positions",
        "Positions count tokens, as ParlAI does; transformers counts columns.",
        dialect=flipped("positions_follow_mask"),
        dialects=TRANSFORMERS,
    ),
    "pads not zeroed": Fault(
        "encoder.embed.output",
        "ParlAI's states are 0 at pads, after the embeddings and after every encoder layer.",
        dialect=flipped("zero_padded_states"),
        dialects=(PARLAI,),
    ),
    "start token free": Fault(
        "prefill.logits",
        "ParlAI never says `__start__`: its logit is -1e20.",
        dialect=lambda dialect: replace(dialect, start_logit=None),
        dialects=(PARLAI,),
    ),
}
