"""Recognises what often lies under a file's name in its place: a Git LFS pointer, a web page, an archive, a folder.

Asked only when a file turned out not to be what it should be, so that the error can say what it is.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn

from npblender.common.printable import shown

_LOOKED_AT = 512  # bytes
TEXTS = (".json", ".txt", ".opt", ".dict", ".codecs", ".jsonl", ".csv", ".tsv")
"""How files end that are texts themselves."""


def refuse_mistaken_file(path: Path) -> None:
    """Refuse a file that is something known, and say what would do; any other is left to the caller's own error."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder; a file of that name is needed")
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT)
    what = _what_begins(start)
    if what is None and path.suffix not in TEXTS and 8 < len(start) < _LOOKED_AT and start.isascii():
        said = start.decode("ascii").strip()
        if said.isprintable():
            what = f"is a text of {len(start)} letters, {shown(said[:80])}, most likely a server's error: get it again"
    if what:
        raise ValueError(f"{path} {what}")


def refuse_file(path: Path, what: str, kind: type[ValueError] = ValueError) -> NoReturn:
    """Refuse a file: as something known if it is that, else as what follows its name."""
    refuse_mistaken_file(path)
    raise kind(f"{path} {what}")


def _what_begins(start: bytes) -> str | None:
    """What a file is that begins so.

    >>> _what_begins(b"<!DOCTYPE html>")
    'is a web page, not the file: download the file itself, by the link that says download or raw'
    """
    if start.startswith(b"version https://git-lfs"):
        size = re.search(rb"^size (\d+)", start, re.MULTILINE)
        whole = f" of {int(size[1]):,} bytes" if size else ""
        return (
            f"is a Git LFS pointer, which stands for a file{whole}: install git-lfs and run `git lfs pull` in its "
            "repository, or download the file itself"
        )
    text = start.lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return "is a web page, not the file: download the file itself, by the link that says download or raw"
    if text.startswith((b"<?xml", b"<error")):
        return "is XML, most likely a server's error: download the file again"
    if start.startswith(b"\x93NUMPY"):
        return "is a single array of np.save: write named arrays with np.savez(path, name=array), or as safetensors"
    if start.startswith(b"\x1f\x8b"):
        return "is packed with gzip: unpack it with `gunzip`, or `tar -xzf` if it is a whole folder"
    if start.startswith((b"7z\xbc\xaf", b"Rar!", b"\xfd7zXZ", b"BZh", b"(\xb5/\xfd")):
        return "is a packed archive: unpack it first"
    if len(start) == _LOOKED_AT and not start.strip(b"\0"):
        return "begins with zeros only: the download was not finished; download it again"
    return None
