"""Runs one task of the list in `tasks.py`.

python -m tools --list
python -m tools TASK [ARGUMENTS]
"""

from __future__ import annotations

import difflib
import importlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:
    sys.exit("run it as a module, from the repository's root: python -m tools TASK")

from tools import ROOT
from tools.tasks import GROUPS, TASKS, Command, Task


def listing() -> str:
    """All tasks with a line each, and what `measure` can measure.

    >>> "check" in listing()
    True
    """
    lines = ["python -m tools TASK [ARGUMENTS]"]
    for title, group in GROUPS.items():
        lines += ["", f"{title}:"]
        for name, task in group.items():
            lines.append(f"  {name:10} {task.about}")
            lines += [f"    {inner:14} {about}" for inner, _, about in task.named]
    return "\n".join(lines)


def call(command: Command, arguments: Sequence[str], shown: str) -> int:
    """Run one command and return its status."""
    module, *words = command
    if not module.startswith("tools."):
        return subprocess.run([sys.executable, "-m", *command, *arguments], cwd=ROOT, check=False).returncode
    sys.argv = [shown, *words, *arguments]  # so that a usage message shows what was typed
    return int(importlib.import_module(module).main() or 0)


def run(name: str, arguments: Sequence[str]) -> int:
    """Run a task. The status is that of the last command that failed, 0 if none did."""
    task, shown = TASKS[name], f"python -m tools {name}"
    if task.named:
        return run_named(task, arguments, shown)
    if len(task.commands) == 1:
        return call(task.commands[0], arguments, shown)
    if arguments:
        sys.exit(f"{shown} takes no arguments; it runs {', '.join(command[0] for command in task.commands)}")
    status = 0
    for command in task.commands:
        print(f"$ python -m {' '.join(command)}", flush=True)
        status = call(command, (), shown) or status
    return status


def run_named(task: Task, arguments: Sequence[str], shown: str) -> int:
    """Run the one of a task's modules that the first argument names."""
    modules = {name: module for name, module, _ in task.named}
    if not arguments or arguments[0] not in modules:
        listed = "\n".join(f"  {name:14} {about}" for name, _, about in task.named)
        sys.exit(f"{shown} NAME [ARGUMENTS]\n{listed}")
    return call((modules[arguments[0]],), arguments[1:], f"{shown} {arguments[0]}")


def main(arguments: Sequence[str]) -> int:
    if Path.cwd().resolve() != ROOT:
        sys.exit(f"tasks run from the root of the repository: cd {ROOT}")
    if not arguments or arguments[0] in ("--list", "-l", "--help", "-h"):
        print(listing())
        return 0 if arguments else 2
    name, *rest = arguments
    if name not in TASKS:
        close = difflib.get_close_matches(name, TASKS, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        sys.exit(f"there is no task {name!r}{hint} (python -m tools --list shows all)")
    return run(name, rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
