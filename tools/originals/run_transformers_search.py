"""Generates replies to a folder of cases with the installed transformers, and writes all that it returns.

    PYTHON -m tools.originals.run_transformers_search CASES ANSWERS --original transformers-5

PYTHON is the interpreter of that original's environment (`python -m tools originals`). A call is `{"arguments": {...},
"options": {...}, "own": {...}, "seed": N, "dtype": ...}` and may name toys (see `toys.py`). `own` are the settings of
the model itself. The answer holds every array of the record, and the transition scores made from it.

One thing is replaced, for calls that sample: `torch.multinomial` takes its random numbers from a NumPy generator, so
that both sides draw the same. Group beams have no transition scores: 4.52.4 numbers their `beam_indices` by group, so
that they fit nothing. For prompt lookup 4.52.4 is asked for its greedy search, which is what it should come to: it
overlooks an eos that comes among several accepted tokens.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import transformers
from transformers import GenerationConfig
from transformers.modeling_outputs import BaseModelOutput

from tools.originals.exchange import Answer, Case, describe_error, flatten, serve, wanted
from tools.originals.run_transformers import as_array, build
from tools.originals.toys import allowed_tokens, favour, stop_after

SEQ2SEQ = "BlenderbotSmallForConditionalGeneration"


class Draws:
    """`torch.multinomial` with the numbers of a NumPy generator: one uniform a row, or one exponential a candidate."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def __call__(self, probabilities: torch.Tensor, num_samples: int, **_: Any) -> torch.Tensor:
        rows = probabilities.numpy()
        if num_samples == 1:
            sums = np.cumsum(rows, axis=1, dtype=np.float64)
            marks = self.rng.random(len(sums)) * sums[:, -1]
            drawn = [np.searchsorted(row, [mark], side="right") for row, mark in zip(sums, marks, strict=True)]
        else:
            drawn = [self.several(row, num_samples) for row in rows]
        return torch.tensor(np.array(drawn))

    def several(self, row: np.ndarray, count: int) -> np.ndarray:
        possible = np.flatnonzero(row > 0)
        keys = row[possible] / self.rng.standard_exponential(len(possible))
        drawn = possible[np.argsort(-keys, kind="stable")[:count]]
        return np.concatenate([drawn, np.flatnonzero(~(row > 0))[: count - len(drawn)]])


def generate(model: Any, case: Case, call: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """One call's record, array by array."""
    dtype = getattr(torch, call["dtype"])
    arguments: dict[str, Any] = {}
    for name, stored in call["arguments"].items():
        value = torch.from_numpy(case.inputs[stored])
        value = value.to(dtype) if value.is_floating_point() else value
        arguments[name] = BaseModelOutput(last_hidden_state=value) if name == "encoder_outputs" else value
    toys = call["toys"]
    if "allowed" in toys:
        arguments["prefix_allowed_tokens_fn"] = allowed_tokens(case.config["vocab_size"], toys["allowed"])
    if "stop" in toys:
        arguments["stopping_criteria"] = transformers.StoppingCriteriaList([stop_after(toys["stop"])])
    if "favour" in toys:
        arguments["logits_processor"] = transformers.LogitsProcessorList([favour(toys["favour"], 1.5)])
    options = dict(call["options"])
    if transformers.__version__.startswith("4."):
        options.pop("prompt_lookup_num_tokens", None)
        options.pop("max_matching_ngram_size", None)
    model.generation_config = GenerationConfig(**call["own"])
    torch.multinomial = Draws(call["seed"])
    with torch.no_grad():
        output = model.generate(**arguments, **options)
    if isinstance(output, torch.Tensor):
        yield "sequences", as_array(output)
        return
    for name, value in output.items():
        if name != "past_key_values":
            yield from flatten(name, value, as_array)
    has_origins = "beam_indices" not in vars(type(output)) or output.beam_indices is not None
    if output.get("scores") is not None and call["way"] != "group beam" and has_origins:
        for normalised in (False, True):
            scores = model.compute_transition_scores(
                output.sequences, output.scores, output.get("beam_indices"), normalize_logits=normalised
            )
            yield f"transition_scores/{normalised}", as_array(scores)


def answer_case(case: Case, original: str) -> Answer:
    answer, models = Answer(), {}
    for number, call in enumerate(case.calls):
        if not wanted(call, original):
            answer.endings.append("skipped")
            continue
        if call["dtype"] not in models:
            models[call["dtype"]] = build(case, SEQ2SEQ, call["dtype"])
        try:
            tensors = dict(generate(models[call["dtype"]], case, call))
        except Exception as error:  # whatever the original raises is its answer
            answer.endings.append(describe_error(error))
        else:
            answer.endings.append(None)
            answer.tensors.update({f"{number}/{name}": value for name, value in tensors.items()})
    return answer


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    sys.exit(serve("Have transformers generate replies to a folder of cases.", answer_case, torch.set_num_threads))
