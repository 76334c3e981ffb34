"""How a conversation is written for the model: the format it was trained with, and two others that people have used.

The model was trained on turns joined by its line-break token. Two other separators have been in use with transformers,
its documentation's and its old pipeline's; they are here for comparison, and the model never saw them in training.

This is data. What is done with it stands in history.py (the format) and replies.py (the settings).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["PERSONA_PREFIX", "PERSONA_WORDS", "PROFILES", "Profile", "resolve_profile"]

PERSONA_PREFIX = "your persona: "
"""What a persona line begins with."""
PERSONA_WORDS = "your persona :"
"""The same with spaces, so that every dialect cuts it alike."""


@dataclass(frozen=True)
class Profile:
    """How a conversation is written for the model, and the settings that go with it."""

    name: str
    between: tuple[str, ...]
    """What stands between two turns: "newline", "eos", "bos"."""
    after: tuple[str, ...] = ()
    """What stands after the last turn."""
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Settings of the search for a model that does not name its own, each by itself: see `replies`."""


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
    """The record for a name, or a record itself.

    >>> resolve_profile("parlai").between
    ('newline',)
    >>> resolve_profile("reddit")
    Traceback (most recent call last):
    ValueError: unknown profile 'reddit'; it takes 'parlai', 'transformers-documentation', 'transformers-pipeline' \
or a Profile
    """
    if isinstance(profile, Profile):
        return profile
    if profile in PROFILES:
        return PROFILES[profile]
    raise ValueError(f"unknown profile {profile!r}; it takes {', '.join(map(repr, PROFILES))} or a Profile")
