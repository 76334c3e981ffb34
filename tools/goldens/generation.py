"""Has the originals make the golden files of `reference_tests/golden/generation/`.

    python tools/goldens/generation.py           # the files
    python tools/goldens/generation.py --check   # run the originals again and compare with the stored files

Two tiny models and the searches drawn for them (see `tools/differential/searches_*.py`), with what each original found:
ids, scores of whole sequences and, from transformers, the rows that tokens were chosen in. npblender makes no number
of these files. The originals' environments are made by `tools/originals/environments.py`.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools.differential import generation, search_measure  # noqa: E402
from tools.differential.originals import version_of  # noqa: E402
from tools.differential.searches_parlai import parlai_search_case  # noqa: E402
from tools.differential.searches_transformers import transformers_search_case  # noqa: E402
from tools.goldens.files import Answers, Golden, read_golden, write_golden  # noqa: E402
from tools.originals.exchange import Case, read_answer, wanted, write_case  # noqa: E402

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
    for call in transformers.calls:
        if call["options"].get("return_dict_in_generate"):
            for name in ("output_logits", "output_attentions", "output_hidden_states"):
                call["options"].pop(name, None)
    rounded = {name: w.astype(np.float32).astype(np.float64) for name, w in transformers.weights.items()}
    return {
        "transformers": (dataclasses.replace(transformers, weights=rounded), generation.TRANSFORMERS),
        "parlai": (parlai, ("parlai",)),
    }


def make(case: Case, originals: tuple[str, ...]) -> Golden:
    """A golden with the originals' answers."""
    answers = {}
    with tempfile.TemporaryDirectory() as place:
        write_case(case, Path(place) / "cases")
        for original in originals:
            process = generation.start(original, Path(place) / "cases", Path(place) / original)
            said = process.communicate()[0]
            if process.returncode:
                raise RuntimeError(f"{original} ended with {process.returncode}:\n{said[-4000:]}")
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
    name = golden.case.name
    old = read_golden(name, FOLDER)
    wrong = []
    for original, answers in golden.answers.items():
        before = old.answers[original]
        if set(before.tensors) != set(answers.tensors) or before.version != answers.version:
            wrong.append(f"{name}, {original}: other tensors, or made by {before.version}, now by {answers.version}")
            continue
        for tensor, array in answers.tensors.items():
            if array.shape != before.tensors[tensor].shape:
                wrong.append(f"{name}, {original}, {tensor}: another shape")
            elif not search_measure.score_difference(array, before.tensors[tensor]) <= answers.bound:
                wrong.append(f"{name}, {original}, {tensor} differs")
    return wrong


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Have the originals make the golden files of generation.")
    parser.add_argument("--check", action="store_true", help="write nothing; compare with the stored files")
    options = parser.parse_args(arguments)
    goldens = [make(case, originals) for case, originals in golden_cases().values()]
    if options.check:
        wrong = [line for golden in goldens for line in check(golden)]
        print("\n".join(wrong) if wrong else f"{len(goldens)} golden files are what the originals answer")
        return 1 if wrong else 0
    for golden in goldens:
        write_golden(golden, FOLDER)
        file = FOLDER / f"{golden.case.name}.safetensors"
        print(f"{file.relative_to(ROOT)}  {file.stat().st_size:,} bytes  {', '.join(golden.answers)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
