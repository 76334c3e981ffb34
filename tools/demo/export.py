"""From the checkpoint of a training to a model folder in the published layout, in float16.

It does NOT need npblender, and writes no card (see `card`).
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from tools.demo.net import Net, Shape
from tools.demo.pieces import END, NULL, SPECIAL, START
from tools.demo.recipe import GENERATION
from tools.demo.samples import LONGEST_CONTEXT

IDS = {"bos_token_id": START, "eos_token_id": END, "pad_token_id": NULL, "decoder_start_token_id": START}


def load(path: Path) -> Net:
    """The network of a checkpoint, ready to evaluate."""
    state = torch.load(path, weights_only=True, map_location="cpu")
    net = Net(Shape(**json.loads(state["shape"])))
    net.load_state_dict(state["net"])
    return net.eval()


def tensors(net: Net) -> dict[str, np.ndarray]:
    """The weights under transformers' names, in float16; positions only as far as they were trained."""
    out = {"final_logits_bias": torch.zeros(1, net.shape.vocab_size)}
    state = net.state_dict()
    for name, theirs in names(net.shape).items():
        weight = state[name][:LONGEST_CONTEXT] if "positions" in name else state[name]
        out |= zip(theirs, weight.chunk(len(theirs)), strict=True)
    return {name: tensor.detach().numpy().astype(np.float16) for name, tensor in out.items()}


def names(shape: Shape) -> dict[str, list[str]]:
    """For every weight of the network its names in transformers; several where one product does the work of several."""
    out = {"shared.weight": ["model.shared.weight"]}
    modules: dict[str, list[str]] = {}
    for side, layers in (("encoder", shape.encoder_layers), ("decoder", shape.decoder_layers)):
        out[f"{side}_positions.weight"] = [f"model.{side}.embed_positions.weight"]
        modules[f"{side}_norm"] = [f"model.{side}.layernorm_embedding"]
        for number in range(layers):
            ours, here = f"{side}.{number}", f"model.{side}.layers.{number}"
            modules[f"{ours}.self_attn.rest"] = [f"{here}.self_attn.{letter}_proj" for letter in "qkv"]
            modules[f"{ours}.self_attn.out"] = [f"{here}.self_attn.out_proj"]
            modules[f"{ours}.self_norm"] = [f"{here}.self_attn_layer_norm"]
            if side == "decoder":
                modules[f"{ours}.cross_attn.q"] = [f"{here}.encoder_attn.q_proj"]
                modules[f"{ours}.cross_attn.rest"] = [f"{here}.encoder_attn.{letter}_proj" for letter in "kv"]
                modules[f"{ours}.cross_attn.out"] = [f"{here}.encoder_attn.out_proj"]
                modules[f"{ours}.cross_norm"] = [f"{here}.encoder_attn_layer_norm"]
            modules |= {f"{ours}.{name}": [f"{here}.{name}"] for name in ("fc1", "fc2")}
            modules[f"{ours}.norm"] = [f"{here}.final_layer_norm"]
    for name, theirs in modules.items():
        for kind in ("weight", "bias"):
            out[f"{name}.{kind}"] = [f"{each}.{kind}" for each in theirs]
    return out


def config(shape: Shape) -> dict:
    """`config.json` as transformers writes it for this class."""
    return {
        "activation_dropout": 0.0,
        "activation_function": "gelu",
        "architectures": ["BlenderbotSmallForConditionalGeneration"],
        "attention_dropout": 0.0,
        "d_model": shape.d_model,
        "decoder_attention_heads": shape.heads,
        "decoder_ffn_dim": shape.ffn,
        "decoder_layerdrop": 0.0,
        "decoder_layers": shape.decoder_layers,
        "dropout": shape.dropout,
        "encoder_attention_heads": shape.heads,
        "encoder_ffn_dim": shape.ffn,
        "encoder_layerdrop": 0.0,
        "encoder_layers": shape.encoder_layers,
        "forced_eos_token_id": END,
        "init_std": 0.02,
        "is_encoder_decoder": True,
        "max_position_embeddings": LONGEST_CONTEXT,
        "model_type": "blenderbot-small",
        "num_hidden_layers": shape.encoder_layers,
        "scale_embedding": True,
        "tie_word_embeddings": True,
        "torch_dtype": "float16",
        "use_cache": True,
        "vocab_size": shape.vocab_size,
        **IDS,
    }


def export(work: Path, folder: Path) -> None:
    """Write the model folder `folder` from the training's checkpoint and the tokenizer in `work`."""
    net = load(work / "training.pt")
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors(net), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    for source in (work / "vocab.json", work / "merges.txt", Path(__file__).with_name("LICENSES.txt")):
        (folder / source.name).write_bytes(source.read_bytes())
    special = dict(zip(("pad_token", "bos_token", "eos_token", "unk_token"), SPECIAL, strict=False))
    tokenizer = {
        **special,
        "model_max_length": LONGEST_CONTEXT,
        "tokenizer_class": "BlenderbotSmallTokenizer",
    }
    for name, content in (
        ("config.json", config(net.shape)),
        ("generation_config.json", {**GENERATION, **IDS, "forced_eos_token_id": END}),
        ("tokenizer_config.json", tokenizer),
        ("special_tokens_map.json", special),
    ):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
