"""Measures what each disagreement of the originals does to a model's logits and replies, field by field.

    python -m tools dialects                     # the demo, all fields
    python -m tools dialects --model FOLDER      # any other model
    python -m tools dialects --write-docs        # and put the tables into docs/dialects.md

Each row changes one field of one dialect, or one habit of its users, and compares with the dialect as it is: the
largest change of a log-probability along the same reply, and how many replies change. That each dialect equals its
original is proven elsewhere (tools/differential/); here is what it matters. Needs npblender only.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender import (
    PARLAI,
    TRANSFORMERS_4,
    TRANSFORMERS_5,
    BlenderbotSmallForConditionalGeneration,
    BlenderbotSmallTokenizer,
    Dialect,
)
from npblender.ops import log_softmax
from tools import ROOT
from tools.docs.tables import markdown, write_between_markers

PAGE = ROOT / "docs" / "dialects.md"
MARKED = "dialects"  # the name of the markers in the page

CONTEXTS: tuple[tuple[str, ...], ...] = (
    ("Hi, how are you today?",),
    ("What do you do for a living?",),
    ("I love hiking in the mountains (it's so quiet up there).",),
    ("Do you have any pets?", "Yes, two cats!", "What are their names?"),
    ("My favorite movie is Jaws;I watch it every summer.",),
    ("I just got back from a trip to Italy...it was great!!",),
    ("Do you like pizza?", "Of course, who doesn't?", "What do you put on yours?"),
    ("I am so tired, I worked until 3:30 in the morning.",),
    ("What kind of music do you listen to?", "Mostly rock.", "Me too! Which bands?"),
    ("Have you read any good books lately?",),
    ("I'm learning to play the guitar.", "How long have you been playing?", "About 2-3 months."),
    ("It is raining again/still here.",),
    ("My sister is getting married next month!",),
    ("I don't like mondays.", "Why not?", "Because the weekend is over :("),
    ('My son said "hello" for the first time today.',),
    ("Do you play any sports?",),
)
EXAMPLES = (0, 3, 4, 8, 13)
GREEDY: dict[str, Any] = {"num_beams": 1, "max_new_tokens": 32}
BEAMS: dict[str, Any] = {"num_beams": 10, "max_new_tokens": 40, "length_penalty": 0.65, "no_repeat_ngram_size": 3}


@dataclass(frozen=True)
class Way:
    """One way of asking: a dialect, how turns are joined, and what is done to the ids."""

    dialect: Dialect
    separator: str = "\n"
    pads_left: int = 0
    pads_right: int = 0
    mask: bool = True
    options: dict[str, Any] | None = None


class Asker:
    """A model's folder, asked in different ways."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.model = BlenderbotSmallForConditionalGeneration.from_pretrained(folder)
        self.tokenizers: dict[Dialect, BlenderbotSmallTokenizer] = {}

    def tokenizer(self, dialect: Dialect) -> BlenderbotSmallTokenizer:
        """The tokenizer that cuts text as the dialect does; made once."""
        if dialect not in self.tokenizers:
            self.tokenizers[dialect] = BlenderbotSmallTokenizer.from_pretrained(self.folder, dialect=dialect)
        return self.tokenizers[dialect]

    def arrays(self, way: Way, turns: Sequence[str]) -> dict[str, Any]:
        """Ids and, if the way has one, mask: [1, pads + S + pads]."""
        pad = self.model.config.pad_token_id
        ids = self.tokenizer(way.dialect)(way.separator.join(turns))["input_ids"]
        padded = [pad] * way.pads_left + ids + [pad] * way.pads_right
        arrays: dict[str, Any] = {"input_ids": np.array([padded], np.int64)}
        if way.mask:
            arrays["attention_mask"] = (arrays["input_ids"] != pad).astype(np.int64)
        return arrays

    def in_dialect(self, way: Way) -> BlenderbotSmallForConditionalGeneration:
        """The model in the way's dialect: the same weights."""
        model = self.model
        return type(model)(model.config, model.weights, dialect=way.dialect)

    def reply(self, way: Way, turns: Sequence[str], options: dict[str, Any]) -> NDArray[np.int64]:
        """The reply's ids [T], start first."""
        own = options if way.options is None else way.options
        return self.in_dialect(way).generate(**self.arrays(way, turns), **own)[0]

    def log_probabilities(self, way: Way, turns: Sequence[str], reply: NDArray[np.int64]) -> NDArray[np.float32]:
        """Along a given reply: [T, V], without the start's column, which one dialect replaces."""
        logits = self.in_dialect(way)(**self.arrays(way, turns), decoder_input_ids=reply[None]).logits[0]
        start = self.model.config.decoder_start_token_id
        assert start is not None
        rest = np.delete(logits, start, axis=1)
        return log_softmax(rest)

    def text(self, dialect: Dialect, ids: NDArray[np.int64]) -> str:
        """A reply to be read."""
        return self.tokenizer(dialect).decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=True)


def effect(asker: Asker, one: Way, other: Way, options: dict[str, Any]) -> list[str]:
    """Largest change of a log-probability along one way's replies, changed sources, changed replies."""
    largest, sources, replies = 0.0, 0, 0
    for turns in CONTEXTS:
        reply = asker.reply(one, turns, options)
        before = asker.log_probabilities(one, turns, reply)
        after = asker.log_probabilities(other, turns, reply)
        largest = max(largest, float(np.abs(before - after).max()))
        sources += not np.array_equal(asker.arrays(one, turns)["input_ids"], asker.arrays(other, turns)["input_ids"])
        replies += not np.array_equal(reply, asker.reply(other, turns, options))
    total = len(CONTEXTS)
    return [f"{largest:.1e}" if largest else "0", f"{sources} of {total}", f"{replies} of {total}"]


def rows() -> list[tuple[str, Way, Way, dict[str, Any]]]:
    """Each row: what differs, the way of one original, the way of another, and the search that shows it."""

    def without(dialect: Dialect, **changes: Any) -> Dialect:
        return replace(dialect, name="changed", **changes)

    parlai = Way(PARLAI)
    four = Way(TRANSFORMERS_4)
    text = {"pretokenizer": "transformers", "cut_special_tokens": True}
    no_mask = without(PARLAI, mask_from_ids=False, mask_from_ids_in_generate=False)
    lengths = {"num_beams": 1, "max_new_tokens": 40, "min_length": 20}
    padded = replace(parlai, pads_right=3)
    unscaled = Way(without(TRANSFORMERS_4, scale_decoder_embeddings=False))
    by_column = Way(without(PARLAI, positions_follow_mask=False), pads_left=3)
    lowest = Way(without(PARLAI, masked_score=None), pads_right=3)
    not_zeroed = Way(without(PARLAI, zero_padded_states=False), pads_right=3)
    one_less = Way(without(TRANSFORMERS_4, min_length_counts_start=False))
    return [
        ("decoder embeddings without sqrt(d)", four, unscaled, GREEDY),
        ("positions count columns, 3 pads on the left", replace(parlai, pads_left=3), by_column, GREEDY),
        (
            "pads attended to, 3 on the right, no mask",
            replace(padded, mask=False),
            Way(no_mask, "\n", 0, 3, False),
            GREEDY,
        ),
        ("masked score finfo.min, 3 pads on the right", padded, lowest, GREEDY),
        ("states at pads not zeroed, 3 on the right", padded, not_zeroed, GREEDY),
        ("`__start__` may be generated", parlai, Way(without(PARLAI, start_logit=None)), GREEDY),
        ("transformers' way of cutting text", parlai, Way(without(PARLAI, **text)), GREEDY),
        ("turns joined by `__end__ __start__`", parlai, replace(parlai, separator=" __end__ __start__ "), GREEDY),
        ("`min_length` 20 counts the start", four, one_less, lengths),
        ("transformers' beam search instead of ParlAI's", parlai, Way(without(PARLAI, search="transformers")), BEAMS),
        ("all of it: transformers 4", parlai, four, BEAMS),
        ("all of it: transformers 5", parlai, Way(TRANSFORMERS_5), BEAMS),
    ]


def effects_table(asker: Asker, report: Callable[[str], None]) -> str:
    """The table of effects, a row a disagreement."""
    found = []
    for name, one, other, options in rows():
        found.append([name, *effect(asker, one, other, options)])
        report(" | ".join(found[-1]))
    return markdown(["what differs", "largest change of a log-probability", "sources", "replies"], found)


def examples_table(asker: Asker) -> str:
    """What a user gets from each dialect, called alike."""
    ways = (Way(PARLAI), Way(TRANSFORMERS_4), Way(TRANSFORMERS_5))
    found = []
    for number in EXAMPLES:
        turns = CONTEXTS[number]
        replies = [asker.text(way.dialect, asker.reply(way, turns, BEAMS)) for way in ways]
        found.append([" / ".join(turns).replace("|", "\\|"), *replies])
    return markdown(["said", *(way.dialect.name for way in ways)], found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=None, help="a model's folder; the demo without it")
    parser.add_argument("--write-docs", action="store_true", help=f"put the tables into {PAGE.relative_to(ROOT)}")
    arguments = parser.parse_args()
    asker = Asker(arguments.model)
    tables = effects_table(asker, print) + "\n\n" + examples_table(asker)
    print(tables)
    if arguments.write_docs:
        write_between_markers(PAGE, MARKED, tables)
    return 0


if __name__ == "__main__":
    sys.exit(main())
