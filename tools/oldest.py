"""Runs the tests with the oldest versions that pyproject.toml allows, in a fresh environment.

    python -m tools oldest [PYTEST ARGUMENTS]

Oldest are the lower bounds of `dependencies` and of the extra `test`. There are wheels of NumPy 2.0 for Python up to
3.12.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from tools import ROOT

NEWEST_PYTHON = (3, 12)


def oldest(project: str) -> list[str]:
    """The lower bounds in a pyproject.toml as requirements that pin them.

    >>> oldest('dependencies = ["numpy>=2.0"]\\ntest = ["pytest>=8", "mpmath>=1.3"]\\ndev = ["mypy==2.0"]')
    ['numpy==2.0', 'pytest==8', 'mpmath==1.3']
    """
    lists = re.findall(r"^(?:dependencies|test) = \[(.*?)\]$", project, re.MULTILINE)
    bounds = [bound for each in lists for bound in re.findall(r'"([\w-]+)>=([\d.]+)"', each)]
    return [f"{name}=={version}" for name, version in bounds]


def main() -> int:
    arguments = sys.argv[1:]
    if sys.version_info[:2] > NEWEST_PYTHON:
        newest = ".".join(map(str, NEWEST_PYTHON))
        print(f"not run: the oldest NumPy that is allowed has wheels for Python up to {newest} only")
        return 0
    pins = oldest((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    print(" ".join(pins), flush=True)
    with tempfile.TemporaryDirectory() as place:
        venv.create(place, with_pip=True)
        python = Path(place) / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", *pins], check=True)
        tests = ["-m", "pytest", "-p", "no:cacheprovider", *arguments]
        return subprocess.run([python, *tests], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
