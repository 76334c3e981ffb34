"""Runs a folder of cases through transformers 4's Keras and Flax classes and writes what they answer.

    PYTHON -m tools.originals.run_keras_flax CASES ANSWERS [--original keras-flax]

PYTHON is the interpreter of the environment of that name (`python -m tools originals`); torch is not in it. A call's
class says which of the two it is for: `TF...` or `Flax...`. Only their own arguments need them (positions, inputs
packed into the first argument, Flax's encode, init_cache and decode); everything else is shown with torch.

Both compute in float64 here. Keras has one constant in float32, the scale of the embeddings, which is replaced by
the same number in Python. Flax keeps its cache in another layout, and Keras gives its loss as an array of one: the
first is left out of the answers, the second stored as a scalar.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np
import tensorflow as tf
import transformers
from flax.traverse_util import unflatten_dict

from tools.originals.exchange import Answer, Case, answer_calls, flatten, flatten_cache, serve

jax.config.update("jax_enable_x64", True)
tf.keras.backend.set_floatx("float64")

FLAX_NAMES = {"kernel": "weight", "scale": "weight", "embedding": "weight", "bias": "bias"}
EMBEDDINGS = ("shared", "embed_positions")


def build_flax(case: Case, class_name: str) -> tuple[Any, Any]:
    """Flax's model and its parameters: kernels are transposed weights, norms have a scale, embeddings a table."""
    config = transformers.BlenderbotSmallConfig.from_dict(dict(case.config))
    model = getattr(transformers, class_name)(config, dtype=jax.numpy.float64, _do_init=False)
    base = class_name == "FlaxBlenderbotSmallModel"
    tree: dict[tuple[str, ...], np.ndarray] = {}
    for name, value in case.weights.items():
        if name == "final_logits_bias":
            if not base:
                tree[("final_logits_bias",)] = value
            continue
        *path, last = (name.removeprefix("model.") if base else name).split(".")
        if last == "weight" and "norm" in path[-1]:
            last = "scale"
        elif last == "weight" and path[-1] in EMBEDDINGS:
            last = "embedding"
        elif last == "weight":
            last, value = "kernel", value.T
        tree[(*path, last)] = value
    return model, unflatten_dict({path: jax.numpy.asarray(value) for path, value in tree.items()})


def build_keras(case: Case, class_name: str) -> Any:
    """Keras' model with every variable set from the case's weights."""
    config = transformers.BlenderbotSmallConfig.from_dict(dict(case.config))
    model = getattr(transformers, class_name)(config)
    inner = model.model
    for side in (inner.encoder, inner.decoder):
        side.embed_scale = math.sqrt(config.d_model) if config.scale_embedding else 1.0
    ids = np.full((1, 1), config.bos_token_id)
    model({"input_ids": ids, "decoder_input_ids": ids})  # makes the variables
    unset = set(case.weights) - ({"final_logits_bias"} if class_name == "TFBlenderbotSmallModel" else set())
    for variable in model.variables:
        parts = variable.name.split(":")[0].replace("layers.", "layers/").split("/")
        start = next(
            n for n, part in enumerate(parts) if part in ("encoder", "decoder", "model.shared", "final_logits_bias")
        )
        if parts[start] == "model.shared":
            name = "model.shared.weight"
        elif parts[start] == "final_logits_bias":
            name = "final_logits_bias"
        else:
            last = {"kernel": "weight", "gamma": "weight", "beta": "bias", "embeddings": "weight", "weight": "weight"}
            name = ".".join(["model", *parts[start:-1], last.get(parts[-1], parts[-1])])
        value = case.weights[name]
        variable.assign(value.T if parts[-1] == "kernel" else value)
        unset.discard(name)
    assert not unset, sorted(unset)
    return model


def as_array(value: Any) -> np.ndarray:
    return np.array(value)


def with_wide_index(leaf: Any) -> Any:
    """A cache's counter as int64: in its float64 mode jax refuses to slice by an int32 beside int64s."""
    return leaf.astype("int64") if leaf.dtype == "int32" else leaf


def flat_output(output: Any, keras: bool) -> Iterator[tuple[str, np.ndarray]]:
    for name, value in output.items():
        if name == "past_key_values":
            if keras and value is not None:
                yield from flatten_cache(value, as_array)
        elif name == "loss" and value is not None:
            yield name, as_array(value).reshape(())
        else:
            yield from flatten(name, value, as_array)


class Runner:
    """Answers the calls of one case; later calls may use what earlier ones gave back."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.models: dict[str, Any] = {}
        self.outputs: dict[int, Any] = {}

    def value(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        ((form, content),) = value.items()
        if form == "array":
            return self.case.inputs[content]
        if form == "encoded_by":
            return self.outputs[content]
        if form == "past_of":
            return self.outputs[content]["past_key_values"]
        raise ValueError(f"a case holds an argument of the unknown form {form!r}")

    def call(self, number: int, call: dict[str, Any]) -> dict[str, np.ndarray]:
        name, method = call["class"], call.get("method", "__call__")
        keras = name.startswith("TF")
        if name not in self.models:
            self.models[name] = (build_keras if keras else build_flax)(self.case, name)
        arguments = {key: self.value(value) for key, value in call["arguments"].items()}
        if keras:
            packed = call.get("packed")
            switches = {key: arguments.pop(key) for key in list(arguments) if key.startswith(("output_", "use_"))}
            if packed == "list":
                output = self.models[name](list(arguments.values()), **switches)
            elif packed == "dict":
                output = self.models[name](arguments, **switches)
            else:
                output = self.models[name](**arguments, **switches)
        else:
            model, parameters = self.models[name]
            if method == "init_cache":
                cache = jax.tree_util.tree_map(with_wide_index, model.init_cache(**arguments))
                self.outputs[number] = {"past_key_values": cache}
                return {}
            output = getattr(model, method)(**arguments, params=parameters)
        self.outputs[number] = output
        return dict(flat_output(output, keras))


def answer(case: Case, original: str) -> Answer:
    return answer_calls(case, original, Runner(case).call)


if __name__ == "__main__":
    set_threads = tf.config.threading.set_intra_op_parallelism_threads
    sys.exit(serve("Answer a folder of cases with Keras and Flax.", answer, set_threads, "keras-flax"))
