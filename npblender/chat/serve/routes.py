"""The routes of OpenAI's interface, and those that watch the server."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from npblender.chat.serve import answers
from npblender.chat.serve.answers import Choice, Head
from npblender.chat.serve.asgi import in_thread, json_of, json_response
from npblender.chat.serve.dialect_models import DialectModels, jobs_of
from npblender.chat.serve.engine import Engine
from npblender.chat.serve.errors import unforeseen
from npblender.chat.serve.exchange import ClientGone, Exchange
from npblender.chat.serve.metrics import Metrics
from npblender.chat.serve.request_body import ReplyRequest, parse_chat, parse_completion
from npblender.chat.serve.submissions import Ended, Said
from npblender.common.version import __version__

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


@dataclass(frozen=True)
class Interface:
    """How one of OpenAI's two interfaces takes requests and shows replies: see `request_body` and `answers`."""

    parse: Callable[[Any], ReplyRequest]
    prefix: str  # of a response's id
    whole: Callable[[Head, ReplyRequest, Sequence[Choice]], dict[str, Any]]
    event_kind: str  # what `object` says of an event
    event: Callable[[Head, ReplyRequest, Said | Ended, Choice], dict[str, Any]]
    opening: Callable[[Head, ReplyRequest, int], dict[str, Any]] | None = None


CHAT = Interface(
    parse_chat,
    "chatcmpl",
    answers.chat_response,
    "chat.completion.chunk",
    answers.chat_event,
    answers.chat_opening,
)
COMPLETION = Interface(
    parse_completion, "cmpl", answers.completion_response, "text_completion", answers.completion_event
)


class Api:
    """The handlers of requests, with what they share."""

    def __init__(self, models: DialectModels, engine: Engine, metrics: Metrics) -> None:
        self._models, self.engine, self.metrics = models, engine, metrics

    async def chat(self, request: Request) -> Response:
        """POST /v1/chat/completions."""
        return await self._reply(request, CHAT)

    async def completion(self, request: Request) -> Response:
        """POST /v1/completions."""
        return await self._reply(request, COMPLETION)

    async def models(self, request: Request) -> Response:
        """GET /v1/models."""
        return json_response({"object": "list", "data": [self._model()]})

    async def model(self, request: Request) -> Response:
        """GET /v1/models/NAME."""
        self._models.check_name(request.path_params["name"])
        return json_response(self._model())

    async def health(self, request: Request) -> Response:
        """GET /healthz: the server lives, and takes requests unless it is stopping."""
        stopping = self.engine.line.is_closed
        return json_response({"status": "stopping" if stopping else "ok"}, 503 if stopping else 200)

    async def metrics_text(self, request: Request) -> Response:
        """GET /metrics."""
        from starlette.responses import Response

        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    def _model(self) -> dict[str, Any]:
        return {
            "id": self._models.name,
            "object": "model",
            "created": self._models.created,
            "owned_by": "npblender",
        }

    async def _reply(self, request: Request, interface: Interface) -> Response:
        from starlette.responses import Response, StreamingResponse

        asked = interface.parse(await json_of(request))
        jobs = await in_thread(jobs_of, asked, self._models)  # it cuts text into tokens
        dialect = jobs[0].speaker.dialect.name
        name = f"{interface.prefix}-{secrets.token_hex(12)}"
        head = Head(name, int(time.time()), self._models.name, f"npblender-{__version__}-{dialect}")
        exchange = Exchange(self.engine, self.metrics, jobs, request.receive)
        if asked.stream:
            headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # the latter is for nginx
            events = _events(head, asked, exchange, interface)
            return StreamingResponse(events, media_type="text/event-stream", headers=headers)
        with exchange:
            try:
                choices = await exchange.finish()
            except ClientGone:
                return Response(status_code=499)  # it will not be read
        return json_response(interface.whole(head, asked, choices))


async def _events(head: Head, asked: ReplyRequest, exchange: Exchange, interface: Interface) -> AsyncIterator[str]:
    """The events of a stream, its end, and an error in its place; the searches are given up however it ends."""
    with exchange:
        try:
            if interface.opening is not None:
                for number in exchange.choices:
                    yield answers.event(interface.opening(head, asked, number))
            async for each in exchange.events():
                if isinstance(each, Said | Ended):
                    yield answers.event(interface.event(head, asked, each, exchange.choices[each.number]))
                elif each is None:
                    yield ": still at it\n\n"
            if asked.include_usage:
                yield answers.event(answers.usage_event(head, interface.event_kind, exchange.found()))
        except ClientGone:
            return
        except Exception as error:  # the status is sent already
            yield answers.event(unforeseen(error).to_object())
            return
        yield answers.event("[DONE]")
