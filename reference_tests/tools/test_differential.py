"""The comparison with the originals, itself tested: what it draws, what it measures, and that it can fail.

The originals are not needed here. `python -m tools compare forward` runs them.
"""

from __future__ import annotations

import copy
import dataclasses
import doctest
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from npblender.config import BlenderbotSmallConfig
from npblender.transformer.parameters import expected_shapes
from reference_tests.support import random_models
from tools.differential import cases, measure, ours
from tools.differential.measure import KINDS, Tally, relative_difference
from tools.docs import tables
from tools.docs.tables import write_between_markers
from tools.originals import environments, exchange
from tools.originals.exchange import Answer, Case, kind_of, read_answer, read_cases, write_answer, write_case

SEEDS = range(6)


def drawn(seed: int) -> list[Case]:
    def rng() -> np.random.Generator:
        return np.random.default_rng([17, seed])

    return [
        cases.transformers_case(rng(), "transformers"),
        cases.head_mask_case(rng(), "head-masks"),
        cases.parlai_case(rng(), "parlai", "float32"),
        cases.parlai_case(rng(), "parlai-wide", "float64"),
    ]


def test_the_same_seed_draws_the_same_case() -> None:
    for first, second in zip(drawn(3), drawn(3), strict=True):
        assert first.calls == second.calls
        assert first.config == second.config
        for ours_, theirs in ((first.weights, second.weights), (first.inputs, second.inputs)):
            assert ours_.keys() == theirs.keys()
            assert all(np.array_equal(ours_[name], theirs[name]) for name in ours_)


@pytest.mark.parametrize("seed", SEEDS)
def test_sizes_are_odd_and_differ_between_the_sides(seed: int) -> None:
    config = random_models.draw_config(np.random.default_rng(seed))
    odd = ("d_model", "encoder_ffn_dim", "decoder_ffn_dim", "max_position_embeddings", "vocab_size")
    assert all(config[name] % 2 for name in (*odd, "encoder_attention_heads", "decoder_attention_heads"))
    for size in ("attention_heads", "ffn_dim", "layers"):
        assert config[f"encoder_{size}"] != config[f"decoder_{size}"]
    assert len({config["pad_token_id"], config["bos_token_id"], config["eos_token_id"]}) == 3
    parsed = BlenderbotSmallConfig.from_dict(config)
    drawn_shapes = {name.removeprefix("model."): shape for name, shape in random_models.weight_shapes(config).items()}
    assert drawn_shapes == expected_shapes(parsed)


def test_between_them_the_cases_use_every_argument() -> None:
    used: dict[str, set[str]] = {}
    for seed in range(12):
        for case in drawn(seed):
            for call in case.calls:
                used.setdefault(call["class"], set()).update(call["arguments"])
    switches = {"use_cache", "output_attentions", "output_hidden_states", "return_dict"}
    both = {"input_ids", "attention_mask", "inputs_embeds", "past_key_values"} | switches
    seq2seq = both | {"decoder_input_ids", "decoder_attention_mask", "decoder_inputs_embeds", "encoder_outputs"}
    seq2seq |= {"head_mask", "decoder_head_mask", "cross_attn_head_mask", "labels", "cache_position"}
    causal = both | {"encoder_hidden_states", "encoder_attention_mask", "head_mask", "cross_attn_head_mask"}
    assert used["BlenderbotSmallForConditionalGeneration"] == seq2seq
    assert used["BlenderbotSmallForCausalLM"] == causal | {"labels", "logits_to_keep", "cache_position"}
    assert used["BlenderbotSmallModel"] <= seq2seq - {"labels"}


@pytest.mark.parametrize("kind", random_models.MASK_KINDS)
def test_masks_are_what_they_are_called(kind: str) -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        mask = random_models.draw_mask(rng, 3, 7, kind)
        assert mask.shape == (3, 7)
        assert set(np.unique(mask)) <= {0, 1}
        empty_rows = int((~mask.any(axis=1)).sum())
        assert empty_rows == (1 if kind == "with an empty row" else 0)
        steps = np.diff(mask, axis=1)
        assert kind != "right" or (steps <= 0).all()
        assert kind != "left" or (steps >= 0).all()


def test_cases_and_answers_survive_the_files(tmp_path: Path) -> None:
    case = drawn(1)[0]
    write_case(case, tmp_path)
    (back,) = read_cases(tmp_path)
    assert (back.config, back.calls, back.dtype) == (case.config, case.calls, case.dtype)
    assert all(np.array_equal(back.weights[name], value) for name, value in case.weights.items())
    answer = Answer({"0/loss": np.array(1.5), "1/logits": np.ones((2, 3), np.float32)}, [None, None])
    write_answer("case", answer, tmp_path)
    again = read_answer("case", tmp_path)
    assert again.endings == [None, None]
    assert again.of_call(0)["loss"].shape == ()
    assert again.of_call(1)["logits"].dtype == np.float32


@pytest.mark.parametrize(
    ("mine", "theirs", "difference"),
    [
        ([1.0, -4.0], [1.0, -4.0], 0.0),
        ([1.0, -3.0], [1.0, -4.0], 0.25),
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([0.1, 0.0], [0.0, 0.0], np.inf),
        ([1.0, np.nan], [1.0, 2.0], np.inf),
        ([1.0, np.nan], [1.0, np.nan], np.inf),
        ([1.0, np.inf], [1.0, 2.0], np.inf),
        ([1.0, -1e20], [2.0, -1e20], 0.5),
        ([1.0, -1e20], [1.0, 2.0], np.inf),
        ([1.0, 2.0], [1.0, -1e20], np.inf),
        ([1.0], [1.0, 1.0], np.inf),
    ],
)
def test_relative_difference_by_hand(mine: list[float], theirs: list[float], difference: float) -> None:
    assert relative_difference(np.array(mine), np.array(theirs))[0] == difference


def test_nan_and_dtypes() -> None:
    nan = np.array(np.nan)
    assert relative_difference(nan, nan, nan_allowed=True)[0] == 0.0
    assert relative_difference(nan, np.array(1.0), nan_allowed=True)[0] == np.inf
    assert relative_difference(np.ones(2), np.ones(2, np.float32))[0] == np.inf


def perturbed(answer: Answer, name: str, by: float) -> Answer:
    tensors = dict(answer.tensors)
    tensors[name] = tensors[name] + by * np.abs(tensors[name]).max()
    return Answer(tensors, copy.deepcopy(answer.endings))


def test_a_tally_sees_a_change_in_every_kind_of_tensor() -> None:
    # Whether npblender is right is not the question here: it plays both sides, and one of them is disturbed.
    seen = set()
    for seed in range(20):
        if seen == set(KINDS):
            break
        case = drawn(seed)[0]
        answer = ours.answer_case(case, "transformers-4")
        assert not (clean := tally_of(case, answer, answer)).failures, clean.failures
        names = {kind_of(name.split("/", 1)[1]): name for name, value in answer.tensors.items() if value.any()}
        for kind, name in names.items():
            if kind in seen or np.isnan(answer.tensors[name]).any():
                continue
            assert len(tally_of(case, perturbed(answer, name, 1e-11), answer).failures) == 1, (kind, name)
            assert not tally_of(case, perturbed(answer, name, 1e-14), answer).failures, (kind, name)
            missing = Answer({key: v for key, v in answer.tensors.items() if key != name}, answer.endings)
            assert len(tally_of(case, missing, answer).failures) == 1
            assert len(tally_of(case, answer, missing).failures) == 1
            seen.add(kind)
    assert seen == set(KINDS)


def tally_of(case: Case, mine: Answer, theirs: Answer) -> Tally:
    tally = Tally(1e-12)
    tally.add(case, mine, theirs)
    return tally


def test_a_tally_sees_how_calls_end() -> None:
    case = drawn(2)[0]
    answer = ours.answer_case(case, "transformers-5")
    assert tally_of(case, answer, answer).refused == 1
    for number, call in enumerate(case.calls):
        endings = copy.deepcopy(answer.endings)
        endings[number] = None if call.get("refused") else {"type": "ValueError", "message": "no"}
        if answer.endings[number] == "skipped":
            continue
        changed = Answer({n: v for n, v in answer.tensors.items() if not n.startswith(f"{number}/")}, endings)
        assert tally_of(case, changed, answer).failures, call


def test_a_foreign_exception_is_no_refusal() -> None:
    case = drawn(2)[0]
    answer = ours.answer_case(case, "transformers-5")
    number = next(n for n, call in enumerate(case.calls) if call.get("refused"))
    endings = copy.deepcopy(answer.endings)
    endings[number] = {"type": "IndexError", "message": "index 9 is out of bounds"}
    assert len(tally_of(case, dataclasses.replace(answer, endings=endings), answer).failures) == 1


def test_the_page_is_filled_between_its_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb\n")
    write_between_markers(page, "x", "new\n")
    assert page.read_text() == "a\n<!-- x:begin -->\nnew\n<!-- x:end -->\nb\n"
    with pytest.raises(ValueError, match="y:begin"):
        write_between_markers(page, "y", "")


def test_a_missing_original_says_what_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environments.PLACE_VARIABLE, str(tmp_path))
    assert environments.oracles_folder() == tmp_path
    with pytest.raises(FileNotFoundError, match=r"python -m tools originals parlai"):
        environments.oracle_python("parlai")
    with pytest.raises(ValueError, match="transformers-5"):
        environments.oracle_python("moses")


def test_other_pins_are_not_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environments.PLACE_VARIABLE, str(tmp_path))
    python = tmp_path / "parlai" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    (tmp_path / "parlai" / environments.STAMP).write_text('{"name": "parlai", "installs": [["torch==1.0"]]}')
    assert not environments.is_ready("parlai")


@pytest.mark.parametrize("module", [exchange, measure, tables], ids=lambda module: module.__name__)
def test_the_examples_in_the_tools_hold(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed
