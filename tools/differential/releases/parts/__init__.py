"""The parts of a record. Each module has `record(book, place)`, which puts values into a book."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Place"]


@dataclass(frozen=True)
class Place:
    """The folders of a job."""

    work: Path
    """Empty at the beginning and gone at the end."""
    record: Path
    """The job's own folder in the record, for files that are to stay."""
    checkout: Path
    earlier: Path
    """A record whose packs and model folders are read again: that of an earlier release, or this one."""
