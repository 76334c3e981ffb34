"""Runs the tests with the oldest versions that pyproject.toml allows, in a fresh environment.

    python -m tools oldest [PYTEST ARGUMENTS]
    python -m tools oldest --extras [PYTEST ARGUMENTS]    # with the optional extras, and the tests that need them

Oldest are the lower bounds of `dependencies` and of the extra `test`, and with `--extras` of all others that users
install. There are wheels of NumPy 2.0 for Python up to 3.12.
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


EXTRAS = ("formats", "fast", "hub", "cluster", "serve")
TESTS_OF_EXTRAS = (
    "reference_tests/common",
    "reference_tests/tokenizer/test_fast.py",
    "reference_tests/checkpoint/test_formats.py",
    "reference_tests/chat/test_cluster.py",
    "reference_tests/chat/serve/test_server.py",
    "reference_tests/chat/serve/test_page_requests.py",
)


def oldest(project: str, names: tuple[str, ...] = ("dependencies", "test")) -> list[str]:
    """The lower bounds in some lists of a pyproject.toml as requirements that pin them.

    >>> oldest('dependencies = ["numpy>=2.0"]\\ntest = ["pytest>=8", "mpmath>=1.3"]\\ndev = ["mypy==2.0"]')
    ['numpy==2.0', 'pytest==8', 'mpmath==1.3']
    """
    lists = re.findall(rf"^(?:{'|'.join(names)}) = \[(.*?)\]$", project, re.MULTILINE)
    bounds = [bound for each in lists for bound in re.findall(r'"([\w-]+(?:\[\w+\])?)>=([\d.]+)"', each)]
    return [f"{name}=={version}" for name, version in bounds]


def main() -> int:
    extras = "--extras" in sys.argv[1:]
    arguments = [word for word in sys.argv[1:] if word != "--extras"]
    if sys.version_info[:2] > NEWEST_PYTHON:
        newest = ".".join(map(str, NEWEST_PYTHON))
        print(f"not run: the oldest NumPy that is allowed has wheels for Python up to {newest} only")
        return 0
    names = ("dependencies", "test", *(EXTRAS if extras else ()))
    pins = oldest((ROOT / "pyproject.toml").read_text(encoding="utf-8"), names)
    print(" ".join(pins), flush=True)
    with tempfile.TemporaryDirectory() as place:
        venv.create(place, with_pip=True)
        python = Path(place) / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", *pins], check=True)
        tests = ["-m", "pytest", "-p", "no:cacheprovider", *arguments]
        tests += ["-m", "", *TESTS_OF_EXTRAS] if extras else []
        return subprocess.run([python, *tests], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
