"""Maps the names of parameters in files to those of the tree of weights, and back.

The tree's names are transformers' own without the `model.` prefix: `shared.weight`,
`encoder.layers.0.self_attn.q_proj.weight`, `final_logits_bias`. Files differ from them in four ways:

- transformers puts `model.` before every parameter of a model with a head, and nothing before those of the
  bare model;
- the one matrix of token embeddings may be stored under several names at once, or only under one of them;
- ParlAI has names of its own;
- Keras has paths with slashes, and it and Flax have other words for a weight.
"""

import re
from collections.abc import Sequence

from npblender.transformer.parameters import BASE_MODEL, CAUSAL_MODEL, Parts

SHARED = "shared.weight"


# Applied one after another: Keras's paths, Keras's and Flax's words, transformers' names, ParlAI's.
_RENAMES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^(?:.*/)?(?:model\.)?shared/(?:weight|embeddings)$", SHARED),
        (r"^final_logits_bias/final_logits_bias$", r"final_logits_bias"),
        (r"^(?:[^/]+/)*?(encoder|decoder)/(.+)$", lambda path: f"{path[1]}.{path[2].replace('/', '.')}"),
        (r"\.(?:kernel|gamma|scale|embedding|embeddings)$", r".weight"),
        (r"\.beta$", r".bias"),
        (r"^(?:module\.)?(?:model\.)?", r""),  # `module.` is torch's DataParallel
        (r"^(?:(?:encoder|decoder)\.embed_tokens|lm_head)\.weight$", SHARED),
        (r"^(?:(?:encoder|decoder)\.)?embeddings\.weight$", SHARED),
        (r"^(encoder|decoder)\.position_embeddings\.", r"\1.embed_positions."),
        (r"^(encoder|decoder)\.norm_embeddings\.", r"\1.layernorm_embedding."),
        (r"^(encoder\.layers\.\d+)\.attention\.", r"\1.self_attn."),
        (r"^(decoder\.layers\.\d+)\.self_attention\.", r"\1.self_attn."),
        (r"^(decoder\.layers\.\d+)\.encoder_attention\.", r"\1.encoder_attn."),
        (r"^(.*\.(?:self|encoder)_attn)\.(q|k|v|out)_lin\.", r"\1.\2_proj."),
        (r"^((?:encoder|decoder)\.layers\.\d+)\.ffn\.lin([12])\.", r"\1.fc\2."),
        (r"^((?:encoder|decoder)\.layers\.\d+)\.norm1\.", r"\1.self_attn_layer_norm."),
        (r"^(encoder\.layers\.\d+)\.norm2\.", r"\1.final_layer_norm."),
        (r"^(decoder\.layers\.\d+)\.norm2\.", r"\1.encoder_attn_layer_norm."),
        (r"^(decoder\.layers\.\d+)\.norm3\.", r"\1.final_layer_norm."),
    )
)

# ParlAI keeps the id of its start token as a buffer beside the parameters.
_NO_PARAMETERS = ("START",)


def canonical_name(stored: str) -> str | None:
    """Return the name in the tree for a tensor in a file; None for a tensor that is no parameter.

    An unknown name is returned as it is, and then found in no tree.

    >>> canonical_name("model.encoder.layers.0.fc1.weight")
    'encoder.layers.0.fc1.weight'
    >>> canonical_name("decoder.layers.3.encoder_attention.q_lin.bias")
    'decoder.layers.3.encoder_attn.q_proj.bias'
    >>> canonical_name("model/tf_blenderbot_small_model/model/decoder/layers.1/fc2/kernel")
    'decoder.layers.1.fc2.weight'
    >>> canonical_name("lm_head.weight"), canonical_name("START")
    ('shared.weight', None)
    """
    if stored in _NO_PARAMETERS:
        return None
    name = stored
    for pattern, replacement in _RENAMES:
        name = pattern.sub(replacement, name)
    return name


def copies_in_order(stored: Sequence[str], parts: Parts) -> list[str]:
    """Sort the names under which a file holds the token embeddings: the one to read, then those that must agree.

    A copy that belongs to a part the model lacks (the base model has no `lm_head`, a causal head no encoder)
    need not agree, and is read only if there is no other.

    >>> from npblender.transformer.parameters import FULL_MODEL
    >>> copies_in_order(["lm_head.weight", "model.shared.weight"], FULL_MODEL)
    ['model.shared.weight', 'lm_head.weight']
    >>> copies_in_order(["lm_head.weight", "shared.weight"], BASE_MODEL)
    ['shared.weight']
    """

    def rank(name: str) -> tuple[bool, bool, str]:
        bare = name.removeprefix("module.").removeprefix("model.")
        lacks = (
            parts == BASE_MODEL if bare == "lm_head.weight" else bare.startswith("encoder.") and "encoder" not in parts
        )
        return lacks, bare not in (SHARED, "embeddings.weight"), bare

    ranked = sorted(stored, key=rank)
    return ranked[:1] + [name for name in ranked[1:] if not rank(name)[0]]


def stored_name(canonical: str, parts: Parts) -> str:
    """Return the name under which both transformers look for a parameter in a file of a model of these parts.

    >>> from npblender.transformer.parameters import FULL_MODEL
    >>> stored_name("shared.weight", FULL_MODEL), stored_name("shared.weight", BASE_MODEL)
    ('model.shared.weight', 'shared.weight')
    >>> stored_name("shared.weight", CAUSAL_MODEL)
    'model.decoder.embed_tokens.weight'
    >>> stored_name("final_logits_bias", FULL_MODEL)
    'final_logits_bias'
    """
    if parts == BASE_MODEL or canonical == "final_logits_bias":
        return canonical
    if parts == CAUSAL_MODEL and canonical == SHARED:
        return "model.decoder.embed_tokens.weight"
    return f"model.{canonical}"
