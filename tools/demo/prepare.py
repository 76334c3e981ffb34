"""From conversations to arrays of ids: what is learned from, what is held out, and the counts of what was dropped.

A *turn* has two forms (see `clean`): what is read, and what is said. A *sample* is one turn to be said with the
earlier turns of its unbroken stretch of conversation; the stretch ends where a turn was dropped.
"""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tools.demo.clean import readable, sayable, sentences
from tools.demo.corpus import FILES, Conversation
from tools.demo.filters import reason_to_drop
from tools.demo.pieces import Cutter

SEED = 20  # of what is held out of the older corpora, and of what is kept of repeated replies
LONGEST_REPLY = 40  # tokens, `__end__` included
SAME_REPLY_AT_MOST = 40  # how often one and the same reply is learned from


@dataclass
class Stretch:
    """Turns that follow each other without a gap; `personas` by speaker of the first and second turn."""

    corpus: str
    held_out: bool
    read: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    personas: tuple[tuple[str, ...], ...] = ()


def stretches(conversation: Conversation, dropped: Counter[str]) -> list[Stretch]:
    """Cut a conversation at the turns that may not be used, counting why."""
    lines = [tuple(x for x in p if reason_to_drop(x) is None) for p in conversation.personas]
    out: list[Stretch] = []
    open_: Stretch | None = None
    for index, turn in enumerate(conversation.turns):
        reason = reason_to_drop(turn)
        heard = "" if reason else readable(turn)
        if not heard:
            dropped[reason or "nothing left after cleaning"] += 1
            open_ = None
            continue
        if open_ is None:
            # whoever speaks first in this stretch comes first in its personas
            ordered = tuple(tuple(map(readable, p)) for p in (lines[index % 2 :] + lines[: index % 2]))
            open_ = Stretch(conversation.corpus, conversation.held_out, personas=ordered)
            out.append(open_)
        open_.read.append(heard)
        open_.said.append(sayable(turn))
    return [s for s in out if len(s.read) > 1]


def shorten(text: str, cut: Cutter, limit: int) -> list[int]:
    """The ids of as many whole sentences as fit `limit` tokens; none if the first does not fit."""
    ids: list[int] = []
    for sentence in sentences(text):
        more = cut(sentence)
        if len(ids) + len(more) > limit:
            break
        ids += more
    return ids


def prepare(conversations: Iterable[Conversation], vocabulary: Path, out: Path, seed: int) -> dict:
    """Write arrays of ids into `out`, beside the tokenizer of the folder `vocabulary`; returns (and writes) counts."""
    dropped: dict[str, Counter[str]] = defaultdict(Counter)
    turns: Counter[str] = Counter()
    talks: Counter[str] = Counter()
    parts: list[Stretch] = []
    for conversation in conversations:
        turns[conversation.corpus] += len(conversation.turns)
        talks[conversation.corpus] += 1
        parts += stretches(conversation, dropped[conversation.corpus])
    for name in ("vocab.json", "merges.txt"):
        (out / name).write_bytes((vocabulary / name).read_bytes())
    cut = Cutter(out)
    report = {"conversations": talks, "turns": turns, "dropped turns": dropped, "seed": seed}
    for name, held_out in (("train", False), ("held_out", True)):
        chosen = [p for p in parts if p.held_out == held_out]
        report[name] = write_arrays(out / f"{name}.npz", chosen, cut, seed if name == "train" else None)
    (out / "counts.json").write_text(json.dumps(report, indent=1))
    return report


def write_arrays(path: Path, parts: list[Stretch], cut: Cutter, seed: int | None) -> dict:
    """Flat arrays of ids with offsets, and the samples.

    `read` and `said` are the ids of every turn one after the other, cut at `read_at` and `said_at`. A sample is
    (turn, first turn of its stretch, persona, corpus); persona -1 is none. With a seed, a reply that occurs often
    is kept `SAME_REPLY_AT_MOST` times; without (held out), every reply is kept.
    """
    read: list[list[int]] = []
    said: list[list[int]] = []
    persona: list[list[int]] = []
    samples: list[tuple[int, int, int, int]] = []
    for part in parts:
        first, speakers = len(read), [len(persona) + i for i in range(len(part.personas))]
        persona += [cut("\n".join(f"your persona: {x}" for x in p)) for p in part.personas]
        for index, (heard, reply) in enumerate(zip(part.read, part.said, strict=True)):
            read.append(cut(heard))
            said.append(shorten(reply, cut, LONGEST_REPLY - 1))
            if index and said[-1]:
                who = speakers[index % 2] if speakers else -1
                samples.append((len(read) - 1, first, who, list(FILES).index(part.corpus)))
    too_long = sum(len(p.read) - 1 for p in parts) - len(samples)
    before = len(samples)
    if seed is not None:
        random.Random(seed).shuffle(samples)
        used: Counter[tuple[int, ...]] = Counter()
        kept = []
        for sample in samples:
            key = tuple(said[sample[0]])
            used[key] += 1
            if used[key] <= SAME_REPLY_AT_MOST:
                kept.append(sample)
        samples = sorted(kept)
    arrays = {}
    for name, rows in (("read", read), ("said", said), ("persona", persona)):
        arrays[name] = np.array([i for row in rows for i in row], dtype=np.int16)
        arrays[f"{name}_at"] = np.cumsum([0, *map(len, rows)])
    np.savez(path, samples=np.array(samples, dtype=np.int64).reshape(-1, 4), **arrays)
    by_corpus = Counter(list(FILES)[s[3]] for s in samples)
    tokens = sum(len(said[s[0]]) + 1 for s in samples)
    return {
        "replies": by_corpus,
        "reply tokens": tokens,
        "replies without a sentence that fits": too_long,
        "repeated replies left out": before - len(samples),
    }
