"""Runs transformers' own logits processors on the filter cases of a pack.

    PYTHON -m tools.originals.run_filters CASES ANSWERS

CASES is a safetensors file with the tensors `NAME/ids`, `NAME/scores` and a metadata key `cases` of names to
parameters, as packs have them (npblender/groundtruth/packs/sections/filters.py); ANSWERS gets `NAME`, the new scores.
Cases of ParlAI's blocks, which write -1e20, are passed over.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers.generation import logits_process as processors


def processor(name: str, p: dict[str, Any], ids: torch.Tensor) -> Any:
    """transformers' processor for a filter of a pack."""
    make = {
        "min_length": lambda: processors.MinLengthLogitsProcessor(p["shortest"], p["eos"], device="cpu"),
        "forced_bos": lambda: processors.ForcedBOSTokenLogitsProcessor(p["token"]),
        "forced_eos": lambda: processors.ForcedEOSTokenLogitsProcessor(p["longest"], p["tokens"], device="cpu"),
        "suppress": lambda: processors.SuppressTokensLogitsProcessor(p["tokens"], device="cpu"),
        "begin_suppress": lambda: processors.SuppressTokensAtBeginLogitsProcessor(
            p["tokens"], p["first"], device="cpu"
        ),
        "repetition_penalty": lambda: processors.RepetitionPenaltyLogitsProcessor(p["penalty"]),
        "no_repeat_ngram": lambda: (
            processors.NoRepeatNGramLogitsProcessor(p["size"])
            if "sources" not in p
            else processors.EncoderNoRepeatNGramLogitsProcessor(p["size"], torch.tensor(p["sources"]))
        ),
        "bad_words": lambda: processors.NoBadWordsLogitsProcessor(p["phrases"], eos_token_id=torch.tensor([2])),
        "sequence_bias": lambda: processors.SequenceBiasLogitsProcessor(
            {tuple(phrase): bias for phrase, bias in p["biases"]}
        ),
        "exponential_decay": lambda: processors.ExponentialDecayLengthPenalty(
            (p["start"], p["factor"]), torch.tensor(p["eos"]), 0
        ),
        "allowed_tokens": lambda: processors.PrefixConstrainedLogitsProcessor(lambda source, target: p["allowed"], 1),
        "remove_invalid": processors.InfNanRemoveLogitsProcessor,
        "temperature": lambda: processors.TemperatureLogitsWarper(p["value"]),
        "top_k": lambda: processors.TopKLogitsWarper(p["k"]),
        "top_p": lambda: processors.TopPLogitsWarper(p["p"]),
        "min_p": lambda: processors.MinPLogitsWarper(p["share"]),
        "typical": lambda: processors.TypicalLogitsWarper(p["mass"]),
        "epsilon": lambda: processors.EpsilonLogitsWarper(p["cutoff"]),
        "eta": lambda: processors.EtaLogitsWarper(p["cutoff"], device="cpu"),
    }
    return make[name]()


def main() -> int:
    cases, answers = sys.argv[1:]
    out = {}
    with safe_open(cases, "pt") as stored:
        for name, parameters in json.loads(stored.metadata()["cases"]).items():
            if "hopeless" in parameters:
                continue
            ids, scores = stored.get_tensor(f"{name}/ids"), stored.get_tensor(f"{name}/scores")
            out[name] = processor(parameters.pop("filter"), parameters, ids)(ids, scores).contiguous()
    save_file(out, answers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
