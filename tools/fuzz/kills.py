"""Kills every writer of files at random moments and looks at what is left: all of one save, and nothing lost.

python -m tools kills                    # 300 kills
python -m tools kills --kills 40 --seed 7

A child process (a fork, so that it begins at once) saves over and over, in turn one of two contents. It is killed by
SIGKILL within 0.3 seconds. Then the place must load, and hold the one content or the other, or the content of before.
`generate --out` is killed and continued until it ends: its output must have the bytes of a run that was left alone.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer
from npblender.chat.batch.requests import as_request
from npblender.chat.batch.resumable import ResumableOutput
from npblender.chat.history import Turn
from npblender.chat.transcript import Transcript, read_transcript, write_transcript
from npblender.common.replacing import replacing
from npblender.config.dialect import resolve_dialect
from npblender.groundtruth.packs.manifest import FileRecord, Manifest, damage, read_manifest, sha256, write_pack
from npblender.groundtruth.packs.tiny import save_tiny
from npblender.groundtruth.tracing.tensor_file import read_tensors, write_tensors
from npblender.tokenizer.example import example_tokenizer

LONGEST = 0.3
"""Seconds until a kill: some dozens of saves."""


@dataclass(frozen=True)
class Writer:
    """Something that saves the content 0 or 1 to a place, and what reads it: 0 or 1 again, or an error."""

    save: Callable[[Path, int], Any]
    read: Callable[[Path], int]


def _model(folder: Path) -> tuple[Any, Any]:
    models = []
    for seed in (0, 1):
        save_tiny(folder / str(seed), seed, resolve_dialect("parlai"))
        model = BlenderbotSmallForConditionalGeneration.from_pretrained(folder / str(seed))
        models.append(model)
    return models[0], models[1]


def writers(folder: Path) -> dict[str, Writer]:
    """Return all writers; `folder` is for what they need."""
    models = _model(folder)
    sums = [float(np.sum(model.weights.shared.weight)) for model in models]
    settings = [model.generation_config.replace(max_length=10 + at) for at, model in enumerate(models)]

    def save_model(place: Path, which: int) -> None:
        models[which].generation_config = settings[which]
        models[which].save_pretrained(place / "model")

    def read_model(place: Path) -> int:
        found = BlenderbotSmallForConditionalGeneration.from_pretrained(place / "model")
        which = sums.index(float(np.sum(found.weights.shared.weight)))
        assert found.generation_config.max_length == 10 + which, "weights of one save, settings of another"
        return which

    tokenizers = [example_tokenizer("transformers-5"), example_tokenizer("transformers-4")]
    tokenizers[1].add_tokens(["<a>"])

    def read_tokenizer(place: Path) -> int:
        found = BlenderbotSmallTokenizer.from_pretrained(place / "tokenizer")
        which = ["transformers-5", "transformers-4"].index(found.dialect.name)
        assert len(found) == 48 + which, "settings of one save, tokens of another"
        return which

    talks = [Transcript("parlai", (), (Turn("user", "hi"),) * (1 + 50 * at)) for at in range(2)]

    def read_talk(place: Path) -> int:
        return talks.index(read_transcript(place / "talk"))

    arrays = [{"a": np.full(20_000, at), "b": np.full(7, at)} for at in range(2)]

    def read_arrays(place: Path) -> int:
        found, _ = read_tensors(place / "t.safetensors")
        which = int(found["b"][0])
        assert (found["a"] == which).all()
        return which

    contents = [{f"{name}/{at}.bin": bytes([at]) * 9000 for name in "abcd"} for at in range(2)]

    def save_pack(place: Path, which: int) -> None:
        files = {path: FileRecord("model", "", sha256(data), len(data)) for path, data in contents[which].items()}
        about: dict[str, Any] = {"folder": None, "config": {}, "weights_sha256": ""}
        write_pack(
            place / "pack", Manifest(str(which), "parlai", 0, "float64", {}, {}, about, files=files), contents[which]
        )

    def read_pack(place: Path) -> int:
        manifest = read_manifest(place / "pack")
        assert damage(place / "pack", manifest) == {}
        return int(manifest.name)

    def save_page(place: Path, which: int) -> None:
        with replacing(place / "page") as unfinished:
            unfinished.write_text(str(which) * 50_000)

    def read_page(place: Path) -> int:
        found = (place / "page").read_text()
        assert len(found) == 50_000
        assert len(set(found)) == 1
        return int(found[0])

    def save_tokenizer(place: Path, which: int) -> None:
        tokenizers[which].save_pretrained(place / "tokenizer")

    return {
        "a model's folder": Writer(save_model, read_model),
        "a tokenizer's folder": Writer(save_tokenizer, read_tokenizer),
        "a transcript": Writer(lambda place, which: write_transcript(place / "talk", talks[which]), read_talk),
        "a file of tensors": Writer(lambda p, which: write_tensors(p / "t.safetensors", arrays[which]), read_arrays),
        "a golden pack": Writer(save_pack, read_pack),
        "a page": Writer(save_page, read_page),
    }


def killed(work: Callable[[], None], seconds: float) -> None:
    """Do the work in a child process until it is killed."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def kill_saves(writer: Writer, place: Path, draw: random.Random) -> None:
    """Kill a writer once; raise AssertionError or the reader's error if something was lost."""

    def work() -> None:
        which = 1
        while True:
            writer.save(place, which)
            which = 1 - which

    killed(work, draw.uniform(0.005, LONGEST))
    assert writer.read(place) in (0, 1)


LINES = [as_request(number, f"line {number}") for number in range(1, 400)]


def _run(place: Path) -> None:
    with ResumableOutput(place / "out", {"seed": 1}) as output:
        for line in LINES:
            output.check(line)
        output.check_end()
        waiting = [dict(output.known[n]) for n in sorted(output.known)]
        left = [line for line in LINES if line.number > output.done and line.number not in output.known]
        for at in range(0, len(left), 8):  # batches end backwards, so that records wait for their turn
            lines = left[at : at + 8]
            batch = [{"line": each.number, **each.carried, "reply": "r" * (each.number % 90)} for each in lines]
            output.keep(batch[::-1])
            waiting += batch
            while ready := [record for record in waiting if record["line"] == output.done + 1]:
                output.write(ready[0])
                waiting.remove(ready[0])
        for record in sorted(waiting, key=lambda each: int(each["line"])):
            output.write(record)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    counts: Counter[str] = Counter()
    lost: list[str] = []
    with tempfile.TemporaryDirectory() as work:
        all_writers = writers(Path(work) / "needed")
        names = [*all_writers, "a run of generate"]
        for name, writer in all_writers.items():
            (Path(work) / name).mkdir()
            writer.save(Path(work) / name, 0)
        (Path(work) / "whole").mkdir()
        _run(Path(work) / "whole")
        whole = (Path(work) / "whole" / "out").read_bytes()
        run, runs = Path(work) / "run", 0
        for number in range(arguments.kills):
            name = names[number % len(names)]
            try:
                if name in all_writers:
                    kill_saves(all_writers[name], Path(work) / name, draw)
                else:
                    place = Path(f"{run}{runs}")
                    place.mkdir(exist_ok=True)
                    killed(lambda place=place: _run(place), draw.uniform(0.0, 0.05))  # type: ignore[misc]
                    if draw.random() < 0.3:
                        _run(place)
                        assert (place / "out").read_bytes() == whole, "other bytes than a run that was left alone"
                        runs += 1
            except Exception as error:
                lost.append(f"kill {number}, {name}: {type(error).__name__}: {error}")
                print(lost[-1])
            counts[name] += 1
    for name, count in counts.items():
        print(f"{name:24}{count:5} kills")
    print(f"{sum(counts.values())} kills, {len(lost)} with something lost")
    return int(bool(lost))


if __name__ == "__main__":
    sys.exit(main())
