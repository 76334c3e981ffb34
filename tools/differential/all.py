"""Runs every comparison with the originals, one after another, and ends with status 1 if one of them fails.

    python tools/differential/all.py

This is what the continuous integration runs. The originals' environments are made by `tools/originals/environments.py`, that of ONNX
Runtime by `tools/originals/environments.py onnxruntime`; where it can not be installed, what needs it is left out, and named. The
demo's own golden is checked with the others.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools.originals.environments import is_ready  # noqa: E402

NEED_RUNTIME = ("recorded traces", "ports in units of noise", "error budget")
SUITES = (
    ("arguments", "tools/differential/signatures.py"),
    ("forward pass", "tools/differential/compare.py --configs 60 --seed 1"),
    ("goldens", "tools/goldens/forward.py --check"),
    ("recorded traces", "tools/goldens/traces.py --check"),
    ("truth", "tools/measure/truth.py --models 60"),
    ("ports in units of noise", "tools/measure/noise.py --check"),
    ("error budget", "tools/measure/draw_budget.py --check"),
    ("names of the originals' modules", "tools/goldens/modules.py --check"),
    ("model folders", "tools/differential/checkpoints.py"),
    ("generation", "tools/differential/generation.py --configs 100 --seed 1"),
    ("goldens of generation", "tools/goldens/generation.py --check"),
    ("tokenizers", "tools/differential/tokenizers.py --sample 3000 --seed 1"),
)


def main() -> int:
    failed = []
    for name, command in SUITES:
        if name in NEED_RUNTIME and not is_ready("onnxruntime"):
            print(
                f"-- {name}: left out, since ONNX Runtime's environment is not there (tools/originals/environments.py onnxruntime)\n"
            )
            continue
        print(f"-- {name}: python {command}", flush=True)
        start = time.monotonic()
        status = subprocess.run([sys.executable, *command.split()], cwd=ROOT).returncode
        print(f"-- {name}: {'failed' if status else 'holds'} after {time.monotonic() - start:.0f} s\n", flush=True)
        if status:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else f"all {len(SUITES)} comparisons with the originals hold")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
