"""Checks every promise of `tools/torch_trace.py` with the transformers that is installed here.

    PYTHON -m tools.originals.check_torch_trace MODEL_FOLDER

PYTHON is the interpreter of one of transformers' environments (`python -m tools originals`). Ends with status 1 and a
line for each promise that does not hold.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
import transformers

from tools.torch_trace import hooked

IDS = torch.tensor([[5, 11, 3, 17], [9, 4, 13, 6]])
TARGET = torch.tensor([[1, 14, 9], [1, 7, 18]])


def load(folder: str, kind: str, attention: str = "eager") -> Any:
    model_class = getattr(transformers, f"BlenderbotSmall{kind}")
    return model_class.from_pretrained(folder, attn_implementation=attention).eval()


def refusal(call: Callable[[], Any]) -> str:
    """What a call is refused with, or nothing."""
    try:
        call()
    except ValueError as error:
        return str(error)
    return ""


def hidden(trace: Any) -> set[str]:
    """The last parts of the names that were not recorded."""
    return {name.rsplit(".", 1)[-1] for name in trace.unrecorded}


def check(folder: str) -> list[str]:
    failed = []

    def holds(what: str, condition: bool) -> None:
        if not condition:
            failed.append(what)

    model = load(folder, "ForConditionalGeneration")
    four = transformers.__version__.startswith("4.")
    silent = {"log_probabilities"} if four else {"log_probabilities", "q"}
    with torch.no_grad():
        before = model(input_ids=IDS, decoder_input_ids=TARGET).logits
        with hooked(model) as trace:
            during = model(input_ids=IDS, decoder_input_ids=TARGET, labels=TARGET)
        holds("hooks change no number", torch.equal(before, during.logits))
        holds("the logits are the model's", bool((torch.from_numpy(trace.arrays["logits"]) == before).all()))
        holds("the loss is recorded with labels", float(trace.arrays["loss"]) == float(during.loss))
        holds("only what is not computed is unrecorded", hidden(trace) == silent)
        holds("recorded and unrecorded are all points", {*trace.points, *trace.unrecorded} == set(trace.expected()))
        count = len(trace.arrays)
        model(input_ids=IDS, decoder_input_ids=TARGET)
        holds("the hooks are gone after the block", len(trace.arrays) == count)

        with hooked(model, steps=True) as steps:
            model.generate(input_ids=IDS, attention_mask=torch.ones_like(IDS), max_new_tokens=4, min_new_tokens=4,
                           num_beams=1, do_sample=False)  # fmt: skip
        holds("generate is recorded step by step", steps.passes == ["prefill.", "step1.", "step2.", "step3."])
        holds("every step is recorded whole", hidden(steps) == silent)
        scores = steps.arrays["step3.decoder.layers.0.self_attn.scores"]
        holds("a step sees the keys of all before it", scores.shape[-2:] == (1, 4))

        def twice() -> None:
            with hooked(model):
                model(input_ids=IDS, decoder_input_ids=TARGET)
                model(input_ids=IDS, decoder_input_ids=TARGET)

        holds("a second call is refused", "computed twice" in refusal(twice))
        holds("hooks are gone after an error too", not model.get_encoder()._forward_hooks)
        with hooked(load(folder, "Model")) as base:
            base_model = load(folder, "Model")
        holds("a model that was not called gives nothing", base.points == [] and "logits" in base.unrecorded)
        with hooked(base_model) as base:
            base_model(input_ids=IDS, decoder_input_ids=TARGET)
        holds("the base model has all but a head", hidden(base) == {"logits", *silent})
        causal_model = load(folder, "ForCausalLM")
        with hooked(causal_model) as causal:
            causal_model(input_ids=TARGET, use_cache=False)
        holds("the causal head has a decoder alone", hidden(causal) == silent and causal.points[0].startswith("dec"))
        if not four:  # transformers 4.52 has the eager attention only
            fused = load(folder, "ForConditionalGeneration", "sdpa")
            with hooked(fused) as quiet:
                fused(input_ids=IDS, decoder_input_ids=TARGET)
            inside = {"q", "scores", "masked_scores", "weights", "log_probabilities"}
            holds("a fused attention hides its inside and nothing else", hidden(quiet) == inside)
        half = load(folder, "ForConditionalGeneration").to(torch.bfloat16)
        with hooked(half) as narrow:
            answer = half(input_ids=IDS, decoder_input_ids=TARGET).logits
        same = torch.equal(torch.from_numpy(narrow.arrays["logits"]), answer.float())
        holds("bfloat16 is widened without loss", narrow.dtype == "bfloat16" and same)

    def training() -> None:
        with hooked(model.train()):
            pass

    def another() -> None:
        with hooked(torch.nn.Linear(1, 1)):
            pass

    holds("a model in training is refused", "training mode" in refusal(training))
    holds("another model is refused", "Linear" in refusal(another))
    return failed


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    broken = check(sys.argv[1])
    print("\n".join(f"does not hold: {line}" for line in broken))
    sys.exit(1 if broken else 0)
