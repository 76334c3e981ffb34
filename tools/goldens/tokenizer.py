"""Has the originals answer questions about the example vocabulary, and keeps the answers for the tests.

    python tools/goldens/tokenizer.py           # write reference_tests/golden/tokenizer/
    python tools/goldens/tokenizer.py --check   # ask again and compare with what is stored

The originals run in the environments of `tools/originals/environments.py`. npblender only supplies the questions and the vocabulary;
no answer is its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from npblender.tokenizer.example import EXAMPLE_MERGES, EXAMPLE_VOCABULARY  # noqa: E402
from reference_tests.support.text_strategies import FRAGMENTS  # noqa: E402
from tools.differential.tokenizer_calls import random_calls  # noqa: E402
from tools.differential.tokenizer_texts import random_texts  # noqa: E402
from tools.originals.environments import oracle_python  # noqa: E402
from tools.originals.run_tokenizer import read_lines, write_lines  # noqa: E402

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
        script = ROOT / "tools" / "originals" / "run_tokenizer.py"
        command = [oracle_python(original), script, original, folder, asked, answered]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
        head, *answers = read_lines(answered)
    return {"versions": head["versions"], "answers": answers}


def make() -> dict[str, dict[str, Any]]:
    """The content of each file."""
    asked = texts()
    by_original = {name: answers_of(name, asked) for name in ("transformers-5", "transformers-4", "parlai")}
    called = calls()
    return {
        "texts.json": {"seed": SEED, "texts": asked, "originals": by_original},
        "calls.json": {
            "seed": SEED,
            "calls": called,
            "originals": {name: answers_of(name, called) for name in ("transformers-5", "transformers-4")},
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Make or check the goldens of the tokenizer.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if an original answers otherwise")
    check = parser.parse_args().check
    FOLDER.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for name, content in make().items():
        # Escaped, so that the file holds no lone surrogates; no text has two of them side by side.
        text = json.dumps(content, sort_keys=True) + "\n"
        if check and (FOLDER / name).read_text(encoding="utf-8") != text:
            print(f"{name}: the originals answer otherwise")
            wrong += 1
        elif not check:
            (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"{name}: {len(text):,} bytes")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
