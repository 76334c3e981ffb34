"""Conversations in a pack: what the user says, the model's input for each reply, and its answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npblender.chat import Conversation
from npblender.groundtruth.packs.files import PackFile, json_file, read_json, short
from npblender.groundtruth.packs.verdict import Subject, Tally, Verdict

KIND = "conversations"
PATH = "chat/conversations.json"


@dataclass(frozen=True)
class Chat:
    """One conversation: what the user says in turn, the persona and the settings."""

    name: str
    said: Sequence[str]
    persona: Sequence[str] = ()
    settings: Mapping[str, Any] | None = None


def chats_for(longest: int) -> Iterator[Chat]:
    """Yield the conversations of a pack; `longest` limits each reply."""
    beams = {"num_beams": 3, "min_length": 2, "max_length": longest}
    said = ("Hello!", "do you like low music?", "new or old?")
    yield Chat("beams", said, (), beams)
    yield Chat("greedy", said[:2], (), {"num_beams": 1, "min_length": 2, "max_length": longest})
    yield Chat("persona", ("who are you?",), ("i am low.", "i held a hello."), beams)


def _held(subject: Subject, chat: Chat) -> dict[str, Any]:
    settings = dict(chat.settings or {})
    tokenizer = subject.tokenizer(subject.model.dialect)
    talk = Conversation(subject.model, tokenizer, persona=chat.persona, **settings)
    replies = []
    for text in chat.said:
        reply = talk.reply(text)
        replies.append(
            {
                "user": text,
                "source_ids": list(reply.source.ids),
                "dropped_turns": reply.source.dropped_turns,
                "cut_tokens": reply.source.cut_tokens,
                "reply_ids": list(reply.ids),
                "raw": reply.raw,
                "text": reply.text,
                "score": None if reply.score is None else short(reply.score),
            }
        )
    asked = {"name": chat.name, "persona": list(chat.persona), "settings": settings, "said": list(chat.said)}
    return {**asked, "replies": replies, "transcript": talk.to_transcript().to_dict()}


def make(subject: Subject, longest: int) -> Iterator[PackFile]:
    """Make the file, or nothing where the model has no tokenizer; `subject` computes in float64."""
    if subject.has_texts:
        found = [_held(subject, chat) for chat in chats_for(longest)]
        yield json_file(PATH, KIND, "conversations: what the model was shown, and what it answered", found)


def check(path: Path, subject: Subject) -> Verdict:
    """Hold the same conversations and compare them with the file."""
    tally = Tally()
    for expected in read_json(path):
        chat = Chat(expected["name"], expected["said"], expected["persona"], expected["settings"])
        mine = _held(subject, chat)
        for n, (theirs, ours) in enumerate(zip(expected["replies"], mine["replies"], strict=True)):
            for key in theirs.keys() - {"score"}:
                tally.equal(f"{chat.name}, reply {n}, {key}", theirs[key], ours[key])
            tally.scores(f"{chat.name}, reply {n},", theirs["score"], ours["score"])
        tally.equal(f"{chat.name}, transcript", expected["transcript"], mine["transcript"])
    return tally.verdict("comparisons of conversations")
