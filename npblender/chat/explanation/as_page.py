"""An explanation as one HTML file: a template, styles, scripts and the data, in one text.

Nothing that comes from a text, a file or a model becomes markup: the data stand in a block of JSON without `<`, and the
scripts put them on the page as text. A content security policy names the hashes of the page's own scripts and styles,
so nothing else runs and nothing is loaded.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from html import escape
from pathlib import Path

from npblender.chat.explanation.as_data import as_json
from npblender.chat.explanation.explanation import Explanation
from npblender.chat.explanation.runs import Run
from npblender.common.printable import cut, printable

FOLDER = Path(__file__).parent / "page"
SCRIPTS = ("core.js", "words.js", "attention.js", "next_tokens.js", "beams.js", "runs.js", "start.js")
"""In the order in which they run, as one."""


@cache
def template(name: str) -> str:
    """Read a file of the page."""
    return (FOLDER / name).read_text(encoding="utf-8")


def hash_of(text: str) -> str:
    """The hash by which a content security policy knows an inline script or style.

    >>> hash_of("a")
    "'sha256-ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs='"
    """
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def as_page(explanation: Explanation, most_bytes: int) -> str:
    """Put the page together.

    Raises:
        ValueError: it does not fit into `most_bytes` even without its arrays.
    """
    style, script = template("style.css"), "\n".join(map(template, SCRIPTS))
    parts = {
        "TITLE": escape(f"How the reply came about: {cut(printable(explanation.said), 60)}"),
        "POLICY": f"default-src 'none'; script-src {hash_of(script)}; style-src {hash_of(style)}; base-uri 'none'; "
        "form-action 'none'",
        "STYLE": style,
        "SCRIPT": script,
        "WITHOUT_SCRIPT": _without_script(explanation),
    }
    page = template("page.html")
    for name, text in parts.items():
        page = page.replace(f"%%{name}%%", text)
    room = most_bytes - len(page.encode("utf-8"))
    return page.replace("%%DATA%%", as_json(explanation, room))


def _without_script(explanation: Explanation) -> str:
    """What a browser without scripts shows: what was said, and every run's reply."""
    rows = "".join(
        f"<tr><th scope=row>{escape(run.name)}</th><td>"
        f"{escape(printable(run.reply if isinstance(run, Run) else run.message))}</td></tr>"
        for run in explanation.runs
    )
    return f"<p>Said: {escape(printable(explanation.said))}</p><table>{rows}</table>"
