"""transformers on torch, called as a user calls it: default attention, slow tokenizer (the only one left)."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer
from transformers.generation.streamers import BaseStreamer

from tools.bench.peers.timing import mark, search_settings, timed

logging.getLogger("transformers").setLevel(logging.ERROR)


class Clock(BaseStreamer):
    """Notes when it is given something: the prompt, then each token."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: Any) -> None:
        self.times.append(time.perf_counter())

    def end(self) -> None:
        """Nothing more comes."""


class Engine:
    """The model in a folder."""

    def __init__(self, folder: Path, threads: int, variant: str) -> None:
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.folder = folder
        self.model = self._loaded()

    def _loaded(self) -> Any:
        return BlenderbotSmallForConditionalGeneration.from_pretrained(self.folder, dtype=torch.float32).eval()

    def versions(self) -> dict[str, str]:
        return {"transformers": transformers.__version__, "torch": torch.__version__}

    def _generate(self, ids: Any, new: int, beams: int, blocks: bool, streamer: Any = None) -> Any:
        settings = search_settings(new, beams, blocks)
        return self.model.generate(ids, attention_mask=torch.ones_like(ids), streamer=streamer, **settings)

    def generate(self, batches: list[Any], new: int, beams: int, blocks: bool) -> dict[str, Any]:
        inputs = [torch.tensor(ids) for ids in batches]
        seconds, results = timed(lambda ids: self._generate(ids, new, beams, blocks), inputs)
        return {"seconds": seconds, "ids": results[-1][:, : new + 1].tolist()}

    def encode(self, batches: list[Any]) -> dict[str, Any]:
        encoder = self.model.get_encoder()
        inputs = [torch.tensor(ids) for ids in batches]
        seconds, results = timed(lambda ids: encoder(ids, attention_mask=torch.ones_like(ids)), inputs)
        return {"seconds": seconds, "sample": results[-1].last_hidden_state[0, :, 0].tolist()}

    def load(self) -> dict[str, Any]:
        seconds, _ = timed(lambda _: self._loaded(), [None])
        return {"seconds": seconds}

    def tokenize(self, texts: list[str]) -> dict[str, Any]:
        tokenizer = BlenderbotSmallTokenizer.from_pretrained(self.folder)
        seconds, results = timed(lambda texts: [tokenizer(text)["input_ids"] for text in texts], [texts])
        return {"seconds": seconds, "ids": mark(results[0])}

    def steps(self, ids: list[Any], new: int) -> dict[str, Any]:
        clock = Clock()
        self._generate(torch.tensor(ids), new, 1, False, clock)
        return {"seconds": [b - a for a, b in zip(clock.times, clock.times[1:], strict=False)]}
