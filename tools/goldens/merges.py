"""The golden of docs/steps/8_merges.py: subword-nmt, which ParlAI uses, learns from its text."""

from __future__ import annotations

import json
import re
import runpy
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tools import ROOT
from tools.goldens.made import Made
from tools.originals import asking

FILE = ROOT / "reference_tests" / "golden" / "tokenizer" / "merges.json"
STEP = ROOT / "docs" / "steps" / "8_merges.py"
COUNT = 50


def learned() -> dict[str, Any]:
    """The text of the step, cut into words, and the merges that subword-nmt learns from it."""
    text = " ".join(re.findall(r"\w+|\S", runpy.run_path(str(STEP), run_name="step")["TEXT"].lower()))
    with tempfile.TemporaryDirectory() as place:
        words, answer = Path(place) / "words", Path(place) / "answer"
        words.write_text(text, encoding="utf-8")
        asking.run("parlai", "run_merges", words, COUNT, answer)
        return {"text": text, **json.loads(answer.read_text(encoding="utf-8"))}


def differences(content: dict[str, Any]) -> list[str]:
    """Merge are texts, so they must be equal."""
    stored = json.loads(FILE.read_text(encoding="utf-8"))
    return [] if stored == content else [f"{FILE.name}: other merges, another text or another version"]


def made() -> Iterator[Made]:
    """The one file."""
    content = learned()
    text = json.dumps(content, sort_keys=True) + "\n"
    write = partial(FILE.write_text, text, encoding="utf-8")
    yield Made(FILE, f"by {content['made by']}", write, partial(differences, content))
