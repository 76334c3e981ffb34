"""`Conversation`: what was said so far, and the model's next reply to it.

It keeps the persona, the turns and the source of random numbers, and nothing else in the package does. How a history
is written for the model is in history.py, how a reply is searched for in replies.py.

What it does not do: it prints nothing, and a reply that fails or is given up changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from typing import Any

import numpy as np

from npblender.chat.blocklist import BlockList
from npblender.chat.history import (
    PROFILES,
    FittedSource,
    Profile,
    Speaker,
    Turn,
    make_source,
    persona_line,
    resolve_profile,
)
from npblender.chat.replies import Reply, stream_reply
from npblender.chat.settings import Settings, make_settings
from npblender.chat.transcript import Transcript, read_transcript, write_transcript
from npblender.models import BlenderbotSmallForConditionalGeneration
from npblender.tokenizer import BlenderbotSmallTokenizer


class Conversation:
    """A conversation with one model.

    Args:
        model, tokenizer: of one folder. Their dialects decide how text is cut and how a reply is searched for.
        persona: lines that the model is to speak by, such as "i have two cats.".
        profile: "parlai" (the format that the model was trained with, and ParlAI's settings where the model names no
            own), "transformers-documentation" or "transformers-pipeline" (the separators used with transformers).
        block: words and phrases that are never to be said.
        seed: for replies that are drawn at random; without it every run draws others.
        settings: settings of the search for every reply, as `generate` takes them: `num_beams=1`, `do_sample=True`.

    Raises:
        TypeError, ValueError: a setting that does not exist or that the search does not use, a vocabulary without
            the profile's separator, a persona that leaves no room, a phrase that is none.

    >>> from npblender import BlenderbotSmallConfig
    >>> from npblender.tokenizer.example import example_tokenizer
    >>> tiny = BlenderbotSmallConfig(vocab_size=48, d_model=12, encoder_layers=1, decoder_layers=1,
    ...     encoder_attention_heads=2, decoder_attention_heads=3, encoder_ffn_dim=5, decoder_ffn_dim=7)
    >>> model = BlenderbotSmallForConditionalGeneration.from_config(tiny, seed=0)
    >>> talk = Conversation(model, example_tokenizer(), min_length=2, max_length=6)
    >>> reply = talk.reply("hello!")
    >>> [turn.speaker for turn in talk.turns], talk.turns[1].text == reply.text
    (['user', 'model'], True)
    """

    def __init__(
        self,
        model: BlenderbotSmallForConditionalGeneration,
        tokenizer: BlenderbotSmallTokenizer,
        *,
        persona: Iterable[str] = (),
        profile: str | Profile = "parlai",
        block: Iterable[str] = (),
        seed: int | np.random.Generator | None = None,
        **settings: Any,
    ) -> None:
        if len(tokenizer) > model.config.vocab_size:
            raise ValueError(
                f"the tokenizer has {len(tokenizer)} tokens and the model {model.config.vocab_size}: they belong to "
                f"different models"
            )
        self.model = model
        self.tokenizer = tokenizer
        self.profile = resolve_profile(profile)
        self._persona: tuple[str, ...] = ()
        self._turns: tuple[Turn, ...] = ()
        self.last_reply: Reply | None = None
        self._rng = seed if isinstance(seed, np.random.Generator) else np.random.default_rng(seed)
        phrases = [block] if isinstance(block, str) else list(block)
        self._block = BlockList(phrases, tokenizer) if phrases else None
        self._settings: dict[str, Any] = {}
        self.configure(**settings)
        self.persona = tuple(persona)

    @classmethod
    def from_pretrained(
        cls,
        folder: str | os.PathLike[str] | None = None,
        *,
        dialect: Any = None,
        dtype: Any = "float32",
        **options: Any,
    ) -> Conversation:
        """A conversation with the model in a folder, or with the demo; `options` are those of the class."""
        model = BlenderbotSmallForConditionalGeneration.from_pretrained(folder, dialect=dialect, dtype=dtype)
        tokenizer = BlenderbotSmallTokenizer.from_pretrained(folder, dialect=model.dialect)
        return cls(model, tokenizer, **options)

    @property
    def persona(self) -> tuple[str, ...]:
        """The lines that the model is to speak by. Setting them checks that they leave room for a turn."""
        return self._persona

    @persona.setter
    def persona(self, lines: Iterable[str]) -> None:
        if isinstance(lines, str):
            raise TypeError("persona must be a list of lines, not one string")
        checked = tuple(persona_line(line) for line in lines)
        self._source_of(checked, (Turn("user", "?"),))  # refused here, not at the next reply
        self._persona = checked

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What was said, the earliest first."""
        return self._turns

    @property
    def settings(self) -> dict[str, Any]:
        """The settings given for every reply, besides the model's and the profile's."""
        return dict(self._settings)

    def resolved_settings(self) -> Settings:
        """What a reply is searched for with, the model's and the profile's settings included."""
        return make_settings(self.profile, self.model, self._settings)

    def configure(self, **settings: Any) -> None:
        """Change settings for the replies to come; None takes the model's or the profile's again.

        Raises:
            TypeError, ValueError: as for the class; then nothing has changed.
        """
        changed = {name: value for name, value in {**self._settings, **settings}.items() if value is not None}
        make_settings(self.profile, self.model, changed)
        self._settings = changed

    def add_turn(self, text: str, speaker: Speaker = "user") -> None:
        """Put a turn into the history without asking for a reply.

        Raises:
            ValueError: a turn that becomes no token, or too long a persona.
        """
        turns = (*self._turns, Turn(speaker, text))
        self._source_of(self._persona, turns)
        self._turns = turns

    def reply(self, text: str | None = None, **settings: Any) -> Reply:
        """What the model answers to `text`, or without it to the conversation as it stands.

        Both turns are then part of the history. `settings` count for this reply only.

        Raises:
            ValueError: there is nothing to reply to, or a setting that does not fit.
        """
        pieces = self.stream(text, **settings)
        while True:
            try:
                next(pieces)
            except StopIteration as end:
                reply: Reply = end.value
                return reply

    def stream(self, text: str | None = None, **settings: Any) -> Generator[str, None, Reply]:
        """The same piece by piece, as words become certain; the whole reply is then in `last_reply`.

        With several beams no word is certain before the end, and the reply comes in one piece. The turns are taken
        into the history at the end: a stream that is closed before has changed nothing.
        """
        turns = self._turns if text is None else (*self._turns, Turn("user", text))
        source = self._source_of(self._persona, turns)
        chosen = make_settings(self.profile, self.model, {**self._settings, **settings})
        found = yield from stream_reply(
            self.model, self.tokenizer, source.ids, chosen, block=self._block, rng=self._rng
        )
        best = found[0]
        reply = Reply(best.text, best.raw, best.ids, best.score, found, source)
        self._turns = (*turns, Turn("model", best.text, best.raw))
        self.last_reply = reply
        return reply

    def undo(self) -> tuple[Turn, ...]:
        """Take back the last exchange: the last turn, and the user's before it if it was a reply. Returns them.

        Raises:
            ValueError: nothing has been said.
        """
        if not self._turns:
            raise ValueError("there is nothing to undo")
        count = 2 if [turn.speaker for turn in self._turns[-2:]] == ["user", "model"] else 1
        removed = self._turns[-count:]
        self._turns = self._turns[:-count]
        self.last_reply = None
        return removed

    def reset(self) -> None:
        """Forget what was said. Persona and settings stay."""
        self._turns = ()
        self.last_reply = None

    def source(self) -> FittedSource:
        """What the model would be shown now.

        Raises:
            ValueError: nothing has been said.
        """
        return self._source_of(self._persona, self._turns)

    def to_transcript(self) -> Transcript:
        """The conversation as a record of plain values.

        Raises:
            ValueError: the profile is one of the caller's own, which a file cannot name.
        """
        if PROFILES.get(self.profile.name) != self.profile:
            raise ValueError(f"a transcript cannot hold a profile of your own, {self.profile.name!r}; save the turns")
        return Transcript(self.profile.name, self._persona, self._turns, self._settings)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the conversation to a JSON file, which is replaced when the new one is complete."""
        write_transcript(path, self.to_transcript())

    def restore(self, transcript: Transcript) -> None:
        """Take up the persona, turns, profile and settings of a transcript in place of one's own."""
        taken = Conversation(
            self.model, self.tokenizer, persona=transcript.persona, profile=transcript.profile, **transcript.settings
        )
        if transcript.turns:
            taken._source_of(taken.persona, transcript.turns)
        self.profile, self._persona, self._settings = taken.profile, taken.persona, taken.settings
        self._turns = transcript.turns
        self.last_reply = None

    def load(self, path: str | os.PathLike[str]) -> None:
        """Take up a conversation that `save` wrote."""
        self.restore(read_transcript(path))

    def _source_of(self, persona: tuple[str, ...], turns: tuple[Turn, ...]) -> FittedSource:
        return make_source(self.tokenizer, self.profile, persona, turns, self.model.config.max_position_embeddings)
