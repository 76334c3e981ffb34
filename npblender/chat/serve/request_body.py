"""From a request's body to what it asks for: OpenAI's fields, checked, as one record. Pure functions.

    body (JSON) -> parse_chat or parse_completion -> ReplyRequest
A field that is not listed here is refused by its name, and so is one whose value asks for something that is not there.
What common clients send by default is accepted. Any setting of the search may be named beside OpenAI's fields.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from npblender.chat.serve.errors import ApiError
from npblender.chat.serve.fields import Body, check_object, number, stops, switch, whole
from npblender.chat.serve.limits import MOST_CHOICES, MOST_TOP_LOGPROBS
from npblender.chat.serve.messages import Talk, talk_of_messages, talks_of_prompt
from npblender.common.checks import closest_name
from npblender.common.printable import shown
from npblender.config.dialect import DIALECTS
from npblender.config.generation_options import OPTIONS

NOT_SERVED = {
    "num_return_sequences": "say n",
    "stop_strings": "say stop",
    "use_cache": "keys and values are always kept here",
    **{name: "a reply comes with its text and scores" for name, row in OPTIONS.items() if row.shapes_record},
}
"""Settings of `generate` that a request cannot have, and what to say instead."""
SETTINGS = frozenset(OPTIONS) - NOT_SERVED.keys() - {"temperature", "top_p", "top_k"}
"""The settings that a request may name beside OpenAI's fields."""

SHARED = {"model", "stream", "stream_options", "n", "max_tokens", "temperature", "top_p", "top_k", "stop", "seed"}
SHARED |= {"dialect", *SETTINGS}
CHAT = SHARED | {"messages", "max_completion_tokens", "logprobs", "top_logprobs"}
COMPLETION = SHARED | {"prompt", "logprobs", "echo", "best_of", "suffix"}

LABELS = frozenset({"user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"})
"""Fields that say who asks, and change no reply anywhere."""

NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "response_format": ({"type": "text"},),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "modalities": (["text"],),
    "store": (False,),
    "service_tier": ("auto", "default"),
    "verbosity": ("medium",),
}
"""OpenAI's fields for what is not here, with the values that ask for nothing."""
ADVICE = {
    "frequency_penalty": "repetition_penalty (transformers dialects) or no_repeat_ngram_size keep words from repeating",
    "presence_penalty": "repetition_penalty (transformers dialects) or no_repeat_ngram_size keep words from repeating",
    "logit_bias": "sequence_bias (transformers dialects) or bad_words_ids change what tokens score",
    "tools": "the model only talks",
    "functions": "the model only talks",
    "response_format": "the model only talks",
}


@dataclass(frozen=True)
class ReplyRequest:
    """What one request asks for."""

    talks: tuple[Talk, ...]  # what is to be replied to: one conversation, or one for each prompt
    model: str | None = None
    dialect: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Settings of the search, as `generate` takes them, without a limit."""
    most_tokens: int | None = None
    choices: int = 1
    stops: tuple[str, ...] = ()
    seed: int | None = None
    top_logprobs: int | None = None
    """How many tokens to show beside each of the reply; None: no log-probabilities at all."""
    stream: bool = False
    include_usage: bool = False


def parse_chat(body: Any) -> ReplyRequest:
    """Read the body of POST /v1/chat/completions.

    Raises:
        ApiError: the field that is wrong, or not honoured, by name.

    >>> asked = parse_chat({"model": "demo", "messages": [{"role": "user", "content": "hi"}], "temperature": 0})
    >>> asked.talks[0].turns, dict(asked.settings)
    ((Turn(speaker='user', text='hi', raw=None),), {'do_sample': False, 'num_beams': 1})
    """
    fields = _checked(check_object(body), CHAT)
    if "messages" not in fields:
        raise ApiError(400, "messages is missing: what is to be replied to", param="messages")
    logprobs = switch(fields, "logprobs")
    top = whole(fields, "top_logprobs", None, 0, MOST_TOP_LOGPROBS)
    if top is not None and not logprobs:
        raise ApiError(400, "top_logprobs shows tokens beside logprobs: also say logprobs: true", param="top_logprobs")
    return _asked(fields, (talk_of_messages(fields["messages"]),), (top or 0) if logprobs else None)


def parse_completion(body: Any) -> ReplyRequest:
    """Read the body of POST /v1/completions: each prompt is replied to by itself.

    >>> parse_completion({"prompt": ["hi", "hello"], "logprobs": 2}).top_logprobs
    2
    """
    fields = _checked(check_object(body), COMPLETION)
    if "prompt" not in fields:
        raise ApiError(400, "prompt is missing: what is to be replied to", param="prompt")
    if switch(fields, "echo"):
        raise ApiError(400, "echo: a reply does not continue its prompt, so there is nothing to repeat", param="echo")
    if fields.get("suffix"):
        raise ApiError(400, "suffix: a reply has an end of its own; nothing can be made to follow it", param="suffix")
    best_of = whole(fields, "best_of", None, 1)
    if best_of is not None and best_of != fields.get("n", 1):
        raise ApiError(400, "best_of: every reply that is made is returned; make it equal to n", param="best_of")
    top = whole(fields, "logprobs", None, 0, 5)
    return _asked(fields, talks_of_prompt(fields["prompt"]), top)


def _asked(fields: Body, talks: tuple[Talk, ...], top: int | None) -> ReplyRequest:
    settings = _settings(fields)
    model, dialect = fields.get("model"), fields.get("dialect")
    if model is not None and not isinstance(model, str):
        raise ApiError(400, f"model must be a name, not {shown(model)}", param="model")
    names = [each.name for each in DIALECTS]
    if dialect is not None and dialect not in names:
        known = ", ".join(map(repr, names))
        raise ApiError(400, f"unknown dialect {shown(dialect)}; it takes {known}", param="dialect")
    stream = switch(fields, "stream")
    choices = whole(fields, "n", 1, 1, MOST_CHOICES)
    assert choices is not None
    return ReplyRequest(
        talks=talks,
        model=model,
        dialect=dialect,
        settings=settings,
        most_tokens=_limit(fields),
        choices=choices,
        stops=stops(fields),
        seed=whole(fields, "seed", None, -(1 << 63), (1 << 64) - 1),
        top_logprobs=top,
        stream=stream,
        include_usage=_stream_options(fields, stream),
    )


def _limit(fields: Body) -> int | None:
    """The most tokens of a reply, by whichever name; two names are refused, but for OpenAI's two with one number."""
    limits = {name: whole(fields, name, None, 1) for name in ("max_tokens", "max_completion_tokens") if name in fields}
    names = [*limits, *(name for name in ("max_length", "max_new_tokens") if name in fields and limits)]
    if len(names) > len(limits) or len(set(limits.values())) > 1:
        message = f"{names[-1]} and {names[0]} are two limits of one thing; leave one of them out"
        raise ApiError(400, message, param=names[-1])
    return next(iter(limits.values()), None)


def _settings(fields: Body) -> dict[str, Any]:
    """The settings of the search: those named, and what temperature, top_p and top_k ask for.

    A temperature above 0, or a truncation, asks for sampling, as in OpenAI's interface; a temperature of 0 for the most
    probable token each time, which no truncation removes. With none of them it is the model's own search.
    """
    settings = {name: fields[name] for name in fields if name in SETTINGS}
    drawn = {
        "temperature": number(fields, "temperature", 0.0, math.inf),
        "top_p": number(fields, "top_p", 0.0, 1.0),
        "top_k": whole(fields, "top_k", None, 0),
    }
    drawn = {name: value for name, value in drawn.items() if value is not None}
    if drawn.get("temperature") == 0:
        asked = {"do_sample": settings.get("do_sample") is True, "beam_delay": "beam_delay" in settings}
        for name in asked:
            if asked[name]:
                message = f"temperature 0 asks for the most probable token each time, and {name} for tokens at random"
                raise ApiError(400, f"{message}; leave one of them out", param=name)
        return {"do_sample": False, "num_beams": 1, **settings}
    if not drawn:
        return settings
    beams = {} if "num_beams" in settings or "beam_delay" in settings else {"num_beams": 1}
    draws = {} if "beam_delay" in settings else {"do_sample": True}
    return {**draws, **beams, **settings, **drawn}


def _stream_options(fields: Body, stream: bool) -> bool:
    options = fields.get("stream_options")
    if options is None:
        return False
    if not stream:
        raise ApiError(400, "stream_options are for stream: true", param="stream_options")
    options = check_object(options, "stream_options")
    unknown = sorted(set(options) - {"include_usage", "include_obfuscation"})
    if unknown:
        raise ApiError(400, f"stream_options has no {shown(unknown[0])}", param="stream_options")
    if switch(options, "include_obfuscation"):
        raise ApiError(400, "include_obfuscation is not there: nothing is added to a stream", param="stream_options")
    return switch(options, "include_usage")


def _checked(body: Body, known: set[str]) -> dict[str, Any]:
    """Refuse fields that are not known, and those with a value that asks for what is not there."""
    fields = {}
    for name, value in body.items():
        if name in known:
            fields[name] = value
        elif name in LABELS:
            continue
        elif name in NEUTRAL:
            if not any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in NEUTRAL[name]):
                advice = ADVICE.get(name, "leave it out")
                raise ApiError(400, f"{name} {shown(value, 60)} is not covered; {advice}", param=name)
        elif name in NOT_SERVED:
            raise ApiError(400, f"{name} has no place in a request: {NOT_SERVED[name]}", param=name)
        else:
            near = closest_name(name, sorted(known))
            hint = f"; did you mean {near}?" if near else ""
            message = f"unrecognized field {shown(name, 60)}{hint}"
            raise ApiError(400, message, param=name[:60], code="unknown_parameter")
    return fields
