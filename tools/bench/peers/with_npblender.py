"""npblender itself, called as a user calls it. The variant is the dialect."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

import npblender
from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer
from tools.bench import machine
from tools.bench.peers.timing import mark, search_settings, timed


class Clock:
    """A streamer that notes when it is given something: the prompt, then each token."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: Any) -> None:
        self.times.append(time.perf_counter())

    def end(self) -> None:
        """Nothing more comes."""


def generated(
    model: BlenderbotSmallForConditionalGeneration, ids: np.ndarray, new: int, beams: int, blocks: bool
) -> Any:
    """A reply of `new` tokens to every row of ids [B, S]."""
    return model.generate(ids, attention_mask=np.ones_like(ids), **search_settings(new, beams, blocks))


class Engine:
    """The model in a folder."""

    def __init__(self, folder: Path, threads: int, variant: str) -> None:
        self.folder, self.dialect = folder, variant
        self.model = self._loaded()

    def _loaded(self) -> BlenderbotSmallForConditionalGeneration:
        return BlenderbotSmallForConditionalGeneration.from_pretrained(self.folder, dialect=self.dialect)

    def versions(self) -> dict[str, str]:
        return {"npblender": npblender.__version__, "numpy": np.__version__, "blas": machine.blas()}

    def generate(self, batches: list[Any], new: int, beams: int, blocks: bool) -> dict[str, Any]:
        seconds, results = timed(
            lambda ids: generated(self.model, ids, new, beams, blocks), [np.array(ids) for ids in batches]
        )
        return {"seconds": seconds, "ids": results[-1][:, : new + 1].tolist()}

    def encode(self, batches: list[Any]) -> dict[str, Any]:
        arrays = [np.array(ids) for ids in batches]
        seconds, results = timed(lambda ids: self.model.encode(ids, attention_mask=np.ones_like(ids)), arrays)
        return {"seconds": seconds, "sample": results[-1].last_hidden_state[0, :, 0].tolist()}

    def load(self) -> dict[str, Any]:
        seconds, _ = timed(lambda _: self._loaded(), [None])
        return {"seconds": seconds}

    def tokenize(self, texts: list[str]) -> dict[str, Any]:
        tokenizer = BlenderbotSmallTokenizer.from_pretrained(self.folder, dialect=self.dialect)
        seconds, results = timed(lambda texts: [tokenizer(text)["input_ids"] for text in texts], [texts])
        return {"seconds": seconds, "ids": mark(results[0])}

    def steps(self, ids: list[Any], new: int) -> dict[str, Any]:
        clock, array = Clock(), np.array(ids)
        self.model.generate(
            array,
            attention_mask=np.ones_like(array),
            num_beams=1,
            do_sample=False,
            min_new_tokens=new,
            max_new_tokens=new,
            streamer=clock,
        )
        return {"seconds": np.diff(clock.times).tolist()}
