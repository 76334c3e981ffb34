"""ONNX Runtime, with the graphs of tools/onnx_graph and a search loop of its own around them.

The graphs hold the whole model, the choice of the next token, and for beams their reordering, the blocking of tokens
and the choice of the best continuations; the loop hands arrays from one step to the next without copying them and
keeps the beams' n-grams. Cross keys of a single source are not repeated for its beams.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime import OrtValue

from npblender import BlenderbotSmallForConditionalGeneration
from npblender.transformer.parameters import to_arrays
from tools.bench.peers.timing import timed
from tools.onnx_graph.write import cross_names, decoder_graph, encoder_graph, past_names

DIALECT = "transformers-5"
EOS, START = 2, 1


class Engine:
    """The graphs of a folder, each loaded when it is first needed."""

    def __init__(self, folder: Path, threads: int, variant: str) -> None:
        self.folder, self.threads = folder / "onnx", threads
        self.vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
        self.sessions: dict[str, Any] = {}
        if not (self.folder / "complete").exists():
            self._write(folder)
        self.layers = len([i for i in self._session("encoder").get_outputs() if i.name.endswith(".k")])

    def _write(self, folder: Path) -> None:
        model = BlenderbotSmallForConditionalGeneration.from_pretrained(folder, dialect=DIALECT)
        parts = model.config, to_arrays(model.weights), model.dialect
        self.folder.mkdir(exist_ok=True)
        graphs = {
            "states": encoder_graph(*parts, masked=False, cross=False),
            "encoder": encoder_graph(*parts, masked=False),
            "greedy": decoder_graph(*parts, masked=False, head="greedy"),
            "beam": decoder_graph(*parts, masked=False, head="beam"),
        }
        for name, graph in graphs.items():
            onnx.save(graph, str(self.folder / f"{name}.onnx"))
        (self.folder / "complete").write_text("")

    def _open(self, name: str) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        path = str(self.folder / f"{name}.onnx")
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def _session(self, name: str) -> Any:
        if name not in self.sessions:
            self.sessions[name] = self._open(name)
        return self.sessions[name]

    def versions(self) -> dict[str, str]:
        return {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__}

    def encode(self, batches: list[Any]) -> dict[str, Any]:
        session = self._session("states")
        inputs = [np.array(ids) for ids in batches]
        seconds, results = timed(lambda ids: session.run(None, {"input_ids": ids})[0], inputs)
        return {"seconds": seconds, "sample": results[-1][0, :, 0].tolist()}

    def load(self) -> dict[str, Any]:
        seconds, _ = timed(lambda _: [self._open("encoder"), self._open("greedy")], [None])
        return {"seconds": seconds}

    def generate(self, batches: list[Any], new: int, beams: int, blocks: bool) -> dict[str, Any]:
        inputs = [np.array(ids) for ids in batches]
        run = (lambda ids: self._beams(ids, new, beams, blocks)) if beams > 1 else (lambda ids: self._greedy(ids, new))
        self._session("beam" if beams > 1 else "greedy")
        seconds, results = timed(run, inputs)
        return {"seconds": seconds, "ids": results[-1]}

    def _begin(self, ids: np.ndarray, rows: int) -> dict[str, OrtValue]:
        """What the first step is given: the source's keys and values, and none of its own."""
        names = [name for pair in cross_names(self.layers) for name in pair]
        source = {"input_ids": OrtValue.ortvalue_from_numpy(ids)}
        given = dict(zip(names, self._session("encoder").run_with_ort_values(names, source), strict=True))
        _, heads, _, size = given[names[0]].shape()
        nothing = OrtValue.ortvalue_from_numpy(np.empty((rows, heads, 0, size), np.float32))
        return given | {name: nothing for pair in past_names(self.layers) for name in pair}

    def _step(self, session: Any, given: dict[str, OrtValue], outputs: list[str]) -> list[np.ndarray]:
        """One step; `given` then holds the longer keys and values."""
        present = [name for pair in past_names(self.layers, "present") for name in pair]
        values = session.run_with_ort_values(outputs + present, given)
        past = [name for pair in past_names(self.layers) for name in pair]
        given.update(zip(past, values[len(outputs) :], strict=True))
        return [value.numpy() for value in values[: len(outputs)]]

    def steps(self, ids: list[Any], new: int) -> dict[str, Any]:
        self._session("greedy")
        times = [time.perf_counter()]
        self._greedy(np.array(ids), new, times)
        return {"seconds": np.diff(times).tolist()}

    def _greedy(self, ids: np.ndarray, new: int, times: list[float] | None = None) -> list[list[int]]:
        # The graph chooses among all tokens: an end that is chosen is an ordinary token here.
        session, given = self._session("greedy"), self._begin(ids, len(ids))
        replies = [np.full((len(ids), 1), START)]
        for _ in range(new):
            given["input_ids"] = OrtValue.ortvalue_from_numpy(replies[-1])
            replies += self._step(session, given, ["next_ids"])
            if times is not None:
                times.append(time.perf_counter())
        return np.concatenate(replies, axis=1).tolist()

    def _beams(self, ids: np.ndarray, new: int, width: int, blocks: bool) -> list[list[int]]:
        if len(ids) != 1:
            raise ValueError("this loop searches for one source at a time")
        session, given = self._session("beam"), self._begin(ids, width)
        of_source = follow(ids[0].tolist()) if blocks else {}
        beams = [[START] for _ in range(width)]
        seen: list[dict[tuple[int, int], set[int]]] = [{} for _ in range(width)]
        scores = np.full(width, -1e9, np.float32)
        scores[0], rows = 0.0, np.arange(width)
        for _ in range(new):
            blocked = [(r, EOS) for r in range(width)]
            if blocks:
                for r, beam in enumerate(beams):
                    pair = (beam[-2], beam[-1]) if len(beam) > 1 else (-1, -1)
                    blocked += [(r, token) for token in of_source.get(pair, ())]
                    blocked += [(r, token) for token in seen[r].get(pair, ())]
            given["input_ids"] = OrtValue.ortvalue_from_numpy(np.array([[beam[-1]] for beam in beams]))
            given["rows"] = OrtValue.ortvalue_from_numpy(rows)
            given["scores"] = OrtValue.ortvalue_from_numpy(scores)
            given["blocked"] = OrtValue.ortvalue_from_numpy(np.array(blocked, np.int64))
            best, numbers = self._step(session, given, ["best_scores", "best_ids"])
            scores = best[:width].copy()
            rows, tokens = np.divmod(numbers[:width], self.vocabulary)
            beams = [[*beams[r], int(token)] for r, token in zip(rows, tokens, strict=True)]
            if blocks:
                seen = [extended(seen[r], beam) for r, beam in zip(rows, beams, strict=True)]
        return beams[:1]


def follow(ids: list[int]) -> dict[tuple[int, int], set[int]]:
    """Which tokens follow each pair of a source."""
    found: dict[tuple[int, int], set[int]] = {}
    for first, second, third in zip(ids, ids[1:], ids[2:], strict=False):
        found.setdefault((first, second), set()).add(third)
    return found


def extended(seen: dict[tuple[int, int], set[int]], beam: list[int]) -> dict[tuple[int, int], set[int]]:
    """What follows each pair of a beam, with its newest token; the given one stays as it is."""
    if len(beam) < 3:
        return seen
    pair = (beam[-3], beam[-2])
    return {**seen, pair: seen.get(pair, set()) | {beam[-1]}}
