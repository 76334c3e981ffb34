"""The body of a request: what a route reads of it, within limits, and what is thrown away after a refusal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from npblender.chat.serve.errors import ApiError
from npblender.chat.serve.limits import BODY_SECONDS, DRAIN_SECONDS, MOST_BODY_BYTES, MOST_DRAINED_BYTES

if TYPE_CHECKING:
    from starlette.types import Receive


class Body:
    """The body that `receive` brings in parts."""

    def __init__(self, headers: Mapping[bytes, bytes], receive: Receive) -> None:
        self._receive, self._began, self._size = receive, time.monotonic(), 0
        has_body = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
        self.is_whole = not has_body  # nothing of it is still to come
        self._waits_for_leave = b"expect" in headers  # such a client sends nothing after a refusal

    async def receive(self) -> Any:
        """The next part, for a route.

        Raises:
            ApiError: 413 for a body that is too large, 408 for one that is too slow.
        """
        self._waits_for_leave = False
        if self.is_whole:
            return await self._receive()  # its empty part, and then waits for the client to go away
        try:
            message = await self._next(self._began + BODY_SECONDS)
        except asyncio.TimeoutError:
            seconds = f"{BODY_SECONDS:.0f}"
            raise ApiError(408, f"the body did not arrive in {seconds} s", headers={"Connection": "close"}) from None
        if self._size > MOST_BODY_BYTES:
            raise ApiError(413, f"the body is larger than {MOST_BODY_BYTES} bytes", headers={"Connection": "close"})
        return message

    async def drain(self) -> None:
        """Throw away what is still to come, for a while.

        A client may send all of a body before it reads. Closed with parts unread, TCP resets the connection: the client
        sees a broken pipe, and not the response that says what is wrong.
        """
        end = time.monotonic() + DRAIN_SECONDS
        while not self.is_whole and not self._waits_for_leave and self._size <= MOST_DRAINED_BYTES:
            try:
                await self._next(end)
            except asyncio.TimeoutError:
                return

    async def _next(self, end: float) -> Any:
        message = await asyncio.wait_for(self._receive(), max(0.0, end - time.monotonic()))
        self._size += len(message.get("body", b""))
        self.is_whole = not message.get("more_body", False)  # so is that of a client that went away
        return message
