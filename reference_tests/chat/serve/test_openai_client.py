"""The real client of OpenAI's interface, as its users call it."""

import pytest

from reference_tests.support.servers import Server, running_server

openai = pytest.importorskip("openai", reason="needs the openai client: pip install openai")
MESSAGES = [{"role": "user", "content": "Do you like music?"}]


@pytest.fixture(scope="module")
def client(server: Server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=60) as made:
        yield made


def test_a_reply(client) -> None:
    reply = client.chat.completions.create(model="demo", messages=MESSAGES)
    assert reply.choices[0].message.content == "i like songs about rain. do you?"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    talk = [*MESSAGES, reply.choices[0].message, {"role": "user", "content": "Do you play an instrument?"}]
    assert client.chat.completions.create(model="demo", messages=talk).choices[0].message.content
    dumped = [*MESSAGES, reply.choices[0].message.model_dump(), {"role": "user", "content": "Why?"}]
    assert client.chat.completions.create(model="demo", messages=dumped).choices[0].message.content


def test_everything_at_once(client) -> None:
    reply = client.chat.completions.create(
        model="demo",
        messages=[{"role": "system", "content": "i sing."}, *MESSAGES],
        n=2,
        max_completion_tokens=10,
        temperature=0.8,
        top_p=0.9,
        stop=["zebra"],
        seed=3,
        logprobs=True,
        top_logprobs=2,
        presence_penalty=0,
        frequency_penalty=0,
        user="someone",
        extra_body={"no_repeat_ngram_size": 2},
    )
    assert len(reply.choices) == 2
    for choice in reply.choices:
        for token in choice.logprobs.content:
            assert token.logprob <= 0
            assert len(token.top_logprobs) == 2
            assert bytes(token.bytes).decode() == token.token.removesuffix("@@")
    assert reply.choices[0].model_extra["npblender"]["source_tokens"] > 3


def test_a_stream(client) -> None:
    stream = client.chat.completions.create(
        model="demo", messages=MESSAGES, temperature=0, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    whole = client.chat.completions.create(model="demo", messages=MESSAGES, temperature=0)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage


def test_completions_and_models(client) -> None:
    reply = client.completions.create(model="demo", prompt="Do you like music?", logprobs=1)
    assert reply.choices[0].text == "i like songs about rain. do you?"
    assert len(reply.choices[0].logprobs.tokens) == reply.usage.completion_tokens
    streamed = client.completions.create(model="demo", prompt="Do you like music?", stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed) == reply.choices[0].text
    assert [model.id for model in client.models.list()] == ["demo"]
    assert client.models.retrieve("demo").id == "demo"


def test_errors_are_the_clients_own(client) -> None:
    with pytest.raises(openai.BadRequestError, match="temperature must be"):
        client.chat.completions.create(model="demo", messages=MESSAGES, temperature=-1)
    with pytest.raises(openai.NotFoundError, match="there is no model"):
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    with pytest.raises(openai.BadRequestError, match="the model only talks"):
        client.chat.completions.create(
            model="demo", messages=MESSAGES, tools=[{"type": "function", "function": {"name": "f"}}]
        )


def test_a_key(needs_serve: None) -> None:
    with running_server(NPBLENDER_API_KEY="sekret") as guarded:
        with pytest.raises(openai.AuthenticationError, match="asks for a key"):
            openai.OpenAI(base_url=f"{guarded.url}/v1", api_key="other", max_retries=0).models.list()
        with openai.OpenAI(base_url=f"{guarded.url}/v1", api_key="sekret", max_retries=0) as client:
            assert client.models.list().data[0].id == "demo"


def test_async(server: Server) -> None:
    import asyncio

    async def several() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
            made = [client.chat.completions.create(model="demo", messages=MESSAGES) for _ in range(8)]
            return [reply.choices[0].message.content for reply in await asyncio.gather(*made)]

    assert asyncio.run(several()) == ["i like songs about rain. do you?"] * 8
