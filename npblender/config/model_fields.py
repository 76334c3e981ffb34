"""What each field of a model's configuration may be, and which values this mathematics does not cover.

What it does not do: it reads no files and changes no values.
"""

from collections.abc import Mapping
from typing import Any

from npblender.fieldchecks import check_number, check_size, check_switch, check_token_id

__all__ = ["ACTIVATIONS", "ACTIVATION_ALIASES", "ID_OR_IDS", "check_extra", "check_fields"]

# The activations of the feed-forward network; "gelu" is the one with erf, "gelu_new" the one with tanh.
ACTIVATIONS = ("gelu", "relu", "silu", "gelu_new")

# transformers builds the same torch.nn.SiLU for both names.
ACTIVATION_ALIASES: Mapping[str, str] = {"swish": "silu"}

# Keys that real files carry and that would change the mathematics: only this value is covered, and why.
_COVERED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "layernorm_variant": (("xlm",), "the decoder's embedding norm comes before the positions"),
    "do_blenderbot_90_layernorm": ((True,), "the decoder's embedding norm comes before the positions"),
    "normalize_before": ((False,), "each LayerNorm follows its residual sum"),
    "normalize_embedding": ((True,), "embeddings pass through a LayerNorm"),
    "static_position_embeddings": ((False,), "positions are learned"),
    "extra_pos_embeddings": ((0,), "position p is row p of the table"),
    "add_bias_logits": ((False,), "the logits' only bias is final_logits_bias"),
    "add_final_layer_norm": ((False,), "no LayerNorm follows the last layer"),
    "layer_norm_eps": ((1e-5,), "every original adds 1e-5 under the root"),
    "tie_encoder_decoder": ((False,), "encoder and decoder have weights of their own"),
    "pruned_heads": (({}, None), "every head is there"),
    "quantization_config": ((None,), "weights are stored as plain floats"),
}

_SIZES = (
    "vocab_size",
    "max_position_embeddings",
    "d_model",
    "encoder_layers",
    "encoder_attention_heads",
    "encoder_ffn_dim",
    "decoder_layers",
    "decoder_attention_heads",
    "decoder_ffn_dim",
)
_PROBABILITIES = (
    "dropout",
    "attention_dropout",
    "activation_dropout",
    "encoder_layerdrop",
    "decoder_layerdrop",
)
_SWITCHES = (
    "scale_embedding",
    "use_cache",
    "is_encoder_decoder",
    "is_decoder",
    "tie_word_embeddings",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
)
_IDS = ("pad_token_id", "bos_token_id", "decoder_start_token_id")
ID_OR_IDS = ("eos_token_id", "forced_eos_token_id")


def check_fields(values: Mapping[str, Any]) -> None:
    """All refusals that concern fields, in the order a reader would meet them.

    Raises:
        ValueError: a value out of range, in disagreement with another, or not covered.
        TypeError: a value of a wrong type.
    """
    for name in _SIZES:
        check_size(name, values[name])
    for name in ("encoder_attention_heads", "decoder_attention_heads"):
        if values["d_model"] % values[name]:
            raise ValueError(
                f"d_model {values['d_model']} is not divisible by {name} {values[name]}; heads of equal size "
                f"need a divisor of {values['d_model']}"
            )
    for name in _PROBABILITIES:
        check_number(name, values[name], at_most=1.0)
    check_number("init_std", values["init_std"])
    for name in _SWITCHES:
        check_switch(name, values[name])
    if values["activation_function"] not in ACTIVATIONS:
        raise ValueError(
            f"activation_function {values['activation_function']!r} is not covered; use one of {', '.join(ACTIVATIONS)}"
        )
    for name in (*_IDS, *ID_OR_IDS):
        several = name in ID_OR_IDS and isinstance(values[name], tuple)
        for each in values[name] if several else (values[name],):
            check_token_id(name, each, values["vocab_size"])
    if not values["tie_word_embeddings"]:
        raise ValueError("tie_word_embeddings false is not covered, only true: logits come from the token embeddings")
    if not isinstance(values["npblender_dialect"], str | dict | None):
        raise TypeError(
            f"npblender_dialect must be a dialect's name, or its fields, not {values['npblender_dialect']!r}"
        )


def check_extra(extra: Mapping[str, Any]) -> None:
    """Refuse keys of real files, mostly ParlAI's and early transformers', that would change the mathematics.

    >>> check_extra({"normalize_before": True})
    Traceback (most recent call last):
    ValueError: normalize_before True is not covered, only False: each LayerNorm follows its residual sum
    """
    for name, (covered, reason) in _COVERED.items():
        if name in extra and not any(_same(extra[name], value) for value in covered):
            raise ValueError(f"{name} {extra[name]!r} is not covered, only {covered[0]!r}: {reason}")


def _same(found: Any, covered: Any) -> bool:
    """Equal, and not as 1 and true are."""
    return bool(found == covered) and isinstance(found, bool) == isinstance(covered, bool)
