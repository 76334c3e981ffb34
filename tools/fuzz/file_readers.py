"""Every reader of files, each with valid files to damage.

A reader is called with a folder that holds its files, one of them damaged. It may succeed; or raise ValueError,
TypeError or OSError with a message that names a file and shows at most `npblender.common.printable.SHOWN` letters of a
value. Anything else is a finding.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from npblender import BlenderbotSmallConfig, BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer
from npblender.chat.batch.requests import BadLine, parse_lines
from npblender.chat.batch.resumable import ResumableOutput
from npblender.chat.history import Turn
from npblender.chat.transcript import Transcript, read_transcript, write_transcript
from npblender.checkpoint.folder import read_header, read_metadata
from npblender.cli.trace import read_inputs
from npblender.common.printable import json_line
from npblender.common.replacing import finish_replacing
from npblender.config.dialect import resolve_dialect
from npblender.config.generation_config import GenerationConfig
from npblender.groundtruth.comparison.name_patterns import read_name_table
from npblender.groundtruth.packs.export import export_tiny
from npblender.groundtruth.packs.files import read_cases
from npblender.groundtruth.packs.manifest import damage, read_manifest
from npblender.groundtruth.packs.sections import scalars, searches
from npblender.groundtruth.packs.tiny import save_tiny
from npblender.groundtruth.single_ops.refed import Refed, refed
from npblender.groundtruth.tracing.inputs import TraceInputs
from npblender.groundtruth.tracing.record import record
from npblender.groundtruth.tracing.tensor_file import read_tensors
from npblender.groundtruth.tracing.trace_file import Trace


@dataclass(frozen=True)
class Reader:
    """A reader, its valid files, and which of them are damaged."""

    name: str
    files: Mapping[str, bytes]
    read: Callable[[Path], Any]
    damaged: tuple[str, ...]
    share: float = 1.0
    """How many mutations it gets, as a multiple of what the others get: slow readers get fewer."""
    names_file: bool = True
    """Whether an error must name a file: readers of lines give an error object with a line's number instead."""


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def _saved(write: Callable[[Path], Any]) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as place:
        write(Path(place))
        return _contents(Path(place))


def _lines(folder: Path) -> None:
    for jsonl in (True, False):
        for line in parse_lines(io.BytesIO((folder / "in.jsonl").read_bytes()), jsonl):
            json_line(dict(line.carried))
            if isinstance(line, BadLine):
                assert len(line.reason) < 500, line.reason


def _run(folder: Path) -> None:
    with ResumableOutput(folder / "out", {"seed": 1}) as output:
        for line in parse_lines([b'"hi"\n', b'"you"\n', b'"tea"\n'], jsonl=True):
            output.check(line)
        output.check_end()


def readers() -> Iterator[Reader]:
    """Yield all readers with their files, made here."""
    model = _saved(lambda place: save_tiny(place, 0, resolve_dialect("parlai")))
    small = {name: content for name, content in model.items() if name != "model.safetensors"}
    weights = ("model.safetensors",)
    yield Reader("header of safetensors", model, lambda f: read_header(f / weights[0]), weights)
    yield Reader("metadata of safetensors", model, lambda f: read_metadata(f / weights[0]), weights)
    load = BlenderbotSmallForConditionalGeneration.from_pretrained
    everything = ("model.safetensors", "config.json", "generation_config.json")
    yield Reader("model's folder", model, load, everything, share=0.3)
    yield Reader("config.json", small, BlenderbotSmallConfig.from_pretrained, ("config.json",))
    yield Reader("generation_config.json", small, GenerationConfig.from_pretrained, ("generation_config.json",))
    tokens = ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")
    yield Reader("tokenizer's folder", small, BlenderbotSmallTokenizer.from_pretrained, tokens)
    typed = partial(BlenderbotSmallTokenizer.from_pretrained, dialect="transformers-5")  # ParlAI adds no tokens
    added = {**small, "added_tokens.json": b'{"<a>": 48}'}
    yield Reader("added_tokens.json", added, typed, ("added_tokens.json",), share=0.3)
    turns = (Turn("user", "hi"), Turn("model", "hello !", "hello !"))
    talk = Transcript("parlai", ("your persona: i sing.",), turns, {"num_beams": 2})
    saved = _saved(lambda place: write_transcript(place / "talk.json", talk))
    yield Reader("transcript", saved, lambda f: read_transcript(f / "talk.json"), ("talk.json",))
    lines = b'{"text": "hi", "id": 7}\n{"turns": ["hi", "you"], "persona": ["i sing."], "x": {"y": [1.5]}}\n"tea"\n'
    yield Reader("lines of generate", {"in.jsonl": lines}, _lines, ("in.jsonl",), names_file=False)
    run = {
        "out": b'{"line": 1, "input": "hi", "reply": "a", "score": -1.5}\n',
        "out.run": b'{"fingerprint": {"seed": 1}}\n{"line": 3, "input": "tea", "reply": "c", "score": -1.0}\n',
    }
    yield Reader("run of generate", run, _run, ("out", "out.run"), share=0.5)
    begun = {".npblender-save.0123456789ab.json": b"", ".a.0123456789ab.unfinished": b"1", "a": b"2"}
    rename = "npblender: rename these files, each to the name in the middle of its own"
    begun[".npblender-save.0123456789ab.json"] = json.dumps(
        {rename: [".a.0123456789ab.unfinished"], "and then remove these": ["b"]}
    ).encode()
    journal = (".npblender-save.0123456789ab.json",)
    yield Reader("journal of a save", begun, finish_replacing, journal, share=0.3)
    yield from _groundtruth(load)


def _groundtruth(load: Callable[..., Any]) -> Iterator[Reader]:
    with tempfile.TemporaryDirectory() as place:
        save_tiny(Path(place), 0, resolve_dialect("parlai"))
        model = load(place)
    given = TraceInputs([[5, 6, 7]])
    trace = record(model, given, points=["encoder.embed.sum", "logits"], noise=False)
    found = _saved(lambda folder: trace.save(folder / "t.safetensors"))
    yield Reader("trace", found, lambda f: Trace.load(f / "t.safetensors"), ("t.safetensors",))
    cases = _saved(lambda folder: refed(model, given).save(folder / "r.safetensors"))
    yield Reader("re-fed operations", cases, lambda f: Refed.load(f / "r.safetensors"), ("r.safetensors",), share=0.1)
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b/c": np.arange(4, dtype=np.int32), "d": np.ones((), np.bool_)}

    def npz(folder: Path) -> None:
        np.savez(folder / "a.npz", **arrays)  # type: ignore[arg-type]
        np.savez_compressed(folder / "b.npz", **arrays)  # type: ignore[arg-type]

    yield Reader("NPZ", _saved(npz), lambda f: [read_tensors(f / n) for n in ("a.npz", "b.npz")], ("a.npz", "b.npz"))
    table = b'{"enc.{i}.q": "encoder.layers.{i}.self_attn.q", "out": "logits"}'
    yield Reader("table of names", {"map.json": table}, lambda f: read_name_table(f / "map.json"), ("map.json",))
    inputs = b'{"input_ids": [[5, 6]], "decoder_input_ids": [[1, 5]], "attention_mask": [[1, 1]], "prefill": 1}'
    as_inputs = lambda f: TraceInputs.from_json(read_inputs(str(f / "in.json")))  # noqa: E731  one expression
    yield Reader("inputs of a trace", {"in.json": inputs}, as_inputs, ("in.json",), names_file=False)
    pack = _saved(lambda folder: export_tiny(folder / "pack"))
    pack = {name.removeprefix("pack/"): content for name, content in pack.items()}
    listed = {"manifest.json": pack["manifest.json"]}
    yield Reader("manifest of a pack", listed, lambda f: damage(f, read_manifest(f)), ("manifest.json",), share=0.3)
    sections = (
        ("cases of a pack", "generation/filters", read_cases),
        ("scalars of a pack", "ops/erf", scalars.read),
        ("searches of a pack", "generation/searches", lambda path: list(searches.read(path))),
    )
    for name, part, read in sections:
        file = next((path for path in pack if part in path), None)
        assert file is not None, (part, list(pack))
        content = pack[file]
        read_file = lambda f, read=read, file=file: read(f / Path(file).name)  # noqa: E731  one expression
        yield Reader(name, {Path(file).name: content}, read_file, (Path(file).name,), share=0.05)


@contextlib.contextmanager
def laid_out(reader: Reader) -> Iterator[Path]:
    """Write the valid files of a reader to a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="fuzz") as place:
        folder = Path(place)
        for name, content in reader.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        yield folder
