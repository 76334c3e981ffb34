"""Builds the wheel, looks at what is in it, installs it in a fresh environment, and has that answer a line.

    python -m tools package [FOLDER]

The wheel is kept in FOLDER if one is named.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

from npblender import __version__
from tools import ROOT

NEEDED = ("npblender/py.typed", "npblender/demo/model.safetensors", "npblender/demo/config.json")
LINE = "Hi! What do you like to do for fun?"


def missing_and_foreign(names: list[str]) -> list[str]:
    """What is wrong with the files of a wheel, a line each.

    >>> missing_and_foreign(["npblender/__init__.py", "tools/tasks.py", *NEEDED])
    ['tools/tasks.py does not belong there']
    """
    own = ("npblender/", "npblender-")
    wrong = [f"{name} is missing" for name in NEEDED if name not in names]
    return wrong + [f"{name} does not belong there" for name in names if not name.startswith(own)]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="where to keep the wheel")
    folder = parser.parse_args(arguments).folder
    with tempfile.TemporaryDirectory() as place:
        built = (folder or Path(place) / "wheel").resolve()
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", built]
        subprocess.run([*pip, copy_of_checkout(Path(place) / "source")], check=True)
        (wheel,) = built.glob("npblender-*.whl")
        with zipfile.ZipFile(wheel) as opened:
            names = opened.namelist()
        wrong = missing_and_foreign(names)
        if not any(name.endswith("/licenses/npblender/demo/LICENSES.txt") for name in names):
            wrong.append("the licences of the demo's data are missing among the licences")
        if wheel.name.split("-")[1] != __version__:
            wrong.append(f"{wheel.name} is not of version {__version__}, which the package names")
        print("\n".join(wrong) or f"{wheel.name}: {len(names)} files, {wheel.stat().st_size:,} bytes", flush=True)
        venv.create(Path(place) / "env", with_pip=True)
        scripts = Path(place) / "env" / ("Scripts" if sys.platform == "win32" else "bin")
        subprocess.run([scripts / "python", "-m", "pip", "install", "--quiet", wheel], check=True)
        for command in ([scripts / "npblender"], [scripts / "python", "-m", "npblender"]):
            said = subprocess.run(
                [*command, "chat", "--greedy", "--say", LINE], cwd=place, capture_output=True, text=True, check=True
            )
            print(said.stdout, end="")
            wrong += [] if said.stdout.strip() else [f"{command} says nothing"]
    return 1 if wrong else 0


def copy_of_checkout(place: Path) -> Path:
    """The files that git knows, so that building leaves nothing behind in the checkout."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes((ROOT / name).read_bytes())
    return place


if __name__ == "__main__":
    sys.exit(main())
