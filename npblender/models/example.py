"""A tiny model for worked examples. Each size is another number, so that a shape tells which axis is which.

Its weights are random and its answers mean nothing. `npblender.demo` is a trained model.
"""

from __future__ import annotations

from typing import Any

from npblender.config import BlenderbotSmallConfig
from npblender.models import BlenderbotSmallForConditionalGeneration

EXAMPLE_CONFIG = BlenderbotSmallConfig(
    vocab_size=11,  # V
    d_model=6,  # D
    encoder_layers=1,
    decoder_layers=2,
    encoder_attention_heads=2,  # H of the encoder, so K = 3
    decoder_attention_heads=3,  # H of the decoder, so K = 2
    encoder_ffn_dim=5,  # F of the encoder
    decoder_ffn_dim=7,  # F of the decoder
    max_position_embeddings=13,
    scale_embedding=True,
)


def example_model(model_class: Any = BlenderbotSmallForConditionalGeneration) -> Any:
    """Make a model of `EXAMPLE_CONFIG` with seeded weights, in float32 and in the default dialect.

    >>> example_model().num_parameters()
    1447
    """
    return model_class.from_config(EXAMPLE_CONFIG, seed=0)
