"""subword-nmt learns merges from a text, in ParlAI's environment: a word of the text is what stands between spaces.

    python -m tools.originals.run_merges TEXT COUNT ANSWER

Writes a JSON object to the file ANSWER: the merges in the order of learning, as pairs, and the version.
"""

from __future__ import annotations

import io
import json
import sys
from importlib.metadata import version
from pathlib import Path


def main(text: str, count: str, answer: str) -> None:
    from subword_nmt.learn_bpe import learn_bpe

    with open(text, encoding="utf-8") as source:
        learned = io.StringIO()
        learn_bpe(source, learned, int(count))
    _, *lines = learned.getvalue().splitlines()  # the first one is the format's version
    content = {"made by": f"subword-nmt {version('subword-nmt')}", "merges": [line.split() for line in lines]}
    Path(answer).write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
