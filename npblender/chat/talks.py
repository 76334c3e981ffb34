"""Conversations in one file: an SQLite database that several processes may use at once, and that a kill cannot harm.

    Talks(path) --begin--> id;  save(id, transcript) after every change;  load(id) -> transcript;  list() -> the latest
A change is one transaction in SQLite's write-ahead log: after a kill at any moment the file holds the conversation as
it was before the change, or after it. Each conversation has a revision, which counts its changes, so that two windows
in which one conversation is open cannot overwrite each other unawares.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from npblender.chat.history import Turn
from npblender.chat.transcript import Transcript
from npblender.common.printable import cut, shown

APPLICATION = 0x6E70626C  # what the file's header names as its program: "npbl"
VERSION = 1
BUSY_SECONDS = 30.0  # how long a change waits for one of another process. Each takes milliseconds
READ = "BEGIN"  # begins a transaction that sees the file as it is at its beginning
CHANGE = "BEGIN IMMEDIATE"  # begins one that no other change can come between
DURABLE = "PRAGMA synchronous = FULL"  # a change that was reported outlives a power cut, too
TITLE = 80  # characters of a title: the beginning of what was said first

TABLES = """
CREATE TABLE conversations (
    id TEXT PRIMARY KEY, title TEXT NOT NULL, began REAL NOT NULL, changed REAL NOT NULL, revision INTEGER NOT NULL,
    profile TEXT NOT NULL, persona TEXT NOT NULL, settings TEXT NOT NULL
);
CREATE INDEX by_change ON conversations (changed);
CREATE TABLE turns (
    conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    number INTEGER NOT NULL, speaker TEXT NOT NULL, text TEXT NOT NULL, raw TEXT,
    PRIMARY KEY (conversation, number)
) WITHOUT ROWID;
"""


class NoSuchTalk(ValueError):
    """A conversation that the file does not hold."""


class TalkConflict(ValueError):
    """A conversation that has been changed elsewhere since it was read."""


@dataclass(frozen=True)
class Entry:
    """One line of the list of conversations."""

    id: str
    title: str
    changed: float  # when it was changed last, in seconds since 1970
    turns: int
    revision: int


class Talks:
    """The conversations of one file, which is made when it is not there.

    Every call opens the file anew, so one object may be used by several threads.

    Raises:
        ValueError: the file is no such database, is of a later version, or cannot be read or written.
        FileNotFoundError: its folder is not there.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     talks = Talks(Path(folder) / "talks.sqlite")
    ...     name = talks.begin(Transcript("parlai", ("i sing.",), (Turn("user", "hi"),)))
    ...     talks.save(name, Transcript("parlai", ("i sing.",), (Turn("user", "hi"), Turn("model", "hello!"))))
    ...     [(entry.title, entry.turns) for entry in talks.list()], talks.load(name)[0].turns[1].text
    2
    ([('hi', 2)], 'hello!')
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"there is no folder {str(self.path.parent)!r} for the database of conversations")
        if self.path.is_dir():
            raise ValueError(f"{self.path} is a folder; name a file for the database of conversations")
        with self._transaction("PRAGMA journal_mode = WAL", CHANGE) as database:  # of several processes one makes them
            _prepare(database, self.path)

    def begin(self, transcript: Transcript) -> str:
        """Keep a new conversation; return its id."""
        name = secrets.token_hex(8)
        now = time.time()
        with self._transaction(DURABLE, CHANGE) as database:
            database.execute(
                "INSERT INTO conversations VALUES (?, ?, ?, ?, 1, ?, ?, ?)",
                (name, title_of(transcript), now, now, *_head(transcript)),
            )
            _write_turns(database, name, transcript.turns, 0)
        return name

    def save(self, name: str, transcript: Transcript, revision: int | None = None) -> int:
        """Replace a conversation by how it is now; return its new revision. Only turns that differ are written.

        Args:
            revision: the one that `load` or `save` returned last; None overwrites whatever is there.

        Raises:
            NoSuchTalk: there is no such conversation.
            TalkConflict: it has been changed since that revision.
        """
        with self._transaction(DURABLE, CHANGE) as database:
            *_, found = self._row(database, name)
            if revision is not None and found != revision:
                raise TalkConflict(
                    f"the conversation was changed elsewhere: it is at revision {found}, not {revision}; load it again"
                )
            head = (title_of(transcript), time.time(), found + 1, *_head(transcript), name)
            database.execute(
                "UPDATE conversations SET title = ?, changed = ?, revision = ?, profile = ?, persona = ?, settings = ? "
                "WHERE id = ?",
                head,
            )
            there = _read_turns(database, name)
            same = 0
            for old, new in zip(there, transcript.turns, strict=False):
                if old != new:
                    break
                same += 1
            database.execute("DELETE FROM turns WHERE conversation = ? AND number >= ?", (name, same))
            _write_turns(database, name, transcript.turns, same)
        return found + 1

    def load(self, name: str) -> tuple[Transcript, int]:
        """Return a conversation and its revision.

        Raises:
            NoSuchTalk: there is no such conversation.
        """
        with self._transaction(READ) as database:
            profile, persona, settings, revision = self._row(database, name)
            turns = tuple(_read_turns(database, name))
        return Transcript(profile, tuple(json.loads(persona)), turns, json.loads(settings)), revision

    def list(self, most: int | None = None) -> list[Entry]:
        """Return the conversations, `most` of them or all, the one that was changed last first."""
        query = (
            "SELECT id, title, changed, (SELECT count(*) FROM turns WHERE conversation = id), revision "
            "FROM conversations ORDER BY changed DESC, id LIMIT ?"
        )
        with self._transaction(READ) as database:
            return [Entry(*row) for row in database.execute(query, (-1 if most is None else most,))]

    def delete(self, name: str) -> None:
        """Forget a conversation.

        Raises:
            NoSuchTalk: there is no such conversation.
        """
        with self._transaction(DURABLE, CHANGE) as database:
            self._row(database, name)
            database.execute("DELETE FROM conversations WHERE id = ?", (name,))

    def find(self, beginning: str) -> str:
        """Return the id that begins so, or the latest one for "last".

        Raises:
            NoSuchTalk: there is none, or there are several.
        """
        with self._transaction(READ) as database:
            if beginning == "last":
                rows = database.execute("SELECT id FROM conversations ORDER BY changed DESC, id LIMIT 1").fetchall()
            else:
                rows = database.execute(
                    "SELECT id FROM conversations WHERE substr(id, 1, ?) = ? LIMIT 2", (len(beginning), beginning)
                ).fetchall()
        if len(rows) != 1 or not beginning:
            many = "several conversations" if len(rows) > 1 else "no conversation"
            raise NoSuchTalk(f"there is {many} {shown(beginning)} in {self.path}".replace("is several", "are several"))
        return str(rows[0][0])

    @contextmanager
    def _transaction(self, *beginning: str) -> Iterator[sqlite3.Connection]:
        """One transaction, begun by these statements and undone by an error."""
        try:
            with closing(sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)) as database:
                for statement in ("PRAGMA foreign_keys = ON", *beginning):
                    database.execute(statement)
                try:
                    yield database
                except BaseException:
                    database.execute("ROLLBACK")
                    raise
                database.execute("COMMIT")
        except sqlite3.Error as error:
            raise ValueError(f"{self.path}: {error}; is it a database of conversations that may be written?") from error

    def _row(self, database: sqlite3.Connection, name: str) -> tuple[str, str, str, int]:
        query = "SELECT profile, persona, settings, revision FROM conversations WHERE id = ?"
        row: tuple[str, str, str, int] | None = database.execute(query, (name,)).fetchone()
        if row is None:
            raise NoSuchTalk(f"there is no conversation {shown(name)} in {self.path}")
        return row


def title_of(transcript: Transcript) -> str:
    """Return what the list shows of a conversation: the beginning of its first turn.

    >>> title_of(Transcript("parlai", (), (Turn("user", "hello\\nyou"),)))
    'hello you'
    """
    first = next((turn.text for turn in transcript.turns), "")
    return cut(" ".join(first.split()), TITLE)


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    """Make the tables of a new file; refuse a file of another kind or version."""
    numbers = ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    application, version, tables = (database.execute(query).fetchone()[0] for query in numbers)
    if application == APPLICATION:
        if version != VERSION:
            raise ValueError(f"{path} is of version {version}; this program reads {VERSION}")
        return
    if application or tables:
        raise ValueError(f"{path} is a database of another program; name another file")
    for statement in TABLES.split(";"):
        if statement.strip():
            database.execute(statement)
    database.execute(f"PRAGMA application_id = {APPLICATION}")
    database.execute(f"PRAGMA user_version = {VERSION}")


def _head(transcript: Transcript) -> tuple[str, str, str]:
    return transcript.profile, json.dumps(list(transcript.persona)), json.dumps(dict(transcript.settings))


def _read_turns(database: sqlite3.Connection, name: str) -> Sequence[Turn]:
    query = "SELECT speaker, text, raw FROM turns WHERE conversation = ? ORDER BY number"
    return [Turn(*row) for row in database.execute(query, (name,))]


def _write_turns(database: sqlite3.Connection, name: str, turns: Sequence[Turn], begin: int) -> None:
    rows = ((name, number, turn.speaker, turn.text, turn.raw) for number, turn in enumerate(turns) if number >= begin)
    database.executemany("INSERT INTO turns VALUES (?, ?, ?, ?, ?)", rows)
