"""Builds the site: all pages, searchable, with code, API reference and notebooks, into build/site/html.

    python -m tools site             # build it; exit 1 at a warning of Sphinx or a link that leads nowhere
    python -m tools site --out DIR

Open build/site/html/index.html, or serve the folder. Needs the extra `site`: pip install '.[site]'.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import sys
from pathlib import Path

from tools import ROOT
from tools.site import built_links, code_pages, notebooks, reference, staged

HERE = Path(__file__).resolve().parent
NEEDED = ("sphinx", "furo", "myst_parser", "nbformat")


def stage(source: Path) -> None:
    """Write everything that Sphinx reads into an empty folder."""
    linked: set[Path] = set()
    made = reference.reference_pages()
    for page in staged.pages():
        text = staged.with_links(page.read_text(encoding="utf-8"), page, linked)
        place = staged.place_of(page)
        if place.name == staged.INDEX:
            text += "\n" + staged.contents([each.place.as_posix().removesuffix(".md") for each in made])
        elif page.parent == ROOT / "docs" and page.stem in notebooks.NOTEBOOKS:
            text = notebooks.with_download(text, page.stem, "../")
        write(source / place, text)
    for each in made:
        write(source / each.place, each.text)
        linked |= each.code
    for file in linked:
        if file.suffix in staged.IMAGES:
            target = source / staged.place_of(file)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        else:
            write(source / f"{file.relative_to(ROOT).as_posix()}.md", code_pages.page_of(file))


def write(path: Path, text: str) -> None:
    """Write a text to a file, whose folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def run_sphinx(source: Path, html: Path) -> int:
    """Sphinx's status: 1 where it warns of anything."""
    from sphinx.cmd.build import build_main

    options = ["-b", "html", "-W", "--keep-going", "-q", "-c", str(HERE), "-d", str(source.parent / "doctrees")]
    return int(build_main([*options, str(source), str(html)]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "site", help="a folder, which is replaced")
    out: Path = parser.parse_args().out.resolve()
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        parser.error(f"it needs {', '.join(missing)}: pip install '.[site]'")
    for part in ("source", "html", "doctrees"):
        shutil.rmtree(out / part, ignore_errors=True)
    os.environ.setdefault("PYTHONHASHSEED", "0")
    stage(out / "source")
    status = run_sphinx(out / "source", out / "html")
    notebooks.write_notebooks(out / "html" / "notebooks")
    broken = list(built_links.broken(out / "html"))
    print("\n".join(broken))
    count = len(list((out / "html").rglob("*.html")))
    print(f"{count} pages in {out / 'html'}; {len(broken)} links lead nowhere" + ("; Sphinx warns" if status else ""))
    return 1 if status or broken else 0


if __name__ == "__main__":
    sys.exit(main())
