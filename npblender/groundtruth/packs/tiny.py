"""Makes the tiny model of packs: all its sizes are different numbers, so that a shape shows which axis is which.

Its weights are random and seeded; its vocabulary is the tokenizer's example. Its replies mean nothing, but they differ
and end: the last norm's weights are random in sign, so that tied embeddings do not make every token repeat itself, and
the end token's embedding leans towards that norm's bias. The final bias of the logits is zero, since ParlAI has none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import Dialect
from npblender.config.generation_config import GenerationConfig
from npblender.models import BlenderbotSmallForConditionalGeneration
from npblender.tokenizer.example import EXAMPLE_VOCABULARY, example_tokenizer
from npblender.transformer.parameters import Weights, from_arrays, random_weights, to_arrays

TINY_CONFIG = BlenderbotSmallConfig(
    vocab_size=len(EXAMPLE_VOCABULARY),  # V = 48
    d_model=24,  # D
    encoder_layers=1,
    decoder_layers=2,
    encoder_attention_heads=4,  # H of the encoder, so K = 6
    decoder_attention_heads=3,  # H of the decoder, so K = 8
    encoder_ffn_dim=10,  # F of the encoder
    decoder_ffn_dim=14,  # F of the decoder
    max_position_embeddings=40,
    scale_embedding=True,
    forced_eos_token_id=None,
)
LEANING = 2.0


def tiny_weights(seed: int) -> Weights:
    """Draw the weights in float32, the same for the same seed on every machine."""
    rng = np.random.default_rng([seed, 1])
    arrays = to_arrays(random_weights(TINY_CONFIG, seed))
    last = f"decoder.layers.{TINY_CONFIG.decoder_layers - 1}.final_layer_norm"
    bias = (rng.standard_normal(TINY_CONFIG.d_model) * 0.3).astype(np.float32)
    arrays[f"{last}.weight"] = rng.standard_normal(TINY_CONFIG.d_model).astype(np.float32)
    arrays[f"{last}.bias"] = bias
    shared = arrays["shared.weight"].astype(np.float64)
    shared[TINY_CONFIG.eos_token_id] += LEANING * bias / (bias @ bias)
    arrays["shared.weight"] = shared.astype(np.float32)
    arrays["final_logits_bias"] = np.zeros_like(arrays["final_logits_bias"])
    return from_arrays(TINY_CONFIG, arrays)


def save_tiny(folder: Path, seed: int, dialect: Dialect) -> None:
    """Save the model and its tokenizer as a folder that `from_pretrained` and transformers read."""
    settings = GenerationConfig.from_model_config(TINY_CONFIG).replace(max_length=12)
    model = BlenderbotSmallForConditionalGeneration(
        TINY_CONFIG, tiny_weights(seed), dialect=dialect, generation_config=settings
    )
    model.save_pretrained(folder)
    tokenizer = example_tokenizer(dialect)
    tokenizer.model_max_length = TINY_CONFIG.max_position_embeddings
    tokenizer.save_pretrained(folder)
