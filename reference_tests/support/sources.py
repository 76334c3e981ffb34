"""The sources of the repository: modules of the package by name, parsed, and what they import."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import npblender

ROOT = Path(npblender.__file__).resolve().parent
REPOSITORY = ROOT.parent


def modules() -> dict[str, Path]:
    """Every module of the package by its name without `npblender.`; packages by the name of their folder."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return found


MODULES = modules()


@functools.cache
def parsed(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(module, name) for everything that a tree imports; the name is empty for a plain import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            yield from ((node.module or "", alias.name) for alias in node.names)


def own(tree: ast.AST) -> Iterator[str]:
    """Which of the package's modules a tree imports."""
    for module, name in imported(tree):
        if module.partition(".")[0] == "npblender":
            inside = module.removeprefix("npblender").removeprefix(".")
            longer = f"{inside}.{name}".strip(".")
            yield longer if longer in MODULES else inside or "__init__"


def room(module: str) -> str:
    return module.partition(".")[0]


def text_files() -> list[Path]:
    kinds = ("*.py", "*.md", "*.toml")
    folders = [ROOT, REPOSITORY / "reference_tests", REPOSITORY / "tools", REPOSITORY / "docs"]
    return [path for folder in folders for kind in kinds for path in folder.rglob(kind)]
