"""Searches as the originals carried them out: the stored calls, answered again, give the stored ids and scores.

`tools/goldens/generation.py` had the originals make these files; see golden/PROVENANCE.md.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npblender import BlenderbotSmallConfig, BlenderbotSmallForConditionalGeneration
from npblender.config.generation_config import GenerationConfig
from npblender.generation.logits import processors, warpers
from npblender.generation.search import beam as beam_search
from npblender.generation.search import parlai
from npblender.transformer.parameters import from_arrays
from reference_tests.support.asserts import assert_close
from reference_tests.support.tolerances import TOLERANCES
from tools.goldens.files import Golden, read_golden
from tools.originals.toys import allowed_tokens, favour, stop_after

FOLDER = Path(__file__).parent / "generation"
TRANSFORMERS, PARLAI, FULL = (read_golden(name, FOLDER) for name in ("transformers", "parlai", "parlai-full-context"))

pytestmark = pytest.mark.filterwarnings("ignore:min_length . is larger than max_length")  # of some calls, on purpose


def model_of(golden: Golden, dialect: str, dtype: str) -> Any:
    config = BlenderbotSmallConfig.from_dict(golden.case.config)
    arrays = {name.removeprefix("model."): w.astype(dtype) for name, w in golden.case.weights.items()}
    return BlenderbotSmallForConditionalGeneration(config, from_arrays(config, arrays), dialect=dialect)


def as_transformers(golden: Golden, dialect: str, number: int) -> Any:
    """What npblender answers to a call of transformers' golden, as a record."""
    call = golden.case.calls[number]
    model = model_of(golden, dialect, call["dtype"])
    model.generation_config = GenerationConfig(**call["own"])
    arguments: dict[str, Any] = {name: golden.case.inputs[stored] for name, stored in call["arguments"].items()}
    toys = call["toys"]
    if "allowed" in toys:
        arguments["prefix_allowed_tokens_fn"] = allowed_tokens(golden.case.config["vocab_size"], toys["allowed"])
    if "stop" in toys:
        arguments["stopping_criteria"] = [stop_after(toys["stop"])]
    if "favour" in toys:
        arguments["logits_processor"] = [favour(toys["favour"], 1.5)]
    if call["options"].get("do_sample"):
        arguments["seed"] = call["seed"]
    return model.generate(**arguments, **(call["options"] | {"return_dict_in_generate": True}))


def transformers_calls() -> list[tuple[str, int]]:
    calls = enumerate(TRANSFORMERS.case.calls)
    return [(original, number) for number, call in calls for original in call["originals"]]


def check_transformers(original: str, number: int) -> None:
    answers = TRANSFORMERS.answers[original]
    record = as_transformers(TRANSFORMERS, answers.dialect, number)
    call = TRANSFORMERS.case.calls[number]
    assert np.array_equal(record.sequences, answers.tensors[f"{number}/sequences"])
    if f"{number}/sequences_scores" in answers.tensors:
        row = "float32 search against transformers" if call["dtype"] == "float32" else "search against transformers"
        assert_close(record.sequences_scores, answers.tensors[f"{number}/sequences_scores"], TOLERANCES[row])
    if f"{number}/beam_indices" in answers.tensors and call["way"] != "group beam":
        assert np.array_equal(record.beam_indices, answers.tensors[f"{number}/beam_indices"])


def check_parlai(number: int, golden: Golden = PARLAI) -> None:
    call = golden.case.calls[number]
    model = model_of(golden, "parlai", "float32")
    rows = golden.case.inputs[call["rows"]]
    arguments: dict[str, Any] = {}
    if call["options"].get("beam_block_full_context"):
        arguments["full_input_ids"] = golden.case.inputs[call["full"]]
    if call["prefix"] is not None:
        arguments["decoder_input_ids"] = np.tile([1, *call["prefix"]], (len(rows), 1))
    record = model.generate(
        rows,
        return_dict_in_generate=True,
        seed=np.random.default_rng(call["seed"]),
        **arguments,
        **call["options"],
    )
    answers = golden.answers["parlai"]
    for n, found in enumerate(record.n_best):
        ids, scores = (answers.tensors[f"{number}/{n}/{name}"] for name in ("ids", "scores"))
        assert [list(each.ids) for each in found] == [[int(t) for t in row if t >= 0] for row in ids]
        assert_close([each.score for each in found], scores, TOLERANCES["search against ParlAI"])


@pytest.mark.parametrize(("original", "number"), transformers_calls())
def test_transformers(original: str, number: int) -> None:
    check_transformers(original, number)


@pytest.mark.parametrize("number", range(len(PARLAI.case.calls)))
def test_parlai(number: int) -> None:
    check_parlai(number)


@pytest.mark.parametrize("number", range(len(FULL.case.calls)))
def test_parlai_with_its_full_context(number: int) -> None:
    """ParlAI reads the end of a longer context: `beam_block_full_context` blocks what was said before that end, too."""
    check_parlai(number, FULL)


def test_the_full_context_changes_replies() -> None:
    """Without it some of these calls have other hypotheses: the goldens are no proof otherwise."""
    for call in FULL.case.calls:
        call["options"]["beam_block_full_context"] ^= True
    different = [number for number in range(len(FULL.case.calls)) if fails(check_parlai, (number, FULL))]
    for call in FULL.case.calls:
        call["options"]["beam_block_full_context"] ^= True
    assert len(different) >= 3


def test_every_kind_of_search_is_there() -> None:
    ways = {call["way"] for call in TRANSFORMERS.case.calls}
    assert len(ways) == 8
    options = [call["options"] for call in PARLAI.case.calls]
    assert any("do_sample" in o for o in options)
    assert any("beam_delay" in o for o in options)
    assert sum("do_sample" not in o and "beam_delay" not in o for o in options) > 8


FAULTS: list[tuple[Any, str, Any]] = [
    (parlai, "HOPELESS", np.float32(-5.0)),
    (parlai, "block_phrases", lambda *arguments: None),
    (parlai, "completions", lambda ids, sources, size: processors.completions(ids, sources, size + 1)),
    (beam_search, "NOT_YET", np.float32(-3.0)),
    (warpers, "_kth_best", lambda scores, k: scores.max(axis=1, keepdims=True) - 1),
    (processors, "block", lambda scores, tokens: scores),
]


@pytest.mark.parametrize(("module", "name", "wrong"), FAULTS, ids=[f"{m.__name__}.{n}" for m, n, _ in FAULTS])
def test_the_goldens_notice_faults(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, wrong: Any) -> None:
    monkeypatch.setattr(module, name, wrong)
    checks = [(check_transformers, each) for each in transformers_calls()]
    checks = [(check_parlai, (number,)) for number in range(len(PARLAI.case.calls))] + checks
    assert any(fails(check, arguments) for check, arguments in (checks if module is parlai else checks[::-1]))


def fails(check: Callable[..., None], arguments: tuple[Any, ...]) -> bool:
    try:
        check(*arguments)
    except (AssertionError, ValueError, IndexError):
        return True
    return False


def test_who_made_them_is_said() -> None:
    text = (FOLDER.parent / "PROVENANCE.md").read_text()
    for golden in (TRANSFORMERS, PARLAI, FULL):
        for answers in golden.answers.values():
            assert answers.version.split(" (")[0].replace("parlai", "ParlAI") in text
    assert {path.stem for path in FOLDER.glob("*.json")} == {"transformers", "parlai", "parlai-full-context"}
    assert "generation/" in text
    assert "python -m tools goldens generation" in text
