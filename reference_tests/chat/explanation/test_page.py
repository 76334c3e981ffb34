"""The page as a file: one file that loads nothing, small, and safe whatever was said."""

import base64
import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import npblender
from npblender.chat.explanation.as_data import LEVELS, Arrays, as_data
from npblender.chat.explanation.explanation import MOST_BYTES
from npblender.chat.explanation.packed import INFINITE, LARGEST, pack
from npblender.config import BlenderbotSmallConfig
from npblender.models import BlenderbotSmallForConditionalGeneration
from npblender.tokenizer.example import example_tokenizer
from reference_tests.support.packed_arrays import unpack

HOSTILE = (
    "</script><script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "<!-- <script> ]]> %%DATA%% %%SCRIPT%%",
    "\u2028\u2029\u202e\x00\x1b[31m",
    "a lone \ud800 surrogate",
    "\"'`${1}\\u003c",
)


def data_of(text: str) -> Any:
    """The data of a page, as its script reads them."""
    begin = text.index('id="data">') + len('id="data">')
    return json.loads(text[begin : text.index("</script>", begin)])


def test_one_file_that_loads_nothing(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)\s*=\s*["']?[^#"'\s]|@import|url\(|https?://(?!www\.w3\.org/2000/svg)""", text)
    assert "%%" not in text
    assert len(page.read_bytes()) < MOST_BYTES / 4


def test_the_policy_names_the_scripts_and_styles_that_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    for kind in ("script", "style"):
        (inline,) = re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode("utf-8")).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy[1]
    assert policy[1].startswith("default-src 'none';")
    assert "unsafe" not in policy[1]


def test_scripts_put_nothing_on_the_page_as_markup() -> None:
    folder = Path(npblender.__file__).parent / "chat" / "explanation" / "page"
    for script in folder.glob("*.js"):
        text = script.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(|fetch\(", text)
        assert text.count("\n") <= 400


@pytest.mark.parametrize("said", HOSTILE)
def test_what_was_said_is_data(model: Any, tokenizer: Any, said: str) -> None:
    found = npblender.explain(model, tokenizer, f"{said} do you like pets ?", dialects=(), max_length=8)
    text = found.to_html()
    text.encode("utf-8")
    data = data_of(text)
    outside = text.replace(text[text.index('id="data">') : text.index("</script>", text.index('id="data">'))], "")
    assert outside.count("<script") == 2
    assert "<img" not in text
    assert "alert(1)" not in re.sub(r"<title>.*?</title>|<noscript>.*?</noscript>", "", outside, flags=re.DOTALL)
    pieces = [piece["piece"] for piece in data["runs"][0]["pieces"]]
    assert pieces[-5:] == ["do", "you", "like", "pets", "?"]


def test_without_scripts_the_replies_are_there(page: Path, model: Any, tokenizer: Any) -> None:
    text = page.read_text(encoding="utf-8")
    static = text[text.index("<noscript>") : text.index("</noscript>")]
    ids = model.generate(tokenizer(["Do you have any pets?"])["input_ids"])[0]
    reply = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=True)
    assert html.escape(reply) in static
    assert data_of(text)["runs"][0]["reply"] == reply


def test_the_same_reply_gives_the_same_bytes(model: Any, tokenizer: Any) -> None:
    first, second = (npblender.explain(model, tokenizer, "hello!").to_html() for _ in range(2))
    assert first == second


@pytest.fixture(scope="module")
def large() -> npblender.Explanation:
    """A model with the layers, heads and width of the 90M, and a source and a reply of fifty tokens."""
    config = BlenderbotSmallConfig(vocab_size=60, encoder_ffn_dim=8, decoder_ffn_dim=8, scale_embedding=True)
    model = BlenderbotSmallForConditionalGeneration.from_config(config, seed=1)
    said = "hello low lower ! " * 12
    return npblender.explain(model, example_tokenizer(), said, num_beams=10, min_length=48, max_length=50)


@pytest.mark.slow
def test_at_the_sizes_of_the_90m_it_stays_below_its_limit(large: npblender.Explanation) -> None:
    run: Any = large.runs[0]
    assert (run.passed.attentions["cross"].shape, len(run.tree.nodes)) == ((8, 16, 50, 60), 500)
    text = large.to_html()
    assert len(text.encode("utf-8")) <= MOST_BYTES
    data = data_of(text)
    assert data["left_out"] == LEVELS[3].left_out
    (kind,) = {
        kind for kind, found in data["runs"][0]["attention"].items() if kind == "cross" and found["heads"] is None
    }
    average = unpack(data["arrays"][data["runs"][0]["attention"][kind]["average"]])
    assert np.abs(average - run.passed.attentions["cross"].mean(axis=1)).max() < 0.51e-4
    assert len(data["runs"][0]["tree"]["nodes"]) == 500


@pytest.mark.slow
def test_the_longest_reply_of_the_90m_has_a_page(large: npblender.Explanation) -> None:
    """Nothing but words and beams of the first run: at 512 tokens, a quarter of what `large` would hold at 50."""
    data = as_data(large, LEVELS[-1])
    assert [run["attention"] for run in data["runs"]] == [{}, {}, {}]
    assert [len(run["lens"]) for run in data["runs"]] == [9, 0, 0]
    assert len(json.dumps(data)) * 512 / 50 < 3.5 * MOST_BYTES


def test_a_limit_takes_the_most_voluminous_parts_first(found: npblender.Explanation) -> None:
    sizes = [len(json.dumps(as_data(found, level), separators=(",", ":"))) for level in LEVELS]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == len(LEVELS)
    around = len(found.to_html()) - sizes[0]
    for level, size in zip(LEVELS, sizes, strict=True):
        limit = around + size + 100  # escapes make it a little longer
        text = found.to_html(limit)
        assert len(text.encode("utf-8")) <= limit
        assert data_of(text)["left_out"] == level.left_out
    with pytest.raises(ValueError, match="bytes without its arrays; "):
        found.to_html(around + sizes[-1] - 1)


def test_equal_arrays_are_stored_once(found: npblender.Explanation) -> None:
    data = as_data(found)
    encoders = [run["attention"]["encoder"]["heads"] for run in data["runs"]]
    assert len(set(encoders)) == 1
    stored = [json.dumps(array, sort_keys=True) for array in data["arrays"]]
    assert len(set(stored)) == len(stored)


def test_other_replies_have_other_arrays(model: Any, tokenizer: Any) -> None:
    """The demo's dialects answer this line in other words."""
    data = as_data(npblender.explain(model, tokenizer, "I can't sleep."))
    by_reply = {run["reply"]: run["attention"]["decoder"]["heads"] for run in data["runs"]}
    assert len(set(by_reply.values())) == len(by_reply) > 1


FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True)


@given(st.lists(FLOATS, min_size=1, max_size=20))
def test_packed_numbers_are_the_nearest_decimals(values: list[float]) -> None:
    array = np.array(values)
    packed = pack(array)
    found, unit = unpack(packed), 10.0 ** -packed["digits"]
    finite = np.isfinite(array)
    assert np.array_equal(np.isnan(found), np.isnan(array))
    assert np.array_equal(found[~finite & ~np.isnan(array)], array[~finite & ~np.isnan(array)])
    assert (np.abs(found[finite] - array[finite]) <= unit * 0.5 * (1 + 1e-9)).all()
    assert np.abs(found[finite]).max(initial=0) <= LARGEST * unit * (1 + 1e-9) < INFINITE * unit
    assert packed["digits"] == 4 or np.abs(array[finite]).max() * 10.0 ** (packed["digits"] + 1) > LARGEST


def test_arrays_of_another_shape_are_others() -> None:
    arrays = Arrays()
    assert [arrays.add(np.zeros(shape)) for shape in ((2, 3), (3, 2), (6,), (2, 3))] == [0, 1, 2, 0]


def test_a_notebook_shows_it_in_a_frame_that_can_do_nothing_outside(found: npblender.Explanation) -> None:
    shown = found._repr_html_()
    assert shown.startswith("<iframe ")
    assert 'sandbox="allow-scripts"' in shown
    inside = html.unescape(shown[shown.index('srcdoc="') + len('srcdoc="') : shown.rindex('"></iframe>')])
    assert inside == found.to_html()
