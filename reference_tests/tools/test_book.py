"""The pages that teach: the model on one page is the package's, and what a page says is in a file is in that file."""

import functools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer
from reference_tests.support.asserts import assert_close
from reference_tests.support.tolerances import TOLERANCES
from tools.docs import links
from tools.docs.run_blocks import blocks_of, run_python
from tools.docs.tables import between_markers
from tools.measure import curve

DOCS = links.ROOT / "docs"
PAGES = links.pages()
PLAIN = {"num_beams": 1, "min_length": 0, "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0}


def code_of(page: str) -> str:
    """The first Python block of a page of docs/."""
    return next(block.text for block in blocks_of((DOCS / page).read_text(encoding="utf-8")) if block.language)


@functools.cache
def one_page() -> dict[str, Any]:
    """The names of the model on one page, after it has run."""
    namespace: dict[str, Any] = {"__name__": "one_page"}
    run_python(code_of("one-page.md"), namespace, "one-page.md")
    return namespace


@functools.cache
def demo() -> tuple[BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer]:
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(dtype="float64")
    return model, BlenderbotSmallTokenizer.from_pretrained()


SAID = [
    "Hi!",
    "What do you do for a living? I'm a teacher.",
    "I like dogs.\nMe too!\nDo you have one?",
    "Unbelievably pneumonoultramicroscopic, naïve café №5 漢字 🙂 __end__",
]


@pytest.mark.parametrize("said", SAID)
def test_the_model_on_one_page_is_the_packages(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same ids of the text and of the reply, and the logits of every step to 1e-12 of the largest, in float64."""
    monkeypatch.chdir(links.ROOT)
    page = one_page()
    model, tokenizer = demo()
    inputs = tokenizer([said], return_tensors="np")
    assert page["encode_text"](said) == inputs["input_ids"][0].tolist()
    ids, steps = page["reply"](said)
    assert len(ids) > 3
    assert model.generate(**inputs, **PLAIN, max_length=39)[0].tolist() == ids
    logits = model(**inputs, decoder_input_ids=[ids[:-1]]).logits[0]
    possible = np.arange(logits.shape[1]) != model.config.decoder_start_token_id
    assert_close(np.array(steps)[:, possible], logits[:, possible], TOLERANCES["pass by hand"])


def test_the_page_needs_nothing_of_the_package() -> None:
    """About 60 lines besides imports, signatures and what runs it; only NumPy and safetensors are not Python's."""
    code = code_of("one-page.md")
    imported = set(re.findall(r"^(?:import|from) ([\w.]+)", code, re.MULTILINE))
    assert imported == {"json", "math", "re", "pathlib", "numpy", "safetensors.numpy"}
    written = [line for line in code.splitlines() if line.strip()]
    assert len([line for line in written if not re.match(r"import|from|def", line)]) <= 70


UNNUMBERED = re.compile(
    r"\s*(?:import |from |def |return |for |if |while |print\(ids\)|question = |ids(?:, steps)? = |at, )"
)


def test_each_line_of_the_page_is_a_row_of_its_table() -> None:
    page = (DOCS / "one-page.md").read_text(encoding="utf-8")
    code = code_of("one-page.md")
    in_code = [int(number) for number in re.findall(r"# \((\d+)\)", code)]
    assert in_code == sorted(in_code)
    rows = re.findall(r"^\| \((\d+)\) \|(?: [^|]+ \|){3}$", page, re.MULTILINE)
    assert [int(row) for row in rows] == sorted(set(in_code)) == list(range(1, max(in_code) + 1))
    lines = [line for line in code.splitlines() if line.strip() and "# (" not in line]
    assert [line for line in lines if not UNNUMBERED.match(line)] == []


NAMED = re.compile(r"((?:`\w+`(?:, | and )?)+) in \[[\w/.]+\]\(([^)\s]+\.py)\)")


def lacking(page: Path) -> list[str]:
    """The names that a page says are in a Python file and that are not defined there."""
    found = []
    for names, target in NAMED.findall(page.read_text(encoding="utf-8")):
        code = (page.parent / target).read_text(encoding="utf-8")
        for name in re.findall(r"`(\w+)`", names):
            if not re.search(rf"^ *(?:(?:def|class) {name}\b|{name}\b(?::[^=]+)? ?[:=])", code, re.MULTILINE):
                found.append(f"{name} in {target}")
    return found


@pytest.mark.parametrize("page", PAGES, ids=[page.relative_to(links.ROOT).as_posix() for page in PAGES])
def test_what_a_page_says_is_in_a_file_is_there(page: Path) -> None:
    assert lacking(page) == []


def test_a_name_that_is_not_there_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("def here(x):\n    there = 1\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text("`here` and `gone` in [code.py](code.py), `x` in [code.py](code.py)", encoding="utf-8")
    assert lacking(page) == ["gone in code.py", "x in code.py"]


@functools.cache
def beam_page() -> dict[str, Any]:
    """The names of the page about beam search, after all of its blocks have run."""
    namespace: dict[str, Any] = {"__name__": "beam_search"}
    for block in blocks_of((DOCS / "beam-search.md").read_text(encoding="utf-8")):
        if block.language == "python":
            run_python(block.text, namespace, "beam-search.md")
    return namespace


@pytest.mark.slow
@pytest.mark.parametrize("width", [1, 2, 8])
@pytest.mark.parametrize("said", ["Hello, how are you?", "I have two children and a dog."])
def test_the_searches_by_hand_are_the_packages(said: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both searches of docs/beam-search.md: the same ids in the same order, the same scores in float32."""
    monkeypatch.chdir(links.ROOT)
    page = beam_page()
    source = page["tokenizer"](said)["input_ids"]
    ours = page["rank_parlai"](page["search_parlai"](source, width))
    settings = {**page["plain"], "num_beams": width, "return_dict_in_generate": True, "output_scores": True}
    theirs = page["models"]["parlai"].generate([source], **settings).n_best[0]
    assert [list(each.ids) for each in theirs] == [path for _, _, path in ours]
    found = np.array([each.score for each in theirs])
    assert_close(found, np.array([score for score, _, _ in ours]), TOLERANCES["score of a search"])
    if width == 1:  # greedy search in transformers
        return
    kept = page["search_transformers"](source, width)
    out = page["models"]["transformers-4"].generate([source], **settings, num_return_sequences=width, max_length=60)
    rows = [row[: row.index(page["EOS"]) + 1] for row in out.sequences.tolist()]
    assert rows == [path for _, _, path in kept]
    found = out.sequences_scores.astype(np.float64)
    assert_close(found, np.array([score for score, _, _ in kept]), TOLERANCES["score of a search"])


def test_each_part_of_the_walkthrough_says_where_it_is() -> None:
    """Below every heading stand functions and their files; the test above looks for them there."""
    page = (DOCS / "walkthrough.md").read_text(encoding="utf-8")
    parts = re.findall(r"^##+ (.+)\n\n(.+)$", page, re.MULTILINE)
    assert len(parts) == len(links.HEADING.findall(links.FENCED.sub("", page))) - 1
    assert [heading for heading, below in parts if not below.startswith("`") or "` in" not in f"{below} "] == []


LOG = """\
9,301,824 parameters, step 0 of 640
step 0: development perplexity everyday 100.00, persona 7.00
step 64: loss 4.000, rate 1.6e-04, 2,227 tokens/s
step 128: loss 3.500, rate 3.2e-04, 1,305 tokens/s
step 192: loss 9.000, rate 3.2e-04, 1,305 tokens/s
9,301,824 parameters, step 128 of 640
step 192: loss 3.000, rate 3.2e-04, 1,305 tokens/s
step 192: widened to 11,416,960 parameters
step 192: development perplexity everyday 20.00, persona 3.00
the training is complete
"""


def test_the_curve_of_a_training_is_read_from_its_log() -> None:
    found = curve.curve_of(LOG.splitlines())
    assert found["steps"] == [64, 128, 192]
    assert found["training"] == [4.0, 3.5, 3.0]
    assert found["held_out"] == [[0, 4.6052], [192, 2.9957]]  # log 100, log 20
    with pytest.raises(ValueError, match="no losses"):
        curve.curve_of(["the training is complete"])


def test_the_page_shows_the_stored_curve() -> None:
    assert between_markers(curve.PAGE, "curve") == curve.part(curve.stored()), (
        "python -m tools measure curve --write-docs"
    )
    rows = curve.part(curve.curve_of(LOG.splitlines())).splitlines()
    assert rows[0].endswith("(pictures/training.svg)")
    assert [cell.strip() for cell in rows[-1].split("|")[1:-1]] == ["192", "3.00", "3.00", "20.0"]
