"""Encodes a conversation's history as the ids of one source: the formats, and what is dropped when it does not fit.

A `Profile` says what separates turns. The model was trained on turns joined by its line-break token; the separators
of transformers' documentation and of its old pipeline are here for comparison, and the model never saw them in
training.

Persona lines come first, then the turns. If they do not fit, whole turns are dropped, the earliest first. Typed text
cannot become a special token. Everything here is a pure function of text and ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args

from npblender.common.printable import shown
from npblender.config.generation_config import GenerationConfig
from npblender.tokenizer import BlenderbotSmallTokenizer
from npblender.tokenizer.pretokenize import NEWLINE

PERSONA_PREFIX = "your persona: "  # the beginning of a persona line
PERSONA_WORDS = "your persona :"  # the same with spaces, so that every dialect cuts it alike


@dataclass(frozen=True)
class Profile:
    """How a conversation is written for the model, and the settings that go with it."""

    name: str
    between: tuple[str, ...]  # the separator of two turns: "newline", "eos", "bos"
    after: tuple[str, ...] = ()  # the tokens after the last turn
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Settings of the search for a model that does not name its own, each by itself: see `settings`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", GenerationConfig().replace(**self.settings).set_values)


PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            "parlai",
            between=("newline",),
            # What the published model's files say, and ParlAI's block of the context's trigrams, which they lack.
            settings={
                "num_beams": 10,
                "min_length": 20,
                "max_length": 128,
                "length_penalty": 0.65,
                "no_repeat_ngram_size": 3,
                "encoder_no_repeat_ngram_size": 3,
            },
        ),
        # "… __end__ __start__ …", the example in transformers' documentation of the model.
        Profile("transformers-documentation", between=("eos", "bos"), settings={"max_length": 128}),
        # transformers' ConversationalPipeline up to 4.41: an eos after every turn, the last one included.
        Profile("transformers-pipeline", between=("eos",), after=("eos",), settings={"max_length": 128}),
    )
}


def resolve_profile(profile: str | Profile) -> Profile:
    """Return the record for a name, or a record itself.

    >>> resolve_profile("parlai").between
    ('newline',)
    >>> resolve_profile("reddit")
    Traceback (most recent call last):
    ValueError: unknown profile 'reddit'; it takes 'parlai', 'transformers-documentation', 'transformers-pipeline' \
or a Profile
    """
    if isinstance(profile, Profile):
        return profile
    if isinstance(profile, str) and profile in PROFILES:
        return PROFILES[profile]
    raise ValueError(f"unknown profile {shown(profile)}; it takes {', '.join(map(repr, PROFILES))} or a Profile")


Speaker = Literal["user", "model"]
Ids = tuple[int, ...]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation.

    `raw` is a reply as the tokenizer decoded it, before its spaces were made natural. The model reads this form of its
    own words, so that they become the same ids again; without it, it reads `text`.
    """

    speaker: Speaker
    text: str
    raw: str | None = None

    def __post_init__(self) -> None:
        if self.speaker not in get_args(Speaker):
            raise ValueError(f"a turn's speaker is 'user' or 'model', not {shown(self.speaker)}")
        for name, value in (("text", self.text), ("raw", self.raw)):
            if not isinstance(value, str) and not (name == "raw" and value is None):
                raise TypeError(f"a turn's {name} must be a string, not {type(value).__name__}")


def separator_ids(tokenizer: BlenderbotSmallTokenizer, names: Sequence[str]) -> Ids:
    """Look up the ids of a profile's separator in a tokenizer's vocabulary.

    Raises:
        ValueError: an unknown name, or a token that the vocabulary lacks.
    """
    tokens = {"newline": NEWLINE, "eos": tokenizer.eos_token, "bos": tokenizer.bos_token}
    ids = []
    for name in names:
        if name not in tokens:
            raise ValueError(f"a separator is made of 'newline', 'eos' and 'bos', not {shown(name)}")
        token_id = find_token(tokenizer, tokens[name])
        if token_id is None:
            raise ValueError(
                f"the vocabulary has no {shown(tokens[name] or name)}, which this profile separates turns by"
            )
        ids.append(token_id)
    return tuple(ids)


def find_token(tokenizer: BlenderbotSmallTokenizer, token: str | None) -> int | None:
    """Look up the id of a token; None if the vocabulary lacks it."""
    if token is None:
        return None
    token_id = tokenizer.convert_tokens_to_ids(token)
    return token_id if tokenizer.convert_ids_to_tokens(token_id) == token else None


def persona_line(text: str) -> str:
    """Write a persona line as in training; the prefix may be there already.

    >>> persona_line("i have two cats.")
    'your persona: i have two cats.'
    """
    line = " ".join(text.split())
    if line.lower().startswith(PERSONA_PREFIX.strip()):
        line = line[len(PERSONA_PREFIX) :]
    if not line:
        raise ValueError("a persona line is empty; leave it out")
    return PERSONA_PREFIX + line


def persona_parts(text: str) -> tuple[str, str]:
    """The two texts of a persona line that are cut each by itself, prefix and line.

    The prefix is cut as in training whatever the dialect: transformers' cut glues the colon to its word, and the
    published vocabulary knows no such token.

    >>> persona_parts("i have two cats.")
    ('your persona :', 'i have two cats.')
    """
    return PERSONA_WORDS, persona_line(text)[len(PERSONA_PREFIX) :]


def turn_parts(turn: Turn, newline: int | None) -> list[str]:
    r"""The texts of a turn between which the model's line break stands, whose id is `newline`.

    In a user's text a line break is read as a space, since the model would take it for the next speaker's turn. In the
    model's own words it is the token that the model chose, if the vocabulary has one.

    >>> turn_parts(Turn("user", "hello\nlow"), 4), turn_parts(Turn("model", "hello\nlow"), 4)
    (['hello low'], ['hello', 'low'])
    """
    text = turn.text if turn.raw is None else turn.raw
    if turn.speaker == "user" or newline is None:
        return [" ".join(text.split())]
    return text.strip().split("\n")


def encode_parts(tokenizer: BlenderbotSmallTokenizer, parts: Iterable[str], newline: int | None = None) -> Ids:
    """Encode texts without special tokens, whatever was typed, the line break between them.

    >>> encode_parts(tokenizer, ["hello", "low"], 4)
    (5, 4, 6)
    """
    encoded = [tokenizer.encode(part, split_special_tokens=True, verbose=False) for part in parts]
    return join(encoded, () if newline is None else (newline,))


def join(parts: Iterable[Sequence[Item]], separator: Sequence[Item]) -> tuple[Item, ...]:
    """Join parts with a separator between them.

    >>> join([[5], [6, 7]], [4])
    (5, 4, 6, 7)
    """
    joined: list[Item] = []
    for number, part in enumerate(parts):
        joined += [*(separator if number else ()), *part]
    return tuple(joined)


@dataclass(frozen=True)
class FittedSource:
    """A history that fits the model, and what was left out."""

    ids: Ids
    dropped_turns: int = 0  # how many of the earliest turns were left out
    cut_tokens: int = 0  # how many tokens the last turn lost at its beginning, being too long even alone
    full_ids: Ids = ()  # all of it, where something was left out; else empty


def fit_history(
    persona: Sequence[Sequence[int]],
    turns: Sequence[Sequence[int]],
    between: Sequence[int],
    after: Sequence[int],
    limit: int,
) -> FittedSource:
    """Join persona lines and as many of the last turns as fit into `limit` tokens.

    The persona always stays, and whole turns are dropped, the earliest first. Only a last turn that does not fit alone
    is cut: its end is kept, as ParlAI keeps the last tokens of everything.

    Raises:
        ValueError: there are no turns, or the persona leaves no room for one.

    >>> fit_history([[9, 9]], [[5, 6, 7], [6], [7, 8]], [4], [], limit=7)
    FittedSource(ids=(9, 9, 4, 6, 4, 7, 8), dropped_turns=1, cut_tokens=0, full_ids=(9, 9, 4, 5, 6, 7, 4, 6, 4, 7, 8))
    >>> fit_history([[9, 9]], [[5, 6], [5, 6, 7, 8]], [4], [], limit=6)
    FittedSource(ids=(9, 9, 4, 6, 7, 8), dropped_turns=1, cut_tokens=1, full_ids=(9, 9, 4, 5, 6, 4, 5, 6, 7, 8))
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
    if kept == len(turns) and not cut:
        return FittedSource(ids)
    return FittedSource(ids, len(turns) - kept, cut, join([*persona, *turns], between) + tuple(after))


def make_source(
    tokenizer: BlenderbotSmallTokenizer, profile: Profile, persona: Sequence[str], turns: Sequence[Turn], limit: int
) -> FittedSource:
    """Encode a conversation as the ids of one source, in a profile's format and within `limit` positions.

    Raises:
        ValueError: see `fit_history` and `separator_ids`; or a user's turn that becomes no token.

    >>> turns = [Turn("user", "hello"), Turn("model", "hello!", raw="hello !"), Turn("user", "low")]
    >>> make_source(tokenizer, PROFILES["parlai"], [], turns, limit=512).ids
    (5, 4, 5, 10, 4, 6)
    """
    newline = find_token(tokenizer, NEWLINE)
    encoded = [encode_parts(tokenizer, turn_parts(turn, newline), newline) for turn in turns]
    for turn, ids in zip(turns, encoded, strict=True):
        if not ids and turn.speaker == "user":
            raise ValueError(f"{shown(turn.text)} becomes no token; say something with letters in it")
    lines = [encode_parts(tokenizer, persona_parts(line)) for line in persona]
    between, after = separator_ids(tokenizer, profile.between), separator_ids(tokenizer, profile.after)
    return fit_history(lines, encoded, between, after, limit)
