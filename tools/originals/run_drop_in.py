"""Runs short pieces of code as users of transformers write them, in transformers or in npblender.

    PYTHON -m tools.originals.run_drop_in FOLDER CALLS ANSWERS

PYTHON is the interpreter of the environment (`python -m tools originals`). FOLDER holds a model and its tokenizer,
CALLS a JSON object, name to code, and ANSWERS gets one, name to the value of the code's last line, `{"value": ...}`, or
`{"error": "ValueError: ..."}`. Every piece begins with a fresh `model`, `tokenizer` and `inputs`; `name` is FOLDER,
`transformers` the library, `pt` the kind of arrays ("pt" or "np"), `tensor` makes one. This file compares nothing: see
`tools/docs/drop_in.py`.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.metadata
import io
import json
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

UTTERANCE = "Hi, how are you? I like cats and dogs."
MOST_NUMBERS = 24
"""Of a longer list of numbers its length and its sum are kept, so that the answers stay readable."""


def plain(value: Any) -> Any:
    """A value as JSON has it: tensors as lists, long ones as shape, sum and sum of squares; objects as their class.

    >>> plain({"ids": (1, 2), "none": None, "kind": int})
    {'ids': [1, 2], 'none': None, 'kind': 'int'}
    """
    if isinstance(value, bool | int | float | str | None):
        return value
    if isinstance(value, type):
        return value.__name__
    if type(value).__name__.lower().endswith("dtype"):
        return str(value).removeprefix("torch.")
    if hasattr(value, "detach"):
        value = value.detach().cpu().float().numpy() if value.is_floating_point() else value.cpu().numpy()
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        if value.size > MOST_NUMBERS:
            wide = value.astype("float64")
            return {"shape": list(value.shape), "sum": float(wide.sum()), "squares": float((wide**2).sum())}
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return type(value).__name__


def answer(code: str, names: dict[str, Any]) -> dict[str, Any]:
    """What the last line of a piece of code is worth, or the error that it ends with.

    >>> answer("a = 1\\na + 1", {}), answer("int('x')", {})["error"][:10]
    ({'value': 2}, 'ValueError')
    """
    body = ast.parse(code).body
    last = body.pop()
    assert isinstance(last, ast.Expr)
    try:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(ast.Module(body, []), "<call>", "exec"), names)
            value = eval(compile(ast.Expression(last.value), "<call>", "eval"), names)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:400]}
    return {"value": printed.getvalue() if value is None and printed.getvalue() else plain(value)}


def prelude(library: ModuleType, folder: str, names: dict[str, Any]) -> dict[str, Any]:
    """The names that every piece of code begins with."""
    for name in dir(library):
        if name.startswith(("Blenderbot", "Auto", "GenerationConfig")):
            with contextlib.suppress(Exception):  # what needs a package that is not there
                names[name] = getattr(library, name)
    names |= {"transformers": library, "name": folder, "UTTERANCE": UTTERANCE, "tempfile": tempfile}
    names["tokenizer"] = names["BlenderbotSmallTokenizer"].from_pretrained(folder)
    names["model"] = names["BlenderbotSmallForConditionalGeneration"].from_pretrained(folder)
    names["inputs"] = names["tokenizer"]([UTTERANCE], return_tensors=names["pt"])
    return names


def answers(library: str, folder: str, calls: Mapping[str, str]) -> dict[str, Any]:
    """The answers of transformers or of npblender to every piece of code."""
    module = importlib.import_module(library)
    if library == "transformers":
        import torch

        torch.manual_seed(0)
        module.logging.set_verbosity_error()
        names: dict[str, Any] = {"pt": "pt", "tensor": torch.tensor, "torch": torch}
    else:
        import numpy

        names = {"pt": "np", "tensor": numpy.array}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {key: answer(code, prelude(module, folder, dict(names))) for key, code in calls.items()}


def main() -> int:
    folder, calls, out = sys.argv[1:]
    found = answers("transformers", folder, json.loads(Path(calls).read_text(encoding="utf-8")))
    content = {"version": importlib.metadata.version("transformers"), "answers": found}
    Path(out).write_text(json.dumps(content), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
