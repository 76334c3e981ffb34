"""`Conversation`: the turns so far, and the model's next reply to them.

It holds the persona, the turns and the random numbers; nothing else in the package has state of a conversation. A reply
that fails or is cancelled changes nothing. history.py encodes the history, replies.py runs the search.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from npblender.chat.replies import DialectModel, Reply, Settings, make_settings, stream_reply
from npblender.chat.transcript import Transcript, read_transcript, write_transcript
from npblender.common import json_files
from npblender.common.checks import lines_of
from npblender.common.printable import cut, shown
from npblender.config.dialect import Dialect
from npblender.generation.generate import generator_of, run_to_end
from npblender.models import BlenderbotSmallForConditionalGeneration
from npblender.tokenizer import BlenderbotSmallTokenizer

if TYPE_CHECKING:
    from typing_extensions import Unpack  # type checkers have it, whatever is installed

    from npblender.chat.explanation import Explanation
    from npblender.config.call_options import CallOptions, LoadOptions


class Conversation:
    """A conversation with one model.

    Args:
        model, tokenizer: of one folder. Their dialects decide how text is cut and how a reply is searched for.
        persona: a line, or several, about the character that the model plays, such as "i have two cats.".
        profile: "parlai" (the format that the model was trained with, and ParlAI's settings where the model names no
            own), "transformers-documentation" or "transformers-pipeline" (the separators used with transformers).
        block: words and phrases that are never generated.
        seed: for replies that are sampled; without it every run samples others.
        settings: settings of the search for every reply, as for `generate`: `num_beams=1`, `do_sample=True`.

    Raises:
        TypeError, ValueError: a setting that does not exist or that the search does not use, a vocabulary without
            the profile's separator, a persona that leaves no room, an empty phrase.

    >>> model = type(model).from_config(config.replace(vocab_size=len(tokenizer)), seed=0)
    >>> talk = Conversation(model, tokenizer, min_length=2, max_length=6)
    >>> reply = talk.reply("hello!")
    >>> [turn.speaker for turn in talk.turns], talk.turns[1].text == reply.text
    (['user', 'model'], True)
    """

    def __init__(
        self,
        model: BlenderbotSmallForConditionalGeneration,
        tokenizer: BlenderbotSmallTokenizer,
        *,
        persona: str | Iterable[str] = (),
        profile: str | Profile = "parlai",
        block: str | Iterable[str] = (),
        seed: int | np.random.Generator | None = None,
        **settings: Unpack[CallOptions],
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
        self._rng = None if seed is None else generator_of(seed)  # else made when a reply first draws
        phrases = lines_of("block", block)
        self._block = BlockList(phrases, tokenizer) if phrases else None
        self._settings: dict[str, Any] = {}
        self.configure(**settings)
        self.persona = persona

    @classmethod
    def from_pretrained(
        cls,
        folder: str | os.PathLike[str] | None = None,
        *,
        dialect: Any = None,
        dtype: Any = "float32",
        allow_pickle: bool = False,
        persona: str | Iterable[str] = (),
        profile: str | Profile = "parlai",
        block: str | Iterable[str] = (),
        seed: int | np.random.Generator | None = None,
        **options: Unpack[LoadOptions],
    ) -> Conversation:
        """Load the model of a folder, or of a name on the Hub, or the demo, for a conversation.

        `options` are settings, as for the class; and `revision`, `cache_dir`, `local_files_only`, `token`,
        `force_download` and `subfolder`, as for the model.
        """
        settings: dict[str, Any] = {**options}
        where = json_files.taken_out(settings)
        model = BlenderbotSmallForConditionalGeneration.from_pretrained(
            folder, dialect=dialect, dtype=dtype, allow_pickle=allow_pickle, **where
        )
        where.pop("force_download", None)  # it is downloaded
        tokenizer = BlenderbotSmallTokenizer.from_pretrained(folder, dialect=model.dialect, **where)
        return cls(model, tokenizer, persona=persona, profile=profile, block=block, seed=seed, **settings)

    def __repr__(self) -> str:
        last = f", the last {cut(repr(self._turns[-1].text), 60)}" if self._turns else ""
        return (
            f"Conversation({len(self._turns)} turns{last}; {len(self._persona)} lines of persona, profile "
            f"{shown(self.profile.name)}, {shown(self.model)})"
        )

    @property
    def persona(self) -> tuple[str, ...]:
        """The lines about the model's character. Setting them checks that they leave room for a turn."""
        return self._persona

    @persona.setter
    def persona(self, lines: str | Iterable[str]) -> None:
        checked = tuple(persona_line(line) for line in lines_of("persona", lines))
        limit = self.model.config.max_position_embeddings
        make_source(self.tokenizer, self.profile, checked, (Turn("user", "?"),), limit)  # raises here, not later
        self._persona = checked

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns so far, the earliest first."""
        return self._turns

    @property
    def settings(self) -> dict[str, Any]:
        """The settings for every reply, besides the model's and the profile's."""
        return dict(self._settings)

    def resolved_settings(self) -> Settings:
        """The settings of the next reply's search, with the model's and the profile's."""
        return make_settings(self.profile, self.model, self._settings)

    def configure(self, **settings: Unpack[CallOptions]) -> None:
        """Change settings for the replies to come; None restores the model's or the profile's.

        Raises:
            TypeError, ValueError: as for the class; then nothing has changed.
        """
        changed = {name: value for name, value in {**self._settings, **settings}.items() if value is not None}
        make_settings(self.profile, self.model, changed)
        self._settings = changed

    def add_turn(self, text: str, speaker: Speaker = "user") -> None:
        """Add a turn to the history without asking for a reply.

        Raises:
            ValueError: a turn that becomes no token, or too long a persona.
        """
        turns = (*self._turns, Turn(speaker, text))
        self.source_of(self.tokenizer, turns)
        self._turns = turns

    def reply(self, text: str | None = None, **settings: Unpack[CallOptions]) -> Reply:
        """Generate the model's reply to `text`, or without it to the conversation as it is.

        Both turns are added to the history. `settings` apply to this reply only.

        Raises:
            ValueError: there is nothing to reply to, or a setting that does not fit.
        """
        return run_to_end(self.stream(text, **settings))

    def stream(self, text: str | None = None, **settings: Unpack[CallOptions]) -> Generator[str, None, Reply]:
        """Yield the reply piece by piece, as words become certain; `last_reply` is the whole one at the end.

        With several beams no word is certain before the end, and the reply comes in one piece. The turns are added to
        the history at the end: a stream that is closed earlier changes nothing.
        """
        turns = self._turns if text is None else (*self._turns, Turn("user", text))
        source = self.source_of(self.tokenizer, turns)
        chosen = make_settings(self.profile, self.model, {**self._settings, **settings})
        speaker = DialectModel(self.model, self.tokenizer, self._block)
        if self._rng is None and chosen.plan.is_random:  # most replies need no module for random numbers
            self._rng = generator_of(None)
        found = yield from stream_reply(speaker, source, chosen, self._rng)
        reply = Reply(**vars(found[0]), n_best=found, source=source)
        self._turns = (*turns, Turn("model", reply.text, reply.raw))
        self.last_reply = reply
        return reply

    def explain(self, turn: int = -1, *, dialects: Sequence[str | Dialect] | None = None) -> Explanation:
        """Explain a reply of the model's: every merge, attention, probability and beam; the last one by itself.

        The reply is searched for again with the persona and the settings of now. Where that finds another one (it was
        drawn, or the settings have changed), the page says so, and shows the probabilities of the reply as it stands.

        Args:
            turn: its number in `turns`.
            dialects: which originals to compare with; None for all, () for none.

        Raises:
            ValueError: there is no such turn, or it is the user's.
        """
        from npblender.chat.explaining import explain_turn

        return explain_turn(self, turn, dialects)

    def undo(self) -> tuple[Turn, ...]:
        """Remove the last exchange: the last turn, and the user's before it if it was a reply. Return them.

        Raises:
            ValueError: there are no turns.
        """
        if not self._turns:
            raise ValueError("there is nothing to undo")
        count = 2 if [turn.speaker for turn in self._turns[-2:]] == ["user", "model"] else 1
        removed = self._turns[-count:]
        self._turns = self._turns[:-count]
        self.last_reply = None
        return removed

    def reset(self) -> None:
        """Remove all turns. Persona and settings stay."""
        self._turns = ()
        self.last_reply = None

    def source(self) -> FittedSource:
        """The ids that the model would read now.

        Raises:
            ValueError: there are no turns.
        """
        return self.source_of(self.tokenizer, self._turns)

    def to_transcript(self) -> Transcript:
        """The conversation as a record of plain values.

        Raises:
            ValueError: the profile is one of the caller's own, which a file cannot name.
        """
        if PROFILES.get(self.profile.name) != self.profile:
            raise ValueError(
                f"a transcript cannot hold a profile of your own, {shown(self.profile.name)}; save the turns"
            )
        return Transcript(self.profile.name, self._persona, self._turns, self._settings)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the conversation to a JSON file, which is replaced when the new one is complete."""
        write_transcript(path, self.to_transcript())

    def restore(self, transcript: Transcript) -> None:
        """Replace persona, turns, profile and settings by those of a transcript."""
        taken = Conversation(
            self.model, self.tokenizer, persona=transcript.persona, profile=transcript.profile, **transcript.settings
        )
        if transcript.turns:
            taken.source_of(taken.tokenizer, transcript.turns)
        self.profile, self._persona, self._settings = taken.profile, taken.persona, taken.settings
        self._turns = transcript.turns
        self.last_reply = None

    def load(self, path: str | os.PathLike[str]) -> None:
        """Go on with a conversation that `save` wrote.

        Raises:
            FileNotFoundError, ValueError: no such file, or one that cannot be gone on with; nothing changes then.
        """
        found = read_transcript(path)
        try:
            self.restore(found)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{Path(path)}: {error}") from error

    def source_of(self, tokenizer: BlenderbotSmallTokenizer, turns: tuple[Turn, ...]) -> FittedSource:
        """The ids of some turns behind the persona, by a tokenizer that may be of another dialect."""
        limit = self.model.config.max_position_embeddings
        return make_source(tokenizer, self.profile, self._persona, turns, limit)

    def processors(self) -> tuple[BlockList, ...]:
        """The logits processors of every search, besides those of its settings."""
        return () if self._block is None else (self._block,)
