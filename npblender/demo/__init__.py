"""The demo checkpoint that comes with the package: a small model of this architecture, with its card beside it.

It is data only: every `from_pretrained` reads `folder()` like any other folder.
"""

import os
from pathlib import Path

FOLDER = Path(__file__).parent
GREETING = (
    "This is the small demo model of npblender. For the real one: pip install 'npblender[hub]', then "
    "npblender chat --model facebook/blenderbot_small-90M"
)
"""What a chat at a terminal says of the demo before the first line."""


def folder() -> Path:
    """Return the demo's folder.

    >>> folder().name
    'demo'
    """
    return FOLDER


def is_demo(place: str | os.PathLike[str] | None) -> bool:
    """Tell whether a folder, as `from_pretrained` takes it, is the demo's; None is.

    >>> is_demo(None), is_demo("elsewhere")
    (True, False)
    """
    return place is None or Path(place).resolve() == FOLDER.resolve()
