"""One engine in a process of its own: reads a request a line, answers each with a line of JSON.

    PYTHON tools/bench/worker.py ADAPTER VARIANT FOLDER THREADS

A request is `{"do": METHOD, "arguments": {...}}`. Whatever a library prints goes to standard error. The process keeps
to as many processors as it is given threads.
"""

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any


def main() -> None:
    adapter, variant, folder, threads = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(threads)])

    def say(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    try:
        engine = importlib.import_module(f"tools.bench.peers.{adapter}").Engine(Path(folder), int(threads), variant)
        say({"versions": engine.versions()})
        for line in sys.stdin:
            request = json.loads(line)
            say(getattr(engine, request["do"])(**request["arguments"]))
    except Exception:
        say({"error": traceback.format_exc()})


if __name__ == "__main__":
    main()
