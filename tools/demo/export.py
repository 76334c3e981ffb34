"""From a training checkpoint to a model folder in the published layout, in float16.

It does NOT need npblender, and writes no card (see `card`).
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from .batches import LONGEST_CONTEXT
from .lines import GENERATION
from .net import Net, Shape
from .pieces import END, NULL, SPECIAL, START

IDS = {"bos_token_id": START, "eos_token_id": END, "pad_token_id": NULL, "decoder_start_token_id": START}


def load(path: Path) -> Net:
    """The network of a checkpoint, ready to evaluate."""
    state = torch.load(path, weights_only=True, map_location="cpu")
    net = Net(Shape(**json.loads(state["shape"])))
    net.load_state_dict(state["net"])
    return net.eval()


def tensors(net: Net) -> dict[str, np.ndarray]:
    """The weights under transformers' names, in float16; positions only as far as they were trained."""
    out = {"model.shared.weight": net.shared.weight, "final_logits_bias": torch.zeros(1, net.shape.vocab_size)}
    for side, layers in (("encoder", net.encoder), ("decoder", net.decoder)):
        base = f"model.{side}"
        out[f"{base}.embed_positions.weight"] = getattr(net, f"{side}_positions").weight[:LONGEST_CONTEXT]
        out |= _pair(f"{base}.layernorm_embedding", getattr(net, f"{side}_norm"))
        for number, layer in enumerate(layers):
            here = f"{base}.layers.{number}"
            out |= _attention(f"{here}.self_attn", layer.self_attn)
            out |= _pair(f"{here}.self_attn_layer_norm", layer.self_norm)
            if layer.cross_attn is not None:
                out |= _attention(f"{here}.encoder_attn", layer.cross_attn)
                out |= _pair(f"{here}.encoder_attn_layer_norm", layer.cross_norm)
            out |= _pair(f"{here}.fc1", layer.fc1) | _pair(f"{here}.fc2", layer.fc2)
            out |= _pair(f"{here}.final_layer_norm", layer.norm)
    return {name: tensor.detach().numpy().astype(np.float16) for name, tensor in out.items()}


def _pair(name: str, module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {f"{name}.weight": module.weight, f"{name}.bias": module.bias}


def _attention(name: str, attention: torch.nn.Module) -> dict[str, torch.Tensor]:
    out = _pair(f"{name}.out_proj", attention.out)
    if attention.q is not None:
        out |= _pair(f"{name}.q_proj", attention.q)
    joined = ("k", "v") if attention.cross else ("q", "k", "v")
    weights, biases = (x.chunk(len(joined)) for x in (attention.rest.weight, attention.rest.bias))
    for letter, weight, bias in zip(joined, weights, biases, strict=True):
        out |= {f"{name}.{letter}_proj.weight": weight, f"{name}.{letter}_proj.bias": bias}
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
    """Write the model folder `folder` from the checkpoint and the tokenizer in `work`."""
    net = load(work / "checkpoint.pt")
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
