"""A model folder small enough to be made in a moment: a vocabulary made by hand, and seeded random weights.

Its replies mean nothing, but they are made of words, marks and unfinished pieces, which is what a chat handles.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from npblender import (
    BlenderbotSmallConfig,
    BlenderbotSmallForConditionalGeneration,
    BlenderbotSmallTokenizer,
    GenerationConfig,
)

WORDS = (
    *("hello", "hi", "how", "are", "you", "your", "persona", "i", "am", "m", "fine", "like", "cats", "and", "dogs"),
    *("tea", "the", "what", "is", "it", "s", "don", "t", "name", "my", "movie", "music", "yes", "no", "darn", "damn"),
    *("class", "ass", "lower", "low", "new", "sing", "song", "day", "night", "good", "bad", "very", "much", "happy"),
)
MARKS = ("'", ".", ",", "!", "?", "(", ")", '"', ":", ";", "-", "/", "$", "%")
SPECIAL = ("__null__", "__start__", "__end__", "__unk__", "__newln__")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_"


def _merges_and_tokens() -> tuple[list[tuple[str, str]], list[str]]:
    """Every word's merges from the left, and the tokens that they make."""
    merges: dict[tuple[str, str], None] = {}
    tokens: dict[str, None] = {}
    for word in (*SPECIAL, *WORDS):
        left = word[0]
        for at in range(1, len(word)):
            right = word[at] + ("</w>" if at == len(word) - 1 else "")
            merges[left, right] = None
            left += word[at]
            tokens[left if at == len(word) - 1 else left + "@@"] = None
    return list(merges), list(tokens)


def make_tokenizer(dialect: str = "parlai") -> BlenderbotSmallTokenizer:
    """The tokenizer of the hand-made vocabulary."""
    merges, made = _merges_and_tokens()
    single = [letter + form for letter in LETTERS for form in ("", "@@")]
    vocabulary = dict.fromkeys((*SPECIAL, *WORDS, *MARKS, *single, *made))
    return BlenderbotSmallTokenizer(
        {token: number for number, token in enumerate(vocabulary)}, merges, dialect=dialect, model_max_length=POSITIONS
    )


POSITIONS = 64


def make_model(
    seed: int = 0,
    dialect: str = "parlai",
    settings: GenerationConfig | None = None,
    brevity: float = 0.0,
) -> BlenderbotSmallForConditionalGeneration:
    """A model of that vocabulary with random weights; `brevity` makes it end its replies sooner."""
    config = BlenderbotSmallConfig(
        vocab_size=len(make_tokenizer()),
        d_model=12,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=3,
        encoder_ffn_dim=20,
        decoder_ffn_dim=14,
        max_position_embeddings=POSITIONS,
        scale_embedding=True,
    )
    model = BlenderbotSmallForConditionalGeneration.from_config(config, seed=seed, dialect=dialect)
    bias = model.weights.final_logits_bias
    assert bias is not None
    model.weights = replace(model.weights, final_logits_bias=bias + brevity * np.eye(1, bias.size, 2, bias.dtype))
    model.generation_config = GenerationConfig() if settings is None else settings
    return model


def save_folder(folder: Path, seed: int = 0, settings: GenerationConfig | None = None) -> Path:
    """Model and tokenizer in one folder, as a user has them."""
    make_model(seed, settings=settings).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder
