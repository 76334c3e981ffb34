"""A plugin of the command line tool llm: BlenderbotSmall in NumPy as the model `npblender`.

A system prompt is the persona, a sentence a line. What the model said is logged as it wrote it (`raw`), and read again
from there when a conversation goes on, so that it sees its own words as they were.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import llm
from llm.parts import Message, StreamEvent, TextPart
from pydantic import Field

from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer, Conversation
from npblender.chat.history import Turn
from npblender.chat.transcript import Transcript

KEPT = "npblender"
"""The key under which a reply's text is kept as the model wrote it."""


@lru_cache(maxsize=1)
def load(folder: str | None, dialect: str | None) -> tuple[Any, Any]:
    """The model and its tokenizer; the last one is kept, for `llm chat`."""
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(folder, dialect=dialect)
    return model, BlenderbotSmallTokenizer.from_pretrained(folder, dialect=model.dialect)


def text_of(message: Message) -> str:
    """The text of a message."""
    return "".join(part.text for part in message.parts if isinstance(part, TextPart))


def persona_of(messages: Sequence[Message]) -> tuple[str, ...]:
    """The lines of the last system prompt."""
    system = next((text_of(message) for message in reversed(messages) if message.role == "system"), "")
    return tuple(line.strip() for line in system.splitlines() if line.strip())


def turns_of(messages: Sequence[Message]) -> tuple[Turn, ...]:
    """What was said, the last turn included; the model's with the text as it wrote it."""
    turns = []
    for message in messages:
        if message.role == "user":
            turns.append(Turn("user", text_of(message)))
        elif message.role == "assistant":
            kept = [part.provider_metadata or {} for part in message.parts if isinstance(part, TextPart)]
            raw = [metadata[KEPT]["raw"] for metadata in kept if KEPT in metadata]
            turns.append(Turn("model", text_of(message), raw[-1] if raw else None))
        elif message.role != "system":
            raise ValueError(f"the model npblender has no tools, and a message is of the role {message.role!r}")
    return tuple(turns)


class Npblender(llm.Model):
    """The model `npblender`."""

    model_id = "npblender"
    can_stream = True

    class Options(llm.Options):
        """What `-o` takes; None leaves a setting to the model's files."""

        model: str | None = Field(None, description="a folder, or a name on the Hugging Face Hub; the demo without it")
        dialect: str | None = Field(None, description="parlai, transformers-4 or transformers-5")
        num_beams: int | None = Field(None, description="paths that are searched")
        min_length: int | None = Field(None, description="tokens of a reply at least")
        max_length: int | None = Field(None, description="tokens of a reply at most")
        do_sample: bool | None = Field(None, description="draw each word at random")
        temperature: float | None = Field(None, description="divisor of the logits, with do_sample")
        top_k: int | None = Field(None, description="draw from so many words, with do_sample")
        top_p: float | None = Field(None, description="draw from words of this probability together, with do_sample")
        seed: int | None = Field(None, description="makes do_sample repeatable")

    def execute(
        self, prompt: llm.Prompt, stream: bool, response: llm.Response, conversation: llm.Conversation | None = None
    ) -> Iterator[StreamEvent]:
        """Yield the reply, word by word where words are certain before the end."""
        chosen = {name: value for name, value in dict(prompt.options).items() if value is not None}
        model, tokenizer = load(chosen.pop("model", None), chosen.pop("dialect", None))
        if chosen.get("do_sample"):
            chosen.setdefault("num_beams", 1)  # one path, whatever the model's files say, so that words are streamed
        seed, persona = chosen.pop("seed", None), persona_of(prompt.messages)
        talk = Conversation(model, tokenizer, seed=seed)
        talk.restore(Transcript("parlai", persona, turns_of(prompt.messages), chosen))
        pieces = talk.stream()
        if stream:
            yield from (StreamEvent(type="text", chunk=piece) for piece in pieces)
        else:
            yield StreamEvent(type="text", chunk="".join(pieces))
        reply = talk.last_reply
        assert reply is not None
        yield StreamEvent(type="text", chunk="", provider_metadata={KEPT: {"raw": reply.raw}})
        response.response_json = {"raw": reply.raw, "score": reply.score, "model": model.name_or_path}
        response.set_usage(input=len(reply.source.ids), output=len(reply.ids))


@llm.hookimpl
def register_models(register: Any) -> None:
    """Add the model to llm's."""
    register(Npblender())
