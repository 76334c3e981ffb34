"""The packs in the repository hold the cases that ports stumble over, and a port that stumbles does not agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npblender.groundtruth import Trace, TraceInputs, compare, record
from npblender.groundtruth.noise.units import diverged, score
from npblender.groundtruth.packs.files import PackCase, read_cases, read_json
from npblender.groundtruth.packs.sections.scalars import read as read_scalars
from npblender.transformer.parameters import from_arrays, to_arrays
from reference_tests.support.pack_models import PACKS, load, model_folder

Array = np.ndarray[Any, Any]
BOTH = [PACKS / "tiny", PACKS / "demo"]


def case_of(pack: Path, operation: str, name: str) -> PackCase:
    return next(case for case in read_cases(pack / "ops" / f"{operation}.safetensors") if case.name == name)


def inputs_of(pack: str, name: str) -> dict[str, Any]:
    found = Trace.load(PACKS / pack / "forward" / f"{name}.safetensors").inputs
    assert found is not None
    return dict(found)


def test_masks_in_steps() -> None:
    """A source and a target with pads, one token at a time over the cache."""
    given = inputs_of("tiny", "masks_in_steps")
    assert given["steps"]
    for mask in ("attention_mask", "decoder_attention_mask"):
        assert 0 in np.array(given[mask])
    trace = Trace.load(PACKS / "tiny" / "forward" / "masks_in_steps.safetensors")
    late = trace.arrays["step3.decoder.layers.0.self_attn.masked_scores"]
    assert (late < -1e18).any()


def test_a_long_target() -> None:
    given = inputs_of("tiny", "long")
    assert len(given["decoder_input_ids"][0]) >= 36
    trace = Trace.load(PACKS / "tiny" / "forward" / "long.safetensors")
    assert trace.arrays["decoder.embed.positions"].shape[1] >= 36


def test_a_source_of_one_token() -> None:
    for pack in ("tiny", "demo"):
        assert np.array(inputs_of(pack, "shortest")["input_ids"]).shape == (1, 1)


def test_the_position_of_a_pad() -> None:
    """A pad on the left has position 0, and so has the first token behind it; by columns it has not."""
    trace = Trace.load(PACKS / "tiny" / "forward" / "batch.safetensors")
    mask = np.array(inputs_of("tiny", "batch")["attention_mask"])
    left = next(n for n, row in enumerate(mask) if not row[0] and row.any())
    positions = trace.arrays["encoder.embed.positions"]
    first = int(np.argmax(mask[left]))
    assert np.array_equal(positions[left, 0], positions[left, first])
    by_columns = np.broadcast_to(positions[:1], positions.shape)
    assert compare(trace, {"encoder.embed.positions": by_columns}, require="encoder.embed.positions").diverged


def test_a_final_bias_that_is_not_zero(tmp_path: Path) -> None:
    """A port that leaves it out agrees with every pass but this."""
    pass_ = PACKS / "tiny" / "forward" / "final_bias.safetensors"
    model = load(model_folder(pass_, tmp_path))
    bias = to_arrays(model.weights)["final_logits_bias"]
    assert np.array_equal(bias.ravel()[:8] * 4, [-3, -2, -1, 0, 1, 2, 3, -3])
    inputs = TraceInputs.from_json(inputs_of("tiny", "final_bias"))
    assert compare(pass_, record(model, inputs, noise=False)).verdict == "within noise"
    unbiased = record(load(PACKS / "tiny" / "model"), inputs, noise=False)
    report = compare(pass_, unbiased, model=model)
    assert report.first_divergence == "logits"
    assert report.first is not None
    assert report.first.remarks[0] == "it would be right with its bias left out"


def test_weights_that_are_no_float16_numbers(tmp_path: Path) -> None:
    pass_ = PACKS / "demo" / "forward" / "twin.safetensors"
    model = load(model_folder(pass_, tmp_path))
    arrays = to_arrays(model.weights)
    weight = arrays["encoder.layers.0.fc1.weight"]
    assert (weight.astype(np.float16).astype(np.float32) != weight).mean() > 0.99
    inputs = TraceInputs.from_json(inputs_of("demo", "twin"))
    assert compare(pass_, record(model, inputs, noise=False), require="all").verdict == "within noise"
    half = {name: array.astype(np.float16).astype(np.float32) for name, array in arrays.items()}
    narrow = type(model)(model.config, from_arrays(model.config, half), dialect=model.dialect)
    report = compare(pass_, record(narrow, inputs, noise=False), require="all")
    assert report.first_divergence == "encoder.layers.0.self_attn.q"


@pytest.mark.parametrize("pack", BOTH, ids=lambda pack: pack.name)
@pytest.mark.parametrize("name", ["gelu", "silu", "relu", "gelu_new"])
def test_activations_above_6(pack: Path, name: str) -> None:
    rows = read_scalars(pack / "ops" / f"{name}.csv")
    above = [(x, y) for x, y, _, region in rows if region == "large" and x > 6]
    assert len(above) >= 5
    assert all(min(y, 6.0) != y for _, y in above), "a function clipped at 6 is wrong at each"


@pytest.mark.parametrize("pack", BOTH, ids=lambda pack: pack.name)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_scores_above_90(pack: Path, name: str) -> None:
    case = case_of(pack, name, "above 90")
    x = case.inputs["x"]
    assert x.max() > 90
    with np.errstate(all="ignore"):
        powers = np.exp(x)
        naive = powers / powers.sum(-1, keepdims=True)
        mine = naive if name == "softmax" else np.log(naive)
    assert diverged(score(case.outputs["y"], mine, case.noise["y"])), "without its largest taken off it overflows"


@pytest.mark.parametrize("pack", BOTH, ids=lambda pack: pack.name)
def test_exact_ties(pack: Path) -> None:
    """The first of several is right; a port that takes the last, or tells -0 from 0, is not."""
    case = case_of(pack, "argmax", "ties")
    x, first = case.inputs["x"], case.outputs["y"]
    last = x.shape[-1] - 1 - np.argmax(x[:, ::-1], axis=-1)
    assert (last != first)[:3].all()
    if pack.name == "tiny":
        signed = np.where((x == 0) & np.signbit(x), np.float32(-1e-30), x)
        assert np.argmax(signed, axis=-1)[3] != first[3] == 3
    assert case_of(pack, "argmax", "blocked").outputs["y"].tolist() == [1, 0]


@pytest.mark.parametrize("pack", BOTH, ids=lambda pack: pack.name)
@pytest.mark.parametrize("way", ["parlai", "transformers"])
def test_letters_that_c_and_python_tell_apart_otherwise(pack: Path, way: str) -> None:
    """`str.isalnum` stands for iswalnum: what it says of fractions, marks and the underscore is not what \\w says."""
    texts = [case["text"] for case in read_json(pack / "tokenizer" / f"{way}.json")]
    letters = {letter for text in texts for letter in text}
    assert letters >= set("½²ⅷ①ªº_") | {"\u0301", "\u200d", "\u00ad"}, "and combining marks, joiners, soft hyphens"
