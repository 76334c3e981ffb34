"""The API reference of the site: a page for each section of `tools.docs.api`, with whole docstrings and examples.

docs/api.md is the short one, which GitHub shows; both are made from the docstrings.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools import ROOT
from tools.docs import api

FOLDER = Path("reference")
LABELLED = re.compile(r"^(Args|Attributes|Raises|Returns|Yields):\n", re.MULTILINE)


@dataclass(frozen=True)
class ReferencePage:
    """One page: where it stands in the site's source, its text, and the files of code that it links to."""

    place: Path
    text: str
    code: frozenset[Path]


def as_markdown(docstring: str | None) -> str:
    """A docstring as Markdown: paragraphs, examples as blocks, `Args:` and its like as lists.

    >>> print(as_markdown("Add.\\n\\nArgs:\\n    a: the first"))
    Add.
    <BLANKLINE>
    **Args**
    <BLANKLINE>
    - a: the first
    """
    parts = re.split(r"\n\s*\n", inspect.cleandoc(docstring or ""))
    return "\n\n".join(_paragraph(part) for part in parts if part.strip())


def _paragraph(text: str) -> str:
    if text.lstrip().startswith(">>>"):
        return f"```pycon\n{inspect.cleandoc(text)}\n```"
    before, label, after = _labelled(text)
    if label:
        items = re.split(r"\n(?= {4}\S)", "\n" + after)[1:]
        bullets = [f"- {_escaped(' '.join(item.split()))}" for item in items]
        return "\n\n".join(filter(None, [_escaped(before), f"**{label}**\n\n" + "\n".join(bullets)]))
    if re.search(r"^ {4}", text, re.MULTILINE):  # a drawing or a formula of several lines
        return f"```text\n{text}\n```"
    return _escaped(text)


def _labelled(text: str) -> tuple[str, str, str]:
    match = LABELLED.search(text)
    return (text[: match.start()].strip(), match[1], text[match.end() :]) if match else (text, "", "")


def _escaped(text: str) -> str:
    """Text whose signs are no Markdown: `*` and `<` outside of words of code.

    >>> _escaped("a * b < `c * d`")
    'a \\\\* b &lt; `c * d`'
    """
    pieces = re.split(r"(`[^`\n]+`)", text)
    return "".join(
        piece if number % 2 else piece.replace("*", r"\*").replace("<", "&lt;").replace("|", r"\|")
        for number, piece in enumerate(pieces)
    )


def reference_pages() -> list[ReferencePage]:
    """All pages, in the order of the sections."""
    shown: dict[Any, str] = {}
    return [_page(section, shown) for section in api.SECTIONS]


def _page(section: api.Section, shown: dict[Any, str]) -> ReferencePage:
    module = importlib.import_module(section.module)
    code: set[Path] = set()
    says = section.says.replace("](", "](../docs/")  # links of docs/api.md
    text = [f"# {section.module}\n\n{says}\n"]
    for name in section.names or api.public_names(module):
        if name not in section.without:
            text.append(_entry(name, getattr(module, name), shown, code))
    return ReferencePage(FOLDER / f"{section.module}.md", "\n".join(text), frozenset(code))


def _entry(name: str, thing: Any, shown: dict[Any, str], code: set[Path]) -> str:
    heading, _, rest = api.entry(name, thing, dict.fromkeys(shown, "")).partition("\n\n")
    heading = heading.replace("###", "##")
    if not (inspect.isclass(thing) or inspect.isfunction(thing)) or not thing.__module__.startswith("npblender"):
        return f"{heading}\n\n{rest}"
    block = re.match(r"```py\n.*?\n```", rest, re.DOTALL)
    assert block is not None, name
    parts = [f"{heading}\n\n{_source(thing, code)}\n\n{block[0]}\n\n{as_markdown(thing.__doc__)}\n"]
    for method, function, defined, bound, is_property in _methods(thing, shown):
        shown[function] = name
        title = f"{name}()" if method == "__call__" else f"{name}.{method}"
        result = "" if defined.returns is None else " -> " + ast.unparse(defined.returns).strip("'")
        called = f"{method}{result}" if is_property else api.signature(method, defined, bound)
        parts.append(f"### `{title}`\n\n```py\n{called}\n```\n\n{as_markdown(function.__doc__)}\n")
    return "\n".join(parts)


def _methods(thing: Any, shown: dict[Any, str]) -> list[Any]:
    if not inspect.isclass(thing):
        return []
    return [each for each in sorted(api.method_nodes(thing), key=lambda each: each[0]) if each[1] not in shown]


def _source(thing: Any, code: set[Path]) -> str:
    """A link to the line where a name is defined."""
    unwrapped = inspect.unwrap(thing)
    file = Path(inspect.getfile(unwrapped)).resolve()
    code.add(file)
    line = api.definition(thing).lineno
    there = Path(os.path.relpath(file.relative_to(ROOT), FOLDER)).as_posix()
    return f'<a class="code-link" href="{there}.html#L-{line}">{file.relative_to(ROOT).as_posix()}, line {line}</a>'
