"""The training loop: it goes on from its checkpoint as if it had not stopped, dropout's numbers apart."""

import json
import math
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch

from tools.demo.everyday import Everyday, heard, is_bots, persona_lines
from tools.demo.judged import Choices, Judged, Judgements
from tools.demo.mixture import OLD, Batch, Mixture, Pair
from tools.demo.net import Net, Shape
from tools.demo.own import read
from tools.demo.pieces import END, START, Cutter
from tools.demo.recipe import SHELF, Recipe
from tools.demo.samples import Samples, join, pad, some_rows

SAVE_EVERY, LOOK_EVERY = 2 * SHELF, 4 * SHELF  # steps
CHECKPOINT = "training.pt"


def spoken(talks: Sequence[Everyday], cut: Cutter) -> list[Pair]:
    """Every bot's turn of `talks` with all that was said before it."""
    out = []
    for talk in talks:
        read = heard(talk.turns)
        lines = cut("\n".join(persona_lines(talk.persona))) if talk.persona else []
        for i, turn in enumerate(read):
            if is_bots(i) and (said := cut(turn)):
                out.append((join([cut(earlier) for earlier in read[:i]], lines), [*said[:39], END]))
    return out


def loss(net: Net, pairs: Sequence[Pair]) -> tuple[float, int]:
    """Summed negative log-likelihood in nats of the replies, and their number of tokens."""
    total, count, ordered = 0.0, 0, sorted(pairs, key=lambda pair: len(pair[0]))
    net.eval()
    with torch.no_grad():
        for i in range(0, len(ordered), 64):
            part = ordered[i : i + 64]
            source, target = pad([c for c, _ in part]), pad([[START, *r] for _, r in part])
            with torch.autocast("cpu", torch.bfloat16):
                nats, tokens = net.loss(torch.from_numpy(source), torch.from_numpy(target))
            total, count = total + float(nats), count + int(tokens)
    net.train()
    return total, count


def preferred(net: Net, batches: Sequence[Choices], recipe: Recipe) -> str:
    """What the network makes of judged replies: how likely the wanted ones are, and how often likelier than the bad."""
    sums, counts = np.zeros(3), np.zeros(3)
    net.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for each in batches:
            ids = map(torch.from_numpy, (each.source, each.wanted, each.bad))
            found = np.array([float(x) for x in net.preference(*ids, recipe.sharpness, recipe.margin)])
            many = np.array([len(each.source), *[int(each.bad.any(1).sum())] * 2])
            sums, counts = sums + found * many, counts + many
    net.train()
    wanted, ranked, share = sums / np.maximum(counts, 1)
    return f"wanted {wanted:.3f}, ranked {ranked:.3f}, right {share:.3f}"


def optimiser(net: Net, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW with weight decay on matrices alone."""
    matrices = [p for p in net.parameters() if p.ndim > 1]
    vectors = [p for p in net.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1e-3, betas=recipe.betas, fused=True)


def development(talks: Sequence[Everyday], held_out: Samples, cut: Cutter) -> dict[str, list[Pair]]:
    """What the training is watched by; none of it is used for the final count."""
    own = [talk for talk in talks if talk.part == "development"]
    out = {
        "everyday": spoken([talk for talk in own if not talk.persona], cut),
        "personas": spoken([talk for talk in own if talk.persona], cut),
    }
    for corpus, name in enumerate(OLD):
        rows = some_rows(held_out, corpus, 2200)[2000:]
        out[name] = [(held_out.context(row, 4, False), held_out.reply(row)) for row in rows]
    return out


def train(
    work: Path, talks: Sequence[Everyday], judged: Sequence[Judged], recipe: Recipe, first: Net, until: int
) -> None:
    """Train in `work` (see `prepare`) from its checkpoint, or else from `first`, to the step `until` or the end."""
    torch.manual_seed(recipe.seed)
    cut = Cutter(work)
    old, own = Samples(work / "train.npz"), read(work)
    print(f"{len(own):,} conversations with replies of its own, {len(judged):,} judged replies", flush=True)

    @lru_cache(maxsize=1)
    def mixture(without: tuple[str, ...]) -> Mixture:
        return Mixture([talk for talk in talks if talk.file not in without], old, cut, recipe, own)

    @lru_cache(maxsize=1)
    def judgements(without: tuple[str, ...]) -> Judgements:
        return Judgements([row for row in judged if not row.is_development and row.file not in without], cut, recipe)

    looked_at = Judgements([row for row in judged if row.is_development], cut, recipe).batches(64)

    def draw(shelf: int) -> list[tuple[Batch, Choices | None]]:
        without = recipe.phase(shelf * SHELF).without
        return list(zip_longest(mixture(without).shelf(shelf), judgements(without).shelf(shelf)))

    watched = development(talks, Samples(work / "held_out.npz"), cut)
    net, step, seconds, path = first.train(), 0, 0.0, work / CHECKPOINT
    optimizer = optimiser(net, recipe)
    if path.exists():
        state = torch.load(path, weights_only=True)
        net = Net(Shape(**json.loads(state["shape"]))).train()
        net.load_state_dict(state["net"])
        optimizer = optimiser(net, recipe)
        optimizer.load_state_dict(state["optimizer"])
        step, seconds = state["step"], state["seconds"]
    print(f"{sum(p.numel() for p in net.parameters()):,} parameters, step {step} of {recipe.steps}", flush=True)
    stop: list[bool] = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))

    def save() -> None:
        state = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "seconds": seconds}
        torch.save({**state, "shape": json.dumps(vars(net.shape))}, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)

    def look() -> None:
        found = [
            f"{name} {math.exp(nats / n):.2f}" for name, (nats, n) in ((k, loss(net, p)) for k, p in watched.items())
        ]
        print(f"step {step}: development perplexity " + ", ".join(found), flush=True)
        if looked_at:
            print(f"step {step}: judged replies held out: " + preferred(net, looked_at, recipe), flush=True)

    if step == 0:
        look()
    begun, first_step, total, tokens, liking = time.monotonic(), step, 0.0, 0, np.zeros(2)
    end = min(until, recipe.steps)
    coming = ThreadPoolExecutor(1)  # draws the next shelf while this one is learned
    drawn = coming.submit(draw, step // SHELF)
    while step < end and not stop:
        shelf = drawn.result()
        drawn = coming.submit(draw, step // SHELF + 1)
        for batch, choices in shelf[step % SHELF :]:
            rate = recipe.learning_rate(step)
            for group in optimizer.param_groups:
                group["lr"] = rate
            with torch.autocast("cpu", torch.bfloat16):
                nats, count = net.loss(torch.from_numpy(batch.source), torch.from_numpy(batch.target))
                whole = nats / count
                if choices is not None:
                    ids = [torch.from_numpy(x) for x in (choices.source, choices.wanted, choices.bad)]
                    weight = recipe.phase(step).ranked
                    if not weight:
                        ids[2] = torch.zeros_like(ids[2])  # then no bad reply is decoded
                    wanted, ranked, _ = net.preference(*ids, recipe.sharpness, recipe.margin)
                    whole = whole + wanted + weight * ranked
                    liking += np.array([wanted.item(), ranked.item()])
            whole.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), recipe.clip, error_if_nonfinite=True)
            optimizer.step()
            optimizer.zero_grad()
            step, total, tokens = step + 1, total + nats.item(), tokens + int(count)
            if stop or step >= end:
                break
        now, done = time.monotonic(), step - first_step
        seconds += now - begun
        print(
            f"step {step}: loss {total / max(tokens, 1):.3f}, rate {rate:.1e}, {tokens / (now - begun):,.0f} tokens/s, "
            f"{done / (now - begun):.2f} steps/s, {seconds / 60:.1f} min, {recipe.phase(step - 1).name}"
            + (f", wanted {liking[0] / done:.3f}, ranked {liking[1] / done:.3f}" if liking.any() else ""),
            flush=True,
        )
        begun, first_step, total, tokens, liking = now, step, 0.0, 0, np.zeros(2)
        if step % SAVE_EVERY == 0 or stop or step >= end:
            save()
        if step % LOOK_EVERY == 0 or step >= end:
            look()
            begun = time.monotonic()
    if step == recipe.steps:
        print("the training is complete", flush=True)
