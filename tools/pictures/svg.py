"""The shapes that the pictures are made of. A picture is as wide as a phone, so that nothing in it becomes small there.

The colors follow the reader's own, light or dark. A picture has a title and a description for screen readers, and
needs no font, script or file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

WIDTH = 400
STYLE = """
.paper{fill:#fff}text{fill:#1d2026;font:12px system-ui,sans-serif}.soft{fill:#5b6270}.small{font-size:10px}
.code{font-family:ui-monospace,monospace}.bold{font-weight:600}.cell{fill:#000}.on{fill:#fff}.end{text-anchor:end}
.middle{text-anchor:middle}.box{fill:#f5f6f8;stroke:#d5d9e0}.group{fill:none;stroke:#d5d9e0}.line{fill:none;stroke:#5b6270}
.new,.best{stroke:#0b5fbf;stroke-width:2}.heat,.dot{fill:#0b5fbf}.other{fill:#b3470f}.otherline{fill:none;stroke:#b3470f}
.blue{fill:none;stroke:#0b5fbf;stroke-width:1.5}.good{stroke:#17704f;stroke-width:2}.pale{opacity:.6}.grid{stroke:#d5d9e0}
@media (prefers-color-scheme:dark){.paper{fill:#14161a}text{fill:#e7e9ee}.soft{fill:#a2a9b6}.cell{fill:#fff}
.on,.ondark{fill:#000}.box{fill:#1d2026;stroke:#3a3f49}.group,.grid{stroke:#3a3f49}.line{stroke:#a2a9b6}.new,.best{stroke:#7db7ff}
.heat,.dot{fill:#6aabff}.other{fill:#ffb27d}.otherline{stroke:#ffb27d}.blue{stroke:#7db7ff}.good{stroke:#62d0a3}}
""".replace("\n", "")


@dataclass
class Picture:
    """An SVG in the making: its parts in the order in which they are drawn."""

    title: str
    description: str
    parts: list[str] = field(default_factory=list)

    def box(self, x: float, y: float, width: float, height: float, kind: str = "box", **more: object) -> None:
        """Draw a rectangle with round corners."""
        self.parts.append(
            f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="3"{_more(more)}/>'
        )

    def text(self, x: float, y: float, text: str, kind: str = "") -> None:
        """Write a line; y is its foot."""
        named = f' class="{kind}"' if kind else ""
        self.parts.append(f'<text{named} x="{x:g}" y="{y:g}" xml:space="preserve">{escape(text)}</text>')

    def path(self, way: str, kind: str = "line", *, arrow: bool = False) -> None:
        """Draw a line along an SVG path."""
        tip = ' marker-end="url(#tip)"' if arrow else ""
        self.parts.append(f'<path class="{kind}" d="{way}"{tip}/>')

    def dot(self, x: float, y: float, kind: str = "dot", radius: float = 3) -> None:
        """Draw a small circle."""
        self.parts.append(f'<circle class="{kind}" cx="{x:g}" cy="{y:g}" r="{radius:g}"/>')

    def finished(self, height: float) -> str:
        """The whole file.

        >>> Picture("A <title>", "what it shows").finished(10).startswith("<svg xmlns=")
        True
        """
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:g}" '
            f'viewBox="0 0 {WIDTH} {height:g}" '
            f'role="img" aria-labelledby="t d">\n<title id="t">{escape(self.title)}</title>\n'
            f'<desc id="d">{escape(self.description)}</desc>\n<style>{STYLE}</style>\n'
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
            '<path class="line" d="M1 1 7 4 1 7"/></marker></defs>\n'
        )
        paper = f'<rect class="paper" width="{WIDTH}" height="{height:g}"/>'
        return head + "\n".join([paper, *self.parts, "</svg>"]) + "\n"


def _more(attributes: dict[str, object]) -> str:
    return "".join(f' {name.replace("_", "-")}="{value}"' for name, value in attributes.items())


def on_heat(value: float) -> str:
    """The classes of a text on a cell of this heat, 0 to 1: from where on it has the other color, in light and in dark.

    >>> on_heat(0.2), on_heat(0.7), on_heat(0.9)
    (' cell', ' cell ondark', ' cell on')
    """
    return " cell" + (" on" if value > 0.844 else " ondark" if value > 0.628 else "")
