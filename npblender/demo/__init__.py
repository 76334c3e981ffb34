"""The demo checkpoint that comes with the package: a small model of this architecture, with its card beside it.

It is data only: every `from_pretrained` reads `folder()` like any other folder.
"""

from pathlib import Path


def folder() -> Path:
    """The demo's folder.

    >>> folder().name
    'demo'
    """
    return Path(__file__).parent
