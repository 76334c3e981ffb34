"""Goldens of the tokenizer: the originals answer questions about the example vocabulary.

npblender only supplies the questions and the vocabulary; no answer is its own.
"""

from __future__ import annotations

import json
import tempfile
import unicodedata
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from npblender.tokenizer.example import EXAMPLE_MERGES, EXAMPLE_VOCABULARY
from reference_tests.support.text_strategies import FRAGMENTS
from tools import ROOT
from tools.differential.tokenizer_calls import random_calls
from tools.differential.tokenizer_texts import random_texts
from tools.goldens.made import Made
from tools.originals import asking
from tools.originals.run_tokenizer import read_lines, write_lines

FOLDER = ROOT / "reference_tests" / "golden" / "tokenizer"
SEED = 7
_EXAMPLE_WORDS = ["hello", "lower", "Low", "new", "no", "worn", "dell", "held", "end", "__end__", "low!low", "(her)"]


def is_settled(text: str) -> bool:
    """Whether every Python takes each character for the same: as it was in Unicode 3.2, or a fragment's."""
    old = unicodedata.ucd_3_2_0
    return all(
        character in "".join(FRAGMENTS) or old.category(character) == unicodedata.category(character) != "Cn"
        for character in text
    )


def texts() -> list[str]:
    """Every fragment alone and between words the vocabulary knows, and random mixtures of settled characters."""
    around = [f"low{fragment}lower {fragment}hello" for fragment in FRAGMENTS]
    mixed = [
        text.replace("i", _EXAMPLE_WORDS[at % len(_EXAMPLE_WORDS)] + " ")
        for at, text in enumerate(filter(is_settled, random_texts(400, SEED)))
    ]
    return list(dict.fromkeys(["", *FRAGMENTS, *around, *mixed]))


def calls() -> list[dict[str, Any]]:
    """Random method calls, each once."""
    drawn = random_calls(260, SEED, len(EXAMPLE_VOCABULARY))
    return list({json.dumps(call): call for call in drawn}.values())


def write_example(folder: Path) -> None:
    """The example vocabulary as a tokenizer's folder, written without npblender's own writer."""
    (folder / "vocab.json").write_text(json.dumps(EXAMPLE_VOCABULARY), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in EXAMPLE_MERGES)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 512}), encoding="utf-8")


def answers_of(original: str, questions: list[Any]) -> dict[str, Any]:
    """What one original answers, with its versions."""
    with tempfile.TemporaryDirectory() as place:
        asked, answered = Path(place) / "questions", Path(place) / "answers"
        folder = Path(place) / "tokenizer"
        folder.mkdir()
        write_example(folder)
        write_lines(asked, questions)
        asking.run(original, "run_tokenizer", original, folder, asked, answered)
        head, *answers = read_lines(answered)
    return {"versions": head["versions"], "answers": answers}


def contents() -> Iterator[tuple[str, dict[str, Any]]]:
    """The name and the content of each file."""
    asked, called = texts(), calls()
    every, transformers = ("transformers-5", "transformers-4", "parlai"), ("transformers-5", "transformers-4")
    yield "texts.json", {"seed": SEED, "texts": asked, "originals": {name: answers_of(name, asked) for name in every}}
    by_original = {name: answers_of(name, called) for name in transformers}
    yield "calls.json", {"seed": SEED, "calls": called, "originals": by_original}


def differences(file: Path, content: dict[str, Any]) -> list[str]:
    """The answers are texts and ids, so they must be equal."""
    stored = json.loads(file.read_text(encoding="utf-8"))
    same = without_unpinned(stored) == without_unpinned(json.loads(json.dumps(content)))
    return [] if same else [f"{file.name}: the originals answer otherwise"]


def without_unpinned(content: dict[str, Any]) -> dict[str, Any]:
    """The content without versions of Python and of what an original uses, which its environment does not pin."""
    kept = {name: dict(answers) for name, answers in content["originals"].items()}
    for answers in kept.values():
        answers["versions"] = {name: v for name, v in answers["versions"].items() if name in ("transformers", "parlai")}
    return {**content, "originals": kept}


def made() -> Iterator[Made]:
    """Both files."""
    for name, content in contents():
        # Escaped, so that the file holds no lone surrogates; no text has two of them side by side.
        file, text = FOLDER / name, json.dumps(content, sort_keys=True) + "\n"
        about = f"by {', '.join(content['originals'])}"
        yield Made(file, about, partial(file.write_text, text, encoding="utf-8"), partial(differences, file, content))
