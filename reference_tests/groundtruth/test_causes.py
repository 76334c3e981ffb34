"""What is said of a fault is right: of the zoo's, and of twenty faults of kernels, in a whole run and re-fed."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from npblender import BlenderbotSmallConfig, BlenderbotSmallForConditionalGeneration
from npblender.config.dialect import Dialect
from npblender.groundtruth import Refed, Trace, TraceInputs, compare, compare_refed, record, refed
from npblender.groundtruth.comparison.causes import likely_causes
from npblender.groundtruth.comparison.findings import PointReport
from npblender.transformer.parameters import from_arrays, to_arrays
from reference_tests.faults.kernels import KERNELS, PLAIN, KernelFault, answers_with, run_with
from reference_tests.faults.zoo import harmed, reference, zoo_model
from reference_tests.faults.zoo_all import ZOO

CONFIG = BlenderbotSmallConfig(
    **{"vocab_size": 120, "d_model": 64, "encoder_layers": 1, "decoder_layers": 2, "max_position_embeddings": 32},
    **{"encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 96, "decoder_ffn_dim": 80},
)
INPUTS = TraceInputs(
    input_ids=[[45, 113, 12, 9, 0, 0], [5, 8, 99, 77, 31, 62]],
    attention_mask=[[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]],
    decoder_input_ids=[[1, 45, 9, 88], [1, 7, 99, 8]],
    steps=True,
    prefill=2,
)

SAYS = {
    "weights stored in float16": "every value is a float16 number",
    "weights stored in bfloat16": "every value is a bfloat16 number",
    "pad row zeroed": "wrong values are exactly 0",
    "encoder scale lost": "no factor",
    "positions off by one": "moved by +1",
    "positions off by two": "moved by +2",
    "positions by column": "counted by columns",
    "positions by mask": "positions counted by tokens, pads left out",
    "encoder norm before positions": "the norm taken before the positions are added",
    "eps outside the root": "eps outside the root",
    "eps of 1e-12": "eps 1e-12 in place of 1e-05",
    "unbiased variance": "divided by n - 1",
    "norm over the sequence": "the norm over the tokens",
    "mean not taken off": "the mean not taken off",
    "norm weights not read": "its weight not applied",
    "dropout left on": "dropout left on",
    "pads not zeroed": "states of pads not set to zero",
    "q never scaled": "queries not divided by sqrt(K)",
    "q scaled twice": "queries divided by sqrt(K) twice",
    "q scaled by sqrt(D)": "queries divided by sqrt(D), not sqrt(K)",
    "fp16 accumulation": "its sum kept in float16",
    "TF32 products": "both operands in float16 (or TF32)",
    "bfloat16 products": "both operands in bfloat16",
    "pre-LN": "(pre-norm)",
    "heads split by columns": "heads cut by columns",
    "q and k swapped": "the parameters of encoder.layers.0.self_attn.k_proj",
    "square matrices transposed": "q_proj.weight transposed",
    "biases dropped": "its bias left out",
    "k and v swapped": "the parameters of encoder.layers.0.self_attn.v_proj",
    "v transposed": "v_proj.weight transposed",
    "scores scaled again": "scores divided by sqrt(K) again",
    "-1e4 masks": "-10000 added to hidden scores",
    "hidden scores of 0": "hidden scores of 0: the mask multiplied",
    "pads attended": "no mask",
    "softmax over the queries": "the softmax over the queries",
    "heads merged by columns": "transposed, as [B, S, K*H]",
    "heads merged without a transpose": "the flat order of [B, H, S, K]",
    "output projection forgotten": "it agrees with the reference's encoder.layers.0.self_attn.context",
    "residual dropped": "encoder.embed.output left out",
    "tanh-GELU": "gelu_new in place of gelu",
    "sigmoid-GELU": "quick GELU",
    "rough erf": "the exact one, with erf",
    "ReLU for GELU": "relu in place of gelu",
    "GELU missing": "no activation",
    "final encoder norm": "a norm without parameters applied to it",
    "cross keys from the embeddings": "encoder.embed.output in place of encoder.states",
    "cross keys of another row": "rolled by -1 along B",
    "one layer for all": "the parameters of decoder.layers.0.encoder_attn.k_proj",
    "decoder started with eos": "2 in place of 1",
    "decoder scale lost": "no factor",
    "decoder scale kept": "the decoder's factor sqrt(d_model)",
    "decoder norm after positions": "decoder.embed.positions added to its input",
    "target positions off by one": "moved by +1",
    "encoder positions in the decoder": "rows of encoder.embed_positions.weight",
    "target pads attended": "the causal mask alone, pads attended to",
    "causal mask off by one": "a causal mask that shows one key too many",
    "own token hidden": "a causal mask that shows one key too few",
    "causal mask missing": "no causal mask",
    "-inf masks": "NaN in 9 places",
    "source pads attended by the decoder": "no mask",
    "norms taken for each other": "the parameters of decoder.layers.0.final_layer_norm",
    "untied head": "an output matrix that is not the embedding's",
    "final bias dropped": "its bias left out",
    "start token free": "the start token's logit left alone",
    "positions restarted with the cache": "positions that start at 0 again",
    "cache prepended to": "its keys moved by 1",
    "cache lost": "without the new ones",
    "causal mask from the upper left": "a causal mask counted from the upper left",
}
"""Of each fault of the zoo, a part of a remark or a cause that is right."""


def said_of(point: PointReport | None) -> list[str]:
    return [] if point is None else [*point.remarks, *likely_causes(point)]


@cache
def truth(dialect: Dialect) -> Trace:
    return reference(dialect)


def test_every_fault_of_the_zoo_has_its_words() -> None:
    assert SAYS.keys() == ZOO.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_the_cause_of_the_zoo_is_said(name: str) -> None:
    fault = ZOO[name]
    dialect = fault.dialects[0]
    report = compare(truth(dialect), harmed(fault, dialect), model=zoo_model(dialect))
    said = said_of(report.first)
    assert any(SAYS[name] in each for each in said), said
    assert len([each for each in said if each.startswith("it would be right with")]) <= 1


@cache
def model() -> BlenderbotSmallForConditionalGeneration:
    """Some activations are beyond 6, and rare tokens' rows are small, as in a trained model."""
    made = BlenderbotSmallForConditionalGeneration.from_config(CONFIG, seed=1, dialect="parlai")
    arrays = dict(to_arrays(made.weights))
    arrays["encoder.layers.0.fc1.weight"] = arrays["encoder.layers.0.fc1.weight"] * np.float32(60)
    arrays["shared.weight"] = arrays["shared.weight"] * np.float32(0.02)
    return type(made)(CONFIG, from_arrays(CONFIG, arrays), dialect="parlai")


@cache
def cases() -> Refed:
    return refed(model(), INPUTS)


@cache
def whole() -> Trace:
    return record(model(), INPUTS, dtype="float64")


def test_a_port_without_a_fault_is_right() -> None:
    assert compare(whole(), run_with(None, model(), INPUTS), model=model()).verdict == "within noise"
    answers = answers_with(None, cases(), to_arrays(model().weights))
    assert compare_refed(cases(), answers, model=model()).verdict == "within noise"
    assert len(KERNELS) == 20
    assert PLAIN.accumulators == 2, "noise is measured over it, and over others"


@pytest.mark.slow
@pytest.mark.parametrize("name", KERNELS)
def test_a_fault_of_a_kernel_is_found_and_explained(name: str) -> None:
    """At its point in a whole run, or borderline there; and re-fed, in that operation alone."""
    fault = KERNELS[name]
    report = compare(whole(), run_with(fault, model(), INPUTS), model=model())
    places = [*report.borderline, *report.diverged]
    assert places, "nothing was seen"
    assert _is_at(fault, places[0].name)
    answers = answers_with(fault, cases(), to_arrays(model().weights))
    alone = compare_refed(cases(), answers, model=model()).diverged
    assert alone
    assert all(_is_at(fault, point.name) for point in alone)
    assert any(fault.says in each for each in said_of(alone[0])), said_of(alone[0])
    if report.first is not None:
        assert any(fault.says in each for each in said_of(report.first)), said_of(report.first)


def _is_at(fault: KernelFault, name: str) -> bool:
    head, _, tail = fault.at.partition("*")
    return name == fault.at or ("*" in fault.at and name.endswith(tail) and name.startswith(head))


SIZES = {
    "published": BlenderbotSmallConfig(encoder_layers=1, decoder_layers=1, vocab_size=500),
    "tiny": BlenderbotSmallConfig(
        **{"vocab_size": 500, "d_model": 8, "encoder_layers": 1, "decoder_layers": 1, "max_position_embeddings": 16},
        **{"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 6, "decoder_ffn_dim": 6},
    ),
}


@cache
def of_size(size: str) -> tuple[BlenderbotSmallForConditionalGeneration, Refed]:
    made = BlenderbotSmallForConditionalGeneration.from_config(SIZES[size], seed=3, dialect="parlai")
    return made, refed(made, TraceInputs([[5, 60, 7, 411]], decoder_input_ids=[[1, 9]]))


@pytest.mark.parametrize("size", ["tiny", pytest.param("published", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["eps of 1e-6", "a matrix in float16", "one term left out"])
def test_re_fed_faults_are_found_at_any_size(name: str, size: str) -> None:
    """Width 8, or 512 with 2,048 in the feed-forward block: where a whole run shows little, an operation alone does."""
    large, found = of_size(size)
    right = answers_with(None, found, to_arrays(large.weights))
    assert compare_refed(found, right).verdict == "within noise"
    report = compare_refed(found, answers_with(KERNELS[name], found, to_arrays(large.weights)), model=large)
    assert [point.name for point in report.diverged] == [KERNELS[name].at]
    assert any(KERNELS[name].says in each for each in said_of(report.first))


def test_nothing_is_said_of_small_errors() -> None:
    """Below 30 units there is no remark and no cause, however the error may look."""
    truth = whole()
    name = "encoder.layers.0.ffn.output"
    mine = {point: array.copy() for point, array in truth.arrays.items()}
    mine[name] += 12 * truth.noise[name].rms
    first = compare(truth, mine).first
    assert first is not None
    assert first.name == name
    assert said_of(first) == []
    mine[name] += 60 * truth.noise[name].rms
    assert said_of(compare(truth, mine).first)


def test_a_factor_of_one_is_no_remark() -> None:
    right = np.linspace(1, 2, 40).reshape(2, 20)
    wrong = right * (1 + 1e-7)
    wrong[0, 3] += 1e-3
    report = compare(Trace({"x": right}, dtype="float64"), {"x": wrong})
    assert not [each for each in said_of(report.first) if "times 1" in each]
