"""The words of the repository: what a docstring, a comment or a page points to exists, and the English is plain."""

import ast
import functools
import importlib
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from reference_tests.support.sources import MODULES, REPOSITORY, ROOT, text_files

FOREIGN = {
    "configuration_blenderbot_small.py",
    "modeling_blenderbot_small.py",
    "tokenization_blenderbot_small.py",
    "mine.py",
}
"""Files that are not here: of the originals, and a reader's own."""


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def tokens_of(path: Path) -> list[tokenize.TokenInfo]:
    """The names, strings and comments of a module."""
    kinds = (tokenize.NAME, tokenize.STRING, tokenize.COMMENT)
    text = path.read_text(encoding="utf-8")
    return [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type in kinds]


@functools.cache
def mentions(path: Path) -> list[tuple[int, str]]:
    """The lines of a page, or of the docstrings and comments of a module, by number."""
    if path.suffix == ".md":
        return list(enumerate(path.read_text(encoding="utf-8").splitlines(), start=1))
    found = [(token.start[0], token.string) for token in tokens_of(path) if token.type == tokenize.COMMENT]
    for node in docstrings(tree_of(path)):
        found += enumerate(str(node.value).splitlines(), start=node.lineno)
    return found


def is_a_file_here(name: str, mentioned_in: Path) -> bool:
    """Whether a mentioned file exists: seen from where it is mentioned, or by the end of its path anywhere here.

    The package points to its own files only, so that a name there cannot mean a file of the tests.
    """
    if (mentioned_in.parent / name).exists() or name in FOREIGN:
        return True
    return ends_a_path(name, inside=mentioned_in.is_relative_to(ROOT) and "/" not in name)


@functools.cache
def ends_a_path(name: str, inside: bool) -> bool:
    """Whether a path ends so: of the package only, or of the tests and tools too."""
    return any(
        path.as_posix().endswith(f"/{name}") for path in python_files() if path.is_relative_to(ROOT) or not inside
    )


@functools.cache
def python_files() -> list[Path]:
    folders = [ROOT, REPOSITORY / "reference_tests", REPOSITORY / "tools", REPOSITORY / "docs"]
    return [path for folder in folders for path in folder.rglob("*.py")]


@functools.cache
def is_importable(dotted: str) -> bool:
    """Whether a dotted name leads to a module of this repository or to something in one."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        return all(hasattr(found, name) and (found := getattr(found, name), True)[1] for name in parts[count:])
    return False


POINTING = [path for path in text_files() if path.suffix in (".py", ".md")] + [REPOSITORY / "README.md"]


FOLDERS = sorted({path.relative_to(REPOSITORY).parts[0] for path in POINTING})


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS)
def test_what_is_pointed_to_exists(folder: str) -> None:
    """Every file and every dotted name of this package in a docstring, a comment or a page is there."""
    paths = [path for path in POINTING if path.relative_to(REPOSITORY).parts[0] == folder]
    stale = [f"{path.relative_to(REPOSITORY)}, {pointer}" for path in paths for pointer in stale_pointers(path)]
    assert not stale, "they point to what is not there"


def stale_pointers(path: Path) -> list[str]:
    """What a file mentions and is not there, with the number of the line."""
    stale = []
    for number, line in mentions(path):
        for mention in re.findall(r"(?<![\w*<{])[\w./-]*\w\.py\b", line):
            if not is_a_file_here(mention, path):
                stale.append(f"line {number}: {mention}")
        for mention in re.findall(r"(?<![\w./-])npblender(?:\.[A-Za-z_]\w*)+", line):
            is_file = mention.rpartition(".")[2] in ("json", "md", "py", "svg", "toml", "txt")
            if not is_file and not is_importable(mention):
                stale.append(f"line {number}: {mention}")
    return stale


ORDINARY_WORDS = {"asses", "dict_lower", "test_data_set_N"}
"""Set like code in a docstring, and no name of ours: a word of text, ParlAI's option, ONNX's folder."""


def docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    """Docstrings, and the strings under fields and constants that serve as theirs."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value


@functools.cache
def names_in_code() -> set[str]:
    """Every module, identifier, and word of a string that is no docstring, in the package."""
    names = set()
    for path in MODULES.values():
        names |= {path.stem, path.parent.name}
        starts = {node.lineno for node in docstrings(tree_of(path))}
        for token in tokens_of(path):
            if token.type == tokenize.NAME:
                names.add(token.string)
            elif token.type == tokenize.STRING and token.start[0] not in starts:
                names |= set(re.findall(r"\w+", token.string))
    return names


def test_names_in_docstrings_exist() -> None:
    """A word that a docstring sets in backquotes is the name of something in the package, and not what it was once."""
    wrong = []
    for name in MODULES:
        text = "\n".join(node.value for node in docstrings(tree_of(MODULES[name])) if isinstance(node.value, str))
        found = set(re.findall(r"(?<!`)`([a-z]\w*_\w*|[a-z]{4,})`(?!`)", text))
        wrong += [f"{name}: {word}" for word in sorted(found - names_in_code() - ORDINARY_WORDS)]
    assert not wrong


def test_every_see_names_something_that_exists() -> None:
    """After "see", in a docstring, a comment or a page: each part of a name in backquotes is a name of the package."""
    found, wrong = 0, []
    for path in [*MODULES.values(), *(path for path in POINTING if path.suffix == ".md")]:
        text = " ".join(line.strip().lstrip("# ") for _, line in mentions(path))
        for name in re.findall(r"\b[Ss]ee (?:also )?`([\w.]+)`", text):
            found += 1
            if not names_in_code().issuperset(name.removeprefix("npblender.").split(".")):
                wrong.append(f"{path.relative_to(REPOSITORY)}: {name}")
    assert found > 20
    assert not wrong


UNPLAIN = re.compile(r"\bcan not\b|\b(?:whoever|nobody|somebody|listens)\b|\b(?:is|was|are|were|been) (?:told|heard)\b")
"""Two words for one, and arrays, programs and readers spoken of as people: say what happens instead."""


LEFT_OUT = {"demo", "releases", "verdicts.py"}
"""What quotes people in `tools`, and messages of earlier releases."""


def test_the_english_is_plain() -> None:
    paths = dict(MODULES)
    for folder in ("tools", "reference_tests"):
        every = [path for path in (REPOSITORY / folder).rglob("*.py") if not LEFT_OUT & set(path.parts)]
        paths |= {path.relative_to(REPOSITORY).as_posix(): path for path in every if path != Path(__file__).resolve()}
    lines = [(name, line.strip()) for name, path in paths.items() for line in path.read_text("utf-8").splitlines()]
    assert [f"{name}: {line}" for name, line in lines if UNPLAIN.search(line)] == []


PLURALS = re.compile(
    r"(?:Arguments|Arrays|Bits|Bytes|Calls|Coefficients|Conversations|Encodings|Entries|Exports|Files|Flags"
    r"|Folders|Hooks|Ids|Indices|Its|Keras|Keys|Logits|Megabytes|Microseconds|Modules|Names|Nanoseconds"
    r"|Options|Packs|Parameters|Parts|Passes|Paths|Points|Positions|Queries|Replies|Rows|Scores|Settings|Sizes"
    r"|Sources|States|Tensors|Texts|This|Times|Tokens|Units|Values|Versions|Vocabularies|Ways|Weights|Words)\b"
)
"""Words with an s at their end that are no verbs in the third person."""


@pytest.mark.slow
def test_docstrings_of_functions_are_in_the_imperative() -> None:
    """They say what to do, "Return the ids", or name what comes back, "The ids"; none says "Returns the ids"."""
    paths = [*MODULES.values(), *(path for path in (REPOSITORY / "tools").rglob("*.py") if "demo" not in path.parts)]
    wrong = []
    for path in paths:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node) or ""
                first = re.match(r"[A-Z][a-z]+s\b", text)
                if first and not PLURALS.match(text):
                    wrong.append(f"{path.relative_to(REPOSITORY)}, {node.name}: {first[0]}")
    assert not wrong, 'begin with the plain verb: "Return", not "Returns"'
