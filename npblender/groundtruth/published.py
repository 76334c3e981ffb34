"""What is known of the published model facebook/blenderbot_small-90M: sizes, files, replies.

The replies are facts that others have recorded, each with its source: transformers' own tests of its torch, TensorFlow
and Flax classes, and the example in its documentation. Decoded with spaces before punctuation cleaned up, in the
dialect of the version that recorded them. The weights' files have no sha256 here, since none is known with certainty.
Equal sizes, equal dictionaries and equal replies identify the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedReply:
    """What was said, and every reply that a correct model has been seen to give."""

    text: str
    replies: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Published:
    """What identifies a published model: sizes of its configuration, sha256 of its dictionary's files, its replies."""

    name: str
    sizes: Mapping[str, object]
    sha256: Mapping[str, str]
    dialect: str
    replies: tuple[PublishedReply, ...]


BLENDERBOT_SMALL_90M = Published(
    name="facebook/blenderbot_small-90M",
    sizes={
        **{"vocab_size": 54944, "d_model": 512, "max_position_embeddings": 512},
        **{"encoder_layers": 8, "encoder_attention_heads": 16, "encoder_ffn_dim": 2048},
        **{"decoder_layers": 8, "decoder_attention_heads": 16, "decoder_ffn_dim": 2048},
        **{"activation_function": "gelu", "scale_embedding": True},
    },
    sha256={
        "vocab.json": "d1a0271afcf03a8feb759aae85b1459056f613da320ee9ead73cc55a5a3e62e8",
        "merges.txt": "28a5efe0c1e1d9d6150de4855d497c3a887022a172af149a55d7d7d9c5b464b4",
    },
    dialect="transformers-4",
    replies=(
        PublishedReply(
            "sam",
            (
                "have you ever been to a sam club? it's a great club in the south.",
                "have you ever heard of sam harris? he's an american singer, songwriter, and actor.",
            ),
            "transformers' own tests, short input",
        ),
        PublishedReply(
            "Social anxiety\nWow, I am never shy. Do you have anxiety?\nYes. I end up sweating and blushing and feel "
            "like       i'm going to throw up.\nand why is that?",
            (
                "i don't know. i just feel like i'm going to throw up. it's not fun.",
                "i'm not sure. i just feel like i've been feeling like i have to be in a certain place",
                "i'm not sure. i just feel like i've been in a bad situation.",
            ),
            "transformers' own tests, long input (torch, TensorFlow, Flax)",
        ),
        PublishedReply(
            "My friends are cool but they eat too many carbs.",
            ("what kind of carbs do they eat? i don't know much about carbs.",),
            "the example of transformers' documentation, first turn",
        ),
        PublishedReply(
            "My friends are cool but they eat too many carbs.__end__ __start__what kind of carbs do they eat? i don't "
            "know much about carbs__end__ __start__ I'm not sure.",
            ("they eat a lot of carbs. carbs are high in fat, protein, and fats.",),
            "the same, second turn",
        ),
    ),
)
