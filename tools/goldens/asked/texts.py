"""Compares the texts of a pack with the originals' tokenizers: ids and decoded texts must be equal."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from tools.differential.originals import version_of
from tools.originals import asking
from tools.originals.run_tokenizer import read_lines, write_lines


def ask(original: str, folder: Path, path: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """The record for the manifest. `folder` has the tokenizer's files."""
    with tempfile.TemporaryDirectory() as place:
        own = Path(place) / "tokenizer"
        own.mkdir()
        for name in ("vocab.json", "merges.txt"):
            (own / name).write_bytes((folder / name).read_bytes())
        (own / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 512}), encoding="utf-8")
        asked, answered = Path(place) / "questions", Path(place) / "answers"
        write_lines(asked, [entry["text"] for entry in entries])
        asking.run(original, "run_tokenizer", original, own, asked, answered)
        _, *answers = read_lines(answered)
    wrong = [
        f"{entry['text']!r}: {answer}"
        for entry, answer in zip(entries, answers, strict=True)
        if any(entry[key] != answer[key] for key in ("ids", "decoded"))
    ]
    record = {"file": path, "by": version_of(original), "asked": True, "texts": len(entries), "within": not wrong}
    return {**record, **({"problems": wrong} if wrong else {})}
