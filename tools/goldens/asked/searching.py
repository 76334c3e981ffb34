"""Compares the searches of a pack with the original of its dialect: ids equal, scores within a search's rounding.

ParlAI's agents compute in float32, transformers' models in float64. A search in which a near tie decides is compared
like any other: the originals make the same choices, or the pack says that they do not.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from npblender.checkpoint.parameter_names import stored_name
from npblender.transformer.parameters import FULL_MODEL, Weights, to_arrays
from tools.differential import generation
from tools.differential.originals import version_of
from tools.differential.search_measure import PARLAI_BOUND, SCORE_BOUND
from tools.originals import asking
from tools.originals.exchange import Answer, Case, read_answer, write_case

IGNORED_PAD = 0


def ask(original: str, config: dict[str, Any], weights: Weights, searches: list[dict[str, Any]]) -> dict[str, Any]:
    """The record for the manifest: how many searches were asked and whether all were answered alike."""
    dtype = "float32" if original == "parlai" else "float64"
    arrays = {stored_name(key, FULL_MODEL): array.astype(dtype) for key, array in to_arrays(weights).items()}
    case = Case("searches", dict(config), dtype, arrays, {}, [])
    for number, search in enumerate(searches):
        add = _parlai_call if original == "parlai" else _transformers_call
        case.calls.append(add(case, number, search["asked"]))
    answer = _run(original, case)
    wrong = []
    for number, search in enumerate(searches):
        if answer.endings[number] is not None:
            wrong.append(f"{search['name']}: it ended with {answer.endings[number]}")
            continue
        compare = _parlai_difference if original == "parlai" else _transformers_difference
        difference = compare(search["found"], answer.of_call(number))
        if difference:
            wrong.append(f"{search['name']}: {difference}")
    bound = PARLAI_BOUND if original == "parlai" else SCORE_BOUND
    record = {"file": "generation/searches.json", "by": version_of(original), "asked": True, "searches": len(searches)}
    return {**record, "bound": bound, "within": not wrong, **({"problems": wrong} if wrong else {})}


def _run(original: str, case: Case) -> Answer:
    with tempfile.TemporaryDirectory() as place:
        write_case(case, Path(place) / "cases")
        asking.finish(original, generation.start(original, Path(place) / "cases", Path(place) / "answers"))
        return read_answer(case.name, Path(place) / "answers")


def _parlai_call(case: Case, number: int, asked: dict[str, Any]) -> dict[str, Any]:
    """ParlAI takes rows without pads of their own, a prefix without the start, and returns all that finished."""
    (row,) = asked["input_ids"]
    mask = asked.get("attention_mask", [[1] * len(row)])[0]
    case.inputs[f"rows{number}"] = np.array([[token for token, kept in zip(row, mask, strict=True) if kept]])
    options = {name: value for name, value in asked["options"].items() if name != "num_return_sequences"}
    prefix = asked.get("decoder_input_ids")
    return {
        "rows": f"rows{number}",
        "options": options,
        "prefix": None if prefix is None else prefix[0][1:],
        "seed": asked.get("seed", 0),
    }


def _parlai_difference(found: dict[str, Any], answer: dict[str, np.ndarray]) -> str:
    ids = [[int(token) for token in row if token >= 0] for row in answer["0/ids"]]
    (mine,) = found["n_best"]
    if [each["ids"] for each in mine] != ids:
        return f"it finds {ids}, not {[each['ids'] for each in mine]}"
    scores = np.abs(np.array([each["score"] for each in mine]) - answer["0/scores"])
    return "" if scores.max() <= PARLAI_BOUND else f"its scores are {scores.max():.3g} off"


def _transformers_call(case: Case, number: int, asked: dict[str, Any]) -> dict[str, Any]:
    arguments = {}
    for name in ("input_ids", "attention_mask", "decoder_input_ids"):
        if name in asked:
            case.inputs[f"{number}/{name}"] = np.array(asked[name])
            arguments[name] = f"{number}/{name}"
    if "attention_mask" not in arguments:
        case.inputs[f"{number}/attention_mask"] = np.ones_like(case.inputs[f"{number}/input_ids"])
        arguments["attention_mask"] = f"{number}/attention_mask"
    shown = {"return_dict_in_generate": True, "output_scores": True}
    special = {name: case.config[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    return {
        "arguments": arguments,
        "options": {**asked["options"], **shown},
        "own": {**special, "decoder_start_token_id": case.config["decoder_start_token_id"]},
        "toys": {},
        "seed": asked.get("seed", 0),
        "dtype": "float64",
        "way": "beam",
    }


def _transformers_difference(found: dict[str, Any], answer: dict[str, np.ndarray]) -> str:
    for name in ("sequences", "beam_indices"):
        if name in found and (name not in answer or found[name] != answer[name].tolist()):
            return f"its {name} are {answer[name].tolist() if name in answer else None}, not {found[name]}"
    if "sequences_scores" in found:
        theirs = answer["sequences_scores"]
        off = np.abs(np.array(found["sequences_scores"]) - theirs) / np.maximum(1, np.abs(theirs))
        if not off.max() <= SCORE_BOUND:
            return f"its scores are {off.max():.3g} off"
    return ""
