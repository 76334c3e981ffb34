"""The three dialogue corpora as conversations, and which of them are held out.

It does NOT clean or filter (see `clean`, `filters`).
"""

import gzip
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FILES = {
    "chitchat": "chitchat_dataset_mit.jsonl.gz",
    "self_dialogue": "self_dialogue_bsd3.jsonl.gz",
    "persona": "synthetic_persona_chat_valid_test_ccby4.jsonl.gz",
}
HELD_OUT_SHARE = 0.02
# first names that stand in for placeholders such as "[user 1's name]"
_NAMES = ("alex", "sam", "anna", "ben", "emma", "jack", "kate", "leo", "lucy", "max", "mia", "tom", "sarah", "john")
_SLOT = re.compile(r"\[[^\]]*(?:name|user)[^\]]*\]|\b[Uu]ser\s?[12]\b", re.IGNORECASE)


@dataclass(frozen=True)
class Conversation:
    corpus: str
    held_out: bool
    turns: tuple[str, ...]
    personas: tuple[tuple[str, ...], ...]  # of the speaker of even turns, of odd turns; empty where there are none


def read(folder: Path, seed: int, only: tuple[str, ...] = tuple(FILES)) -> Iterator[Conversation]:
    """Every distinct conversation of the corpora in `folder`, each marked as held out or not.

    Of the synthetic persona chat the published test split is held out; of the others a seeded 2 %.
    """
    for corpus in only:
        path = folder / FILES[corpus]
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: name the folder of the corpora with --corpora")
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        yield from conversations(corpus, rows, seed)


def conversations(corpus: str, rows: list[dict], seed: int) -> Iterator[Conversation]:
    """Rows as they are stored, as conversations; repeated ones only once."""
    rng = random.Random(f"{corpus} {seed}")
    seen: set[tuple[str, ...]] = set()
    for row in rows:
        chosen = rng.random() < HELD_OUT_SHARE
        held_out = row["split"] == "test" if "split" in row else chosen
        names = rng.sample(_NAMES, 2)
        turns = tuple(fill_names(turn, names) for turn in row["turns"])
        if turns in seen:
            continue
        seen.add(turns)
        personas = tuple(tuple(row[key]) for key in ("persona1", "persona2") if key in row)
        yield Conversation(corpus, held_out, turns, personas)


def fill_names(turn: str, names: list[str]) -> str:
    """Put a first name where a synthetic turn has a placeholder for one.

    >>> fill_names("Hi, I'm [user 2's name].", ["alex", "mia"])
    "Hi, I'm mia."
    """
    return _SLOT.sub(lambda found: names["2" in found.group()], turn)


def chitchat_from_package(seed: int) -> Iterator[Conversation]:
    """The chitchat corpus as PyPI has it (`pip install chitchat-dataset==0.9.0`): no other file is needed.

    Consecutive messages of one speaker are one turn, as in the file of `FILES`.
    """
    import chitchat_dataset

    rows = []
    for conversation in chitchat_dataset.Dataset().values():
        turns = [" ".join(m["text"] for m in group).strip() for group in conversation["messages"]]
        turns = [turn for turn in turns if turn]
        if len(turns) > 1:
            rows.append({"turns": turns})
    yield from conversations("chitchat", rows, seed)
