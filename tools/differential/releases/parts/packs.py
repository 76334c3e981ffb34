"""Golden packs, file by file: exported, checked in every dtype, converted to every format."""

from __future__ import annotations

# ruff: noqa: B023  (what `attempt` is given it calls at once)
import json
from pathlib import Path
from typing import Any

from ..book import Book, digest
from ..places import find
from . import Place

FORMATS = ("npz", "onnx", "c", "rust", "js")


def files(book: Book, name: str, folder: Path) -> None:
    """Every file of a folder: digest and size, and the content of what is short and text."""
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        data = path.read_bytes()
        where = f"{name}/{path.relative_to(folder)}"
        book.put(where, f"{len(data)} {digest(data)}")
        if path.name in ("manifest.json", "README.md", "config.json") and len(data) < 200_000:
            book.put(f"{where}/content", data.decode())


def checked(book: Book, name: str, folder: Path, model: Any, **options: Any) -> None:
    """The verdict on a pack."""
    verify = find("verify_pack")

    def lines() -> Any:
        report = verify(folder, model, **options)
        return {"code": report.code, "lines": list(report.lines()), "json": report.to_json()}

    book.attempt(name, lines)


def record(book: Book, place: Place) -> None:
    """Exports stay in the record's folder, for a later release to read."""
    kept = place.record / "packs"
    tiny, pack = find("export_tiny"), find("export_pack")
    for dialect in ("parlai", "transformers-4", "transformers-5"):
        tiny(kept / f"tiny {dialect}", dialect=dialect)
    tiny(kept / "tiny float32", seed=3, stored="float32")
    pack(kept / "demo")
    pack(kept / "demo transformers-5", dialect="transformers-5", stored="float32")
    for folder in sorted(kept.iterdir()):
        files(book, f"packs/{folder.name}", folder)
        tiny_one = folder.name.startswith("tiny")
        for dtype in ("float32", "float64", "longdouble") if tiny_one else ("float32",):
            checked(book, f"verify/{folder.name}/{dtype}", folder, None, dtype=dtype)
    for name in ("tiny parlai", "demo"):
        for form in FORMATS:
            out = place.work / f"{name} {form}"
            book.attempt(
                f"convert/{name}/{form}",
                lambda: [str(each) for each in find("convert_pack")(kept / name, out, form)],
            )
            files(book, f"convert/{name}/{form}/files", out)
    damaged(book, place, kept / "tiny parlai")


def damaged(book: Book, place: Place, good: Path) -> None:
    """Packs in which something is wrong."""
    import shutil

    manifest = json.loads((good / "manifest.json").read_text())
    some = sorted(manifest["files"])[:40:8]
    for number, name in enumerate(some):
        for what in ("cut", "gone", "changed"):
            folder = place.work / f"{what} {number}"
            shutil.copytree(good, folder)
            path = folder / name
            data = path.read_bytes()
            if what == "gone":
                path.unlink()
            else:
                path.write_bytes(data[:-7] if what == "cut" else data[:-2] + bytes([data[-2] ^ 1, data[-1]]))
            checked(book, f"damaged/{name}/{what}", folder, None)
    for what, text in {"no JSON": "{", "a list": "[]", "nothing": "{}"}.items():
        folder = place.work / what
        folder.mkdir()
        (folder / "manifest.json").write_text(text)
        checked(book, f"damaged/{what}", folder, None)
    checked(book, "damaged/no pack", place.work / "nowhere", None)
    book.attempt("damaged/no such format", lambda: find("convert_pack")(good, place.work / "x", "zip"))
    book.attempt("damaged/no such store", lambda: find("export_tiny")(place.work / "y", stored="float16"))
