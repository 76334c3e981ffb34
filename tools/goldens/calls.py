"""The models and calls of the golden files: few, small, written by hand, and each there for a reason.

Between them they show every field of a dialect that touches the forward pass, every activation, every mask, the
cache, and all three classes. `tools/goldens/forward.py` has the originals answer them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from reference_tests.support.random_models import draw_weights
from tools.differential.draft import BASE, CAUSAL, EVERYTHING, SEQ2SEQ
from tools.originals.exchange import Case

TRANSFORMERS = ("transformers-5", "transformers-4")
ALL = (*TRANSFORMERS, "parlai")
ONLY_FOUR = ("transformers-4",)

PAD, START, END = 0, 1, 2
SOURCE = np.array([[5, 11, 3, 17, 8, 21], [9, 4, 13, 6, PAD, PAD]])
SOURCE_MASK = (SOURCE != PAD).astype(np.int64)
LEFT_PADDED = np.array([[PAD, PAD, 7, 15, 12, 4], [PAD, 19, 10, 8, 3, 22]])
LEFT_MASK = (LEFT_PADDED != PAD).astype(np.int64)
TARGET = np.array([[START, 14, 9, 20, 5], [START, 7, 18, 3, 16]])
LABELS = np.array([[14, 9, -100, 5, END], [7, -100, -100, 16, END]])


def config(**sizes: Any) -> dict[str, Any]:
    """A config.json: odd sizes that differ between encoder and decoder, and the given ones."""
    common = {
        "model_type": "blenderbot-small",
        "bos_token_id": START,
        "d_model": 15,
        "decoder_attention_heads": 5,
        "decoder_ffn_dim": 7,
        "decoder_layers": 2,
        "decoder_start_token_id": START,
        "encoder_attention_heads": 3,
        "encoder_ffn_dim": 11,
        "encoder_layers": 1,
        "eos_token_id": END,
        "max_position_embeddings": 9,
        "pad_token_id": PAD,
        "vocab_size": 23,
    }
    return dict(sorted((common | sizes).items()))


class Calls:
    """A list of calls in the making; `keep` says which tensors of an answer are stored (all, if it says nothing)."""

    def __init__(self) -> None:
        self.inputs: dict[str, np.ndarray] = {}
        self.calls: list[dict[str, Any]] = []

    def add(
        self, why: str, class_name: str, originals: tuple[str, ...], keep: tuple[str, ...], **arguments: Any
    ) -> int:
        number = len(self.calls)
        given = {}
        for name, value in arguments.items():
            if isinstance(value, np.ndarray):
                self.inputs[f"{number}/{name}"] = value
                value = {"array": f"{number}/{name}"}
            given[name] = value
        call = {"class": class_name, "arguments": given, "originals": list(originals), "why": why, "keep": list(keep)}
        self.calls.append(call)
        return number


LOGITS = ("logits",)
LAST = ("logits", "loss", "encoder_last_hidden_state")


def common_calls(originals: tuple[str, ...]) -> Calls:
    """What every original can be asked."""
    calls = Calls()
    masked = {"input_ids": SOURCE, "attention_mask": SOURCE_MASK}
    calls.add("everything", SEQ2SEQ, originals, (), **masked, decoder_input_ids=TARGET, use_cache=True, **EVERYTHING)
    first = calls.add("a prompt", SEQ2SEQ, originals, LOGITS, **masked, decoder_input_ids=TARGET[:, :2], use_cache=True)
    calls.add(
        "three more tokens at once over its cache",
        *(SEQ2SEQ, originals, ("logits", "past_key_values/0/self")),
        encoder_outputs={"encoder_of": first},
        past_key_values={"past_of": first},
        attention_mask=SOURCE_MASK,
        decoder_input_ids=TARGET[:, 2:],
        use_cache=True,
    )
    left = {"input_ids": LEFT_PADDED, "decoder_input_ids": TARGET}
    calls.add("left padding, masked", SEQ2SEQ, originals, LAST, **left, attention_mask=LEFT_MASK)
    calls.add("pads without a mask", SEQ2SEQ, originals, LAST, **left)
    holes = np.array([[1, 0, 1, 1, 0, 1], [0, 0, 0, 0, 0, 0]])
    ids = np.where(SOURCE == PAD, 20, SOURCE)
    calls.add(
        "holes in one row, nothing to attend to in the other",
        *(SEQ2SEQ, originals, (*LAST, "cross_attentions/0")),
        input_ids=ids,
        attention_mask=holes,
        decoder_input_ids=TARGET,
        output_attentions=True,
    )
    return calls


def transformers_calls(rng: np.random.Generator, d_model: int) -> Calls:
    """What both versions of transformers can be asked beyond that, and what only the fourth honours."""
    calls = common_calls(TRANSFORMERS)
    masked = {"input_ids": SOURCE, "attention_mask": SOURCE_MASK}
    decoder_mask = np.array([[1, 1, 1, 1, 0], [0, 1, 1, 1, 1]])
    calls.add(
        "labels, from which the target is made; a first target token hidden from itself",
        *(SEQ2SEQ, TRANSFORMERS, ("logits", "loss", "decoder_attentions/0")),
        **masked,
        labels=LABELS,
        decoder_attention_mask=decoder_mask,
        output_attentions=True,
    )
    embeds, targets = (np.round(rng.standard_normal((2, n, d_model)), 3) for n in (6, 5))
    calls.add(
        "embeddings on both sides",
        *(SEQ2SEQ, TRANSFORMERS, LAST),
        inputs_embeds=embeds,
        decoder_inputs_embeds=targets,
    )
    calls.add("no head", BASE, TRANSFORMERS, ("last_hidden_state",), **masked, decoder_input_ids=TARGET)
    calls.add("the decoder alone", CAUSAL, TRANSFORMERS, ("logits", "loss"), input_ids=TARGET, labels=LABELS)
    states = {"encoder_hidden_states": embeds, "encoder_attention_mask": SOURCE_MASK}
    calls.add("the decoder over states", CAUSAL, TRANSFORMERS, LOGITS, input_ids=TARGET, **states)
    return calls


def head_mask_calls(calls: Calls, sizes: dict[str, Any]) -> None:
    """Head masks in their three places, one head off and one halved in each layer."""
    encoder = np.ones((sizes["encoder_layers"], sizes["encoder_attention_heads"]))
    decoder = np.ones((sizes["decoder_layers"], sizes["decoder_attention_heads"]))
    encoder[:, 1], decoder[:, 2], decoder[:, 0] = 0.0, 0.0, 0.5
    masks = {"head_mask": encoder, "decoder_head_mask": decoder, "cross_attn_head_mask": decoder[:, ::-1].copy()}
    for name, mask in masks.items():
        arguments = {"input_ids": SOURCE, "attention_mask": SOURCE_MASK, "decoder_input_ids": TARGET, name: mask}
        calls.add(name, SEQ2SEQ, ONLY_FOUR, LAST, **arguments)


def golden_cases() -> list[tuple[Case, tuple[str, ...]]]:
    """The models with their calls and the originals they are for."""
    cases: list[tuple[Case, tuple[str, ...]]] = []
    common = [
        ("gelu-scaled", config(activation_function="gelu", scale_embedding=True), 11),
        (
            "relu-unscaled",
            config(activation_function="relu", scale_embedding=False, encoder_layers=2, decoder_layers=1),
            12,
        ),
    ]
    for name, sizes, seed in common:
        calls = common_calls(ALL)
        if sizes["scale_embedding"]:
            head_mask_calls(calls, sizes)
        weights = draw_weights(np.random.default_rng(seed), sizes, "float32", final_bias=False, gain=(0.9, 1.0))
        cases.append((Case(name, sizes, "float64", weights, calls.inputs, calls.calls), ALL))
    other = {"encoder_attention_heads": 5, "decoder_attention_heads": 3, "encoder_layers": 2, "decoder_layers": 1}
    for name, sizes, seed in (
        ("silu-biased", config(activation_function="silu", scale_embedding=True, **other), 13),
        ("gelu-new-biased", config(activation_function="gelu_new", scale_embedding=False, **other), 14),
    ):
        calls = transformers_calls(np.random.default_rng(seed), sizes["d_model"])
        weights = draw_weights(np.random.default_rng(seed), sizes, "float32", gain=(0.9, 1.0))
        cases.append((Case(name, sizes, "float64", weights, calls.inputs, calls.calls), TRANSFORMERS))
    return cases
