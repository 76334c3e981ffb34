"""Builds an sdist and a wheel, checks their metadata, installs both in fresh environments, and uses them.

    python -m tools package [FOLDER]

They are kept in FOLDER if one is named. Needs the extra `dev`: build makes the two, the wheel from the sdist, and
`twine check --strict` reads what a package index would.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

from npblender import __version__
from tools import ROOT

NEEDED = (
    "npblender/py.typed",
    "npblender/demo/model.safetensors",
    "npblender/demo/config.json",
    "npblender/chat/serve/page/chat.html",
)
SHARED = ("man/man1/npblender.1", "bash-completion/completions/npblender", "zsh/site-functions/_npblender")
NEEDED_OF_SOURCE = ("pyproject.toml", "README.md", "LICENSE", "reference_tests/conftest.py", "tools/tasks.py")
FIELDS = ("Author", "License-Expression", "Project-URL", "Classifier", "Keywords", "Requires-Python", "Summary")
LINE = "Hi! What do you like to do for fun?"
RELATIVE = re.compile(r"\]\((?!https?://|#)[^)]*\)|pip install '?\.")
TESTS = (
    "reference_tests/ops/test_linear.py",
    "reference_tests/tokenizer/test_bpe.py",
    "reference_tests/cli/test_shell.py",
)


def missing_and_foreign(names: list[str]) -> list[str]:
    """What is wrong with the files of a wheel, a line each.

    >>> missing_and_foreign(["npblender/__init__.py", "tools/tasks.py", *NEEDED])
    ['tools/tasks.py does not belong there']
    """
    own = ("npblender/", "npblender-")
    wrong = [f"{name} is missing" for name in NEEDED if name not in names]
    return wrong + [f"{name} does not belong there" for name in names if not name.startswith(own)]


def wrong_metadata(text: str) -> list[str]:
    """What is wrong with a wheel's METADATA: fields that are missing, links that live in the repository only.

    >>> fields = "".join(f"{name}: x\\n" for name in FIELDS) + "License-File: a\\nLicense-File: b\\n"
    >>> wrong_metadata(f"Version: {__version__}\\n{fields}\\n[a page](https://a.b/c) [below](#there)")
    []
    >>> wrong_metadata(f"Version: 9\\n{fields}\\n[a page](docs/ops.md)")
    ['the version is not that of the package', 'a package index has no [a page](docs/ops.md)']
    """
    head, _, page = text.partition("\n\n")
    wrong = [f"the metadata has no {name}" for name in FIELDS if not re.search(rf"^{name}: .", head, re.MULTILINE)]
    if f"Version: {__version__}" not in head.splitlines():
        wrong.append("the version is not that of the package")
    if len(re.findall("^License-File: ", head, re.MULTILINE)) != 2:
        wrong.append("the licences are two files: the package's, and those of the demo's data")
    local = [page[max(0, page.rfind("[", 0, found.start())) : found.end()] for found in RELATIVE.finditer(page)]
    return wrong + [f"a package index has no {each}" for each in local]


def scripts_of(place: Path) -> Path:
    """A fresh environment, and the folder of its commands."""
    venv.create(place, with_pip=True)
    return place / ("Scripts" if sys.platform == "win32" else "bin")


def silent(commands: list[list[str | Path]], place: Path) -> list[str]:
    """Have each command answer a line, and print the answers; those without one, a line each."""
    wrong = []
    for command in commands:
        said = subprocess.run(
            [*command, "chat", "--greedy", LINE], cwd=place, capture_output=True, text=True, check=True
        )
        print(said.stdout, end="", flush=True)
        wrong += [] if said.stdout.strip() else [f"{command} says nothing"]
    return wrong


def check_wheel(wheel: Path, place: Path) -> list[str]:
    """What is wrong with a wheel: its files, its metadata, what it does when it is installed."""
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
        (metadata,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        wrong = missing_and_foreign(names) + wrong_metadata(opened.read(metadata).decode())
    print(f"{wheel.name}: {len(names)} files, {wheel.stat().st_size:,} bytes", flush=True)
    scripts = scripts_of(place / "of wheel")
    subprocess.run([scripts / "python", "-m", "pip", "install", "--quiet", wheel], check=True)
    wrong += [f"share/{name} is missing" for name in SHARED if not (scripts.parent / "share" / name).is_file()]
    return wrong + silent([[scripts / "npblender"], [scripts / "python", "-m", "npblender"]], place)


def check_source(sdist: Path, place: Path) -> list[str]:
    """What is wrong with an sdist: its files, some of its own tests, what it does when it is installed."""
    with tarfile.open(sdist) as opened:
        names = [name.partition("/")[2] for name in opened.getnames()]
        opened.extractall(place, filter="data")
    wrong = [f"{sdist.name} lacks {name}" for name in NEEDED_OF_SOURCE if name not in names]
    print(f"{sdist.name}: {len(names)} files, {sdist.stat().st_size:,} bytes", flush=True)
    scripts = scripts_of(place / "of sdist")
    subprocess.run([scripts / "python", "-m", "pip", "install", "--quiet", f"{sdist}[test]"], check=True)
    wrong += silent([[scripts / "npblender"]], place)
    tests: list[str | Path] = [scripts / "python", "-m", "pytest", "-p", "no:cacheprovider", *TESTS]
    status = subprocess.run(tests, cwd=place / sdist.name.removesuffix(".tar.gz"), check=False).returncode
    return wrong + ([f"the tests in {sdist.name} fail"] if status else [])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="where to keep the sdist and the wheel")
    folder = parser.parse_args(arguments).folder
    with tempfile.TemporaryDirectory() as place:
        built = (folder or Path(place) / "built").resolve()
        source = copy_of_checkout(Path(place) / "source")
        subprocess.run(
            [sys.executable, "-m", "build", "--outdir", built, source], check=True, stdout=subprocess.DEVNULL
        )
        (wheel,), (sdist,) = built.glob("npblender-*.whl"), built.glob("npblender-*.tar.gz")
        subprocess.run([sys.executable, "-m", "twine", "check", "--strict", wheel, sdist], check=True)
        wrong = check_wheel(wheel, Path(place)) + check_source(sdist, Path(place))
    print("\n".join(wrong) or "both are in order", flush=True)
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
