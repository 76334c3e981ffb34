"""The list of tasks: each can be run, and every command that a page or a docstring names is one of them."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import ROOT, __main__, oldest, package, tasks
from tools.differential.suites import SUITES
from tools.goldens.run import MAKERS
from tools.tasks import TASKS

MODULES = sorted(
    {command[0] for task in TASKS.values() for command in task.commands if command[0].startswith("tools.")}
    | {module for task in TASKS.values() for _, module, _ in task.named}
    | {suite.module for suite in SUITES.values()}
)
NEXT_WORD = {
    "measure": {name for name, _, _ in tasks.MEASURES},
    "compare": set(SUITES),
    "goldens": set(MAKERS),
}


def test_every_module_of_a_task_has_a_main() -> None:
    wrong = [module for module in MODULES if not has_main(module)]
    assert not wrong


def has_main(module: str) -> bool:
    found = importlib.util.find_spec(module)
    assert found is not None
    assert found.origin is not None
    source = Path(found.origin).read_text(encoding="utf-8")
    return bool(re.search(r"^(?:def main\(|from .* import main$)", source, re.MULTILINE))


def test_the_list_has_a_line_for_every_task() -> None:
    lines = __main__.listing().splitlines()
    for name, task in TASKS.items():
        assert sum(line.split()[:1] == [name] and task.about in line for line in lines) == 1
    assert max(map(len, lines)) <= 120


def test_a_task_runs_and_its_arguments_reach_it(capfd: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["python -m tools"])
    assert __main__.main(["readme", "show", "1"]) == 0
    assert capfd.readouterr().out.startswith("pip install .")
    monkeypatch.setitem(TASKS, "two", tasks.Task("", (("json.tool", "nowhere"), ("json.tool", "--help"))))
    assert __main__.main(["two"]) != 0, "the first command fails, the second still runs"
    assert "usage: " in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tets"], "did you mean tests?"),
        (["measure", "wind"], "python -m tools measure NAME"),
        (["lint", "--fix"], "takes no arguments"),
    ],
)
def test_a_mistake_is_refused(arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit, match=re.escape(said)):
        __main__.main(arguments)


def test_elsewhere_it_says_where_to_go(tmp_path: Path) -> None:
    """As a module from another folder, and as a file."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    for command in (["-m", "tools", "--list"], [str(ROOT / "tools"), "--list"]):
        done = subprocess.run([sys.executable, *command], cwd=tmp_path, env=variables, capture_output=True, text=True)
        assert done.returncode == 1
        assert "root" in done.stderr


def test_every_command_that_is_named_exists() -> None:
    """In pages, docstrings and messages. The word after a task's name is held too where there is a list of them."""
    pages = [ROOT / "README.md", ROOT / ".ci" / "run"]
    for folder in ("docs", "tools", "npblender", "reference_tests", ".github"):
        pages += [path for kind in ("*.md", "*.py", "*.yml") for path in (ROOT / folder).rglob(kind)]
    found, wrong = 0, []
    for page in pages:
        for task, word in re.findall(r"python3? -m tools ([a-z][\w-]*)(?: +([a-z][\w-]*))?", page.read_text("utf-8")):
            found += 1
            known = NEXT_WORD.get(task)
            if task not in TASKS or (known and word and word not in known and task != "compare"):
                wrong.append(f"{page.name}: python -m tools {task} {word}")
    assert found > 60
    assert not wrong


def test_the_oldest_versions_are_the_lower_bounds() -> None:
    pins = oldest.oldest((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert {pin.partition("==")[0] for pin in pins} == {"numpy", "safetensors", "pytest", "hypothesis", "mpmath"}


def test_a_wheel_with_foreign_files_is_seen() -> None:
    assert package.missing_and_foreign([*package.NEEDED, "npblender-0.1.dist-info/METADATA"]) == []
    assert len(package.missing_and_foreign(["reference_tests/conftest.py"])) == 1 + len(package.NEEDED)
