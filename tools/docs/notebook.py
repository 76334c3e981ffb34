"""Runs a notebook from top to bottom with nbclient, and says what it printed and drew.

    python -m tools.docs.notebook FILE

Nothing is written: notebooks are stored without output. Exit 1 where a cell raises, or where none draws anything.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tools import ROOT


def main() -> int:
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    (name,) = sys.argv[1:]
    notebook = nbformat.read(Path(name), as_version=4)
    if any(cell.get("outputs") for cell in notebook.cells):
        print(f"{name} is stored with output; clear it")
        return 1
    try:
        NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT)}}).execute()
    except CellExecutionError as error:
        print(error)
        return 1
    figures = 0
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        if output.output_type == "stream" and output.name == "stdout":
            print(output.text, end="")
        elif "image/png" in output.get("data", {}):
            figures += 1
        elif "text/plain" in output.get("data", {}):
            print(output["data"]["text/plain"])
    print(f"{figures} figure{'s' * (figures != 1)}")
    return 0 if figures else 1


if __name__ == "__main__":
    sys.exit(main())
