"""Every number and example of the card, measured on the exported folder with npblender.

Held-out perplexity is per token of the reply, `__end__` included, after up to four earlier turns.
It does NOT judge replies: whether a reply is grammatical or to the point is for people (see `judgements.json`).
"""

import json
import math
import time
from pathlib import Path

import numpy as np

from .corpus import FILES
from .lines import CONVERSATIONS, OPENINGS
from .ngrams import KneserNey
from .pieces import NULL, START, Cutter
from .replies import Speaker, conversation, distinct
from .samples import Samples, pad, some_rows

BASELINES = {"unigram": 1, "bigram": 2, "trigram, modified Kneser-Ney": 3}
REPLIES_PER_CORPUS = 100  # for distinct-n and unknown tokens
EXAMPLES = 20


def perplexity(model, samples: Samples, rows: list[int], persona: bool, turns: int = 4) -> float:
    """exp of the mean negative log-likelihood of the replies of `rows` under an npblender model."""
    pairs = sorted(((samples.context(r, turns, persona), samples.reply(r)) for r in rows), key=lambda p: len(p[0]))
    total = count = 0.0
    for i in range(0, len(pairs), 32):
        part = pairs[i : i + 32]
        source, target = pad([c for c, _ in part]), pad([[START, *r] for _, r in part])
        wanted = target[:, 1:]
        logits = model(
            input_ids=source, attention_mask=(source != NULL).astype(np.int64), decoder_input_ids=target[:, :-1]
        ).logits.astype(np.float64)  # [B, T, V]
        top = logits.max(-1, keepdims=True)
        norm = np.log(np.exp(logits - top).sum(-1)) + top[..., 0]
        losses = norm - np.take_along_axis(logits, wanted[..., None], -1)[..., 0]
        total += float(losses[wanted != NULL].sum())
        count += int((wanted != NULL).sum())
    return math.exp(total / count)


def baselines(work: Path, most: int) -> dict[str, dict[str, float]]:
    """For each corpus: the perplexity of the baselines on at most `most` held-out replies. Kept in `baselines.json`."""
    path = work / "baselines.json"
    if path.exists() and path.stat().st_mtime > (work / "held_out.npz").stat().st_mtime:
        kept = json.loads(path.read_text())
        if kept["most"] == most:
            return kept["perplexity"]
    train, held_out, size = Samples(work / "train.npz"), Samples(work / "held_out.npz"), len(Cutter(work).ids)
    learned = [train.reply(r) for r in range(len(train.rows))]
    out: dict[str, dict[str, float]] = {}
    chosen = {name: [held_out.reply(r) for r in some_rows(held_out, i, most)] for i, name in enumerate(FILES)}
    for name, replies in chosen.items():
        if replies:
            out[name] = {"replies": len(replies), "tokens": sum(map(len, replies))}
    for baseline, order in BASELINES.items():
        table = KneserNey(learned, order, size)
        for name in out:
            out[name][baseline] = table.perplexity(chosen[name])
    for corpus, name in enumerate(FILES):
        if name in out:
            own = [train.reply(r) for r in np.flatnonzero(train.rows[:, 3] == corpus)]
            out[name]["the trigram, of this corpus alone"] = KneserNey(own, 3, size).perplexity(chosen[name])
    path.write_text(json.dumps({"most": most, "perplexity": out}, indent=1))
    return out


def perplexities(model, work: Path, most: int) -> dict[str, dict[str, float]]:
    """For each corpus: the model with and without persona lines, and the baselines, on the same replies."""
    held_out, out = Samples(work / "held_out.npz"), baselines(work, most)
    for corpus, name in enumerate(FILES):
        if name in out:
            rows = some_rows(held_out, corpus, most)
            out[name]["this model"] = perplexity(model, held_out, rows, persona=False)
            if name == "persona":
                out[name]["this model, given the persona lines"] = perplexity(model, held_out, rows, persona=True)
    return out


def contexts(work: Path, most: int, turns: int = 3) -> list[tuple[str, list[str], str]]:
    """Held-out contexts as text, a seeded choice: (corpus, turns, what the person said)."""
    held_out, cut = Samples(work / "held_out.npz"), Cutter(work)
    out = []
    for corpus, name in enumerate(FILES):
        for row in some_rows(held_out, corpus, most):
            text = cut.text(held_out.context(row, turns, persona=False))
            out.append((name, [t.strip() for t in text.split("\n")], cut.text(held_out.reply(row))))
    return out


def evaluate(work: Path, folder: Path, most: int = 3000) -> dict:
    """Measure the model in `folder`; returns and writes `evaluation.json` in `work`."""
    speaker = Speaker(folder)
    begun = time.monotonic()
    result: dict = {"perplexity": perplexities(speaker.model, work, most)}
    print(json.dumps(result["perplexity"], indent=1), f"{time.monotonic() - begun:.0f} s", flush=True)
    result["openings"] = {topic: [(line, speaker([line])) for line in lines] for topic, lines in OPENINGS.items()}
    result["conversations"] = [conversation(speaker, lines) for lines in CONVERSATIONS]
    result["alone"] = [[speaker([line]) for line in lines] for lines in CONVERSATIONS]
    asked = contexts(work, REPLIES_PER_CORPUS)
    answers = [speaker(turns) for _, turns, _ in asked]
    result["replies"] = {
        "number": len(answers),
        "distinct-1": distinct(answers, 1),
        "distinct-2": distinct(answers, 2),
        "different": len(set(answers)),
        "with an unknown token": sum("__unk__" in answer for answer in answers),
    }
    picked = np.random.default_rng(1).permutation(len(asked))[:EXAMPLES]
    result["examples"] = [(*asked[i], answers[i]) for i in sorted(picked.tolist())]
    result["parameters"] = int(sum(t.size for t in _weights(folder).values())) - len(Cutter(work).ids)
    (work / "evaluation.json").write_text(json.dumps(result, indent=1))
    return result


def _weights(folder: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(folder / "model.safetensors")
