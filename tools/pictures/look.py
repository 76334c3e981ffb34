"""Photographs pages and pictures in a real Chromium, in light, dark and at a phone's width, to be looked at.

    python -m tools look OUT FILE...     # each FILE.svg or FILE.html as OUT/FILE-light.png, -dark.png and -phone.png

Needs Debian's chromium and chromium-driver, and selenium (`pip install '.[browser]'`).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from reference_tests.support.browser import DESK, PHONE, chromium, complaints, photograph, show, why_no_browser


def main() -> int:
    """Photograph the files that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the folder for the PNG files")
    parser.add_argument("files", nargs="+", type=Path, help="pages or pictures")
    arguments = parser.parse_args()
    missing = why_no_browser()
    if missing:
        sys.exit(missing)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with chromium() as driver:
        for file in arguments.files:
            for name, width, dark in (("light", DESK, False), ("dark", DESK, True), ("phone", PHONE, False)):
                show(driver, file, width=width, dark=dark)
                photograph(driver, arguments.out / f"{file.stem}-{name}.png")
                for complaint in complaints(driver):
                    print(f"{file}: {complaint}")
    return 0
