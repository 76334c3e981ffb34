"""Runs the comparisons with the originals, one after another; status 1 if one of them fails.

    python -m tools compare                              # all, as continuous integration does
    python -m tools compare forward                      # one
    python -m tools compare forward --configs 10         # one, with arguments of its own

The originals' environments are made by `python -m tools originals`, that of ONNX Runtime by `python -m tools originals
onnxruntime`. Where it cannot be installed, the suites that need it are left out, and named.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass

from tools import ROOT
from tools.originals.environments import is_ready


@dataclass(frozen=True)
class Suite:
    """One comparison: a module of `tools`, and its arguments unless others are given."""

    about: str
    module: str
    arguments: tuple[str, ...] = ()
    needs_runtime: bool = False


SUITES = {
    "arguments": Suite("the arguments of every public method", "tools.differential.signatures"),
    "forward": Suite(
        "forward passes of random models", "tools.differential.compare", ("--configs", "60", "--seed", "1")
    ),
    "truth": Suite("every point in float64", "tools.measure.truth", ("--models", "60")),
    "torch-trace": Suite("what tools/torch_trace.py promises", "tools.differential.torch_trace"),
    "noise": Suite("correct float32 ports in units of noise", "tools.measure.noise", ("--check",), True),
    "budget": Suite("the error budget", "tools.measure.draw_budget", ("--check",), True),
    "folders": Suite("model folders, both ways", "tools.differential.checkpoints"),
    "formats": Suite("every file format of the originals, and what they load again", "tools.differential.formats"),
    "generation": Suite(
        "searches of random models", "tools.differential.generation", ("--configs", "100", "--seed", "1")
    ),
    "tokenizers": Suite("texts and method calls", "tools.differential.tokenizers", ("--sample", "3000", "--seed", "1")),
    "goldens": Suite("the stored numbers", "tools.goldens.run", ("--check",), True),
}


def run(name: str, arguments: tuple[str, ...]) -> bool:
    """Whether one suite holds; it is a process of its own."""
    suite = SUITES[name]
    if suite.needs_runtime and not is_ready("onnxruntime"):
        print(f"-- {name}: left out, it needs `python -m tools originals onnxruntime`\n", flush=True)
        return True
    words = arguments or suite.arguments
    print(f"-- {name}: {suite.about} ({' '.join((suite.module, *words))})", flush=True)
    start = time.monotonic()
    status = subprocess.run([sys.executable, "-m", suite.module, *words], cwd=ROOT, check=False).returncode
    print(f"-- {name}: {'failed' if status else 'holds'} after {time.monotonic() - start:.0f} s\n", flush=True)
    return status == 0


def main(arguments: list[str] | None = None) -> int:
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or [""]
    if name and name not in SUITES:
        listed = "\n".join(f"    {suite:12}{SUITES[suite].about}" for suite in SUITES)
        print(f"{__doc__}\nsuites:\n{listed}", file=sys.stderr)
        return 0 if name in ("-h", "--help") else 2
    chosen = [name] if name else list(SUITES)
    failed = [each for each in chosen if not run(each, tuple(rest))]
    print(f"failed: {', '.join(failed)}" if failed else f"holds: {', '.join(chosen)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
