"""Models by name: tiny ones of odd sizes, a wide one whose matrices are laid out for speed, and the demo."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from npblender import (
    BlenderbotSmallConfig,
    BlenderbotSmallForCausalLM,
    BlenderbotSmallForConditionalGeneration,
    BlenderbotSmallModel,
)

DIALECTS = ("parlai", "transformers-4", "transformers-5")
SPECIAL: dict[str, Any] = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
TINY = BlenderbotSmallConfig(
    vocab_size=23,
    d_model=30,
    encoder_layers=2,
    decoder_layers=3,
    encoder_attention_heads=3,
    decoder_attention_heads=5,
    encoder_ffn_dim=14,
    decoder_ffn_dim=22,
    max_position_embeddings=19,
    scale_embedding=True,
    dropout=0.2,
    attention_dropout=0.1,
    activation_dropout=0.15,
    encoder_layerdrop=0.3,
    decoder_layerdrop=0.3,
    **SPECIAL,
)
WIDE = BlenderbotSmallConfig(
    vocab_size=1100,
    d_model=256,
    encoder_layers=2,
    decoder_layers=2,
    encoder_attention_heads=4,
    decoder_attention_heads=8,
    encoder_ffn_dim=320,
    decoder_ffn_dim=576,
    max_position_embeddings=40,
    scale_embedding=True,
    dropout=0.1,
    attention_dropout=0.1,
    activation_dropout=0.1,
    **SPECIAL,
)
CLASSES: dict[str, Any] = {
    "seq2seq": BlenderbotSmallForConditionalGeneration,
    "base": BlenderbotSmallModel,
    "causal": BlenderbotSmallForCausalLM,
}


def models(dialect: str, small: bool) -> Iterator[tuple[str, Any]]:
    """Every model in a dialect, with its name; the small ones do not depend on the layout."""
    if small:
        for activation in ("gelu", "relu", "silu", "gelu_new"):
            config = TINY.replace(activation_function=activation)
            for dtype in ("float32", "float64") if activation == "gelu" else ("float32",):
                for kind, model_class in CLASSES.items():
                    name = f"tiny {activation} {kind} {dtype}"
                    yield name, model_class.from_config(config, seed=3, dialect=dialect, dtype=dtype)
        made = CLASSES["seq2seq"].from_config(TINY, seed=3, dialect=dialect, dtype="longdouble")
        yield "tiny gelu seq2seq longdouble", made
    for dtype in ("float32", "float64", "bfloat16", "float16"):
        if dtype == "float32" or small:
            for kind in ("base", "causal"):
                yield f"wide {kind} {dtype}", CLASSES[kind].from_config(WIDE, seed=4, dialect=dialect, dtype=dtype)
        yield f"wide seq2seq {dtype}", CLASSES["seq2seq"].from_config(WIDE, seed=4, dialect=dialect, dtype=dtype)
        yield f"demo {dtype}", CLASSES["seq2seq"].from_pretrained(dialect=dialect, dtype=dtype)
