"""docs/api.md, the API reference: the signature, first paragraph and errors of every public name, from its docstring.

    python -m tools api                 # print the page
    python -m tools api --write-docs    # write docs/api.md
    python -m tools api --check         # exit 1 where the page says anything else

Listed are the public names of `npblender` and of its rooms, and every function of the modules that hold the formulas of
the forward pass. Signatures are taken from the source as they are written there. Needs npblender only.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from types import ModuleType
from typing import Any, cast

from tools import ROOT

PAGE = ROOT / "docs" / "api.md"
WIDTH = 100  # of a signature; a longer one gets a line an argument

HEAD = """\
# API reference

*For users and porters, to look up a name; 1 minute.*

Every public name with its signature, the first paragraph of its docstring and the errors it raises. In Python,
`help(name)` shows the rest: arguments, shapes and an example. Names that are not on this page are internal and may
change in any version ([deprecation.md](deprecation.md)).

`python -m tools api --write-docs` writes this page from the docstrings; `--check` compares.
"""

MATHEMATICS = (
    *("ACTIVATIONS", "cross_entropy", "dropout", "embed", "erf", "gelu", "gelu_new", "layer_norm", "linear", "linears"),
    *("log_softmax", "mlp", "normal_cdf", "num_threads", "products", "relu", "silu", "softmax", "use_threads"),
)


OPERATIONS = """\
The elementary operations; [ops.md](ops.md) has their errors. Each takes what NumPy makes an array of float32, float64
or longdouble, returns that dtype, and raises TypeError for any other."""


@dataclass(frozen=True)
class Section:
    """Names of one module that the page lists: its `__all__`, its public functions and classes, or `names`."""

    module: str
    says: str
    names: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


SECTIONS = (
    Section("npblender", "`import npblender` gives these names."),
    Section("npblender.tokenizer", "Text to ids and back.", without=("BlenderbotSmallTokenizer",)),
    Section("npblender.generation", "What `generate` returns.", without=("GenerationMixin",)),
    Section("npblender.chat", "What a conversation returns.", without=("Conversation",)),
    Section("npblender.chat.batch", "Many conversations at once."),
    Section("npblender.ops", OPERATIONS, names=MATHEMATICS),
    Section("npblender.transformer.masks", "These and the formulas below take arrays that were checked before."),
    Section("npblender.transformer.attention", "Multi-head attention and the feed-forward block."),
    Section("npblender.transformer.encoder", "The encoder."),
    Section("npblender.transformer.decoder", "The decoder, for whole targets and for single steps."),
    Section("npblender.transformer.forward", "The whole pass."),
    Section("npblender.groundtruth", "Traces, noise, comparison.", without=("Trace", "compare", "trace")),
    Section("npblender.groundtruth.packs.export", "Make a golden pack."),
    Section("npblender.groundtruth.packs.verify", "Verify a golden pack."),
)


def public_names(module: ModuleType) -> list[str]:
    """The names that a section lists, sorted without regard to case.

    >>> import npblender.transformer.masks
    >>> "hide" in public_names(npblender.transformer.masks)
    True
    """
    listed = getattr(module, "__all__", None)
    if listed is None:
        found = vars(module).items()
        listed = [
            name
            for name, thing in found
            if not name.startswith("_")
            and (inspect.isfunction(thing) or inspect.isclass(thing))
            and thing.__module__ == module.__name__
        ]
    return sorted(listed, key=str.casefold)


def paragraphs(docstring: str | None) -> list[str]:
    """A docstring's paragraphs, without those that are examples.

    >>> paragraphs("First\\nline.\\n\\n>>> 1\\n1\\n\\nRaises ValueError.")
    ['First\\nline.', 'Raises ValueError.']
    """
    text = inspect.cleandoc(docstring or "")
    return [part for part in re.split(r"\n\s*\n", text) if part and not part.lstrip().startswith(">>>")]


def raises(docstring: str | None) -> str:
    """What a docstring says of errors, as one paragraph; empty where it says nothing.

    >>> raises("Does it.\\n\\nRaises ValueError for\\nothers. Never more.")
    'Raises ValueError for others.'
    >>> raises("Does it.\\n\\nRaises:\\n    TypeError: for others.\\n    ValueError: else.")
    'Raises TypeError: for others. ValueError: else.'
    """
    for part in paragraphs(docstring):
        if part.startswith("Raises"):
            flat = " ".join(part.split()).replace("Raises: ", "Raises ", 1)
            if part.startswith("Raises:"):
                return flat
            sentences = re.split(r"(?<=[^.][.;])\s+(?=[A-Z])", flat)
            return " ".join(sentence for sentence in sentences if re.search(r"\b\w*(?:Error|Exception)\b", sentence))
        found = re.search(r"(?:^|\s)(Raises .*?\.)(?:\s|$)", " ".join(part.split()))
        if found:
            return found[1]
    return ""


def first_paragraph(docstring: str | None) -> str:
    """The first paragraph; an indented drawing stays as it is.

    >>> first_paragraph("Adds\\nnumbers.\\n\\nMore.")
    'Adds\\nnumbers.'
    """
    every = paragraphs(docstring)
    return every[0] if every else ""


@cache
def definitions(module: str) -> dict[str, ast.FunctionDef | ast.ClassDef]:
    """Every function and class of a module by its qualified name."""
    found: dict[str, ast.FunctionDef | ast.ClassDef] = {}

    def walk(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            overloads = any(ast.unparse(each).endswith("overload") for each in getattr(node, "decorator_list", []))
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not overloads:
                found.setdefault(prefix + node.name, node)  # of a property the getter, which comes first
                walk(node.body, f"{prefix}{node.name}.")

    walk(ast.parse(inspect.getsource(importlib.import_module(module))).body, "")
    return found


def definition(thing: Any) -> ast.FunctionDef | ast.ClassDef:
    """The definition of a function or class as it stands in its file."""
    thing = inspect.unwrap(thing)
    return definitions(thing.__module__)[thing.__qualname__]


def arguments(node: ast.FunctionDef, bound: bool) -> list[str]:
    """The parameters as they are written, without `self` or `cls` where the function is bound."""
    listed = node.args
    positional = [*listed.posonlyargs, *listed.args]
    defaults: list[ast.expr | None] = [*(None,) * (len(positional) - len(listed.defaults)), *listed.defaults]
    parts = [_argument(each, default) for each, default in zip(positional, defaults, strict=True)]
    if listed.posonlyargs:
        parts.insert(len(listed.posonlyargs), "/")
    if listed.vararg is not None:
        parts.append("*" + _argument(listed.vararg, None))
    elif listed.kwonlyargs:
        parts.append("*")
    parts += [_argument(each, default) for each, default in zip(listed.kwonlyargs, listed.kw_defaults, strict=True)]
    if listed.kwarg is not None:
        parts.append("**" + _argument(listed.kwarg, None))
    return parts[1:] if bound else parts


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    written = "" if argument.annotation is None else ast.unparse(argument.annotation).strip("'")
    kind = f": {written}" if written not in ("", "Any") and not written.startswith("Unpack[") else ""  # settings
    equals = " = " if kind else "="
    return f"{argument.arg}{kind}" + (f"{equals}{ast.unparse(default)}" if default is not None else "")


def laid_out(name: str, parts: list[str], result: str) -> str:
    """A signature on one line, or its arguments on lines of their own where that would be too long.

    >>> laid_out("f", ["x: int"], " -> int")
    'f(x: int) -> int'
    """
    line = f"{name}({', '.join(parts)}){result}"
    if len(line) <= WIDTH:
        return line
    lines = [""]
    for part in parts:
        if lines[-1] and len(lines[-1]) + len(part) + 2 > WIDTH - 4:
            lines.append("")
        lines[-1] += f"{' ' if lines[-1] else ''}{part},"
    return "\n".join([f"{name}(", *(f"    {line}" for line in lines), f"){result}"])


def fields_of(node: ast.ClassDef) -> list[str]:
    """The fields of a dataclass, as arguments."""
    found = []
    for child in node.body:
        if (
            isinstance(child, ast.AnnAssign)
            and isinstance(child.target, ast.Name)
            and "ClassVar" not in ast.unparse(child.annotation)
        ):
            default = "" if child.value is None else f" = {_default(child.value)}"
            found.append(f"{child.target.id}: {ast.unparse(child.annotation)}{default}")
    return found


def _default(value: ast.expr) -> str:
    """A field's default; that of `field(default=..., hash=False)` without the rest."""
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "field":
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in value.keywords}
        return given.get("default") or f"{given.get('default_factory', '...')}()"
    return ast.unparse(value)


def method_nodes(cls: type) -> Iterator[tuple[str, Any, ast.FunctionDef, bool, bool]]:
    """Public methods of a class and of the package's classes under it: name, function, definition, bound, property."""
    seen = set()
    for base in cls.__mro__:
        if not base.__module__.startswith("npblender"):
            continue
        for name, thing in vars(base).items():
            is_property = isinstance(thing, property | cached_property)
            function = getattr(thing, "fget", None) or getattr(thing, "func", None) or getattr(thing, "__func__", thing)
            wanted = not name.startswith("_") or (name == "__call__" and not hasattr(cls, "forward"))
            if not wanted or name in seen or not inspect.isfunction(function) or not function.__doc__:
                continue
            seen.add(name)
            node = definition(function)
            if isinstance(node, ast.FunctionDef):
                yield name, function, node, not isinstance(thing, staticmethod), is_property


def entry(name: str, thing: Any, shown: dict[Any, str]) -> str:
    """The text of one name. `shown` says of each method that the page has already, under which class it is."""
    if not (inspect.isclass(thing) or inspect.isfunction(thing)) or not thing.__module__.startswith("npblender"):
        return f"### `{name}`\n\n{_described(thing)}\n"
    node = definition(thing)
    if isinstance(node, ast.FunctionDef):
        if "__signature__" in vars(thing):  # made in the code: the written one has only stars
            node = cast(ast.FunctionDef, ast.parse(f"def {name}{inspect.signature(thing)}: ...").body[0])
        return _entry(name, signature(name, node, bound=False), thing.__doc__)
    assert inspect.isclass(thing)
    parts = fields_of(node)
    if not any("dataclass" in ast.unparse(each) for each in node.decorator_list):
        start = next((vars(base)["__init__"] for base in thing.__mro__ if "__init__" in vars(base)), None)
        is_protocol = any(ast.unparse(base) == "Protocol" for base in node.bases)
        made = definition(start) if inspect.isfunction(start) and not is_protocol else None
        parts = arguments(made, bound=True) if isinstance(made, ast.FunctionDef) else []
    text = [_entry(name, laid_out(name, parts, ""), thing.__doc__)]
    bullets: list[str] = []
    elsewhere: dict[str, list[str]] = {}
    for method, function, defined, bound, is_property in sorted(method_nodes(thing), key=lambda each: each[0]):
        if function in shown:
            elsewhere.setdefault(shown[function], []).append(f"`.{method}`")
            continue
        shown[function] = name
        bullets.append(bullet(method, function, defined, bound, is_property))
    for other, methods in elsewhere.items():
        bullets.append(filled(f"- As in `{other}`: {', '.join(methods)}."))
    if bullets:
        text.append("\n".join(bullets) + "\n")
    return "\n".join(text)


def bullet(name: str, function: Any, node: ast.FunctionDef, bound: bool, is_property: bool) -> str:
    """A method, in a list of its class's."""
    result = "" if node.returns is None else " -> " + ast.unparse(node.returns).strip("'")
    head = "" if name == "__call__" else f".{name}"
    called = f"{head}{result}" if is_property else f"{head}({', '.join(arguments(node, bound))}){result}"
    text = f"- `{called}`: {' '.join(first_paragraph(function.__doc__).split())}"
    errors = raises(function.__doc__)
    return filled(f"{text} {errors}" if errors and errors not in text else text)


def signature(name: str, node: ast.FunctionDef, bound: bool) -> str:
    """A function's signature with its result."""
    result = "" if node.returns is None else " -> " + ast.unparse(node.returns).strip("'")
    return laid_out(name, arguments(node, bound), result)


def filled(text: str) -> str:
    """A bullet in lines of a page's width."""
    return textwrap.fill(text, 119, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _described(value: Any) -> str:
    if isinstance(getattr(value, "name", None), str):
        return f"The `{type(value).__name__}` named {value.name!r}."
    if isinstance(value, Mapping):
        return "A mapping with the keys " + ", ".join(f"`{key}`" for key in value) + "."
    return f"`{value!r}`"


def _entry(name: str, signature: str, docstring: str | None) -> str:
    text = [f"### `{name}`", f"```py\n{signature}\n```", first_paragraph(docstring)]
    errors = raises(docstring)
    if errors and errors not in " ".join(first_paragraph(docstring).split()):
        text.append(textwrap.fill(errors, 119, break_long_words=False, break_on_hyphens=False))
    return "\n\n".join(part for part in text if part) + "\n"


def page() -> str:
    """The whole page."""
    parts, shown = [HEAD], dict[Any, str]()
    for section in SECTIONS:
        module = importlib.import_module(section.module)
        parts.append(f"## {section.module}\n\n{section.says}\n")
        for name in section.names or public_names(module):
            if name not in section.without:
                parts.append(entry(name, getattr(module, name), shown))
    return "\n".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write-docs", action="store_true", help="write docs/api.md")
    what.add_argument("--check", action="store_true", help="exit 1 where docs/api.md says anything else")
    chosen = parser.parse_args()
    text = page()
    if chosen.write_docs:
        PAGE.write_text(text, encoding="utf-8")
    elif chosen.check:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
            print("docs/api.md is not what the docstrings say: run python -m tools api --write-docs")
            return 1
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
