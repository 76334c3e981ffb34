"""A conversation's history as the ids of one source: the formats, and what is left out where there is no room.

Persona lines come first, then the turns, with the separator of a profile (see profiles.py) between them. Turns go as
wholes when there is no room, the earliest first, and what somebody typed can not become a special token.

Everything here is a pure function of text and ids. It does NOT keep a conversation (see chat.py) or generate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from npblender.chat.profiles import PERSONA_PREFIX, PERSONA_WORDS, Profile
from npblender.tokenizer.pretokenize import NEWLINE

__all__ = [
    "FittedSource",
    "Speaker",
    "TextEncoder",
    "Turn",
    "encode_turn",
    "fit_history",
    "make_source",
    "persona_line",
    "separator_ids",
]

Speaker = Literal["user", "model"]
Ids = tuple[int, ...]


class TextEncoder(Protocol):
    """What is asked of a tokenizer: see `BlenderbotSmallTokenizer`."""

    bos_token: str | None
    eos_token: str | None

    def encode(self, text: str, *, split_special_tokens: bool | None = None) -> Any: ...
    def convert_tokens_to_ids(self, tokens: str) -> Any: ...
    def convert_ids_to_tokens(self, ids: int) -> Any: ...


@dataclass(frozen=True)
class Turn:
    """What one of the two said.

    `raw` is a reply as the tokenizer's way back gave it, before its spaces were made natural. It is what the model is
    shown of its own words, so that they become the ids they were; without it `text` is.
    """

    speaker: Speaker
    text: str
    raw: str | None = None

    def __post_init__(self) -> None:
        if self.speaker not in get_args(Speaker):
            raise ValueError(f"a turn's speaker is 'user' or 'model', not {self.speaker!r}")
        for name, value in (("text", self.text), ("raw", self.raw)):
            if not isinstance(value, str) and not (name == "raw" and value is None):
                raise TypeError(f"a turn's {name} must be a string, not {type(value).__name__}")


def separator_ids(tokenizer: TextEncoder, names: Sequence[str]) -> Ids:
    """The ids of a profile's separator, in a tokenizer's vocabulary.

    Raises:
        ValueError: a name that is none, or a token that the vocabulary lacks.
    """
    tokens = {"newline": NEWLINE, "eos": tokenizer.eos_token, "bos": tokenizer.bos_token}
    ids = []
    for name in names:
        if name not in tokens:
            raise ValueError(f"a separator is made of 'newline', 'eos' and 'bos', not {name!r}")
        token_id = find_token(tokenizer, tokens[name])
        if token_id is None:
            raise ValueError(f"the vocabulary has no {tokens[name] or name!r}, which this profile separates turns by")
        ids.append(token_id)
    return tuple(ids)


def find_token(tokenizer: TextEncoder, token: str | None) -> int | None:
    """The id of a token, or None where the vocabulary lacks it."""
    if token is None:
        return None
    token_id: int = tokenizer.convert_tokens_to_ids(token)
    return token_id if tokenizer.convert_ids_to_tokens(token_id) == token else None


def persona_line(text: str) -> str:
    """A persona line as the model was trained with it; the prefix may be there already.

    >>> persona_line("i have two cats.")
    'your persona: i have two cats.'
    """
    line = " ".join(text.split())
    if line.lower().startswith(PERSONA_PREFIX.strip()):
        line = line[len(PERSONA_PREFIX) :]
    if not line:
        raise ValueError("a persona line is empty; leave it out")
    return PERSONA_PREFIX + line


def encode_persona(tokenizer: TextEncoder, text: str) -> Ids:
    """The ids of a persona line, none of them special.

    The prefix is cut as in training whatever the dialect: transformers' cut glues the colon to its word, and the
    published vocabulary knows no such token.

    >>> from npblender.tokenizer.example import example_tokenizer
    >>> encode_persona(example_tokenizer(), "low") == tuple(example_tokenizer().encode("your persona : low"))
    True
    """
    line = persona_line(text)[len(PERSONA_PREFIX) :]
    ids = (tokenizer.encode(part, split_special_tokens=True) for part in (PERSONA_WORDS, line))
    return join(list(ids), ())


def encode_turn(tokenizer: TextEncoder, turn: Turn, newline: int | None) -> Ids:
    r"""The ids of one turn, none of them special, whatever was typed.

    A line break would look like the beginning of somebody else's turn, so in what a user typed it counts as a space.
    In the model's own words it is the token that the model chose, if the vocabulary has one.

    >>> from npblender.tokenizer.example import example_tokenizer
    >>> encode_turn(example_tokenizer(), Turn("user", "hello\nlow"), 4)
    (5, 6)
    >>> encode_turn(example_tokenizer(), Turn("model", "hello\nlow"), 4)
    (5, 4, 6)
    """
    text = turn.text if turn.raw is None else turn.raw
    if turn.speaker == "user" or newline is None:
        return tuple(tokenizer.encode(" ".join(text.split()), split_special_tokens=True))
    lines = [tokenizer.encode(line, split_special_tokens=True) for line in text.strip().split("\n")]
    return join(lines, (newline,))


def join(parts: Sequence[Sequence[int]], separator: Sequence[int]) -> Ids:
    """Parts with a separator between them.

    >>> join([[5], [6, 7]], [4])
    (5, 4, 6, 7)
    """
    ids: list[int] = []
    for number, part in enumerate(parts):
        if number:
            ids.extend(separator)
        ids.extend(part)
    return tuple(ids)


@dataclass(frozen=True)
class FittedSource:
    """A history that fits the model, and what had to go."""

    ids: Ids
    dropped_turns: int = 0
    """How many of the earliest turns were left out."""
    cut_tokens: int = 0
    """How many tokens the last turn lost at its beginning, being too long even alone."""


def fit_history(
    persona: Sequence[Sequence[int]],
    turns: Sequence[Sequence[int]],
    between: Sequence[int],
    after: Sequence[int],
    limit: int,
) -> FittedSource:
    """Persona lines and as many of the last turns as fit into `limit` tokens.

    The persona always stays and turns go as wholes, the earliest first. Only a last turn that does not even fit alone
    is cut: its end is kept, as ParlAI keeps the last tokens of everything.

    Raises:
        ValueError: there are no turns, or the persona leaves no room for one.

    >>> fit_history([[9, 9]], [[5, 6, 7], [6], [7, 8]], [4], [], limit=7)
    FittedSource(ids=(9, 9, 4, 6, 4, 7, 8), dropped_turns=1, cut_tokens=0)
    >>> fit_history([[9, 9]], [[5, 6], [5, 6, 7, 8]], [4], [], limit=6)
    FittedSource(ids=(9, 9, 4, 6, 7, 8), dropped_turns=1, cut_tokens=1)
    """
    if not turns:
        raise ValueError("there is nothing to reply to; say something first")
    fixed = sum(len(line) + len(between) for line in persona) + len(after)
    if fixed >= limit:
        raise ValueError(
            f"the persona takes {fixed} of the model's {limit} positions and leaves none for what was said; shorten it"
        )
    kept = 1
    room = limit - fixed - len(turns[-1])
    while kept < len(turns) and room >= len(turns[-kept - 1]) + len(between):
        room -= len(turns[-kept - 1]) + len(between)
        kept += 1
    last = [*turns[-kept:]]
    cut = max(0, -room)
    last[0] = last[0][cut:]
    ids = join([*persona, *last], between) + tuple(after)
    return FittedSource(ids, len(turns) - kept, cut)


def make_source(
    tokenizer: TextEncoder, profile: Profile, persona: Sequence[str], turns: Sequence[Turn], limit: int
) -> FittedSource:
    """A conversation as the ids of one source, in a profile's format and within `limit` positions.

    Raises:
        ValueError: see `fit_history` and `separator_ids`; or a user's turn that becomes no token.

    >>> from npblender.chat.profiles import PROFILES
    >>> from npblender.tokenizer.example import example_tokenizer
    >>> turns = [Turn("user", "hello"), Turn("model", "hello!", raw="hello !"), Turn("user", "low")]
    >>> make_source(example_tokenizer(), PROFILES["parlai"], [], turns, limit=512).ids
    (5, 4, 5, 10, 4, 6)
    """
    newline = find_token(tokenizer, NEWLINE)
    encoded = [encode_turn(tokenizer, turn, newline) for turn in turns]
    for turn, ids in zip(turns, encoded, strict=True):
        if not ids and turn.speaker == "user":
            raise ValueError(f"{turn.text!r} becomes no token; say something with letters in it")
    lines = [encode_persona(tokenizer, line) for line in persona]
    between, after = separator_ids(tokenizer, profile.between), separator_ids(tokenizer, profile.after)
    return fit_history(lines, encoded, between, after, limit)
