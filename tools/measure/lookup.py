"""Measures what prompt lookup brings on replies of a model: tokens accepted a decoder call, and time a reply.

    python -m tools measure lookup [--model FOLDER] [--count 2 4 8] [--sources 40] [--write-docs]

Without `--model` it is the demo. Sources are conversations of three turns: the demo's forty opening lines, the reply to
each, and another line; and the same with a request to say something again, where there is much to copy. Every reply is
made by greedy search and by lookup, in turns, one at a time. What is printed: tokens a decoder call (1 is greedy),
which share of the guessed tokens was right, the ratio of the times, and how many replies differ (near ties apart, none
may). `--write-docs` puts the table between the markers `lookup` in docs/generation.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer
from npblender.generation import generate
from npblender.generation.decoder_state import DecoderState
from tools import ROOT
from tools.demo.lines import OPENINGS
from tools.docs.tables import markdown, write_between_markers

PAGE = ROOT / "docs" / "generation.md"
PLAIN: dict[str, Any] = {
    "num_beams": 1,
    "max_new_tokens": 40,
    "min_length": 0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
}
"""Greedy search as it is, whatever the model's files ask for: it may repeat and quote."""


@dataclass
class Tally:
    """Counts over the replies of one way of searching."""

    calls: int = 0
    tokens: int = 0
    guessed: int = 0
    differ: int = 0
    seconds: list[float] = field(default_factory=list)


class Counted(DecoderState):
    """Counts the calls of the decoder and the tokens that were guessed in them."""

    tally = Tally()

    def logits(self, ids: Any, last: int = 1) -> Any:
        Counted.tally.calls += 1
        Counted.tally.guessed += last - 1
        return super().logits(ids, last)


def conversations(model: Any, tokenizer: Any, count: int) -> dict[str, list[str]]:
    """Two kinds of sources, made with the model's own first replies."""
    chat, again = [], []
    for line in [line for lines in OPENINGS.values() for line in lines][:count]:
        ids = model.generate(tokenizer(line, return_tensors="np").input_ids, **PLAIN)
        reply = tokenizer.decode(ids[0], skip_special_tokens=True)
        chat.append(f"{line}\n{reply}\nwhat else do you like about it?")
        again.append(f"{line}\n{reply}\nsorry, what did you say? please say that again.")
    return {"going on": chat, "say that again": again}


def measure(model: Any, tokenizer: Any, texts: Sequence[str], counts: Sequence[int]) -> dict[int, Tally]:
    """Greedy search (0 guesses) and lookup with each number of guesses, in turns."""
    tallies = {count: Tally() for count in (0, *counts)}
    for text in texts:
        ids = tokenizer(text, return_tensors="np").input_ids
        greedy: Any = None
        for count, tally in tallies.items():
            Counted.tally = tally
            options = {"prompt_lookup_num_tokens": count} if count else {}
            start = time.perf_counter()
            reply = model.generate(ids, **PLAIN, **options)
            tally.seconds.append(time.perf_counter() - start)
            tally.tokens += reply.shape[1] - 1
            greedy = reply if greedy is None else greedy
            tally.differ += not np.array_equal(reply, greedy)
    return tallies


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--count", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--sources", type=int, default=40)
    parser.add_argument("--write-docs", action="store_true")
    args = parser.parse_args()
    # Prompt lookup is transformers' search, so that dialect's; its scale of embeddings is the trained one in 4.
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(args.model, dialect="transformers-4")
    tokenizer = BlenderbotSmallTokenizer.from_pretrained(args.model)
    rows = []
    for kind, texts in conversations(model, tokenizer, args.sources).items():
        with mock.patch.object(generate, "DecoderState", Counted):
            tallies = measure(model, tokenizer, texts, args.count)
        greedy = tallies[0]
        for count, tally in tallies.items():
            accepted = tally.tokens - tally.calls
            pairs = zip(greedy.seconds, tally.seconds, strict=True)
            rows.append(
                [
                    kind,
                    f"lookup, {count} guesses" if count else "greedy",
                    str(tally.tokens),
                    f"{tally.tokens / tally.calls:.2f}",
                    f"{accepted / tally.guessed:.0%}" if tally.guessed else "-",
                    f"{statistics.median(before / after for before, after in pairs):.2f}",
                    str(tally.differ),
                ]
            )
    header = ["replies", "search", "tokens", "tokens a call", "guesses right", "x greedy's speed", "other replies"]
    table = markdown(header, rows)
    print(table, end="")
    if args.write_docs:
        write_between_markers(PAGE, "lookup", table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
