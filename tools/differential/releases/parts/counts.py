"""How much is done for a token, a call, a reply and a load: calls, files, records made. No time is taken.

Counts are compared apart from everything else: they are to become smaller.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import npblender
from npblender import (
    BlenderbotSmallConfig,
    BlenderbotSmallForConditionalGeneration,
    BlenderbotSmallTokenizer,
    Conversation,
    GenerationConfig,
)

from ..book import Book
from ..places import find
from . import Place

DEEP = BlenderbotSmallConfig(
    vocab_size=100,
    d_model=32,
    encoder_layers=8,
    decoder_layers=8,
    encoder_attention_heads=4,
    decoder_attention_heads=4,
    encoder_ffn_dim=64,
    decoder_ffn_dim=64,
    max_position_embeddings=64,
)


PACKAGE = str(Path(npblender.__file__ or "").parent) + os.sep


def calls(job: Callable[[], Any]) -> dict[str, int]:
    """What `sys.setprofile` sees while a job runs: the package's functions, all of Python's, and C's with them."""
    package = python = c = 0

    def note(frame: Any, event: str, _argument: Any) -> None:
        nonlocal package, python, c
        python += event == "call"
        c += event == "c_call"
        package += event == "call" and frame.f_code.co_filename.startswith(PACKAGE)

    sys.setprofile(note)
    try:
        job()
    finally:
        sys.setprofile(None)
    return {"package": package, "python": python, "all": python + c - 1}  # without the call that ends the counting


def a_token(dialect: str) -> dict[str, int]:
    """Calls for each further greedy token of a model of eight layers a side: the mean of ten after the fifth."""
    model = BlenderbotSmallForConditionalGeneration.from_config(DEEP, seed=0, dialect=dialect)
    ids = [[5, 6, 7, 8, 9]]

    def generate(tokens: int) -> dict[str, int]:
        options: dict[str, Any] = {"num_beams": 1, "do_sample": False, "eos_token_id": 2, "length_penalty": 1.0}
        return calls(lambda: model.generate(ids, max_new_tokens=tokens, min_new_tokens=tokens, **options))

    generate(3)
    few, many = generate(5), generate(15)
    return {name: round((many[name] - few[name]) / 10) for name in few}


@contextlib.contextmanager
def counted(kind: type) -> Iterator[list[int]]:
    """Count how many records of a class are made."""
    made = [0]
    before: Any = kind.__init__  # type: ignore[misc]

    def init(self: Any, *given: Any, **named: Any) -> None:
        made[0] += 1
        before(self, *given, **named)

    kind.__init__ = init  # type: ignore[misc]
    try:
        yield made
    finally:
        kind.__init__ = before  # type: ignore[misc]


FILES = r"""
import sys, json
package, run, imported = sys.argv.pop(1), set(), set()
def note(frame, event, argument):
    name = frame.f_code.co_filename
    if event != "call" or not name.startswith(package):
        return
    while frame is not None:
        code = frame.f_code
        if code.co_name == "<module>" and code.co_filename.startswith(package):
            break
        frame = frame.f_back
    (run if frame is None else imported).add(name)
import io, contextlib
with contextlib.redirect_stdout(io.StringIO()):
    sys.setprofile(note)
    from npblender.cli.main import main
    main(["chat", "--say", "hello, how are you?", *sys.argv[1:]])
    sys.setprofile(None)
print(json.dumps({"run": len(run), "run or imported": len(run | imported)}))
"""
"""In a process of its own, so that loading counts too. What runs while a module is imported counts as imported."""


def files(place: Place, *options: str) -> Any:
    """Files of the package that one line of chat runs through."""
    import json

    package = str(place.checkout / "npblender") + os.sep
    command = [sys.executable, "-c", FILES, package, *options]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def record(book: Book, place: Place) -> None:
    """All counts; each is also printed."""
    found: dict[str, Any] = {
        f"calls a greedy token, 8 + 8 layers, {d}": a_token(d) for d in ("parlai", "transformers-5")
    }
    tokenizer = BlenderbotSmallTokenizer.from_pretrained()
    ids = tokenizer(["hello, how are you?"], return_tensors="np")["input_ids"]
    greedy: dict[str, Any] = {"num_beams": 1, "do_sample": False}
    one: Any = None
    for dialect in ("transformers-5", "parlai"):
        model = BlenderbotSmallForConditionalGeneration.from_pretrained(dialect=dialect)
        one = partial(model.generate, ids, max_new_tokens=1, min_length=0, **greedy)
        one()
        found[f"calls of a one-token generate on the demo, {dialect}"] = calls(one)
    two = calls(lambda: model.generate(ids, max_new_tokens=20, min_length=20, **greedy))
    found["calls of twenty tokens on the demo"] = two
    found["calls of a forward pass"] = calls(lambda: model.forward(ids, decoder_input_ids=[[1, 9]]))
    found["calls of the tokenizer"] = calls(lambda: tokenizer("hello, how are you?"))
    load = BlenderbotSmallForConditionalGeneration.from_pretrained
    found["calls of from_pretrained"] = calls(load)
    talk = Conversation(model, tokenizer)
    talk.reply("hi")
    found["calls of a chat reply"] = calls(lambda: talk.reply("hello, how are you?"))
    jobs: dict[str, Callable[[], Any]] = {
        "generate": one,
        "chat reply": lambda: talk.reply("and you?"),
        "stream": lambda: list(model.stream(ids, **greedy)),
        "from_pretrained": load,
        "Conversation.from_pretrained": Conversation.from_pretrained,
    }
    for name, job in jobs.items():
        with counted(GenerationConfig) as made:
            job()
        found[f"GenerationConfig records of a {name}"] = made[0]
    with counted(find("Weights")) as made:
        load()
    found["trees of weights of a from_pretrained"] = made[0]
    builder = find("build").__code__
    built = 0

    def note(frame: Any, event: str, _argument: Any) -> None:
        nonlocal built
        built += event == "call" and frame.f_code is builder

    sys.setprofile(note)
    load()
    sys.setprofile(None)
    found["builds of a tree of a from_pretrained"] = built
    found["files of chat --say"] = files(place)
    found["files of chat --say --greedy"] = files(place, "--greedy")
    package = place.checkout / "npblender"
    python = list(package.rglob("*.py"))
    found["entries at the top of the package"] = len([p for p in package.iterdir() if p.name != "__pycache__"])
    found["modules of the package"] = len(python)
    found["lines of the package"] = sum(len(path.read_text().splitlines()) for path in python)
    found["longest module"] = max(len(Path(path).read_text().splitlines()) for path in python)
    for name, count in found.items():
        book.put(name, count)
        print(f"  {name}: {count}")
