"""Held-out perplexity of a model folder and of simple baselines, measured with npblender.

It is per *word*: words and single marks of the reply (see `pieces.pretokenize`) and its end, after up to four earlier
turns, so that models with different vocabularies can be compared. It does NOT judge replies (see `tries`, `sheet`).
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tools.demo import everyday
from tools.demo.corpus import FILES
from tools.demo.ngrams import KneserNey
from tools.demo.pieces import NULL, START, Cutter, pretokenize
from tools.demo.samples import LONGEST_CONTEXT, Samples, join, pad, some_rows

BASELINES = {"unigram": 1, "bigram": 2, "trigram, modified Kneser-Ney": 3}
TURNS = 4  # of context in the older corpora


@dataclass(frozen=True)
class Exchange:
    """What was said, and the reply, as text."""

    persona: tuple[str, ...]
    turns: tuple[str, ...]
    reply: str

    @property
    def words(self) -> int:
        """How many words and marks the reply has, its end counted."""
        return len(pretokenize(self.reply)) + 1


def held_out(work: Path, most: int) -> dict[str, list[Exchange]]:
    """At most `most` held-out replies of every corpus, the same whatever is measured."""
    samples, cut = Samples(work / "held_out.npz"), Cutter(work)
    out = {}
    for corpus, name in enumerate(FILES):
        out[name] = [
            Exchange(
                (),
                tuple(cut.text(samples.ids("read", turn)) for turn in samples.earlier(row, TURNS)),
                cut.text(samples.reply(row)),
            )
            for row in some_rows(samples, corpus, most)
        ]
    talks = [talk for talk in everyday.read() if talk.part == "held out"]
    for name, chosen in (
        ("everyday", [t for t in talks if not t.persona]),
        ("everyday, with persona lines", [t for t in talks if t.persona]),
    ):
        out[name] = []
        for talk in chosen:
            read = everyday.heard(talk.turns)
            lines = tuple(everyday.persona_lines(talk.persona))
            out[name] += [
                Exchange(lines, tuple(read[:i]), turn) for i, turn in enumerate(read) if everyday.is_bots(i) and turn
            ]
    return out


def nats(model: Any, cut: Cutter, exchanges: Sequence[Exchange]) -> float:
    """The summed negative log-likelihood of the replies under an npblender model."""
    pairs = []
    for each in exchanges:
        lines = cut("\n".join(each.persona)) if each.persona else []
        source = join([cut(turn) for turn in each.turns], lines, LONGEST_CONTEXT)
        pairs.append((source, [START, *cut(each.reply), 2]))
    pairs.sort(key=lambda pair: (len(pair[0]), len(pair[1])))
    total = 0.0
    for i in range(0, len(pairs), 32):
        part = pairs[i : i + 32]
        source, target = pad([c for c, _ in part]), pad([r for _, r in part])
        wanted = target[:, 1:]
        logits = model(
            input_ids=source, attention_mask=(source != NULL).astype(np.int64), decoder_input_ids=target[:, :-1]
        ).logits.astype(np.float64)  # [B, T, V]
        top = logits.max(-1, keepdims=True)
        norm = np.log(np.exp(logits - top).sum(-1)) + top[..., 0]
        losses = norm - np.take_along_axis(logits, wanted[..., None], -1)[..., 0]
        total += float(losses[wanted != NULL].sum())
    return total


def per_word(total: float, exchanges: Sequence[Exchange]) -> float:
    return math.exp(total / sum(each.words for each in exchanges))


def perplexities(folder: Path, chosen: dict[str, list[Exchange]]) -> dict[str, float]:
    """The perplexity per word of the model in `folder` on every held-out set."""
    from npblender import BlenderbotSmallForConditionalGeneration

    model, cut = BlenderbotSmallForConditionalGeneration.from_pretrained(folder, dtype="float32"), Cutter(folder)
    return {name: per_word(nats(model, cut, exchanges), exchanges) for name, exchanges in chosen.items()}


def baselines(work: Path, chosen: dict[str, list[Exchange]]) -> dict[str, dict[str, float]]:
    """The perplexity per word of n-gram models fitted on all replies that the demo learns from, by name and set."""
    samples, cut = Samples(work / "train.npz"), Cutter(work)
    learned = [samples.reply(row) for row in range(len(samples.rows))]
    for talk in everyday.read():
        if talk.part == "train":
            learned += [[*cut(turn), 2] for i, turn in enumerate(everyday.heard(talk.turns)) if everyday.is_bots(i)]
    out: dict[str, dict[str, float]] = {}
    for baseline, order in BASELINES.items():
        table = KneserNey(learned, order, len(cut.ids))
        out[baseline] = {}
        for name, exchanges in chosen.items():
            replies = [[*cut(each.reply), 2] for each in exchanges]
            total = math.log(table.perplexity(replies)) * sum(map(len, replies))
            out[baseline][name] = per_word(total, exchanges)
    return out


def compared(work: Path, first: Path | None, most: int) -> dict:
    """What does not change with the model: the sets, the n-grams, the first demo. Kept in `compared.json` in `work`."""
    path = work / "compared.json"
    if path.exists() and (kept := json.loads(path.read_text(encoding="utf-8")))["most"] == most:
        return dict(kept)
    chosen = held_out(work, most)
    out: dict = {
        "most": most,
        "replies": {name: len(exchanges) for name, exchanges in chosen.items()},
        "words": {name: sum(each.words for each in exchanges) for name, exchanges in chosen.items()},
        **baselines(work, chosen),
    }
    if first is not None:
        out["the first demo"] = perplexities(first, chosen)
    path.write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")
    return out


def evaluate(work: Path, folder: Path, first: Path | None, most: int) -> dict:
    """All perplexities of the card; also written to `perplexity.json` in `work`."""
    out = {**compared(work, first, most), "this model": perplexities(folder, held_out(work, most))}
    (work / "perplexity.json").write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")
    return out
