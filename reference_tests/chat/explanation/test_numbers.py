"""Every number of an explanation is one that the package computes: against traces, `generate`, and sums by hand."""

from typing import Any

import numpy as np
import pytest

import npblender
from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer
from npblender.chat.explanation.as_data import as_data
from npblender.chat.explanation.runs import Run
from reference_tests.chat.explanation.conftest import SAID
from reference_tests.support.asserts import assert_close
from reference_tests.support.packed_arrays import unpack
from reference_tests.support.tolerances import TOLERANCES

DIALECTS = ("parlai", "transformers-4", "transformers-5")


def run_of(found: npblender.Explanation, name: str) -> Run:
    (run,) = (run for run in found.runs if run.name == name)
    assert isinstance(run, Run)
    return run


def in_dialect(name: str) -> tuple[BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer]:
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(dtype="float64", dialect=name)
    return model, BlenderbotSmallTokenizer.from_pretrained(dialect=name)


@pytest.mark.parametrize("name", DIALECTS)
def test_the_reply_is_that_of_generate(found: npblender.Explanation, name: str) -> None:
    model, tokenizer = in_dialect(name)
    inputs = tokenizer([SAID], return_tensors="np")
    record: Any = model.generate(**inputs, return_dict_in_generate=True, output_scores=True)
    run = run_of(found, name)
    assert list(run.source) == inputs["input_ids"][0].tolist()
    assert [run.target[0], *run.chosen] == record.sequences[0].tolist()
    assert run.score == float(record.sequences_scores[0])


@pytest.mark.parametrize("name", DIALECTS)
def test_attention_and_probabilities_are_those_of_a_trace(found: npblender.Explanation, name: str) -> None:
    run = run_of(found, name)
    trace = npblender.trace(
        in_dialect(name)[0], [list(run.source)], decoder_input_ids=[list(run.target)], noise=False
    ).arrays
    attentions = run.passed.attentions or {}
    for layer in range(2):
        assert np.array_equal(attentions["encoder"][layer], trace[f"encoder.layers.{layer}.self_attn.weights"][0])
    for layer in range(3):
        assert np.array_equal(attentions["decoder"][layer], trace[f"decoder.layers.{layer}.self_attn.weights"][0])
        assert np.array_equal(attentions["cross"][layer], trace[f"decoder.layers.{layer}.encoder_attn.weights"][0])
    for each in run.passed.embedded:
        assert np.array_equal(each.rows, trace[each.point][0])
        lengths = [np.linalg.norm(row) for row in trace[each.point][0]]
        assert_close(each.lengths, lengths, TOLERANCES["float64 computed another way"])
    for step, log_probs in zip(run.steps, trace["log_probabilities"][0], strict=True):
        order = np.argsort(-log_probs, kind="stable")
        assert [index for index, _ in step.best] == order[:10].tolist()
        assert_close([p for _, p in step.best], np.exp(log_probs[order[:10]]), TOLERANCES["numbers worked out by hand"])
        assert step.rank == order.tolist().index(step.chosen) + 1
        assert_close(step.probability, np.exp(log_probs[step.chosen]), TOLERANCES["numbers worked out by hand"])


def test_the_lens_is_the_state_times_the_matrix(found: npblender.Explanation, model: Any) -> None:
    run = run_of(found, "parlai")
    trace = npblender.trace(model, [list(run.source)], decoder_input_ids=[list(run.target)], noise=False).arrays
    names = ["decoder.embed.output", *(f"decoder.layers.{n}.output" for n in range(3))]
    matrix, bias = np.asarray(model.weights.shared.weight), model.weights.final_logits_bias
    for layer, name in zip(run.lens, names, strict=True):
        logits = trace[name][0] @ matrix.T + (0 if bias is None else bias[0])  # [T, D] @ [D, V] -> [T, V]
        logits[:, 1] = -1e20  # ParlAI's model never says the start token
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = powers / powers.sum(axis=1, keepdims=True)
        for step, row in zip(layer, probabilities, strict=True):
            assert [index for index, _ in step.best] == np.argsort(-row, kind="stable")[:5].tolist()
            assert_close([p for _, p in step.best], np.sort(row)[::-1][:5], TOLERANCES["numbers worked out by hand"])
    assert [each.best for each in run.lens[-1]] == [each.best[:5] for each in run.steps]


@pytest.mark.parametrize("name", DIALECTS)
def test_packed_arrays_are_rounded_once(found: npblender.Explanation, name: str) -> None:
    data = as_data(found)
    place = DIALECTS.index(name)
    for kind, weights in (run_of(found, name).passed.attentions or {}).items():
        numbers = data["runs"][place]["attention"][kind]
        assert np.array_equal(unpack(data["arrays"][numbers["heads"]]), np.rint(weights * 1e4) / 1e4)
        average = weights.mean(axis=1)
        assert np.abs(unpack(data["arrays"][numbers["average"]]) - average).max() <= 0.5001e-4
