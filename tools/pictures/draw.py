"""Draws the pictures of docs/pictures/.

    python -m tools pictures             # draw all
    python -m tools pictures --check     # exit 1 where a file is not what would be drawn

They show the demo that comes with the package: draw them again when it is another one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping

from tools import ROOT
from tools.pictures import architecture, demo, key_value_cache, measured, search, words

FOLDER = ROOT / "docs" / "pictures"

PICTURES: Mapping[str, Callable[[], str | None]] = {
    "model.svg": architecture.draw_model,
    "cache.svg": lambda: key_value_cache.draw_cache(demo.load()),
    "merges.svg": lambda: words.draw_merges(demo.load()),
    "attention.svg": lambda: words.draw_attention(demo.load()),
    "beams.svg": lambda: search.draw_beams(demo.load()),
    "lens.svg": lambda: search.draw_lens(demo.load()),
    "float32-error.svg": measured.draw_error,
    "training.svg": measured.draw_curve,
}


def main() -> int:
    """Draw, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file is out of date")
    arguments = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    stale = []
    for name, draw in PICTURES.items():
        path, picture = FOLDER / name, draw()
        if picture is None:
            missing = measured.CURVE.relative_to(ROOT).as_posix()
            print(f"{name}: not drawn: there is no {missing}, the losses of the demo's training")
            continue
        if arguments.check:
            if not path.is_file() or path.read_text(encoding="utf-8") != picture:
                stale.append(name)
        else:
            path.write_text(picture, encoding="utf-8", newline="\n")
            print(f"{name}: {len(picture):,} bytes")
    if stale:
        print(f"out of date: {', '.join(stale)}; python -m tools pictures draws them", file=sys.stderr)
    return 1 if stale else 0
