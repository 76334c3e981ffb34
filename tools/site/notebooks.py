"""Notebooks of pages, made from their blocks: text as Markdown cells, Python blocks as code cells with their output.

    python -m tools notebooks            # write build/notebooks/*.ipynb
    python -m tools notebooks --out DIR

Run them from the root of the repository, or anywhere npblender is installed (one-page reads the demo's files from the
root). Needs nbformat.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools import ROOT
from tools.docs.run_blocks import Block, blocks_of

NOTEBOOKS = ("one-page", "walkthrough", "beam-search", "training")
"""The pages of docs/ that become notebooks."""


def cells_of(page: str) -> Iterator[tuple[str, str, str]]:
    """The cells of a page: kind, text, and output of code. A `text` block right after a Python block is its output.

    >>> list(cells_of("# A\\n\\n```python\\nprint(1)\\n```\\n\\n```text\\n1\\n```\\n\\nB\\n"))
    [('markdown', '# A', ''), ('code', 'print(1)', '1\\n'), ('markdown', 'B', '')]
    """
    blocks, at = blocks_of(page), 0
    for number, block in enumerate(blocks):
        if block.language != "python":
            continue
        yield from _markdown(page[at : block.start - len("```python\n")])
        at = block.end + len("```")
        output = _output(page, block, blocks[number + 1] if number + 1 < len(blocks) else None)
        if output is not None:
            at = output.end + len("```")
        yield "code", block.text.strip("\n"), "" if output is None else output.text
    yield from _markdown(page[at:])


def _markdown(text: str) -> Iterator[tuple[str, str, str]]:
    if text.strip():
        yield "markdown", text.strip(), ""


def _output(page: str, block: Block, following: Block | None) -> Block | None:
    if following is None or following.language != "text":
        return None
    return None if page[block.end + 3 : following.start - len("```text\n")].strip() else following


def notebook(name: str) -> Any:
    """The notebook of a page of docs/. Links to other pages and to code stay as they are, seen from docs/."""
    import nbformat
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

    cells: list[Any] = []
    count = 0
    for kind, text, output in cells_of((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")):
        ident = hashlib.sha256(f"{len(cells)} {text}".encode()).hexdigest()[:12]  # the same at every run
        if kind == "markdown":
            cells.append(new_markdown_cell(text, id=ident))
            continue
        count += 1
        outputs = [new_output("stream", name="stdout", text=output)] if output else []
        cells.append(new_code_cell(text, id=ident, execution_count=count, outputs=outputs))
    made = new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.validate(made)
    return made


def write_notebooks(folder: Path) -> list[Path]:
    """Write all notebooks into a folder."""
    import nbformat

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in NOTEBOOKS:
        written.append(folder / f"{name}.ipynb")
        nbformat.write(notebook(name), written[-1])
    return written


def with_download(page: str, name: str, root: str) -> str:
    """A page of the site with a link to its notebook below the line that says for whom it is."""
    link = f'<a class="code-link" href="{root}notebooks/{name}.ipynb" download>Download this page as a notebook</a>'
    return re.sub(r"^(\*For .+\*)$", rf"\1\n\n{link}", page, count=1, flags=re.MULTILINE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "notebooks")
    for path in write_notebooks(parser.parse_args().out):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
