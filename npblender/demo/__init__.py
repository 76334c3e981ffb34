"""The demo checkpoint that comes with the package: a small model of this architecture, with its card beside it.

It is data only: every `from_pretrained` reads `folder()` like any other folder.
"""

from pathlib import Path

FOLDER = Path(__file__).parent


def folder() -> Path:
    """Returns the demo's folder.

    >>> folder().name
    'demo'
    """
    return FOLDER
