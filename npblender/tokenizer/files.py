"""Reads and writes the files of a tokenizer's folder: vocab.json, merges.txt and the small ones beside them.

Their format is that of the published checkpoint, which transformers 4 and 5 read and write. vocabulary.py checks what
the entries mean; a tokenizer.json (the format of transformers' fast classes) is not read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from npblender.common import json_files
from npblender.tokenizer.bpe import MergeTable
from npblender.tokenizer.special_tokens import SPECIAL_TOKEN_NAMES, AddedToken, as_added_token

DIALECT_KEY = "npblender_dialect"
"""Where tokenizer_config.json, and config.json, keep the dialect; transformers leaves the key alone."""

_MERGES_HEADER = "#version: 0.2"
_CLASSES = ("BlenderbotSmallTokenizer", "BlenderbotSmallTokenizerFast")
# Keys that say where a folder came from, or that transformers takes out itself before it uses the rest.
_ORIGINS = ("special_tokens_map_file", "tokenizer_file", "name_or_path", "tokenizer_class", "files_loaded")
# transformers 4 called them so.
_OLD_NAMES = {"additional_special_tokens": "extra_special_tokens", "max_len": "model_max_length"}


def read_vocabulary(path: Path) -> dict[str, Any]:
    """Reads the entries of a vocab.json, in the file's order.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it holds no JSON object.
    """
    if not path.is_file() and (path.parent / "tokenizer.json").is_file():
        raise FileNotFoundError(
            f"{path.parent} holds no {path.name}; its tokenizer.json is of transformers' fast classes, which is not "
            f"read: save the tokenizer with the slow class (BlenderbotSmallTokenizer) for vocab.json and merges.txt"
        )
    return json_files.read_object(path)


def write_vocabulary(path: Path, vocab: Mapping[str, int]) -> None:
    """Writes one line of JSON, in id order, as the published file has it."""
    ordered = dict(sorted(vocab.items(), key=lambda item: item[1]))
    path.write_text(json.dumps(ordered, ensure_ascii=False), encoding="utf-8", newline="\n")


def read_merges(path: Path) -> MergeTable:
    """Reads the merges of a merges.txt, a codes file of subword-nmt 0.2, in order.

    The last line counts even without a line break at its end (transformers drops it then).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no `#version: 0.2` on the first line, or a line that is not two symbols with a space between.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent} holds no {path.name}; a tokenizer's folder needs one")
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}") from error
    header, _, body = text.replace("\r\n", "\n").rstrip("\n").partition("\n")
    if header.strip() != _MERGES_HEADER:
        raise ValueError(
            f"{path} begins with {header[:40]!r}, not with {_MERGES_HEADER!r}: no codes of subword-nmt 0.2"
        )
    words = body.split()
    even = len(words) // 2 * 2
    table = MergeTable(words[0:even:2], words[1:even:2])
    # Symbols hold no white space: the table written out again is the same text, or else some line is malformed.
    if "\n".join(map(" ".join, table.ranks)) != body:
        for number, line in enumerate(body.split("\n"), start=2):
            if len(line.split()) != 2 or line.split() != line.split(" "):
                raise ValueError(f"{path}, line {number}: {line!r} is not two symbols with one space between them")
    return table


def write_merges(path: Path, merges: Iterable[tuple[str, str]]) -> None:
    """Writes merges as subword-nmt writes its codes: a header, then a line a merge, in their order."""
    lines = [_MERGES_HEADER, *(f"{left} {right}" for left, right in merges)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def read_settings(folder: Path) -> dict[str, Any]:
    """Reads the small files of a folder, under the names of the tokenizer's options; all of them may be absent.

    tokenizer_config.json first; special_tokens_map.json unless that one lists added tokens; added_tokens.json. Keys
    that are no options are left for the caller. The dialect is looked for in config.json too.

    Raises:
        ValueError: a file that is no JSON object, or is of another tokenizer class.
    """
    settings: dict[str, Any] = _read_if_there(folder / "tokenizer_config.json")
    class_name = settings.get("tokenizer_class")
    if class_name is not None and class_name not in _CLASSES:
        raise ValueError(f"{folder} is of the tokenizer class {class_name!r}; only {_CLASSES[0]!r} is covered")
    for key in _ORIGINS:
        settings.pop(key, None)
    _take_new_names(settings)
    added = dict(settings.pop("added_tokens_decoder", None) or {})
    if not added:  # transformers too reads this file only then, and it overrides the other
        also = _read_if_there(folder / "special_tokens_map.json")
        _take_new_names(also)
        extra = [*settings.get("extra_special_tokens", ()), *also.get("extra_special_tokens", ())]
        settings.update(also)
        settings["extra_special_tokens"] = [token for at, token in enumerate(extra) if token not in extra[:at]]
    special = {_content(settings.get(name)) for name in SPECIAL_TOKEN_NAMES}
    special |= {_content(token) for token in settings["extra_special_tokens"]}
    for token, index in _read_if_there(folder / "added_tokens.json").items():
        added.setdefault(str(index), {"content": token, "special": token in special})
    settings["added_tokens"] = {
        int(index): as_added_token(f"added_tokens_decoder[{index}]", token) for index, token in added.items()
    }
    if DIALECT_KEY not in settings and DIALECT_KEY in (model := _read_if_there(folder / "config.json")):
        settings[DIALECT_KEY] = model[DIALECT_KEY]
    return settings


def _take_new_names(settings: dict[str, Any]) -> None:
    """Renames transformers 4's keys to 5's, in place, and makes a list of the extra special tokens."""
    for old, new in _OLD_NAMES.items():
        if old in settings:
            value = settings.pop(old)
            settings.setdefault(new, value)
    extra = settings.get("extra_special_tokens", [])
    if not isinstance(extra, list) and extra:  # both versions write {} where there are none
        raise ValueError(
            f"extra_special_tokens must be a list of tokens; names of one's own are not covered: {extra!r}"
        )
    settings["extra_special_tokens"] = extra or []


def _read_if_there(path: Path) -> dict[str, Any]:
    return json_files.read_object(path) if path.is_file() else {}


def _content(token: Any) -> Any:
    return token["content"] if isinstance(token, Mapping) and "content" in token else token


def write_settings(
    folder: Path, prefix: str, settings: Mapping[str, Any], added: Mapping[int, AddedToken], vocab_size: int
) -> list[Path]:
    """Writes tokenizer_config.json, special_tokens_map.json and, if tokens were added, added_tokens.json."""
    config = {
        **settings,
        "added_tokens_decoder": {str(index): asdict(token) for index, token in sorted(added.items())},
        "tokenizer_class": _CLASSES[0],
    }
    names = [*SPECIAL_TOKEN_NAMES, "additional_special_tokens"]
    files: dict[str, dict[str, Any]] = {
        "tokenizer_config.json": config,
        "special_tokens_map.json": {name: settings[name] for name in names if settings.get(name)},
    }
    beyond = {token.content: index for index, token in added.items() if index >= vocab_size}
    if beyond:
        files["added_tokens.json"] = beyond
    paths = []
    for name, content in files.items():
        paths.append(folder / f"{prefix}{name}")
        json_files.write_object(paths[-1], content)
    return paths
