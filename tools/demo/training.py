"""The training loop of one stage: it goes on from its checkpoint as if it had not stopped, dropout's numbers apart."""

import json
import math
import signal
import time
from dataclasses import asdict
from pathlib import Path

import torch

from . import made, own_words, relevance
from .batches import Stream
from .corpus import FILES
from .net import Net, Shape
from .pieces import START
from .recipe import Recipe, checkpoint, guided_replies, learning_rate, words_before
from .samples import Samples, pad, some_rows

EVERY = 1000  # steps from one look at what is held out to the next


def resume(state: dict, recipe: Recipe, shape: Shape) -> None:
    """Refuse a checkpoint of another training, naming what differs."""
    for name, mine in (("recipe", recipe), ("shape", shape)):
        kept, wanted = json.loads(state[name]), json.loads(json.dumps(asdict(mine)))
        if differing := [key for key in wanted if kept.get(key) != wanted[key]]:
            raise ValueError(
                f"the checkpoint is of a training with another {name}: {', '.join(differing)}; delete it to begin "
                f"anew, or give the options it was made with"
            )


def held_out_loss(net: Net, samples: Samples, rows: list[int], turns: int = 4) -> tuple[float, int]:
    """Summed negative log-likelihood in nats of the replies of `rows`, and their number of tokens."""
    pairs = sorted(((samples.context(r, turns, False), samples.reply(r)) for r in rows), key=lambda p: len(p[0]))
    total = count = 0
    net.eval()
    with torch.no_grad():
        for i in range(0, len(pairs), 64):
            part = pairs[i : i + 64]
            source, target = pad([c for c, _ in part]), pad([[START, *r] for _, r in part])
            device = net.shared.weight.device
            loss, tokens = net.loss(torch.from_numpy(source).to(device), torch.from_numpy(target).to(device))
            total, count = total + float(loss), count + int(tokens)
    net.train()
    return total, count


def train(work: Path, recipe: Recipe, shape: Shape, begin: Net | None = None) -> None:
    """Train one stage in `work` (see `prepare`), going on from its checkpoint if there is one, else from `begin`."""
    torch.manual_seed(recipe.seed)
    samples, held_out = Samples(work / "train.npz"), Samples(work / "held_out.npz")
    answers = own_words.read(words_before(work, recipe)) if recipe.answers else None
    chosen = relevance.choices(work, samples, (mix for _, mix in recipe.mixes))
    replies = made.read(guided_replies(work, recipe)) if recipe.guided else []
    stream = Stream(samples, recipe, answers, chosen, replies)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    net = Net(shape).to(device)
    if begin is not None:
        net.load_state_dict(begin.state_dict())
    matrices = [p for p in net.parameters() if p.ndim > 1]
    vectors = [p for p in net.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.rate, betas=recipe.betas, fused=True)
    step, seconds = 0, 0.0
    path = checkpoint(work, recipe.stage)
    if path.exists():
        state = torch.load(path, weights_only=True, map_location=device)
        resume(state, recipe, shape)
        net.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])
        step, seconds = state["step"], state["seconds"]
    print(f"{sum(p.numel() for p in net.parameters()):,} parameters, from step {step} of {recipe.steps}", flush=True)
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))

    def save() -> None:
        state = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "seconds": seconds}
        state |= {"recipe": json.dumps(asdict(recipe)), "shape": json.dumps(asdict(shape))}
        torch.save(state, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)

    begun, total, tokens = time.monotonic(), 0.0, 0
    while step < recipe.steps and not stop:
        rate = learning_rate(step, recipe)
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = stream.batch(step)
        source, target = torch.from_numpy(batch.source).to(device), torch.from_numpy(batch.target).to(device)
        with torch.autocast(device, torch.bfloat16, enabled=recipe.bfloat16):
            loss, count = net.loss(source, target)
        (loss / count).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), recipe.clip, error_if_nonfinite=True)
        optimizer.step()
        optimizer.zero_grad()
        step, total, tokens = step + 1, total + loss.item(), tokens + int(count)
        if step % 50 == 0:
            now = time.monotonic()
            seconds += now - begun
            speed = f"{50 / (now - begun):.2f} steps/s, {tokens / (now - begun):,.0f} tokens/s, {seconds / 60:.1f} min"
            print(f"step {step}: loss {total / tokens:.3f}, rate {rate:.1e}, {speed}", flush=True)
            begun, total, tokens = now, 0.0, 0
        if step % 200 == 0:
            save()
        if step % EVERY == 0 or step == recipe.steps:
            for corpus, name in enumerate(FILES):
                if rows := some_rows(held_out, corpus, 500):
                    lost, number = held_out_loss(net, held_out, rows)
                    print(f"step {step}: held-out {name} perplexity {math.exp(lost / number):.1f}", flush=True)
    save()
    if step == recipe.steps:
        hardware = f"{torch.get_num_threads()} threads of a CPU, shared with other work"
        if device == "cuda":
            hardware = torch.cuda.get_device_name()
        record = {"recipe": asdict(recipe), "shape": asdict(shape), "seconds": seconds, "hardware": hardware}
        path.with_suffix(".json").write_text(json.dumps(record, indent=1))
