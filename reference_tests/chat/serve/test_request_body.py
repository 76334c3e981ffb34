"""What a request's body asks for: OpenAI's fields, what clients send by default, and every refusal by name."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender.chat.history import Turn
from npblender.chat.serve.errors import TYPES, ApiError
from npblender.chat.serve.limits import (
    MOST_CHARACTERS,
    MOST_CHARACTERS_IN_ALL,
    MOST_CHOICES,
    MOST_MESSAGES,
    MOST_PROMPTS,
    MOST_STOP_CHARACTERS,
)
from npblender.chat.serve.request_body import COMPLETION, LABELS, NEUTRAL, NOT_SERVED, parse_chat, parse_completion

HI = [{"role": "user", "content": "hi"}]


def refusal(body, parse=parse_chat) -> ApiError:
    with pytest.raises(ApiError) as caught:
        parse(body)
    assert caught.value.status == 400
    return caught.value


def test_messages_become_persona_and_turns() -> None:
    messages = [
        {"role": "system", "content": "i like tea.\n\nyour persona: i sing."},
        {"role": "user", "content": [{"type": "text", "text": "hello"}, {"type": "text", "text": "you"}]},
        {"role": "assistant", "content": "hi, i'm fine.", "raw": "hi , i ' m fine ."},
        {"role": "developer", "content": "i am old."},
        {"role": "user", "content": "ok"},
    ]
    (talk,) = parse_chat({"messages": messages}).talks
    assert talk.persona == ("i like tea.", "your persona: i sing.", "i am old.")
    assert talk.turns == (
        Turn("user", "hello\nyou"),
        Turn("model", "hi, i'm fine.", "hi , i ' m fine ."),
        Turn("user", "ok"),
    )


def test_a_reply_can_be_sent_back_as_clients_do() -> None:
    """The openai client dumps the message that it got, with all that is empty in it."""
    dumped = {"role": "assistant", "content": "hello!", "refusal": None, "annotations": None, "audio": None}
    dumped |= {"function_call": None, "tool_calls": None}
    (talk,) = parse_chat({"messages": [*HI, dumped, *HI]}).talks
    assert talk.turns[1] == Turn("model", "hello!")


def test_what_clients_send_by_default_is_accepted() -> None:
    body = {
        "model": "demo",
        "messages": HI,
        "stream": False,
        "n": 1,
        "user": "me",
        "metadata": {"a": "b"},
        "stop": None,
    }
    for name, values in NEUTRAL.items():
        for value in values:
            parse_chat({**body, name: value})
    asked = parse_chat({**body, "temperature": None, "max_tokens": None, "logit_bias": None})
    assert asked == parse_chat(body)
    assert dict(asked.settings) == {}


@pytest.mark.parametrize(
    ("fields", "settings"),
    [
        ({}, {}),
        ({"temperature": 0}, {"do_sample": False, "num_beams": 1}),
        ({"temperature": 0, "top_p": 0.3}, {"do_sample": False, "num_beams": 1}),
        ({"temperature": 1}, {"do_sample": True, "num_beams": 1, "temperature": 1.0}),
        ({"top_p": 0.5}, {"do_sample": True, "num_beams": 1, "top_p": 0.5}),
        ({"top_k": 3, "num_beams": 4}, {"do_sample": True, "num_beams": 4, "top_k": 3}),
        ({"temperature": 0, "do_sample": False}, {"do_sample": False, "num_beams": 1}),
        ({"temperature": 0, "do_sample": None, "num_beams": 3}, {"do_sample": False, "num_beams": 3}),
        ({"temperature": 1, "do_sample": True}, {"do_sample": True, "num_beams": 1, "temperature": 1.0}),
        ({"num_beams": 5, "min_length": 2}, {"num_beams": 5, "min_length": 2}),
        ({"beam_delay": 3, "top_k": 4}, {"beam_delay": 3, "top_k": 4}),
    ],
)
def test_the_search_that_is_asked_for(fields, settings) -> None:
    assert dict(parse_chat({"messages": HI, **fields}).settings) == settings


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"tempreature": 1}, "tempreature", "did you mean temperature?"),
        ({"logprob": True}, "logprob", "unrecognized field"),
        ({"temperature": -1}, "temperature", "at least 0"),
        ({"temperature": "1"}, "temperature", "must be a number"),
        ({"temperature": float("nan")}, "temperature", "must be"),
        ({"temperature": True}, "temperature", "must be a number"),
        ({"top_p": 2}, "top_p", "between 0 and 1"),
        ({"n": 0}, "n", "at least 1"),
        ({"n": MOST_CHOICES + 1}, "n", "at most"),
        ({"n": 1.5}, "n", "whole number"),
        ({"max_tokens": 0}, "max_tokens", "at least 1"),
        ({"max_tokens": 5, "max_length": 6}, "max_length", "max_length and max_tokens are two limits"),
        ({"max_completion_tokens": 5, "max_new_tokens": 5}, "max_new_tokens", "and max_completion_tokens are two"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_completion_tokens", "max_tokens are two limits"),
        ({"max_tokens": 6, "max_completion_tokens": 5}, "max_completion_tokens", "leave one of them out"),
        ({"temperature": 0, "do_sample": True}, "do_sample", "temperature 0 asks for the most probable"),
        ({"temperature": 0, "top_p": 0.5, "do_sample": True}, "do_sample", "and do_sample for tokens at random"),
        ({"temperature": 0, "beam_delay": 3}, "beam_delay", "temperature 0"),
        ({"stream": "yes"}, "stream", "true or false"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "stream: true"),
        *(({"stream": True, "stream_options": wrong}, "stream_options", f"not {wrong}") for wrong in (5, [], True)),
        ({"stream": True, "stream_options": {"usage": True}}, "stream_options", "has no 'usage'"),
        ({"stop": [""]}, "stop", "empty"),
        ({"stop": ["a"] * 5}, "stop", "4 are allowed"),
        ({"stop": [1]}, "stop", "must be a text"),
        ({"stop": "x" * (MOST_STOP_CHARACTERS + 1)}, "stop", "characters"),
        ({"seed": "a"}, "seed", "whole number"),
        ({"top_logprobs": 3}, "top_logprobs", "logprobs: true"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "at most 20"),
        ({"logit_bias": {"5": 1}}, "logit_bias", "sequence_bias"),
        ({"frequency_penalty": 0.5}, "frequency_penalty", "repetition_penalty"),
        ({"frequency_penalty": False}, "frequency_penalty", "not covered"),
        ({"tools": [{"type": "function"}]}, "tools", "the model only talks"),
        ({"response_format": {"type": "json_object"}}, "response_format", "not covered"),
        ({"model": 5}, "model", "must be a name"),
        ({"dialect": "moses"}, "dialect", "'transformers-5'"),
        ({"messages": []}, "messages", "at least one"),
        ({"messages": "hi"}, "messages", "a list"),
        ({"messages": [5]}, "messages[0]", "role and content"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", "assistant"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "must be a text"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages[0].content", "is empty"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages[0].content", "half a character"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages", "nothing to reply to"),
        ({"messages": [{"role": "user", "content": "x", "name": "Ann"}]}, "messages[0]", "no names"),
        ({"messages": [{"role": "user", "content": "x", "raw": "x"}]}, "messages[0]", "not honoured"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content", "parts of text"),
        ({"messages": [{"role": "user", "content": "x" * (MOST_CHARACTERS + 1)}]}, "messages[0].content", "characters"),
        ({"messages": HI * (MOST_MESSAGES + 1)}, "messages", "messages"),
        ({"messages": [{"role": "user", "content": "x" * MOST_CHARACTERS}] * 11}, "messages", "characters"),
    ],
)
def test_what_is_refused_is_named(fields, param, says) -> None:
    error = refusal({"messages": HI, **fields})
    assert error.param == param
    assert says in error.message
    assert "\n" not in error.message


def test_the_limits_of_a_request_are_reached() -> None:
    """What is allowed by the constants is allowed."""
    assert MOST_CHARACTERS * 10 == MOST_CHARACTERS_IN_ALL
    assert len(parse_chat({"messages": [{"role": "user", "content": "x" * MOST_CHARACTERS}] * 10}).talks[0].turns) == 10
    assert len(parse_chat({"messages": HI * MOST_MESSAGES}).talks[0].turns) == MOST_MESSAGES


@pytest.mark.parametrize("name", sorted(NOT_SERVED))
def test_settings_without_a_place_say_what_to_do(name: str) -> None:
    assert NOT_SERVED[name] in refusal({"messages": HI, name: True}).message


def test_a_limit_by_both_of_its_names() -> None:
    for fields in ({"max_tokens": 5}, {"max_completion_tokens": 5}, {"max_tokens": 5, "max_completion_tokens": 5}):
        assert parse_chat({"messages": HI, **fields}).most_tokens == 5
    assert parse_chat({"messages": HI, "max_tokens": 5, "max_completion_tokens": None}).most_tokens == 5
    assert parse_chat({"messages": HI}).most_tokens is None


def test_completions() -> None:
    asked = parse_completion({"prompt": "your persona: i sing.\nhello\nhi\nok", "max_tokens": 3, "logprobs": 0})
    assert asked.talks[0].persona == ("your persona: i sing.",)
    assert [turn.text for turn in asked.talks[0].turns] == ["hello", "hi", "ok"]
    assert (asked.most_tokens, asked.top_logprobs) == (3, 0)
    assert [talk.ids for talk in parse_completion({"prompt": [[5, 6], [7]]}).talks] == [(5, 6), (7,)]
    assert parse_completion({"prompt": "hi", "best_of": 1, "echo": False, "suffix": None}).choices == 1


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [True]}, "prompt"),
        ({"prompt": {"a": 1}}, "prompt"),
        ({"prompt": ["x"] * (MOST_PROMPTS + 1)}, "prompt"),
        ({"prompt": "x", "echo": True}, "echo"),
        ({"prompt": "x", "suffix": "y"}, "suffix"),
        ({"prompt": "x", "best_of": 3}, "best_of"),
        ({"prompt": "x", "logprobs": 6}, "logprobs"),
        ({"prompt": "x", "messages": HI}, "messages"),
        ({}, "prompt"),
    ],
)
def test_completions_refused(fields, param) -> None:
    assert refusal(fields, parse_completion).param == param


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(sorted(COMPLETION | LABELS | NEUTRAL.keys() | {"messages", "role"})) | st.text(max_size=8)


@given(st.dictionaries(NAMES, JSON, max_size=5), st.booleans())
def test_whatever_is_sent_gets_an_answer_or_a_refusal(body, chat) -> None:
    """No body of any kind raises anything but a refusal, which can be sent as JSON."""
    if chat:
        body = {"messages": HI, **body}
    error = None
    try:
        (parse_chat if chat else parse_completion)(body)
    except ApiError as refusal:
        error = refusal
    assert error is None or error.status in TYPES
    assert error is None or json.dumps(error.to_object()).encode()


@pytest.mark.parametrize("body", [None, 5, "text", [], True])
def test_a_body_is_an_object(body) -> None:
    assert "JSON object" in refusal(body).message
