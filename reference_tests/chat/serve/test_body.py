"""What is read of a request's body."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from npblender.chat.serve import body as module
from npblender.chat.serve.body import Body
from npblender.chat.serve.errors import ApiError
from npblender.chat.serve.limits import MOST_BODY_BYTES


class Parts:
    """A `receive` that brings parts of these sizes, then nothing."""

    def __init__(self, sizes: Iterable[int]) -> None:
        self.left = list(sizes)

    async def __call__(self) -> Any:
        if not self.left:
            await asyncio.sleep(60)
        size = self.left.pop(0)
        return {"type": "http.request", "body": b"x" * size, "more_body": bool(self.left)}


def body_of(parts: Parts, **headers: str) -> Body:
    return Body({name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}, parts)


def test_it_is_whole_after_its_last_part() -> None:
    body = body_of(Parts([10, 20]), content_length="30")
    assert asyncio.run(body.receive())["body"] == b"x" * 10
    assert not body.is_whole
    asyncio.run(body.receive())
    assert body.is_whole


def test_a_request_without_a_body_has_nothing_to_wait_for() -> None:
    assert body_of(Parts([])).is_whole
    assert body_of(Parts([]), content_length="0").is_whole
    assert not body_of(Parts([]), transfer_encoding="chunked").is_whole


def test_what_is_too_large_or_too_slow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    body = body_of(Parts([MOST_BODY_BYTES, 1]), transfer_encoding="chunked")
    asyncio.run(body.receive())
    with pytest.raises(ApiError, match=str(MOST_BODY_BYTES)) as refused:
        asyncio.run(body.receive())
    assert refused.value.status == 413
    monkeypatch.setattr(module, "BODY_SECONDS", 0.05)
    with pytest.raises(ApiError) as refused:
        asyncio.run(body_of(Parts([]), content_length="3").receive())
    assert refused.value.status == 408
