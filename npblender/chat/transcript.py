"""Transcripts: a conversation as JSON, written completely or not at all, and read strictly.

A transcript holds the turns and how they are written for a model, but not which model it was.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from npblender.chat.history import Turn, resolve_profile
from npblender.common.printable import shown
from npblender.common.replacing import replacing

FORMAT = "npblender transcript"
VERSION = 1


@dataclass(frozen=True)
class Transcript:
    """The content of a conversation's file.

    >>> Transcript.from_dict(Transcript("parlai", ("i like tea.",), (Turn("user", "hi"),)).to_dict()).turns
    (Turn(speaker='user', text='hi', raw=None),)
    """

    profile: str
    persona: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """The conversation's own settings, besides the model's and the profile's."""

    def to_dict(self) -> dict[str, Any]:
        """Return the transcript as JSON values."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "profile": self.profile,
            "persona": list(self.persona),
            "settings": dict(self.settings),
            "turns": [
                {"speaker": turn.speaker, "text": turn.text, **({} if turn.raw is None else {"raw": turn.raw})}
                for turn in self.turns
            ],
        }

    @classmethod
    def from_dict(cls, content: Any) -> Transcript:
        """Read the transcript that a JSON value describes. `turns` is required; the others may be absent.

        Raises:
            ValueError: not a transcript, of a later version, or with unknown keys or values.
        """
        if not isinstance(content, Mapping) or content.get("format") != FORMAT:
            raise ValueError(f'this is no transcript: one is an object with "format": "{FORMAT}"')
        if content.get("version") != VERSION:
            raise ValueError(
                f"the transcript is of version {shown(content.get('version'))}; this program reads {VERSION}"
            )
        _refuse_others("a transcript", content, {"format", "version", "profile", "persona", "settings", "turns"})
        persona = content.get("persona", [])
        if not isinstance(persona, list) or not all(isinstance(line, str) for line in persona):
            raise ValueError("the transcript's persona must be a list of lines")
        settings = content.get("settings", {})
        if not isinstance(settings, Mapping):
            raise ValueError("the transcript's settings must be an object")
        turns = content.get("turns")
        if not isinstance(turns, list):
            raise ValueError("the transcript's turns must be a list")
        return cls(
            resolve_profile(content.get("profile", "parlai")).name,
            tuple(persona),
            tuple(_turn(number, turn) for number, turn in enumerate(turns, start=1)),
            dict(settings),
        )


def _turn(number: int, content: Any) -> Turn:
    if not isinstance(content, Mapping) or not {"speaker", "text"} <= set(content):
        raise ValueError(f'turn {number} of the transcript must be an object with "speaker" and "text"')
    _refuse_others(f"turn {number}", content, {"speaker", "text", "raw"})
    try:
        return Turn(content["speaker"], content["text"], content.get("raw"))
    except (TypeError, ValueError) as error:
        raise ValueError(f"turn {number} of the transcript: {error}") from error


def _refuse_others(where: str, content: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(content) - known)
    if unknown:
        raise ValueError(f"{where} has no {shown(unknown[0])}; it has {', '.join(sorted(known))}")


def write_transcript(path: str | os.PathLike[str], transcript: Transcript) -> None:
    """Write a transcript as UTF-8 JSON. The file is replaced when the new one is complete, and not before.

    Raises:
        ValueError: the place cannot be written to.
        TypeError: a setting that has no form in JSON.
    """
    text = json.dumps(transcript.to_dict(), indent=2) + "\n"
    try:
        with replacing(Path(path)) as unfinished:
            unfinished.write_text(text, encoding="utf-8", newline="\n")
    except (OSError, ValueError) as error:
        raise ValueError(f"the transcript cannot be written to {str(path)!r}: {error}") from error


def read_transcript(path: str | os.PathLike[str]) -> Transcript:
    """Read what `write_transcript` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no transcript; the message names the file.
    """
    place = Path(path)
    if not place.is_file():
        raise FileNotFoundError(f"there is no file {str(place)!r}; give a transcript that was saved")
    try:
        return Transcript.from_dict(json.loads(place.read_bytes().decode("utf-8")))
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ValueError(f"{place}: {error}") from error
