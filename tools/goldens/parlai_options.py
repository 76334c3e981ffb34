"""The options of ParlAI's agent, as its own parser lists them: reference_tests/golden/parlai_options.json.

What each means here is the table of `tools/docs/from_parlai.py`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tools import ROOT
from tools.goldens.made import Made
from tools.originals import asking

FILE = ROOT / "reference_tests" / "golden" / "parlai_options.json"


def made() -> Iterator[Made]:
    """The one file."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "options.json"
        asking.run("parlai", "run_parlai_options", out)
        found = json.loads(out.read_text(encoding="utf-8"))
    text = json.dumps(found, indent=1) + "\n"
    yield Made(
        FILE,
        f"{len(found['options'])} options of ParlAI {found['version']}",
        lambda: FILE.write_text(text, encoding="utf-8"),
        lambda: [] if FILE.read_text(encoding="utf-8") == text else [f"{FILE.name}: ParlAI's parser has other options"],
    )
