"""Goldens of generation: the originals search two tiny models with options drawn at random.

The searches are those of `tools/differential/searches_*.py`. Stored is what each original found: ids, scores of whole
sequences and, from transformers, the beams that tokens were chosen in. npblender makes no number of these files.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tools import ROOT
from tools.differential import generation, search_measure
from tools.differential.originals import version_of
from tools.differential.searches_parlai import full_context_case, parlai_search_case
from tools.differential.searches_transformers import transformers_search_case
from tools.goldens.files import Answers, Golden, read_golden
from tools.goldens.made import Made, answer_differences, made_of
from tools.originals import asking
from tools.originals.exchange import Case, read_answer, wanted, write_case

FOLDER = ROOT / "reference_tests" / "golden" / "generation"
SIZES = {
    "d_model": 15,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 5,
    "encoder_ffn_dim": 11,
    "decoder_ffn_dim": 7,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "vocab_size": 37,
}
KEPT = ("sequences", "sequences_scores", "beam_indices")
CALLS = 40


def golden_cases() -> dict[str, tuple[Case, tuple[str, ...]]]:
    """The models with their calls, and who answers them. Weights are float32 numbers, which both sides widen."""
    one_sided = SIZES | {"encoder_attention_heads": 5, "encoder_ffn_dim": SIZES["decoder_ffn_dim"]}
    transformers = transformers_search_case("transformers", np.random.default_rng([2, 4]), CALLS, SIZES)
    parlai = parlai_search_case("parlai", np.random.default_rng([2, 2]), CALLS // 2, one_sided)
    full = full_context_case("parlai-full-context", np.random.default_rng([2, 5]), CALLS // 4, one_sided)
    for call in transformers.calls:
        if call["options"].get("return_dict_in_generate"):
            for name in ("output_logits", "output_attentions", "output_hidden_states"):
                call["options"].pop(name, None)
    rounded = {name: w.astype(np.float32).astype(np.float64) for name, w in transformers.weights.items()}
    return {
        "transformers": (dataclasses.replace(transformers, weights=rounded), generation.TRANSFORMERS),
        "parlai": (parlai, ("parlai",)),
        "parlai-full-context": (full, ("parlai",)),
    }


def make(case: Case, originals: tuple[str, ...]) -> Golden:
    """A golden with the originals' answers."""
    answers = {}
    with tempfile.TemporaryDirectory() as place:
        write_case(case, Path(place) / "cases")
        for original in originals:
            process = generation.start(original, Path(place) / "cases", Path(place) / original)
            asking.finish(original, process)
            raw = read_answer(case.name, Path(place) / original)
            for number, (call, ending) in enumerate(zip(case.calls, raw.endings, strict=True)):
                if ending != (None if wanted(call, original) else "skipped"):
                    raise RuntimeError(f"{original} answered call {number} of {case.name} with {ending}")
            kept = {name: array for name, array in raw.tensors.items() if original == "parlai" or _is_kept(name)}
            bound = search_measure.PARLAI_BOUND if original == "parlai" else search_measure.SCORE_BOUND
            dtype = "float32" if original == "parlai" else "float64"
            answers[original] = Answers(original, original, dtype, version_of(original), bound, kept)
    weights = {name: value.astype(np.float32) for name, value in case.weights.items()}
    return Golden(dataclasses.replace(case, weights=weights), answers)


def _is_kept(name: str) -> bool:
    return name.split("/", 1)[1] in KEPT


def check(golden: Golden) -> list[str]:
    """What differs between a golden made now and the stored one."""

    def difference(new: np.ndarray, stored: np.ndarray, bound: float) -> str | None:
        if new.shape != stored.shape:
            return f"shape {new.shape} is not {stored.shape}"
        far = search_measure.score_difference(new, stored)
        return None if far <= bound else f"differs by {far:.3g}"

    return answer_differences(golden, read_golden(golden.case.name, FOLDER), difference)


def made() -> Iterator[Made]:
    """The goldens of both models."""
    for case, originals in golden_cases().values():
        yield made_of(make(case, originals), FOLDER, check)
