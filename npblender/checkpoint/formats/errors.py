"""What a file is refused for."""

from __future__ import annotations


class DamagedFileError(ValueError):
    """A file of weights that is cut short, or that contradicts itself or its own length."""


class UnsafeFileError(DamagedFileError):
    """A file of weights that asks for what weights never need: a call, another file, memory without end."""
