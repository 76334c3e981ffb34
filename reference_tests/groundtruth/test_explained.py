"""A trace as an explanation: steps put together, pads left out, a port's arrays under our names."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import npblender
from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer, Trace
from npblender.groundtruth import explain_trace
from npblender.models.example import example_model
from reference_tests.support.asserts import assert_close
from reference_tests.support.tolerances import TOLERANCES

IDS: Any = {
    "input_ids": [[5, 6, 7, 0], [5, 8, 9, 10]],
    "attention_mask": [[1, 1, 1, 0], [1, 1, 1, 1]],
    "decoder_input_ids": [[1, 9, 4, 6, 7], [1, 4, 9, 6, 0]],
    "decoder_attention_mask": [[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]],
}


@pytest.fixture(scope="module")
def model() -> BlenderbotSmallForConditionalGeneration:
    model = example_model()
    return BlenderbotSmallForConditionalGeneration.from_config(model.config, seed=0, dtype="float64")


@pytest.mark.parametrize("row", [0, 1])
def test_steps_are_one_pass(model: Any, row: int) -> None:
    whole = explain_trace(npblender.trace(model, **IDS, noise=False), model=model, row=row).runs[0]
    steps = explain_trace(npblender.trace(model, **IDS, steps=True, prefill=2, noise=False), model=model, row=row).runs[
        0
    ]
    alone = npblender.trace(
        model,
        [IDS["input_ids"][row][: 3 + row]],
        decoder_input_ids=[IDS["decoder_input_ids"][row][: 5 - row]],
        noise=False,
    )
    single = explain_trace(alone, model=model).runs[0]
    assert whole.source == single.source == steps.source == ((5, 6, 7), (5, 8, 9, 10))[row]
    assert whole.target == single.target == steps.target == ((1, 9, 4, 6, 7), (1, 4, 9, 6))[row]
    for found in (whole, steps):
        for kind, weights in single.passed.attentions.items():
            assert_close(found.passed.attentions[kind], weights, TOLERANCES["numbers worked out by hand"])
        assert_close(found.passed.logits, single.passed.logits, TOLERANCES["numbers worked out by hand"])
        for mine, theirs in zip(found.passed.embedded, single.passed.embedded, strict=True):
            assert mine.point == theirs.point
            assert_close(mine.rows, theirs.rows, TOLERANCES["numbers worked out by hand"])
        for mine, theirs in zip(found.steps, single.steps, strict=True):
            assert [index for index, _ in mine.best] == [index for index, _ in theirs.best]
        assert [[each.best[0][0] for each in layer] for layer in found.lens] == [
            [each.best[0][0] for each in layer] for layer in single.lens
        ]


def test_the_lens_follows_the_dialect_of_the_trace(model: Any) -> None:
    found = npblender.trace(model, **IDS, noise=False, dialect="transformers-5")
    run = explain_trace(found, model=model).runs[0]
    assert [each.best for each in run.lens[-1]] == [each.best[:5] for each in run.steps]


def test_a_ports_names_and_axis_orders(model: Any) -> None:
    """Heads merged or last, transformers' names: read as `compare` reads them, and shown as ours."""
    reference = npblender.trace(model, **IDS)
    port: dict[str, Any] = {}
    for name, array in reference.arrays.items():
        if name.endswith("attn.weights"):
            port[name] = array.transpose(0, 2, 1, 3)  # [B, H, T, L] -> [B, T, H, L]
        elif name == "encoder.embed.tokens":
            port["encoder.embed_tokens"] = array
        else:
            port[name] = array.astype(np.float32)
    mine, theirs = explain_trace(reference, Trace(port)).runs
    for kind, weights in mine.passed.attentions.items():
        assert_close(theirs.passed.attentions[kind], weights, TOLERANCES["float32 computed another way"])
    assert [each.point for each in theirs.passed.embedded] == [each.point for each in mine.passed.embedded]


def test_a_port_of_nan_has_a_page(model: Any) -> None:
    reference = npblender.trace(model, **IDS)
    port = {name: array.copy() for name, array in reference.arrays.items()}
    port["logits"] = np.full_like(port["logits"], np.nan)
    port["decoder.layers.1.encoder_attn.weights"] = np.full_like(port["decoder.layers.1.encoder_attn.weights"], np.inf)
    found = explain_trace(reference, Trace(port))
    assert found.compared is not None
    assert found.compared.first == "decoder.layers.1.encoder_attn.weights"
    text = found.to_html()
    begin = text.index('id="data">') + len('id="data">')
    constants: list[str] = []  # which JSON has not, and a browser does not read
    data = json.loads(text[begin : text.index("</script>", begin)], parse_constant=constants.append)
    assert constants == []
    assert data["runs"][1]["steps"][0]["best"][0][1] == "nan"


def test_words_where_there_is_a_tokenizer(tmp_path: Path) -> None:
    demo, tokenizer = (
        BlenderbotSmallForConditionalGeneration.from_pretrained(),
        BlenderbotSmallTokenizer.from_pretrained(),
    )
    ids = tokenizer("do you have any pets?")["input_ids"]
    npblender.trace(demo, [ids], noise=False, points=["*attn.weights", "logits"]).save(tmp_path / "t.safetensors")
    found = explain_trace(tmp_path / "t.safetensors", model=demo, tokenizer=tokenizer)
    assert found.said == "do you have any pets ?"
    assert [found.runs[0].tokens[index] for index in found.runs[0].source] == ["do", "you", "have", "any", "pets", "?"]  # type: ignore[union-attr]
    assert found.runs[0].name == "t.safetensors"
    without = explain_trace(tmp_path / "t.safetensors")
    assert without.said == ""
    assert '"lens":[],' in without.to_html().replace(" ", "")


def test_files_without_ids_are_shown_by_place(tmp_path: Path, model: Any) -> None:
    reference = npblender.trace(model, **IDS, noise=False)
    np.savez(tmp_path / "bare.npz", **reference.arrays)
    run = explain_trace(tmp_path / "bare.npz").runs[0]
    assert run.source == (-1, -2, -3, -4)  # type: ignore[union-attr]
    assert run.tokens[-2] == "place 2"  # type: ignore[union-attr]
    assert run.chosen == (None,) * 5  # type: ignore[union-attr]
    explain_trace(tmp_path / "bare.npz").to_html()


def test_what_cannot_be_shown(model: Any) -> None:
    found = npblender.trace(model, **IDS, noise=False)
    with pytest.raises(ValueError, match="there is no row 2: the trace has 2"):
        explain_trace(found, row=2)
    with pytest.raises(ValueError, match="at least 0"):
        explain_trace(found, row=-1)
    with pytest.raises(ValueError, match="no point of the model"):
        explain_trace(Trace({"mystery": np.zeros(3)}))
    with pytest.raises(ValueError, match="nothing to show"):
        explain_trace(npblender.trace(model, **IDS, noise=False, points="*.ffn.hidden"))
    with pytest.raises(ValueError, match="another model"):
        explain_trace(found, model=BlenderbotSmallForConditionalGeneration.from_pretrained())
    other = npblender.trace(model, [[5, 6]], noise=False)
    with pytest.raises(ValueError, match="ran other inputs"):
        explain_trace(found, other)
