"""From OpenAI's messages, or a prompt, to the persona and the turns of one conversation. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from npblender.chat.batch.requests import BadLine, as_request
from npblender.chat.history import PERSONA_PREFIX, Turn
from npblender.chat.serve.errors import ApiError
from npblender.chat.serve.fields import text
from npblender.chat.serve.limits import MOST_CHARACTERS_IN_ALL, MOST_MESSAGES, MOST_PROMPTS
from npblender.common.printable import shown

ROLES = ("system", "developer", "user", "assistant")
EMPTY: tuple[Any, ...] = (None, [], {}, "")
NO_PART = ("refusal", "annotations", "audio", "function_call", "tool_calls", "reasoning", "reasoning_content")
"""What clients copy back with a reply of ours, empty."""


@dataclass(frozen=True)
class Talk:
    """One conversation to be replied to: its persona and turns, or the ids of a source."""

    persona: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()
    ids: tuple[int, ...] | None = None


def talk_of_messages(messages: Any) -> Talk:
    """The conversation that messages hold. Every line of a system message is a persona line.

    An assistant's message may have `raw`, the reply as the tokens spelt it; without it, it is cut up like typed text.

    >>> talk_of_messages([{"role": "system", "content": "i have two cats."}, {"role": "user", "content": "hi"}])
    Talk(persona=('i have two cats.',), turns=(Turn(speaker='user', text='hi', raw=None),), ids=None)
    """
    if not isinstance(messages, list) or not messages:
        raise ApiError(400, "messages must be a list of messages, at least one", param="messages")
    if len(messages) > MOST_MESSAGES:
        message = f"messages holds {len(messages)} messages; {MOST_MESSAGES} are allowed"
        raise ApiError(400, message, param="messages")
    persona: list[str] = []
    turns: list[Turn] = []
    for number, message in enumerate(messages):
        where = f"messages[{number}]"
        role, content, raw = _message(message, where)
        if role in ("system", "developer"):
            persona += persona_lines(content)
        elif not content.strip():
            raise ApiError(400, f"{where}.content is empty", param=f"{where}.content")
        else:
            turns.append(Turn("model" if role == "assistant" else "user", content, raw))
    if not turns:
        raise ApiError(400, "messages holds nothing to reply to: no user's message", param="messages")
    size = sum(map(len, persona)) + sum(len(turn.text) for turn in turns)
    if size > MOST_CHARACTERS_IN_ALL:
        message = f"messages holds {size} characters; {MOST_CHARACTERS_IN_ALL} are allowed"
        raise ApiError(400, message, param="messages")
    return Talk(tuple(persona), tuple(turns))


def persona_lines(content: str) -> list[str]:
    """The persona lines of a system message, empty ones left out; the prefix of training may be there.

    >>> persona_lines("your persona: i like tea.\\n\\n your persona:\\ni sing.")
    ['your persona: i like tea.', 'i sing.']
    """
    lines = (" ".join(line.split()) for line in content.splitlines())
    return [line for line in lines if line and line.lower() != PERSONA_PREFIX.strip()]


def talks_of_prompt(prompt: Any) -> tuple[Talk, ...]:
    """The conversations of a prompt: a text, ids of a source, or a list of either.

    Lines of a text are turns, and those that begin with "your persona:" are persona lines.

    >>> [talk.persona for talk in talks_of_prompt(["your persona: i sing.\\nhi", "hello"])]
    [('your persona: i sing.',), ()]
    >>> talks_of_prompt([5, 6])[0].ids
    (5, 6)
    """
    if isinstance(prompt, str) or (isinstance(prompt, list) and prompt and all(map(_is_id, prompt))):
        prompt = [prompt]
    if not isinstance(prompt, list) or not prompt:
        raise ApiError(400, "prompt must be a text, a list of token ids, or a list of either", param="prompt")
    if len(prompt) > MOST_PROMPTS:
        raise ApiError(400, f"prompt holds {len(prompt)} prompts; {MOST_PROMPTS} are allowed", param="prompt")
    return tuple(_talk_of_prompt(each) for each in prompt)


def _talk_of_prompt(prompt: Any) -> Talk:
    if isinstance(prompt, list) and prompt and all(map(_is_id, prompt)):
        return Talk(ids=tuple(prompt))
    request = as_request(1, {"text": text(prompt, "prompt")})
    if isinstance(request, BadLine):
        raise ApiError(400, f"prompt: {request.reason}", param="prompt")
    return Talk(request.persona, request.turns)


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _message(message: Any, where: str) -> tuple[str, str, str | None]:
    """The role, the text and the raw text of one message."""
    if not isinstance(message, Mapping):
        raise ApiError(400, f"{where} must be an object with role and content, not {shown(message)}", param=where)
    role = message.get("role")
    if role not in ROLES:
        known = ", ".join(ROLES)
        raise ApiError(400, f"{where}.role is {shown(role)}; it takes {known}", param=f"{where}.role")
    for name, value in message.items():
        if name in ("role", "content") or (name in NO_PART and value in EMPTY) or (name == "name" and value is None):
            continue
        if name == "raw" and role == "assistant":
            continue
        reason = "speakers have no names in what the model reads" if name == "name" else "leave it out"
        raise ApiError(400, f"{where}.{shown(name, 60)[1:-1]} is not honoured; {reason}", param=where)
    raw = message.get("raw")
    content = _content(message.get("content"), f"{where}.content")
    return role, content, None if raw is None else text(raw, f"{where}.raw")


def _content(content: Any, where: str) -> str:
    """A text, or a list of parts that are texts."""
    if not isinstance(content, list):
        return text(content, where)
    parts = []
    for number, part in enumerate(content):
        if not isinstance(part, Mapping) or part.get("type") != "text" or set(part) - {"type", "text"}:
            kind = part.get("type") if isinstance(part, Mapping) else part
            raise ApiError(400, f"{where}[{number}] is {shown(kind, 60)}; only parts of text are read", param=where)
        parts.append(text(part.get("text"), f"{where}[{number}].text"))
    return text("\n".join(parts), where)
