"""Runs the application with uvicorn: its limits, and what it prints."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

from npblender.chat.serve.errors import ApiError
from npblender.chat.serve.limits import (
    HEADER_SECONDS,
    KEEP_ALIVE_SECONDS,
    MOST_CONNECTIONS,
    MOST_HEADER_BYTES,
    STOP_SECONDS,
)
from npblender.chat.serve.lingering import with_lingering_close

if TYPE_CHECKING:
    from starlette.types import ASGIApp

BACKLOG = 512  # connections that the system holds before they are accepted


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Port 0 takes a free one.

    Raises:
        OSError: the address is not this machine's, or the port is taken; the message says what would do.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        reason = error.strerror or str(error)
        raise OSError(f"cannot listen on {host} port {port}: {reason}; name another --host or --port") from error
    return listening


def run(app: ASGIApp, listening: socket.socket, *, on_start: Callable[[], None], log: bool = False) -> None:
    """Serve until SIGTERM or SIGINT; then nothing new is taken, and what runs is finished."""
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    def protocol(*args: Any, **kwargs: Any) -> Any:
        return with_lingering_close(with_own_refusal(with_header_limit(H11Protocol(*args, **kwargs))))

    config: Any = uvicorn.Config(
        app,
        http=protocol,  # type: ignore[arg-type, unused-ignore]
        lifespan="on",
        log_level="info" if log else "warning",
        access_log=log,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
        h11_max_incomplete_event_size=MOST_HEADER_BYTES,
    )
    server: Any = uvicorn.Server(config)

    async def serve() -> None:
        task = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started and not task.done():
            await asyncio.sleep(0.01)
        if server.started:
            on_start()
        await task

    def stop(number: int, frame: FrameType | None) -> None:
        server.should_exit = True

    signal.signal(signal.SIGTERM, stop)  # uvicorn raises it again at its end; to have stopped is no failure
    asyncio.run(serve())


def with_own_refusal(protocol: Any) -> Any:
    """Return the protocol of one connection, which refuses what is no HTTP as every other error is shown."""

    def send_400_response(_: str) -> None:
        message = f"this is no request of HTTP, or its line and headers take more than {MOST_HEADER_BYTES} bytes"
        content = json.dumps(ApiError(400, message).to_object()).encode()
        head = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n"
        protocol.transport.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        protocol.transport.close()

    protocol.send_400_response = send_400_response
    return protocol


def with_header_limit(protocol: Any) -> Any:
    """Return the protocol of one connection, which is closed if a request's headers do not arrive in time.

    uvicorn limits how long a connection may idle after a request, but neither how long before the first one nor how
    slowly headers may come.
    """
    made, received, lost = protocol.connection_made, protocol.data_received, protocol.connection_lost
    waiting_since: float | None = None  # for the headers of a request: the first one, or one of which a part is there
    timer: asyncio.TimerHandle | None = None

    def is_idle() -> bool:
        return protocol.cycle is None or protocol.cycle.response_complete

    def connection_made(transport: asyncio.Transport) -> None:
        nonlocal waiting_since
        made(transport)
        waiting_since = protocol.loop.time()
        look(transport)

    def data_received(data: bytes) -> None:
        nonlocal waiting_since
        begins = is_idle() and waiting_since is None
        received(data)
        if begins:
            waiting_since = protocol.loop.time()
        if not is_idle():
            waiting_since = None

    def look(transport: asyncio.Transport) -> None:
        nonlocal timer
        if waiting_since is not None and is_idle() and protocol.loop.time() - waiting_since >= HEADER_SECONDS:
            transport.close()
        else:
            timer = protocol.loop.call_later(HEADER_SECONDS / 4, look, transport)

    def connection_lost(error: Exception | None) -> None:
        if timer is not None:
            timer.cancel()
        lost(error)

    protocol.connection_made, protocol.data_received = connection_made, data_received
    protocol.connection_lost = connection_lost
    return protocol
