"""The body of a request, as far as it is read: within limits of size and time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from npblender.chat.serve.errors import ApiError
from npblender.chat.serve.limits import BODY_SECONDS, MOST_BODY_BYTES

if TYPE_CHECKING:
    from starlette.types import Receive


class Body:
    """The body that `receive` brings in parts."""

    def __init__(self, headers: Mapping[bytes, bytes], receive: Receive) -> None:
        self._receive, self._began, self._size = receive, time.monotonic(), 0
        has_body = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
        self.is_whole = not has_body  # nothing of it is still to come

    async def receive(self) -> Any:
        """The next part, for a route.

        Raises:
            ApiError: 413 for a body that is too large, 408 for one that is too slow.
        """
        if self.is_whole:
            return await self._receive()  # its empty part, and then waits for the client to go away
        try:
            left = max(0.0, self._began + BODY_SECONDS - time.monotonic())
            message = await asyncio.wait_for(self._receive(), left)
        except asyncio.TimeoutError:
            seconds = f"{BODY_SECONDS:.0f}"
            raise ApiError(408, f"the body did not arrive in {seconds} s", headers={"Connection": "close"}) from None
        self._size += len(message.get("body", b""))
        self.is_whole = not message.get("more_body", False)  # so is that of a client that went away
        if self._size > MOST_BODY_BYTES:
            raise ApiError(413, f"the body is larger than {MOST_BODY_BYTES} bytes", headers={"Connection": "close"})
        return message
