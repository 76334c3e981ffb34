"""Answers questions about text with an original's own tokenizer, in that original's environment.

    PYTHON -m tools.originals.run_tokenizer ORIGINAL FOLDER QUESTIONS ANSWERS

PYTHON is the interpreter of the environment (`python -m tools originals`), ORIGINAL its name, FOLDER a tokenizer's
folder. QUESTIONS has one JSON value a line:

    "some text"                                             -> {"ids": [...], "decoded": "..."}
    {"method": "decode", "args": [[5, 6]], "kwargs": {}}    -> {"value": ...} or {"error": "ValueError: ..."}

Both files are UTF-8 with lone surrogates let through: escaped, two of them side by side would come back as one letter.
ANSWERS gets a first line with versions and the size of the vocabulary, then one line for each question. Only
transformers' originals take method calls.

For ParlAI the folder is rewritten into the two files that its dictionary reads: the entries with a count each, and
the merges as they are. It runs with `dict_tokenizer bpe` and `dict_lower`, as the published model's options have it.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

Ask = Callable[[Any], Any]


def transformers_tokenizer(folder: Path) -> tuple[Ask, int]:
    os.environ["TRANSFORMERS_VERBOSITY"] = "critical"
    from transformers import BlenderbotSmallTokenizer

    tokenizer = BlenderbotSmallTokenizer.from_pretrained(str(folder))

    def ask(question: Any) -> Any:
        if isinstance(question, str):
            ids = tokenizer(question)["input_ids"]
            return {"ids": ids, "decoded": tokenizer.decode(ids)}
        try:
            value = getattr(tokenizer, question["method"])(*question["args"], **question["kwargs"])
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"[:500]}
        return {"value": plain(value)}

    return ask, len(tokenizer)


def parlai_tokenizer(folder: Path) -> tuple[Ask, int]:
    from parlai.core.dict import DictionaryAgent, escape

    vocab: dict[str, int] = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as place:
        dict_file = os.path.join(place, "model.dict")
        with open(dict_file, "w", encoding="utf-8") as out:
            out.writelines(f"{escape(token)}\t1\n" for token in sorted(vocab, key=vocab.__getitem__))
        shutil.copy(folder / "merges.txt", dict_file + ".codecs")
        dictionary = DictionaryAgent({"dict_file": dict_file, "dict_tokenizer": "bpe", "dict_lower": True})
    assert dictionary.tok2ind == vocab, "ParlAI numbers the entries differently"

    def ask(question: Any) -> Any:
        ids = dictionary.txt2vec(question)
        return {"ids": ids, "decoded": dictionary.vec2txt(ids)}

    return ask, len(dictionary)


def plain(value: Any) -> Any:
    """Encodings, arrays and tuples as JSON has them."""
    if isinstance(value, Mapping) or hasattr(value, "items"):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value.tolist() if hasattr(value, "tolist") else value


def write_lines(path: Path, values: Iterable[Any]) -> None:
    with path.open("w", encoding="utf-8", errors="surrogatepass", newline="\n") as out:
        out.writelines(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def read_lines(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8", errors="surrogatepass", newline="\n") as lines:
        yield from map(json.loads, lines)


def versions(*names: str) -> dict[str, str]:
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in names}}


def main() -> None:
    original, folder, questions, answers = sys.argv[1], *map(Path, sys.argv[2:])
    if original == "parlai":
        ask, size = parlai_tokenizer(folder)
        used = versions("parlai", "subword-nmt")
    else:
        ask, size = transformers_tokenizer(folder)
        used = versions("transformers", "regex")
    write_lines(answers, chain([{"versions": used, "size": size}], map(ask, read_lines(questions))))


if __name__ == "__main__":
    main()
