"""What both transformers answer to the code that people write: reference_tests/golden/drop_in.json.

npblender supplies the tiny model's folder and the code; no answer is its own.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from npblender import GenerationConfig
from reference_tests.support.tiny_folder import make_model, make_tokenizer
from tools import ROOT
from tools.goldens.drop_in_calls import CALLS
from tools.goldens.made import Made
from tools.originals import asking

FILE = ROOT / "reference_tests" / "golden" / "drop_in.json"
ORIGINALS = ("transformers-5", "transformers-4")
PUBLISHED: dict[str, Any] = {
    "num_beams": 4,
    "min_length": 4,
    "max_length": 16,
    "length_penalty": 0.65,
    "no_repeat_ngram_size": 3,
    "forced_eos_token_id": 2,
    "bos_token_id": 1,
    "decoder_start_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
"""The kind of settings that the published model has, for a model of 64 positions."""
RELATIVE = 2e-5
"""float32 on both sides, and sums of thousands of numbers."""


def make_folder(place: Path, dialect: str) -> Path:
    """The tiny model with settings of the published kind, in the dialect of one original."""
    folder = place / dialect
    make_model(3, dialect, GenerationConfig(**PUBLISHED)).save_pretrained(folder)
    make_tokenizer(dialect).save_pretrained(folder)
    return folder


def same(a: Any, b: Any) -> bool:
    """Whether two answers are equal, numbers within float32's rounding.

    >>> same([1, {"x": 0.5}], [1, {"x": 0.500001}]), same([1], [2]), same("a", None)
    (True, False, False)
    """
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) or isinstance(b, float):
        return isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, rel_tol=RELATIVE, abs_tol=RELATIVE)
    return bool(a == b)


def content() -> dict[str, Any]:
    """What both transformers answer now."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        calls = Path(place) / "calls.json"
        calls.write_text(json.dumps({name: call.code for name, call in CALLS.items()}), encoding="utf-8")
        for original in ORIGINALS:
            out = Path(place) / f"{original}.json"
            asking.run(original, "run_drop_in", make_folder(Path(place), original), calls, out)
            found[original] = json.loads(out.read_text(encoding="utf-8"))
    return {"calls": {name: call.code for name, call in CALLS.items()}, "originals": found}


def differences(made: dict[str, Any]) -> list[str]:
    """Where the stored answers are others; of an error only its kind is compared."""
    stored = json.loads(FILE.read_text(encoding="utf-8"))
    wrong = [] if stored["calls"] == made["calls"] else [f"{FILE.name}: it is of other calls"]
    for original in ORIGINALS:
        for name, answer in made["originals"][original]["answers"].items():
            before = stored["originals"][original]["answers"].get(name, {})
            if not same(kind(before), kind(answer)):
                wrong.append(f"{FILE.name}, {original}, {name}: {before}, now {answer}")
    return wrong


def kind(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer, of an error only its class."""
    return {"error": answer["error"].partition(":")[0]} if "error" in answer else answer


def made() -> Iterator[Made]:
    """The one file."""
    found = content()
    text = json.dumps(found, indent=1, sort_keys=True) + "\n"
    yield Made(
        FILE,
        f"{len(CALLS)} pieces of code by {', '.join(ORIGINALS)}",
        lambda: FILE.write_text(text, encoding="utf-8"),
        lambda: differences(found),
    )
