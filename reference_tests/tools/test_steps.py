"""docs/steps/: each file stands alone, is short, and computes what the package computes; merges are subword-nmt's."""

import ast
import functools
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer
from npblender.tokenizer.bpe import BytePairEncoding, symbols_of_word
from reference_tests.support.asserts import assert_close
from reference_tests.support.tolerances import TOLERANCES
from tools.docs import links

STEPS = sorted((links.ROOT / "docs" / "steps").glob("*.py"))
MOST_LINES = 80
ALLOWED = {"collections", "itertools", "json", "math", "numpy", "pathlib", "re", "safetensors"}


@functools.cache
def ran(number: int) -> dict[str, Any]:
    """The names of a step after it has run."""
    (path,) = [path for path in STEPS if path.name.startswith(f"{number}_")]
    return runpy.run_path(str(path), run_name="step")


@functools.cache
def demo() -> BlenderbotSmallForConditionalGeneration:
    return BlenderbotSmallForConditionalGeneration.from_pretrained(dtype="float64")


def tapped(**inputs: Any) -> dict[str, np.ndarray]:
    points: dict[str, np.ndarray] = {}
    demo()(**inputs, tap=lambda name, array: points.update({name: array.copy()}))
    return points


def assert_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Equal to float64's rounding."""
    assert_close(ours, theirs, TOLERANCES["pass by hand"])


def possible(logits: np.ndarray) -> np.ndarray:
    """Without the start token, whose -1e20 would hide every other difference."""
    return np.delete(logits, demo().config.decoder_start_token_id, axis=-1)


def lines_of_code(path: Path) -> int:
    """Lines that are no docstring, no comment and not blank."""
    text = path.read_text(encoding="utf-8")
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            docstrings |= set(range(node.lineno, node.value.end_lineno + 1))
    lines = enumerate(text.splitlines(), start=1)
    return sum(bool(re.match(r"\s*[^#\s]", line)) and number not in docstrings for number, line in lines)


@pytest.mark.parametrize("path", STEPS, ids=lambda path: path.stem)
def test_a_step_is_short_and_stands_alone(path: Path, tmp_path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in imports}
    assert {str(name).partition(".")[0] for name in names} <= ALLOWED
    assert lines_of_code(path) <= MOST_LINES
    run = subprocess.run([sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout


def test_the_page_has_every_step() -> None:
    page = (links.ROOT / "docs" / "steps" / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in STEPS] == re.findall(r"^\$ python docs/steps/(\w+\.py)$", page, re.MULTILINE)
    assert [path.name for path in STEPS] == re.findall(r"^## .*\[\w+\]\((\w+\.py)\)", page, re.MULTILINE)


def test_one_head() -> None:
    step = ran(1)
    points = tapped(input_ids=[step["ids"]], decoder_input_ids=[[1]])
    size = step["mixed"].shape[1]
    assert_same(step["weights"], points["encoder.layers.0.self_attn.weights"][0, 0])
    assert_same(step["mixed"], points["encoder.layers.0.self_attn.context"][0, :, :size])
    last = step["head"](step["x"], "encoder.layers.0.self_attn", 1, size)[1]
    assert_same(last, points["encoder.layers.0.self_attn.context"][0, :, size : 2 * size])


def test_all_heads() -> None:
    step = ran(2)
    points = tapped(input_ids=[step["ids"]], decoder_input_ids=[[1]])
    assert_same(step["x"], points["encoder.embed.output"][0])
    assert_same(step["out"], points["encoder.layers.0.self_attn.norm"][0])


def test_the_encoder() -> None:
    step = ran(3)
    points = tapped(input_ids=[step["ids"]], decoder_input_ids=[[1]])
    layers = [f"encoder.layers.{n}.output" for n in range(demo().config.encoder_layers)]
    for ours, name in zip(step["states"], ["encoder.embed.output", *layers], strict=True):
        assert_same(ours, points[name][0])


def test_the_decoder() -> None:
    step = ran(4)
    out = demo()(input_ids=[step["ids"]], decoder_input_ids=[step["reply"][:-1]])
    assert_same(possible(step["logits"]), possible(out.logits[0]))
    plain = {"num_beams": 1, "min_length": 0, "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0}
    assert demo().generate([step["ids"]], **plain, max_length=39)[0].tolist() == step["reply"]


@pytest.mark.parametrize("number", [5, 6])
def test_a_batch_and_its_cache(number: int) -> None:
    """Two sources, one with pads: the states at tokens, the logits of every step, and the replies."""
    step = ran(number)
    assert not step["mask"].all()
    mask = step["mask"].astype(np.int64)
    fed = step["replies"][:, :-1]
    logits = demo()(input_ids=step["ids"], attention_mask=mask, decoder_input_ids=fed).logits
    if number == 5:
        encoded = demo().encode(step["ids"], attention_mask=mask).last_hidden_state
        assert_same(step["source"][step["mask"]], encoded[step["mask"]])
        ours = step["decoder"](fed, step["source"], step["mask"])
    else:
        ours = np.stack(step["steps"], axis=1)  # [B, V] a step -> [B, T, V]
    assert_same(possible(ours), possible(logits))
    plain = {"num_beams": 1, "min_length": 0, "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0}
    replies = demo().generate(step["ids"], attention_mask=mask, **plain, max_length=39)
    assert replies.tolist() == step["replies"].tolist()


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("said", ["do you have any pets ?", "i am a teacher ."])
def test_beams(said: str, width: int) -> None:
    step = ran(7)
    ids = BlenderbotSmallTokenizer.from_pretrained()(said)["input_ids"]
    plain = {"min_length": 0, "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0, "length_penalty": 0.65}
    theirs = demo().generate([ids], num_beams=width, return_dict_in_generate=True, max_length=40, **plain).n_best[0]
    ours = step["search"](ids, width)
    assert [reply for _, reply in ours] == [list(each.ids) for each in theirs]
    found = np.array([each.score for each in theirs])
    assert_close(found, np.array([score for score, _ in ours]), TOLERANCES["score of a search"])


def test_merges_are_those_of_subword_nmt() -> None:
    golden = json.loads((links.ROOT / "reference_tests" / "golden" / "tokenizer" / "merges.json").read_text("utf-8"))
    assert [list(pair) for pair, _ in ran(8)["merges"]] == golden["merges"]
    assert golden["text"].split() == re.findall(r"\w+|\S", ran(8)["TEXT"].lower())


def test_learned_merges_segment_as_the_package_does() -> None:
    """The package, given the merges, cuts every word as it stood when the last one had been learned."""
    step = ran(8)
    encoding = BytePairEncoding([pair for pair, _ in step["merges"]])
    for symbols in step["words"]:
        word = "".join(symbols).removesuffix("</w>")
        left = symbols_of_word(word)
        for merge in encoding.merges(word):
            left = list(merge.symbols)
        assert tuple(left) == symbols
