"""A page for each file of code that the site links to: its text in colours, and an anchor `L-N` at each line."""

from __future__ import annotations

from pathlib import Path

from tools import ROOT


def page_of(file: Path) -> str:
    """The Markdown page of a file of the repository. Needs pygments."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import TextLexer, get_lexer_for_filename
    from pygments.util import ClassNotFound

    text = file.read_text(encoding="utf-8")
    try:
        lexer = get_lexer_for_filename(file.name, stripnl=False)
    except ClassNotFound:
        lexer = TextLexer(stripnl=False)
    formatter = HtmlFormatter(cssclass="highlight code-page", linenos="inline", lineanchors="L", anchorlinenos=True)
    html = highlight(text, lexer, formatter)
    name = file.relative_to(ROOT).as_posix()
    head = "---\norphan: true\nhide-toc: true\n---\n\n"
    fence = "`" * 6
    return f"{head}# {file.name}\n\n`{name}`\n\n{fence}{{raw}} html\n{html}\n{fence}\n"
