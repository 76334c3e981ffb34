"""ParlAI's own TransformerGeneratorModel with the configuration and the weights of a case.

Cases have the names of transformers (see `exchange.py`); this file maps them to ParlAI's.
"""

from __future__ import annotations

import re
import types
from typing import Any

import numpy as np
import parlai.agents.transformer.modules.attention as parlai_attention
import torch
from parlai.agents.transformer.modules import TransformerGeneratorModel
from parlai.core.opt import Opt

from tools.originals.exchange import Case

# transformers' names on the left, ParlAI's on the right; applied one after another.
RENAMES = (
    (r"^(encoder|decoder)\.embed_positions\.", r"\1.position_embeddings."),
    (r"^(encoder|decoder)\.layernorm_embedding\.", r"\1.norm_embeddings."),
    (r"^(encoder\.layers\.\d+)\.self_attn\.", r"\1.attention."),
    (r"^(decoder\.layers\.\d+)\.self_attn\.", r"\1.self_attention."),
    (r"\.encoder_attn\.", ".encoder_attention."),
    (r"\.([qkv]|out)_proj\.", r".\1_lin."),
    (r"\.self_attn_layer_norm\.", ".norm1."),
    (r"\.encoder_attn_layer_norm\.", ".norm2."),
    (r"^(encoder\.layers\.\d+)\.final_layer_norm\.", r"\1.norm2."),
    (r"^(decoder\.layers\.\d+)\.final_layer_norm\.", r"\1.norm3."),
    (r"\.fc([12])\.", r".ffn.lin\1."),
)


def parlai_name(name: str) -> str:
    """ParlAI's name of a parameter.

    >>> parlai_name("model.decoder.layers.2.final_layer_norm.bias")
    'decoder.layers.2.norm3.bias'
    """
    if name == "model.shared.weight":
        return "embeddings.weight"
    name = name.removeprefix("model.")
    for pattern, replacement in RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


def sizes(config: dict[str, Any], side: str = "encoder") -> dict[str, Any]:
    """ParlAI's options for a configuration. It has one head count and one ffn size: those of the side are taken."""
    return {
        "embedding_size": config["d_model"],
        "n_heads": config[f"{side}_attention_heads"],
        "ffn_size": config[f"{side}_ffn_dim"],
        "n_layers": config[f"{side}_layers"],
        "n_encoder_layers": config["encoder_layers"],
        "n_decoder_layers": config["decoder_layers"],
        "n_positions": config["max_position_embeddings"],
        "activation": config["activation_function"],
        "embeddings_scale": config["scale_embedding"],
        "variant": "xlm",
        "learn_positional_embeddings": True,
    }


def options(config: dict[str, Any], side: str) -> Opt:
    """The options of one side of a model, without dropout."""
    return Opt(sizes(config, side), dropout=0.0, attention_dropout=0.0, relu_dropout=0.0)


class Dictionary(dict[str, int]):
    """As much of ParlAI's dictionary as the model asks for: three special tokens and a length."""

    null_token, start_token, end_token = "__null__", "__start__", "__end__"

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(
            __null__=config["pad_token_id"], __start__=config["bos_token_id"], __end__=config["eos_token_id"]
        )
        self.size = config["vocab_size"]

    def __len__(self) -> int:
        return self.size


class TwoSided(TransformerGeneratorModel):
    """ParlAI's model, its two sides built from options of their own."""

    @classmethod
    def build_encoder(cls, opt: Opt, *arguments: Any, **keywords: Any) -> torch.nn.Module:
        return super().build_encoder(opt["encoder"], *arguments, **keywords)

    @classmethod
    def build_decoder(cls, opt: Opt, *arguments: Any, **keywords: Any) -> torch.nn.Module:
        return super().build_decoder(opt["decoder"], *arguments, **keywords)


def build(case: Case) -> TransformerGeneratorModel:
    both = Opt(options(case.config, "encoder"))
    both.update(encoder=options(case.config, "encoder"), decoder=options(case.config, "decoder"))
    model = TwoSided(both, Dictionary(case.config)).to(getattr(torch, case.dtype)).eval()
    if case.weights["final_logits_bias"].any():
        raise ValueError("ParlAI has no final bias on its logits; the case has one that is not zero")
    wide = types.SimpleNamespace(**{**vars(torch), "float": torch.float64})
    parlai_attention.torch = wide if case.dtype == "float64" else torch
    load_weights(model, case.weights)
    return model


def load_weights(model: TransformerGeneratorModel, weights: dict[str, np.ndarray]) -> None:
    """Give a model all of a case's weights; neither side may have one that the other lacks."""
    stored = {parlai_name(name): value for name, value in weights.items() if name != "final_logits_bias"}
    # The embedding is one module under three names; START is a buffer of the id.
    own = [name for name in model.state_dict() if name != "START"]
    given = {
        name: torch.from_numpy(stored[re.sub(r"^(encoder|decoder)\.embeddings\.", "embeddings.", name)]) for name in own
    }
    model.load_state_dict({**given, "START": model.START})
    assert set(stored) <= set(own), sorted(set(stored) - set(own))
