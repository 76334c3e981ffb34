"""Goldens of the forward pass: the originals answer the calls of `calls.py` on four tiny models, and a few on the demo.

npblender makes no number of a golden's answers; for the demo it only turns the texts into ids, which are stored too.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator

import numpy as np
from safetensors.numpy import load_file

from reference_tests.support.tolerances import TOLERANCES
from tools import ROOT
from tools.differential.draft import SEQ2SEQ
from tools.differential.measure import relative_difference
from tools.differential.originals import answers_of, version_of
from tools.goldens.calls import ALL, golden_cases
from tools.goldens.files import Answers, Golden, columns, read_golden, stored
from tools.goldens.made import Made, answer_differences, made_of
from tools.originals.exchange import Case, wanted

FOLDER = ROOT / "reference_tests" / "golden" / "forward"
DEMO = ROOT / "npblender" / "demo"
DEMO_NAME = "demo"
DEMO_EXCHANGES = (
    ("hello , how are you today ?", "i am doing well . how about you ?"),
    ("do you like music ?\nyes , i play the guitar .", "that is great . how long have you been playing ?"),
    ("what did you eat for dinner ?", "i had pizza with my friends ."),
)
KEPT_COLUMNS = 48
# ParlAI twice: as it is, in float32, for its logits; and with the one cast lifted that keeps a float64 model from
# being one, for all that it shows.
RUNS = {"transformers-5": "float64", "transformers-4": "float64", "parlai": "float32", "parlai-float64": "float64"}
BOUNDS = {
    "float64": TOLERANCES["float64 against transformers"].value,
    "float32": TOLERANCES["float32 against ParlAI"].value,
}


def answer(case: Case, run: str) -> Answers:
    """One original's answers to one case, cut down to what the golden keeps."""
    original, dtype = run.removesuffix("-float64"), RUNS[run]
    weights = {name: value.astype(dtype) for name, value in case.weights.items()}
    (raw,) = answers_of(original, [dataclasses.replace(case, dtype=dtype, weights=weights)])
    for number, (call, ending) in enumerate(zip(case.calls, raw.endings, strict=True)):
        if ending != (None if wanted(call, original) else "skipped"):
            raise RuntimeError(f"{run} answered call {number} of {case.name} with {ending}")
    tensors = {}
    for name, array in raw.tensors.items():
        place, tensor = name.split("/", 1)
        call = case.calls[int(place)]
        if stored(call, tensor) and (run != "parlai" or tensor == "logits"):
            tensors[name] = columns(call, tensor, array)
    note = ", its softmax in float64 too" if run == "parlai-float64" else ""
    return Answers(original, original, dtype, version_of(original) + note, BOUNDS[dtype], tensors)


def make(case: Case, originals: tuple[str, ...], model_sha256: str | None = None) -> Golden:
    runs = [run for run in RUNS if run.removesuffix("-float64") in originals]
    return Golden(case, {run: answer(case, run) for run in runs}, model_sha256)


def demo_case() -> tuple[Case, str]:
    """The demo with a few exchanges, its weights from the file that ships, and that file's sha256."""
    from npblender.tokenizer import BlenderbotSmallTokenizer

    file = DEMO / "model.safetensors"
    config = json.loads((DEMO / "config.json").read_text())
    tied = ("lm_head.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight")
    weights = {name: value.astype(np.float32) for name, value in load_file(file).items() if name not in tied}
    weights.setdefault("final_logits_bias", np.zeros((1, config["vocab_size"]), np.float32))
    tokenizer = BlenderbotSmallTokenizer.from_pretrained(DEMO)
    inputs: dict[str, np.ndarray] = {}
    calls = []
    rng = np.random.default_rng(0)
    for number, (text, reply) in enumerate(DEMO_EXCHANGES):
        inputs[f"{number}/source"] = np.array([tokenizer.encode(text)], np.int64)
        inputs[f"{number}/labels"] = np.array([[*tokenizer.encode(reply), config["eos_token_id"]]], np.int64)
        start = np.full((1, 1), config["decoder_start_token_id"])
        inputs[f"{number}/target"] = np.concatenate([start, inputs[f"{number}/labels"][:, :-1]], axis=1)
        likely = np.unique(inputs[f"{number}/labels"])
        others = rng.choice(config["vocab_size"], size=KEPT_COLUMNS - len(likely), replace=False)
        arguments = {"input_ids": {"array": f"{number}/source"}, "decoder_input_ids": {"array": f"{number}/target"}}
        call = {"class": SEQ2SEQ, "arguments": arguments, "originals": list(ALL), "why": f"{text!r} -> {reply!r}"}
        keep = {"keep": ["logits"]}
        calls.append(call | keep | {"columns": np.unique([*likely, *others]).tolist()})
    case = Case(DEMO_NAME, config, "float64", weights, inputs, calls)
    return case, hashlib.sha256(file.read_bytes()).hexdigest()


def made() -> Iterator[Made]:
    """The goldens of the tiny models."""
    for case, originals in golden_cases():
        yield made_of(make(case, originals), FOLDER, check)


def made_of_demo() -> Iterator[Made]:
    """The golden of the demo, which stores the sha256 of its weights instead of the weights."""
    case, sha256 = demo_case()
    golden = make(case, ALL, sha256)
    yield made_of(dataclasses.replace(golden, case=dataclasses.replace(case, weights={})), FOLDER, check)


def check(golden: Golden) -> list[str]:
    """Where a golden made now differs from the stored one by more than another machine's rounding may."""
    name = golden.case.name
    old = read_golden(name, FOLDER)
    if old.model_sha256 != golden.model_sha256:
        return [f"{name}: made of other weights; `python -m tools goldens demo` makes it anew"]
    if old.case.calls != golden.case.calls or set(old.answers) != set(golden.answers):
        return [f"{name}: its calls or originals have changed"]

    def difference(new: np.ndarray, stored: np.ndarray, bound: float) -> str | None:
        far, where = relative_difference(new, stored, nan_allowed=True)
        return None if far <= bound else f"{far:.3g}; {where}"

    return answer_differences(golden, old, difference)
