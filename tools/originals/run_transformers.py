"""Runs a folder of cases through transformers, whichever version is installed, and writes what it answers.

    PYTHON -m tools.originals.run_transformers CASES ANSWERS --original transformers-5

PYTHON is the interpreter of that original's environment (`python -m tools originals`). The model computes with
`attn_implementation="eager"`, on the CPU, in evaluation mode. See `exchange.py` for the files.

Two things are done here that transformers does not do by itself, so that a comparison is possible at all:
the causal head's embedding and its lm_head get the shared weight (both versions leave them random when the
file holds `model.shared.weight` only), and under transformers 5 the causal head gets an empty cache that
does not count layers (its own has as many as the ENCODER, and crashes when the decoder has more).
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import transformers
from transformers.cache_utils import Cache, DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from tools.originals.exchange import ENCODER_OUTPUTS, Answer, Case, answer_calls, flatten, flatten_cache, serve

CAUSAL = "BlenderbotSmallForCausalLM"
BASE = "BlenderbotSmallModel"


def build(case: Case, class_name: str, dtype: str) -> torch.nn.Module:
    """The model of one case with every parameter and buffer taken from its weights."""
    config = transformers.BlenderbotSmallConfig.from_dict(copy.deepcopy(case.config))
    model_class = getattr(transformers, class_name)
    model = model_class._from_config(config, attn_implementation="eager")
    model = model.to(getattr(torch, dtype)).eval()
    shared = "model.shared.weight"
    tied = {"lm_head.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"}
    prefix = "model." if class_name == BASE else ""
    with torch.no_grad():
        for name, tensor in (*model.named_parameters(remove_duplicate=False), *model.named_buffers()):
            stored = prefix + name
            tensor.copy_(torch.from_numpy(case.weights[shared if stored in tied else stored]))
    return model


def as_array(value: Any) -> np.ndarray:
    return value.detach().numpy().copy()


def cache_layers(cache: Any) -> list[tuple[torch.Tensor, ...]]:
    """Either version's cache as per-layer (self k, self v[, cross k, cross v])."""
    if isinstance(cache, tuple):
        return list(cache)
    if isinstance(cache, EncoderDecoderCache):
        own, cross = _pairs(cache.self_attention_cache), _pairs(cache.cross_attention_cache)
        return [(*pair, *(cross[index] if index < len(cross) else ())) for index, pair in enumerate(own)]
    return list(_pairs(cache))


def _pairs(cache: Cache) -> list[tuple[torch.Tensor, torch.Tensor]]:
    if hasattr(cache, "key_cache"):  # transformers 4
        return [pair for pair in zip(cache.key_cache, cache.value_cache, strict=True) if len(pair[0])]
    return [(layer.keys, layer.values) for layer in cache.layers if layer.keys is not None]


def flat_output(output: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Every array of an output, whether it came as an object with names or as a bare tuple."""
    items = [(f"tuple/{i}", v) for i, v in enumerate(output)] if isinstance(output, tuple) else output.items()
    for name, value in items:
        if isinstance(value, Cache):
            value = tuple(cache_layers(value))
        if name == "past_key_values" and value is not None:
            yield from flatten_cache(cache_layers(value), as_array)
        else:
            yield from flatten(name, value, as_array)


class Runner:
    """Answers the calls of one case; later calls may use what earlier ones gave back."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.models: dict[tuple[str, str], torch.nn.Module] = {}
        self.outputs: dict[int, Any] = {}

    def model(self, class_name: str, dtype: str) -> torch.nn.Module:
        if (class_name, dtype) not in self.models:
            self.models[class_name, dtype] = build(self.case, class_name, dtype)
        return self.models[class_name, dtype]

    def tensor(self, name: str, dtype: str) -> torch.Tensor:
        tensor = torch.from_numpy(self.case.inputs[name])
        return tensor.to(getattr(torch, dtype)) if tensor.is_floating_point() else tensor

    def value(self, value: Any, dtype: str) -> Any:
        """One argument as torch takes it."""
        if not isinstance(value, dict):
            return value
        ((form, content),) = value.items()
        if form == "array":
            return self.tensor(content, dtype)
        if form == "arrays":
            return tuple(self.tensor(name, dtype) for name in content)
        if form == "encoder_of":
            names = ("last_hidden_state", "hidden_states", "attentions")
            found = (self.outputs[content].get(name) for name in ENCODER_OUTPUTS)
            return BaseModelOutput(**dict(zip(names, found, strict=True)))
        if form == "past_of":
            # A cache grows in place, so the call gets a copy and the answer of call N stays what it was.
            cache = copy.deepcopy(self.outputs[content]["past_key_values"])
            return EncoderDecoderCache.from_legacy_cache(cache) if isinstance(cache, tuple) else cache
        raise ValueError(f"a case holds an argument of the unknown form {form!r}")

    def call(self, number: int, call: dict[str, Any]) -> dict[str, np.ndarray]:
        dtype = call.get("dtype", self.case.dtype)
        model = self.model(call["class"], dtype)
        arguments = {name: self.value(value, dtype) for name, value in call["arguments"].items()}
        if call["class"] == CAUSAL and hasattr(DynamicCache(), "layers"):
            asked = arguments.get("use_cache")
            if (model.config.use_cache if asked is None else asked) and arguments.get("past_key_values") is None:
                with_encoder = arguments.get("encoder_hidden_states") is not None
                empty = EncoderDecoderCache(DynamicCache(), DynamicCache()) if with_encoder else DynamicCache()
                arguments["past_key_values"] = empty
        with torch.no_grad():
            output = model(**arguments)
        self.outputs[number] = output
        return dict(flat_output(output))


def answer(case: Case, original: str) -> Answer:
    return answer_calls(case, original, Runner(case).call)


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    sys.exit(serve("Answer a folder of cases with transformers.", answer, torch.set_num_threads))
