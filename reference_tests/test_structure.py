"""The shape of the package: imports go one way, files are small, what is public is documented, nothing else needed."""

import ast
import doctest
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import npblender
from npblender.cli.main import main
from reference_tests.support.calls import calls_of, files_entered
from reference_tests.support.sources import MODULES, REPOSITORY, ROOT, imported, own, parsed, room, text_files

ROOMS = [
    "common",
    "ops",
    "config",
    "tokenizer",
    "transformer",
    "checkpoint",
    "demo",
    "generation",
    "models",
    "chat",
    "groundtruth",
    "__init__",
    "cli",
    "__main__",
]
"""Every folder of the package, from the ground up: each imports only from those before it."""

WITH_EXAMPLES = [
    "config.dialect",
    *("ops.operations", "ops.linear", "ops.activations", "ops.gelu", "ops.error_function", "ops.checked"),
    *("transformer.masks", "transformer.checks", "transformer.forward"),
    *("models.signatures", "models.seq2seq", "models.heads"),
]
"""Where a porter compares numbers: every public function and method there shows an example."""

UNSHOWN = {"transformer.forward": {"run_encoder"}, "models.seq2seq": set[str](), "models.heads": set[str]()}
"""What could show nothing but a shape, or what something beside it shows."""

PACKED = {"transformer.packing", "transformer.execution"}
"""The only modules outside `ops` that know how matrices are laid out."""

FORMULAS = ["attention", "encoder", "decoder", "forward", "masks"]
"""The modules of the network that hold nothing but formulas and shapes."""

RUNTIME = {"numpy", "safetensors", "npblender"}
MOST_LINES = 400
MOST_FILES_A_REPLY = 60


def test_every_module_has_its_room() -> None:
    rooms = {room(name) for name in MODULES}
    assert sorted(rooms - set(ROOMS)) == [], "give them a place in ROOMS"
    assert sorted(set(ROOMS) - rooms) == [], "they are gone"
    assert len(ROOMS) == len(set(ROOMS))
    entries = [path.name for path in ROOT.iterdir() if path.name != "__pycache__"]
    assert len(entries) <= 15, f"{entries}: a listing of the package is read at one glance; a new idea goes into a room"


def test_imports_go_one_way() -> None:
    """Between rooms no import goes down the list, not even one inside a function or for types only."""
    wrong = [
        f"{name} imports {other}"
        for name in MODULES
        for other in own(parsed(name))
        if ROOMS.index(room(other)) > ROOMS.index(room(name))
    ]
    assert not wrong, "these come later in ROOMS"


DOORS = {
    "tokenizer.shortcuts": {"tokenizer.codec", "tokenizer.encoding_options"},
}
"""What is there for speed alone, and who may import it: everything else is written as if it were not there."""


@pytest.mark.parametrize("module", DOORS)
def test_speed_stands_behind_one_door(module: str) -> None:
    users = {name for name in MODULES if name != module and module in own(parsed(name))}
    assert users == DOORS[module]


@pytest.mark.parametrize("folder", sorted({room(name) for name in MODULES if "." in name}))
def test_no_circle_inside_a_room(folder: str) -> None:
    """Among the modules of a folder no circle of imports is run when they are loaded."""
    graph = {}
    for name in MODULES:
        if room(name) == folder:
            tree = parsed(name)
            at_load = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
            graph[name] = {other for node in at_load for other in own(node) if room(other) == folder} - {name}
    assert list(graphlib.TopologicalSorter(graph).static_order())


def test_nothing_but_numpy_and_safetensors_is_imported() -> None:
    """What is optional is imported inside the function that needs it, and never while the package is loaded."""
    wrong = [
        f"{name} imports {module}"
        for name in MODULES
        for node in parsed(name).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module, _ in imported(node)
        if module.partition(".")[0] not in RUNTIME | set(sys.stdlib_module_names)
    ]
    assert not wrong


def test_loading_the_package_loads_nothing_optional() -> None:
    """In a fresh interpreter: all that `import npblender` adds to NumPy and safetensors is its own or Python's."""
    needed = "import sys, numpy.random, safetensors.numpy; before = set(sys.modules)"
    code = f"{needed}; import npblender; print(*sorted(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    tops = {module.partition(".")[0] for module in run.stdout.split()}
    assert "npblender" in tops
    assert tops <= RUNTIME | set(sys.stdlib_module_names), "a package's start should not cost that"
    assert run.stderr == ""


UNNEEDED = {
    # chats, batches, ports; writing files
    *("npblender.chat", "npblender.chat.batch", "npblender.groundtruth", "npblender.cli", "safetensors"),
    # random numbers, masked arrays, and what only refusals need
    *("numpy.random", "numpy.ma", "difflib", "hashlib"),
}

REPLY = """
import sys, numpy; before = set(sys.modules)
from npblender import BlenderbotSmallForConditionalGeneration as Model, BlenderbotSmallTokenizer as Tokenizer
model, tokenizer = Model.from_pretrained(dialect="transformers-5"), Tokenizer.from_pretrained(dialect="transformers-5")
inputs = tokenizer(["hello there"], return_tensors="np")
print(tokenizer.decode(model.generate(**inputs, num_beams=1, do_sample=False, max_new_tokens=2)[0]), file=sys.stderr)
print(*sorted(set(sys.modules) - before))
"""


def test_a_reply_imports_only_what_it_needs() -> None:
    """From the start of a process to a greedy reply; what NumPy's own start imports does not count."""
    run = subprocess.run([sys.executable, "-c", REPLY], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    imported = set(run.stdout.split())
    assert "npblender.generation.search.greedy_and_sampling" in imported
    assert imported & UNNEEDED == set(), "a reply should not wait for that"


CHAT = """
import sys
from npblender.cli.main import main
main(["chat", "--say", "hello"])
print(*(name for name in ("numpy.random", "numpy.ma", "hashlib") if name in sys.modules), file=sys.stderr)
"""


def test_a_chat_that_draws_nothing_loads_no_random_numbers() -> None:
    """They cost a hundredth of a second of every process that says one thing."""
    run = subprocess.run([sys.executable, "-c", CHAT], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert run.stdout.strip()
    assert run.stderr.strip() == ""


LATER = ["Conversation", "Explanation", "Trace", "compare", "explain", "reply_to_all", "trace"]


@pytest.mark.parametrize("name", LATER)
def test_what_few_need_is_there_when_it_is_asked_for(name: str) -> None:
    assert name in npblender.__all__
    assert name in dir(npblender)
    assert getattr(npblender, name).__name__ == name


def test_a_folders_face_names_all_that_is_in_it() -> None:
    """So that its docstring is a table of contents, in reading order."""
    missing = []
    for face in sorted(Path(npblender.__file__).parent.rglob("__init__.py")):
        contents = {path.stem for path in face.parent.glob("*.py")} - {"__init__", "__main__"}
        contents |= {inner.parent.name for inner in face.parent.glob("*/__init__.py")}
        text = ast.get_docstring(ast.parse(face.read_text(encoding="utf-8"))) or ""
        missing += [f"{face.parent.name}: {name}" for name in sorted(contents) if not re.search(rf"\b{name}\b", text)]
    assert not missing, "say in a line of the folder's docstring what they are"


def test_files_stay_small() -> None:
    """Those of the package, of the tests and of the tools."""
    files = [path for name in ("npblender", "reference_tests", "tools") for path in (REPOSITORY / name).rglob("*.py")]
    lines = {str(path.relative_to(REPOSITORY)): path.read_text(encoding="utf-8").count("\n") for path in files}
    assert len(lines) > 500
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}, "split them by idea"


def public(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
            for child in node.body if isinstance(node, ast.ClassDef) else []:
                if isinstance(child, ast.FunctionDef) and not child.name.startswith("_") and not overloads(child):
                    yield f"{node.name}.{child.name}", child


def overloads(function: ast.FunctionDef) -> bool:
    """Whether a definition is for type checkers only: the one that runs follows it."""
    return any(ast.unparse(each).endswith("overload") for each in function.decorator_list)


def parameters(function: ast.FunctionDef) -> list[str]:
    listed = function.args
    every = [*listed.posonlyargs, *listed.args, *listed.kwonlyargs, listed.vararg, listed.kwarg]
    return [argument.arg for argument in every if argument is not None and argument.arg not in ("self", "cls")]


def test_what_is_public_is_documented() -> None:
    """Every module, and every public function and class of it."""
    silent = [name for name in MODULES if not ast.get_docstring(parsed(name))]
    for name in MODULES:
        things = public(parsed(name))
        silent += [f"{name}.{thing}" for thing, node in things if "." not in thing and not ast.get_docstring(node)]
    assert not silent, "they have no docstring"


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_public_functions_show_an_example(name: str) -> None:
    """Their docstrings hold something that doctest runs, wherever there is something to pass."""
    lacking = [
        thing
        for thing, node in public(parsed(name))
        if isinstance(node, ast.FunctionDef) and parameters(node) and ">>>" not in (ast.get_docstring(node) or "")
    ]
    lacking = [thing for thing in lacking if thing not in UNSHOWN.get(name, set())]
    assert not lacking, f"{lacking} of {name} show no example"


def test_an_example_of_the_network_shows_a_value() -> None:
    """None ends in a shape alone: that stands on the first line of the docstring. The model comes without an import."""
    for name in MODULES:
        if room(name) == "transformer":
            for thing, node in public(parsed(name)):
                for example in doctest.DocTestParser().get_examples(ast.get_docstring(node) or ""):
                    assert not example.source.strip().endswith(".shape"), f"{thing} of {name} shows only a shape"
                    assert "npblender.models.example" not in example.source, f"{thing} of {name} sets up a model"


def test_one_door_to_packed_matrices() -> None:
    """Mathematics calls `linear`, `linears`, `mlp` and `products`, which decide by themselves how they multiply."""
    for name in MODULES:
        if room(name) != "ops" and name not in PACKED:
            assert not [other for other in own(parsed(name)) if other.startswith("ops.packed")], name


def test_nothing_is_checked_again_inside_a_pass() -> None:
    """Neither the network nor what chooses tokens calls the operations that check their arguments."""
    inside = [name for name in MODULES if name.startswith(("transformer.", "generation.logits", "generation.search"))]
    assert len(inside) > 20
    assert [name for name in inside if {"ops", "ops.checked"} & {*own(parsed(name))}] == []


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas_hold_no_machinery(name: str) -> None:
    """No with-block, no thread, no write in place; operations without checks, since a pass is checked at its border."""
    tree = parsed(f"transformer.{name}")
    machinery = [node for node in ast.walk(tree) if isinstance(node, ast.With | ast.AugAssign | ast.Try)]
    assert machinery == []
    modules = {*own(tree)} - {"ops.unchecked", "common.array_types"}
    assert not [module for module in modules if room(module) in ("ops", "common")]
    outputs = [keyword.arg for node in ast.walk(tree) if isinstance(node, ast.Call) for keyword in node.keywords]
    assert "out" not in outputs


MAY_IMPORT_TOOLS = ("tools", "golden", "demo")
"""Folders of the tests, whose subject is in `tools`."""

TOOLS_MAY_IMPORT = ("support", "oracles", "faults")
"""Folders of the tests that hold no tests of a room, or none but of themselves."""


def test_tools_and_tests_are_no_circle() -> None:
    """Tools use the tests' support; only the tests of tools use tools."""
    wrong = []
    tests, tools = REPOSITORY / "reference_tests", REPOSITORY / "tools"
    for path in tests.rglob("*.py"):
        uses = re.search(r"^\s*(?:from|import) tools\b.*", path.read_text(encoding="utf-8"), re.MULTILINE)
        if uses and path.relative_to(tests).parts[0] not in MAY_IMPORT_TOOLS:
            wrong.append(f"{path.name}: {uses[0]}")
    for path in tools.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        folders = re.findall(r"^\s*(?:from|import) reference_tests(?:\.| import )(\w+)", text, re.MULTILINE)
        wrong += [f"{path.name}: reference_tests.{name}" for name in folders if name not in TOOLS_MAY_IMPORT]
    assert not wrong


def test_nothing_changes_the_import_path() -> None:
    """Tools are modules, run as `python -m tools TASK` from the root: none needs `sys.path` or a late import."""
    pattern = re.compile(r"sys\.path\.(?:insert|append)|noqa: E402")
    exempt = {Path(__file__).resolve(), REPOSITORY / "tools" / "bench" / "starting.py"}  # a script for other Pythons
    files = [path for name in ("tools", "reference_tests") for path in (REPOSITORY / name).rglob("*.py")]
    wrong = [path.name for path in files if path not in exempt and pattern.search(path.read_text(encoding="utf-8"))]
    assert not wrong


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    """No absolute path of a home, a checkout or a temporary folder; no note to oneself."""
    machine = re.compile(r"(?<![\w./~-])/(?:home|root|work|tmp|Users)/\w")
    notes = re.compile(r"\b(?:TODO|FIXME|XXX)\b")
    files = [path for path in text_files() if path != Path(__file__).resolve()]
    assert len(files) > 50
    found = [
        f"{path.relative_to(REPOSITORY)}: {line.strip()}"
        for path in files
        for line in path.read_text(encoding="utf-8").splitlines()
        if machine.search(line) or notes.search(line)
    ]
    assert not found


FACES = {"ops.unchecked"}
"""Modules that do nothing but offer the names of others."""


def test_only_faces_list_their_names() -> None:
    """`__all__` stands in packages; what a module of a room offers has no underscore before it."""
    wrong = [
        name
        for name in MODULES
        for node in parsed(name).body
        if isinstance(node, ast.Assign) and MODULES[name].name != "__init__.py"
        for target in node.targets
        if isinstance(target, ast.Name) and target.id == "__all__"
    ]
    assert set(wrong) <= FACES


def test_a_reply_on_the_command_line_runs_through_few_files() -> None:
    """Counted: the files of the package with a function (or method, or generator) that is entered in the main thread
    by `npblender chat --say TEXT --greedy`, loading included, when everything is imported already."""
    arguments = ["chat", "--say", "hello there", "--greedy"]
    assert main(arguments) == 0
    files = files_entered(calls_of(lambda: main(arguments)))
    assert "transformer/attention.py" in files
    assert len(files) <= MOST_FILES_A_REPLY, files
