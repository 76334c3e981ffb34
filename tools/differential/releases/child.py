"""One job of a record, in a process of its own: `python -m releases.child PART CHECKOUT FOLDER WORK EARLIER`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from .book import Book
from .parts import Place


def main(part: str, checkout: str, folder: str, work: str, earlier: str) -> int:
    """Record one part."""
    import npblender

    found = Path(npblender.__file__ or "").resolve().parents[1]
    if found != Path(checkout):
        raise RuntimeError(f"npblender comes from {found}, not from {checkout}")
    paths = {work: "<work>", folder: "<record>", earlier: "<earlier>", checkout: "<checkout>"}
    book = Book(Path(folder), paths)
    place = Place(Path(work), Path(folder), Path(checkout), Path(earlier))
    importlib.import_module(f".parts.{part}", __package__).record(book, place)
    print(f"{Path(folder).name}: {book.close()} values", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
