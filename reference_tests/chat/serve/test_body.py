"""What is read of a request's body, and what is thrown away."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from npblender.chat.serve import body as module
from npblender.chat.serve.body import Body
from npblender.chat.serve.errors import ApiError
from npblender.chat.serve.limits import MOST_BODY_BYTES, MOST_DRAINED_BYTES


class Parts:
    """A `receive` that brings parts of these sizes, then nothing; it counts what was asked for."""

    def __init__(self, sizes: Iterable[int], goes_on: bool = False) -> None:
        self.left, self.goes_on, self.asked = list(sizes), goes_on, 0

    async def __call__(self) -> Any:
        self.asked += 1
        if not self.left:
            await asyncio.sleep(60)
        size = self.left.pop(0)
        return {"type": "http.request", "body": b"x" * size, "more_body": bool(self.left) or self.goes_on}


def body_of(parts: Parts, **headers: str) -> Body:
    return Body({name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}, parts)


def test_the_rest_is_thrown_away() -> None:
    parts = Parts([10, 20, 30])
    body = body_of(parts, content_length="60")
    assert asyncio.run(body.receive())["body"] == b"x" * 10
    assert not body.is_whole
    asyncio.run(body.drain())
    assert body.is_whole
    assert parts.asked == 3


def test_a_request_without_a_body_has_nothing_to_wait_for() -> None:
    for headers in ({}, {"content_length": "0"}):
        parts = Parts([])
        asyncio.run(body_of(parts, **headers).drain())
        assert parts.asked == 0


def test_a_body_that_never_ends_is_left() -> None:
    size = 1 << 20
    parts = Parts([size] * 40)
    asyncio.run(body_of(parts, transfer_encoding="chunked").drain())
    assert parts.asked == MOST_DRAINED_BYTES // size + 1


def test_a_body_that_stops_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAIN_SECONDS", 0.05)
    body = body_of(Parts([1], goes_on=True), content_length="9")
    asyncio.run(asyncio.wait_for(body.drain(), 5))
    assert not body.is_whole


def test_who_waits_for_leave_sends_nothing_unless_a_route_asked() -> None:
    parts = Parts([5, 5])
    body = body_of(parts, content_length="10", expect="100-continue")
    asyncio.run(body.drain())
    assert parts.asked == 0
    asyncio.run(body.receive())
    asyncio.run(body.drain())
    assert body.is_whole


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
