"""Closing a connection whose client may still be sending, so that it can read the response.

A client may send all of a body before it reads. Closed with bytes unread, TCP resets the connection: the client sees a
broken pipe, and not the response that says what is wrong. So our half is closed first, and what still comes is thrown
away as it is, unparsed, until the client closes its half, for a while and up to a size.
"""

from __future__ import annotations

import asyncio
from typing import Any

from npblender.chat.serve.limits import LINGER_SECONDS, MOST_LINGERING_BYTES


class Lingering:
    """A connection's transport, whose `close` waits for the client while `is_sending`."""

    def __init__(self, transport: Any, is_sending: Any) -> None:
        self._transport, self._is_sending = transport, is_sending
        self._dropped: int | None = None  # bytes thrown away, once it lingers
        self._timer: asyncio.TimerHandle | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    @property
    def lingers(self) -> bool:
        """Whether all was said, and the client may still be sending."""
        return self._dropped is not None

    def is_closing(self) -> bool:
        """Whether nothing more is read or written."""
        return self.lingers or self._transport.is_closing()

    def close(self) -> None:
        """Close, at once or after what still comes."""
        if self.lingers or self._transport.is_closing():
            return
        if not (self._is_sending() and self._transport.can_write_eof()):
            self._transport.close()
            return
        try:
            self._transport.write_eof()
        except OSError:  # the client has left
            self._transport.close()
            return
        self._dropped = 0
        self._transport.resume_reading()
        self._timer = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.close)

    def drop(self, data: bytes) -> None:
        """Throw away what came after the end."""
        assert self._dropped is not None
        self._dropped += len(data)
        if self._dropped > MOST_LINGERING_BYTES:
            self._transport.close()

    def lost(self) -> None:
        """The connection has ended."""
        if self._timer is not None:
            self._timer.cancel()


def with_lingering_close(protocol: Any) -> Any:
    """Return the protocol of one connection, which closes it so that a client that still sends reads the response."""
    made, received, lost = protocol.connection_made, protocol.data_received, protocol.connection_lost
    transport: Any = None
    is_refused = False  # what came was no HTTP, and there may be more of it

    def is_sending() -> bool:
        return is_refused or (protocol.cycle is not None and protocol.cycle.more_body)

    def connection_made(real: asyncio.Transport) -> None:
        nonlocal transport
        transport = Lingering(real, is_sending)
        made(transport)

    def data_received(data: bytes) -> None:
        if transport.lingers:
            transport.drop(data)
        else:
            received(data)

    def connection_lost(error: Exception | None) -> None:
        transport.lost()
        lost(error)

    refuse = protocol.send_400_response

    def send_400_response(reason: str) -> None:
        nonlocal is_refused
        is_refused = True
        refuse(reason)

    protocol.connection_made, protocol.data_received = connection_made, data_received
    protocol.connection_lost, protocol.send_400_response = connection_lost, send_400_response
    return protocol
