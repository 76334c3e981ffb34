"""Calls that must fail, of every kind: the type of each error and its message."""

from __future__ import annotations

# ruff: noqa: B023  (what `attempt` is given it calls at once)
import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from npblender import BlenderbotSmallConfig, BlenderbotSmallForConditionalGeneration, Dialect, GenerationConfig, trace

from ..book import Book
from ..frozen import bad_calls, bad_parts, bad_settings
from ..frozen import searches as drawn
from ..frozen.bad_settings import REFUSED
from ..frozen.models import from_folder
from ..frozen.wide import DIALECTS
from ..places import find
from . import Place


def of_calls(book: Book) -> None:
    """The tables of bad calls, by their names."""
    table = {**bad_calls.of_values(), **bad_calls.TOGETHER, **bad_parts.of_encoder_outputs()}
    table |= {**bad_parts.PASTS, **bad_parts.MODELS}
    for name, bad in table.items():
        book.attempt(f"calls/{name}", bad.call)


def of_settings(book: Book, place: Place) -> None:
    """Settings in files and in constructors."""
    nonsense: tuple[Any, ...] = ([("num_beams", 4)], None, "num_beams", 4)
    kinds: tuple[tuple[Any, Any, str], ...] = (
        (GenerationConfig, bad_settings.GENERATION, "generation_config.json"),
        (BlenderbotSmallConfig, bad_settings.CONFIG, "config.json"),
    )
    for kind, table, own in kinds:
        for number, (name, value, _) in enumerate(table):
            label = f"{kind.__name__}/{number} {name}={value!r}"
            book.attempt(f"{label}/dict", lambda: kind.from_dict({name: value}))
            book.attempt(f"{label}/call", lambda: kind(**{name: value}))
            for file in ("generation_config.json", "config.json"):
                folder = place.work / f"settings {kind.__name__} {number} {file}"
                folder.mkdir()
                (folder / file).write_text(json.dumps({name: value}))
                book.attempt(f"{label}/{file}", lambda: kind.from_pretrained(folder))
        for number, content in enumerate(nonsense):
            book.attempt(f"{kind.__name__}/nonsense {number}", lambda: kind.from_dict(content))
        for extra in ({"d_model": 4, "num_beams": 4}, [("a", 1)], {1: 2}):
            book.attempt(f"{kind.__name__}/extra {extra!r}", lambda: kind(extra=extra))
        for name in ("num_beam", "d_modle", "zzz"):
            book.attempt(f"{kind.__name__}/call {name}", lambda: kind(**{name: 4}))
            book.attempt(f"{kind.__name__}/replace {name}", lambda: kind().replace(**{name: 4}))
            book.attempt(f"{kind.__name__}/attribute {name}", lambda: getattr(kind(), name))
        for where in ("no/folder", "", None, 3, b"x", "a\0b"):
            book.attempt(f"{kind.__name__}/folder {where!r}", lambda: kind.from_pretrained(where))
        folder = place.work / f"cut {kind.__name__}"
        kind(extra={"name": "ünïcode"}).save_pretrained(folder)
        data = (folder / own).read_bytes().rstrip()
        for length in range(0, len(data), 7):
            (folder / own).write_bytes(data[:length])
            book.attempt(f"{kind.__name__}/cut {length}", lambda: kind.from_pretrained(folder))
        for text in (
            b"[1]",
            b"3",
            b"null",
            b"\xff\xfe{}",
            b"[" * 100_000,
            b'{"d_model": }',
            b"{}{}",
            b"\xef\xbb\xbf{}",
        ):
            (folder / own).write_bytes(text)
            book.attempt(f"{kind.__name__}/file {text[:12]!r}", lambda: kind.from_pretrained(folder))
        (folder / own).unlink()
        book.attempt(f"{kind.__name__}/an empty folder", lambda: kind.from_pretrained(folder))
        book.attempt(f"{kind.__name__}/not JSON", lambda: kind(extra={"odd": {1, 2}}).save_pretrained(folder))
        (folder / "model.opt").write_text("{}")
        book.attempt(f"{kind.__name__}/of ParlAI", lambda: kind.from_pretrained(folder))
        book.attempt(f"{kind.__name__}/a file", lambda: kind().save_pretrained(folder / "model.opt"))


def accepted(book: Book) -> None:
    """Settings that are taken, as they come out again."""
    contents: tuple[dict[str, Any], ...] = (
        *(
            {},
            {"num_beams": 4, "x": 1},
            {"eos_token_id": [2, 3], "bad_words_ids": [[5, 6]]},
            {"early_stopping": "never"},
        ),
        *({"guidance_scale": 1.0, "token_healing": False}, {"sequence_bias": [[[5, 6], -1.0]]}, {"min_length": None}),
        *({"_from_model_config": True, "num_beams": 3}, {"exponential_decay_length_penalty": [5, 1.1], "top_k": 0}),
    )
    for number, content in enumerate(contents):
        settings = GenerationConfig.from_dict(content)
        kept = [settings.to_dict(), settings.set_fields, settings.with_defaults().to_dict(), repr(settings)]
        book.put(f"accepted/{number}", kept)
        changed = settings.replace(num_beams=7, top_p=0.5)
        book.put(f"accepted/{number}/replaced", changed.to_dict())
        same = [copy.deepcopy(settings) == settings, pickle.loads(pickle.dumps(settings)) == settings]
        book.put(f"accepted/{number}/same", [*same, hash(settings) == hash(GenerationConfig.from_dict(content))])
    models: tuple[dict[str, Any], ...] = (
        *(
            {},
            {"hidden_size": 48, "num_hidden_layers": 3},
            {"activation_function": "swish"},
            {"unk_token_id": 3, "a": 1},
        ),
        *({"num_beams": 10, "min_length": 20, "top_k": 7}, {"is_decoder": True, "is_encoder_decoder": False}),
        *({"npblender_dialect": "transformers-5"}, {"torch_dtype": "float16", "layer_norm_eps": 1e-5}),
    )
    for number, content in enumerate(models):
        config = BlenderbotSmallConfig.from_dict(content)
        book.put(f"accepted/model {number}", [config.to_dict(), dict(config.extra), repr(config)])
        book.attempt(f"accepted/model {number}/settings", lambda: GenerationConfig.from_model_config(config).to_dict())
    resolve = find("resolve_dialect")
    for name in DIALECTS:
        dialect = resolve(name)
        book.put(f"accepted/dialect {name}", dialect)
    for bad in ("moses", 5, None, {"name": "x"}, {}):
        book.attempt(f"dialect/{bad!r}", lambda: resolve(bad))
    book.attempt("dialect/call", lambda: Dialect(name="x"))  # type: ignore[call-arg]


def of_generate(book: Book) -> None:
    """Options and arguments of `generate` that do not go together, in every dialect."""
    for dialect in DIALECTS:
        rng = np.random.default_rng([7, 0])
        sizes = drawn.draw_search_config(rng, one_sided=False) | {"forced_eos_token_id": None}
        weights = drawn.draw_search_weights(rng, sizes, "float64", final_bias=True)
        model = from_folder(sizes, weights, dialect)
        calls: list[dict[str, Any]] = []
        for _, call, _ in REFUSED:
            draws = call.get("do_sample") or "beam_delay" in call
            calls.append({"seed": 0, **call} if draws else call)
        calls += [{"max_length": 5, **call} for _, call, _ in bad_settings.GIVEN]
        for number, call in enumerate(calls):
            book.attempt(f"generate/{dialect}/{number}", lambda: model.generate(bad_settings.SOURCE, **call))
        states = model.encode(bad_settings.SOURCE)
        more: tuple[dict[str, Any], ...] = (
            {"encoder_outputs": states, "encoder_no_repeat_ngram_size": 2},
            {"inputs": [[5, 6]], "encoder_outputs": states},
            {"encoder_outputs": states, "head_mask": np.ones((1, 1))},
            {"inputs": [[5, 6], [7, 8]], "prompt_lookup_num_tokens": 2},
            {},
            {"inputs": bad_settings.SOURCE, "num_beams": 3, "streamer": []},
            {"inputs": bad_settings.SOURCE, "num_beams": 2, "eos_token_id": list(range(sizes["vocab_size"]))},
            {"inputs": "hello"},
            {"inputs": [[5.0]]},
            {"inputs": [[10**6]]},
            {"inputs": [[5]], "generation_config": {}},
            {"inputs": [[5]], "logits_processor": 5},
            {"inputs": [[5]], "stopping_criteria": [5]},
            {"inputs": [[5]], "prefix_allowed_tokens_fn": lambda row, ids: []},
            {"inputs": [[5]], "logits_processor": [lambda ids, scores: scores[:, :2]]},
            {"inputs": [[5]], "logits_processor": [lambda ids, scores: None]},
            {"inputs": [[5]], "stopping_criteria": [lambda ids, scores: "yes"]},
            {"inputs": [[5]], "decoder_input_ids": [[]]},
            {"inputs": [[5]], "do_sample": True, "seed": -1},
            {"inputs": [[5]], "do_sample": True, "seed": True},
            {"inputs": [[5]], "tap": 5},
            {"inputs": [[5]], "position_ids": [[99]]},
        )
        for number, call in enumerate(more):
            book.attempt(f"generate/{dialect}/more {number}", lambda: model.generate(**{"max_length": 5, **call}))
            book.attempt(f"stream/{dialect}/more {number}", lambda: list(model.stream(**{"max_length": 5, **call})))
        pairs: tuple[dict[str, Any], ...] = (
            {"sequences": [[1]], "scores": ()},
            {"sequences": [[1, 2]], "scores": [np.zeros((1, 3))]},
        )
        for number, call in enumerate(pairs):
            book.attempt(f"transitions/{dialect}/{number}", lambda: model.compute_transition_scores(**call))


def of_groundtruth(book: Book, place: Place) -> None:
    """Trace, comparisons and golden packs that cannot be."""
    from npblender import Trace, compare

    model = bad_calls.MODEL
    bad: dict[str, dict[str, Any]] = {
        "no point": {"points": ["nothing.*"]},
        "a near point": {"points": "encoder.stats"},
        "points of a number": {"points": 5},
        "dtype": {"dtype": "int8"},
        "dialect": {"dialect": "moses"},
        "prefill alone": {"prefill": 2},
        "a long prefill": {"prefill": 9, "steps": True},
        "no prefill": {"prefill": 0, "steps": True},
        "labels in steps": {"labels": [[3, 4], [4, 5]], "steps": True},
        "steps of a word": {"steps": "yes"},
        "noise of a word": {"noise": "yes"},
        "short labels": {"labels": [[3], [4]]},
        "both sources": {"inputs_embeds": np.ones((2, 3, model.config.d_model))},
    }
    given: dict[str, Any] = {"input_ids": bad_calls.IDS, "decoder_input_ids": bad_calls.TARGET}
    nothing: Any = 5
    for name, call in bad.items():
        book.attempt(f"trace/{name}", lambda: trace(model, **{**given, **call}))
    book.attempt("trace/base labels", lambda: trace(bad_calls.BASE, bad_calls.IDS, labels=bad_calls.TARGET))
    book.attempt("trace/causal", lambda: trace(bad_calls.CAUSAL, **given))
    book.attempt("trace/no model", lambda: trace(nothing, **given))
    found = trace(bad_calls.SINGLE, [[3, 4]], decoder_input_ids=[[1, 3]], noise=True)
    path = place.work / "t.st"
    found.save(path)
    sides: dict[str, Any] = {
        "nothing": {},
        "strange": {"x": np.zeros(1)},
        "a number": 5,
        "no file": Path("gone"),
        "texts": {"logits": "x"},
    }
    for name, mine in sides.items():
        book.attempt(f"compare/{name}", lambda: compare(path, mine))
        book.attempt(f"compare/as reference {name}", lambda: compare(mine, path))
    tables: tuple[Any, ...] = (
        {"a.{n}": "b.{m}"},
        {"a": 5},
        5,
        {"{n}.{n}": "encoder.layers.{n}.output"},
        {"": "logits"},
    )
    for number, names in enumerate(tables):
        book.attempt(f"compare/names {number}", lambda: compare(path, dict(found.arrays), names=names))
    data = path.read_bytes()
    for cut in (0, 7, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:cut])
        book.attempt(f"trace file/cut at {cut}", lambda: Trace.load(path))
    book.attempt("trace file/no folder", lambda: found.save(place.work / "no" / "t.st"))


def record(book: Book, place: Place) -> None:
    """All of them."""
    of_calls(book)
    of_settings(book, place)
    accepted(book)
    of_generate(book)
    of_groundtruth(book, place)
    book.attempt("no weights", lambda: BlenderbotSmallForConditionalGeneration(bad_calls.CONFIG, {}))  # type: ignore[arg-type]
