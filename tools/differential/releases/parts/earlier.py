"""What an earlier release wrote is still read: its packs, its model folders, its traces, its transcripts."""

from __future__ import annotations

# ruff: noqa: B023  (what `attempt` is given it calls at once)
from typing import Any

from npblender import BlenderbotSmallTokenizer, Conversation, Trace, compare

from ..book import Book
from ..frozen.wide import CLASSES
from ..places import find
from . import Place
from .packs import checked


def record(book: Book, place: Place) -> None:
    """Read the files that `packs` and `checkpoints` keep in a record.

    Raises FileNotFoundError for a record without them.
    """
    packs, folders = place.earlier / "packs@rows" / "packs", place.earlier / "checkpoints@rows" / "folders"
    if not packs.is_dir() or not folders.is_dir():
        raise FileNotFoundError(f"{place.earlier} has no packs or folders: record packs and checkpoints first")
    for folder in sorted(packs.iterdir()):
        checked(book, f"packs/{folder.name}", folder, None)
    for folder in sorted(each for each in folders.iterdir() if each.is_dir()):
        for dtype in ("float32", "float64"):
            book.attempt(f"folders/{folder.name}/{dtype}", lambda: replies(folder, dtype))
    trace_of = Trace.load(folders / "trace.safetensors")
    book.points("trace/points", trace_of.arrays.items())
    book.put("trace/noise", trace_of.noise)
    report: Any = compare(folders / "trace.safetensors", folders / "trace.safetensors")
    book.put("trace/compared", [report.first, report.diverged])
    talk = Conversation.from_pretrained()
    talk.load(folders / "talk.json")
    book.put("talk", [talk.turns, talk.persona, talk.settings, talk.reply("and you?")])
    book.attempt("refed", lambda: [case.name for case in find("Refed").load(folders / "refed.safetensors").cases])


def replies(folder: Any, dtype: str) -> Any:
    """What a folder's model says to a few ids, and the parameters it has."""
    kind = next((kind for kind in CLASSES if f" {kind} " in folder.name), "seq2seq")
    model = CLASSES[kind].from_pretrained(folder, dtype=dtype)
    ids = [[5, 6, 7, 8], [9, 5, 6, 0]]
    if kind == "seq2seq":
        out = model.generate(ids, num_beams=3, max_length=9)
    else:
        out = model.forward(ids) if kind == "causal" else model.forward(ids, decoder_input_ids=ids)
    found = dict(find("to_arrays")(model.weights))
    tokenizer = None
    if (folder / "vocab.json").exists():
        tokenizer = BlenderbotSmallTokenizer.from_pretrained(folder)("hello, how are you?")
    return [out, found, model.dialect.name, model.generation_config.to_dict(), tokenizer]
