"""Runs the examples of transformers 4's documentation of the Keras and Flax classes on a tiny model.

    PYTHON -m tools.originals.run_documented FOLDER ANSWERS

PYTHON is the interpreter of the environment of Keras and Flax (`python -m tools originals`). FOLDER holds a model as
tf_model.h5 and flax_model.msgpack, its tokenizer, and npblender's `params` as params.safetensors; it stands for the
published checkpoint of the examples. What each call gives is written to ANSWERS, one safetensors file. This file
compares nothing: see `tools/differential/formats.py`.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict
from safetensors.numpy import load_file, save_file
from transformers import (
    AutoTokenizer,
    FlaxBlenderbotSmallForConditionalGeneration,
    FlaxBlenderbotSmallModel,
    TFBlenderbotSmallForConditionalGeneration,
    TFBlenderbotSmallModel,
)

UTTERANCE = "My friends are cool but they eat too many carbs."
MASKED = "My friends are but they eat too many carbs."
LENGTH = 8


def keras(mname: str, answers: dict[str, np.ndarray]) -> None:
    model = TFBlenderbotSmallForConditionalGeneration.from_pretrained(mname)
    tokenizer = AutoTokenizer.from_pretrained(mname, use_fast=False)
    inputs = tokenizer([UTTERANCE], return_tensors="tf")
    reply_ids = model.generate(**inputs, max_length=LENGTH)
    reply = tokenizer.batch_decode(reply_ids, skip_special_tokens=True)[0]
    following = f"{UTTERANCE}__end__ __start__{reply}__end__ __start__ I'm not sure"
    inputs = tokenizer([following], return_tensors="tf")
    inputs.pop("token_type_ids", None)
    answers["keras reply"] = np.asarray(reply_ids)
    answers["keras next reply"] = np.asarray(model.generate(**inputs, max_length=LENGTH))
    base = TFBlenderbotSmallModel.from_pretrained(mname)
    ids = np.asarray(inputs["input_ids"])
    target = np.ones((1, 2), np.int64)
    answers["keras states"] = np.asarray(base([ids, None, target]).last_hidden_state)
    answers["keras logits"] = np.asarray(model({"input_ids": ids, "decoder_input_ids": target}).logits)


def flax(mname: str, answers: dict[str, np.ndarray]) -> None:
    model = FlaxBlenderbotSmallForConditionalGeneration.from_pretrained(mname)
    tokenizer = AutoTokenizer.from_pretrained(mname, use_fast=False)
    inputs = tokenizer(UTTERANCE, max_length=60, truncation=True, return_tensors="np")
    encoder_outputs = model.encode(**inputs)
    start = model.config.decoder_start_token_id
    decoder_input_ids = jnp.ones((inputs.input_ids.shape[0], 1), dtype="i4") * start
    answers["flax encoded"] = np.asarray(encoder_outputs.last_hidden_state)
    answers["flax decoded"] = np.asarray(model.decode(decoder_input_ids, encoder_outputs).logits)
    base = FlaxBlenderbotSmallModel.from_pretrained(mname)
    states = base.decode(decoder_input_ids, base.encode(**inputs)).last_hidden_state
    answers["flax states"] = np.asarray(states)
    summary = model.generate(inputs["input_ids"], max_length=LENGTH)
    answers["flax reply"] = np.asarray(summary.sequences)
    input_ids = tokenizer([MASKED], return_tensors="np")["input_ids"]
    answers["flax logits"] = np.asarray(model(input_ids).logits)
    apart, params = FlaxBlenderbotSmallForConditionalGeneration.from_pretrained(mname, _do_init=False)
    answers["flax logits with params"] = np.asarray(apart(input_ids, params=params).logits)
    ours = load_file(os.path.join(mname, "params.safetensors"))  # what our class of that name calls its params
    given = unflatten_dict({tuple(name.split("/")): jnp.asarray(array) for name, array in ours.items()})
    answers["flax logits with our params"] = np.asarray(apart(input_ids, params=given).logits)
    answers["flax kernel"] = np.asarray(model.params["model"]["decoder"]["layers"]["1"]["fc1"]["kernel"])


def main() -> int:
    folder, out = sys.argv[1:]
    answers: dict[str, np.ndarray] = {}
    keras(folder, answers)
    flax(folder, answers)
    save_file({name: np.ascontiguousarray(array) for name, array in answers.items()}, out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
