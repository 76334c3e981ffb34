"""Keeps the conversation of `npblender chat --db FILE`: every change at once, so that a kill loses nothing."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from npblender.chat.talks import Entry, NoSuchTalk, TalkConflict, Talks
from npblender.chat.transcript import Transcript

if TYPE_CHECKING:
    from npblender.chat import Conversation


class Keeper:
    """The place of one conversation in a database: a new one, until `resume` takes one up and after `leave`."""

    def __init__(self, talks: Talks) -> None:
        self.talks = talks
        self._name: str | None = None
        self._revision: int | None = None
        self._kept: Transcript | None = None

    def keep(self, conversation: Conversation) -> None:
        """Write the conversation if it has changed; a new one in which nothing was said yet is not kept.

        Raises:
            ValueError: the file cannot be written, or the conversation was changed or deleted elsewhere: it is kept as
                a new one.
        """
        transcript = conversation.to_transcript()
        if transcript == self._kept or (self._name is None and not transcript.turns):
            return
        if self._name is None:
            self._name, self._revision = self.talks.begin(transcript), 1
        else:
            try:
                self._revision = self.talks.save(self._name, transcript, self._revision)
            except (TalkConflict, NoSuchTalk) as error:
                before = self._name
                self.leave()
                self.keep(conversation)
                raise ValueError(f"{before}: {error}; this one goes on as {self._name or 'a new one'}") from error
        self._kept = transcript

    def leave(self) -> None:
        """Leave what was kept as it is: the conversation that follows is a new one."""
        self._name = self._revision = self._kept = None

    def resume(self, conversation: Conversation, beginning: str) -> None:
        """Go on with a conversation of the database: the one whose id begins so, or the "last" one."""
        name = self.talks.find(beginning)
        transcript, revision = self.talks.load(name)
        conversation.restore(transcript)
        self._name, self._revision, self._kept = name, revision, conversation.to_transcript()

    def entries(self) -> list[dict[str, object]]:
        """Return each conversation as plain values, the latest first."""
        return [asdict(entry) for entry in self.talks.list()]

    def lines(self) -> list[str]:
        """Return a line for each conversation, the latest first; a star marks the one that is going on."""
        return [line_of(entry, entry.id == self._name) for entry in self.talks.list()]


def line_of(entry: Entry, here: bool = False) -> str:
    """Return how the list shows a conversation.

    >>> line_of(Entry("a1b2", "hello there", 0.0, 2, 1)).split("  ", 2)[2]
    '  2 turns  hello there'
    """
    changed = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.changed))
    return f"{'*' if here else ' '}{entry.id}  {changed}  {entry.turns:3} turns  {entry.title or '(empty)'}"
