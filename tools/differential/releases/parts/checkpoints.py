"""Model folders: what is written, byte for byte, and what is read of folders of every original, whole and in shards."""

from __future__ import annotations

# ruff: noqa: B023  (what `attempt` is given it calls at once)
import json
from pathlib import Path
from typing import Any

import numpy as np

from npblender import BlenderbotSmallConfig, Conversation, GenerationConfig, trace

from ..book import Book
from ..frozen import stored
from ..frozen.tiny_folder import save_folder
from ..frozen.wide import CLASSES, TINY, WIDE
from ..places import find
from . import Place
from .packs import files

DTYPES = ("float32", "float64", "float16", "bfloat16")
SHARED_NAMES = (
    *("model.shared.weight", "shared.weight", "model.encoder.embed_tokens.weight"),
    *("model.decoder.embed_tokens.weight", "lm_head.weight", "embeddings.weight", "encoder.embeddings.weight"),
)


def arrays(model: Any) -> dict[str, Any]:
    """A model's parameters by name, and how they are kept."""
    kept = {name: type(each).__name__ for name, each in find("parameters")(model.weights).items()}
    found = dict(find("to_arrays")(model.weights))
    plain = sum(kind == "ndarray" for kind in kept.values())
    return {"parameters": found, "storage": model.storage, "plain": plain, "count": model.num_parameters()}


def saved(book: Book, place: Place, kept: Path) -> None:
    """Folders of every class, dtype in memory and dtype in the file; the wide ones under the job's layout."""
    settings = GenerationConfig(num_beams=3, max_length=9, eos_token_id=2, pad_token_id=0, decoder_start_token_id=1)
    for size, config in (("tiny", TINY), ("wide", WIDE)):
        for kind, model_class in CLASSES.items():
            for dtype in DTYPES:
                model = model_class.from_config(config, seed=1, dtype=dtype, dialect="transformers-4")
                model.generation_config = settings
                name = f"{size} {kind} {dtype}"
                book.put(f"made/{name}", arrays(model))
                for file in (None, *DTYPES) if dtype in ("float32", "bfloat16") else (None,):
                    folder = (kept if size == "tiny" else place.work) / f"{name} as {file}"
                    book.attempt(f"save/{folder.name}", lambda: model.save_pretrained(folder, dtype=file))
                    files(book, f"saved/{folder.name}", folder)
                    if file is None:
                        for again in (*DTYPES, "longdouble"):
                            load = lambda: arrays(model_class.from_pretrained(folder, dtype=again))  # noqa: E731
                            book.attempt(f"loaded/{folder.name}/{again}", load, samples=False)
    save_folder(kept / "whole", seed=2, settings=settings)
    files(book, "saved/whole", kept / "whole")
    model = CLASSES["seq2seq"].from_pretrained()
    for file in (None, *DTYPES):
        folder = place.work / f"demo as {file}"
        model.save_pretrained(folder, dtype=file)
        files(book, f"saved/{folder.name}", folder)
    trace(model, [[5, 6, 7, 0]], decoder_input_ids=[[1, 9, 4]]).save(kept / "trace.safetensors")
    find("refed")(model, find("TraceInputs")([[5, 6, 7, 0]])).save(kept / "refed.safetensors")
    talk = Conversation.from_pretrained(persona=["i like tea."], num_beams=1)
    talk.reply("hi there!")
    talk.save(kept / "talk.json")


def resized(book: Book) -> None:
    """Vocabularies cut and grown, embeddings put in their place, in every storage."""
    for dtype in DTYPES:
        for size, config in (("tiny", TINY), ("wide", WIDE)):
            model = CLASSES["seq2seq"].from_config(config, seed=1, dtype=dtype)
            for new in (config.vocab_size - 3, config.vocab_size + 5, None):
                model.resize_token_embeddings(new, pad_to_multiple_of=8 if new is None else None)
                book.put(f"resized/{size} {dtype}/{new}", arrays(model), samples=False)
            rows = np.random.default_rng(0).standard_normal((model.config.vocab_size, config.d_model))
            model.set_input_embeddings(rows)
            book.put(f"embedded/{size} {dtype}", arrays(model), samples=False)
            book.put(f"embedded/{size} {dtype}/out", model.forward([[5, 6]], decoder_input_ids=[[1, 7]]).logits)


def originals(book: Book, place: Place) -> None:
    """Tensors under the names of every original, in every format, in shards, with copies and without."""
    config = stored.TINY
    number = 0

    def load(name: str, tensors: Any, dtype: Any = "float32", shards: int = 0, loaded: str = "float32") -> None:
        nonlocal number
        number += 1
        folder = place.work / f"original {number}"
        config.save_pretrained(folder)
        if shards:
            stored.split(folder, tensors, shards)
        else:
            stored.write(folder / "model.safetensors", tensors, dtype)
        for kind, model_class in CLASSES.items():
            call = lambda: arrays(model_class.from_pretrained(folder, dtype=loaded))  # noqa: E731
            book.attempt(f"originals/{name}/{kind}", call, samples=False)

    for original in ("full", "base", "causal", "parlai"):
        tree, tensors = stored.tensors_of(config, original)
        for dtype in stored.FORMATS:
            if dtype != "int64":
                for loaded in ("float32", "float64", "bfloat16", "float16"):
                    load(f"{original}/{dtype}/{loaded}", tensors, dtype, loaded=loaded)
        for shards in (1, 2, 5):
            load(f"{original}/{shards} shards", tensors, shards=shards)
    tree, tensors = stored.tensors_of(config, "full")
    rest = {name: each for name, each in tensors.items() if name != "model.shared.weight"}
    other = tree["shared.weight"] + 1
    for name in SHARED_NAMES:
        load(f"only {name}", {name: tree["shared.weight"], **rest})
        load(f"another {name}", {**tensors, name: other})
    wrong: dict[str, Any] = {
        "missing": {name: each for name, each in tensors.items() if "fc1" not in name},
        "another shape": {**tensors, "final_logits_bias": np.zeros(11)},
        "unknown": {**tensors, "classifier.weight": np.zeros(2)},
        "not finite": {**tensors, "model.decoder.layernorm_embedding.weight": np.full(6, np.nan)},
        "too large": {**tensors, "model.encoder.layers.0.fc1.bias": np.full(5, 1e30, np.float32)},
        "twice": {**tensors, "decoder.layers.0.fc1.bias": np.zeros(13)},
        "nothing": {},
    }
    for name, each in wrong.items():
        for loaded in ("float32", "float16"):
            load(f"wrong/{name}/{loaded}", each, loaded=loaded)
    broken(book, place, config, tensors)


def broken(book: Book, place: Place, config: BlenderbotSmallConfig, tensors: Any) -> None:
    """Files that are cut, empty, of another kind, or not there."""
    folder = place.work / "broken"
    config.save_pretrained(folder)
    path = folder / "model.safetensors"
    load = lambda: CLASSES["seq2seq"].from_pretrained(folder)  # noqa: E731
    book.attempt("broken/no file", load)
    for name in ("pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "model.opt"):
        (folder / name).write_bytes(b"x")
        book.attempt(f"broken/{name}", load)
        (folder / name).unlink()
    stored.write(path, tensors)
    data = path.read_bytes()
    for cut in (0, 4, 8, 100, len(data) - 1):
        path.write_bytes(data[:cut])
        book.attempt(f"broken/cut at {cut}", load)
    headers: dict[str, Any] = {
        "no JSON": b"{",
        "a list": [],
        "overlap": {"a": stored.entry("F32", [2], 0, 8), "b": stored.entry("F32", [2], 4, 12)},
        "a gap": {"a": stored.entry("F32", [1], 4, 8)},
        "another length": {"a": stored.entry("F32", [3], 0, 8)},
        "an unknown format": {"a": stored.entry("Q4", [2], 0, 8)},
        "no offsets": {"a": {"dtype": "F32", "shape": [2]}},
        "a negative shape": {"a": stored.entry("F32", [-2], 0, 8)},
    }
    for name, header in headers.items():
        path.write_bytes(stored.content(header, bytes(12)))
        book.attempt(f"broken/{name}", load)
    path.unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "gone.safetensors"}}))
    book.attempt("broken/a shard that is gone", load)
    for text in ("{", "{}", '{"weight_map": 5}', '{"weight_map": {"a": "../x"}}'):
        (folder / "model.safetensors.index.json").write_text(text)
        book.attempt(f"broken/index {text}", load)


def record(book: Book, place: Place) -> None:
    """What is written, what is read."""
    kept = place.record / "folders"
    kept.mkdir(parents=True)
    saved(book, place, kept)
    resized(book)
    originals(book, place)
