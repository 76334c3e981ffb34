"""Measures the float32 error of npblender against float64 truth, next to that of transformers.

Truth is transformers' float64 result, so it is not made by the code under test. The error of a float32
result is its root mean square over the logits; the figure is npblender's error over transformers' error, as
a geometric mean over models. On odd sizes, and at the size of the published 90M model with random weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from reference_tests.support.random_models import draw_config, draw_ids, draw_mask, draw_weights
from tools.differential import ours
from tools.differential.originals import answers_of
from tools.docs.tables import markdown
from tools.originals.exchange import Answer, Case

ORIGINAL = "transformers-5"
ODD_BOUND, BIG_BOUND = 1.1, 1.4
PUBLISHED_SIZE = {
    "model_type": "blenderbot-small",
    "activation_function": "gelu",
    "bos_token_id": 1,
    "d_model": 512,
    "decoder_attention_heads": 16,
    "decoder_ffn_dim": 2048,
    "decoder_layers": 8,
    "decoder_start_token_id": 1,
    "encoder_attention_heads": 16,
    "encoder_ffn_dim": 2048,
    "encoder_layers": 8,
    "eos_token_id": 2,
    "forced_eos_token_id": 2,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "scale_embedding": True,
    "vocab_size": 54944,
}


@dataclass(frozen=True)
class Report:
    text: str
    failures: list[str]


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


def precision_case(
    rng: np.random.Generator, name: str, config: dict[str, Any], batch: int, source: int, target: int
) -> Case:
    """One model of float32 weights and one call, made in float32 and, with the same weights, in float64."""
    weights = draw_weights(rng, config, "float32")
    inputs = {
        "ids": draw_ids(rng, config, batch, source),
        "mask": draw_mask(rng, batch, source, "right"),
        "target": draw_ids(rng, config, batch, target),
    }
    arguments = {
        "input_ids": {"array": "ids"},
        "attention_mask": {"array": "mask"},
        "decoder_input_ids": {"array": "target"},
        "use_cache": False,
    }
    call = {"class": "BlenderbotSmallForConditionalGeneration", "arguments": arguments}
    return Case(name, config, "float32", weights, inputs, [call | {"dtype": d} for d in ("float32", "float64")])


def errors(case: Case, theirs: Answer) -> tuple[float, float]:
    """The rms error of npblender's and of transformers' float32 logits."""
    assert theirs.endings == [None, None], theirs.endings
    truth = theirs.tensors["1/logits"]
    mine = ours.Runner(case, ORIGINAL).call(0, case.calls[0])["logits"]
    assert mine.dtype == np.float32, mine.dtype
    return rms(mine - truth), rms(theirs.tensors["0/logits"] - truth)


def measure(cases: list[Case], threads: int) -> tuple[float, float, float]:
    """Geometric means over the cases: npblender's error, transformers' error, their ratio."""
    pairs = [errors(case, theirs) for case, theirs in zip(cases, answers_of(ORIGINAL, cases, threads), strict=True)]
    logs = np.log(np.array(pairs))
    mine, theirs = np.exp(logs.mean(axis=0))
    return float(mine), float(theirs), float(mine / theirs)


def odd_cases(count: int, seed: int) -> list[Case]:
    cases = []
    for number in range(count):
        rng = np.random.default_rng([seed, 9, number])
        config = draw_config(rng)
        longest = config["max_position_embeddings"]
        cases.append(precision_case(rng, f"{number:04}", config, 3, longest, longest))
    return cases


def run(configs: int, seed: int) -> Report:
    """Both measurements as a table, and what lies beyond its bound."""
    rows, failures = [], []
    odd = measure(odd_cases(configs, seed), threads=1)
    published = []
    for number in range(2):  # one at a time: each holds 350 MB of weights
        rng = np.random.default_rng([seed, 10, number])
        published.append(measure([precision_case(rng, "published", PUBLISHED_SIZE, 2, 33, 17)], threads=2))
    big = tuple(np.exp(np.log(np.array(published)).mean(axis=0)))
    for what, models, figures, bound in (
        ("odd sizes", configs, odd, ODD_BOUND),
        ("the published size", len(published), big, BIG_BOUND),
    ):
        mine, theirs, ratio = figures
        rows.append([what, str(models), f"{mine:.2e}", f"{theirs:.2e}", f"{ratio:.3f}", f"{bound:g}"])
        if not ratio <= bound:
            failures.append(f"float32 on {what}: {ratio:.3f} times transformers' error, beyond {bound:g}")
    header = ["float32 on", "models", "rms error of npblender", "of transformers", "ratio", "bound"]
    return Report(markdown(header, rows), failures)
