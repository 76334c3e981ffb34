"""The routes of OpenAI's interface, and those that watch the server."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any

from npblender.chat.serve import answers
from npblender.chat.serve.answers import Choice, Head
from npblender.chat.serve.dialect_models import DialectModels, Job, jobs_of
from npblender.chat.serve.engine import Engine
from npblender.chat.serve.errors import ApiError
from npblender.chat.serve.exchange import ClientGone, Exchange, as_api_error
from npblender.chat.serve.metrics import Metrics
from npblender.chat.serve.request_body import ReplyRequest, parse_chat, parse_completion
from npblender.chat.serve.submissions import Ended, Said
from npblender.common.printable import shown
from npblender.common.version import __version__

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


class Api:
    """The handlers of requests, with what they share."""

    def __init__(self, models: DialectModels, engine: Engine, metrics: Metrics) -> None:
        self._models, self.engine, self.metrics = models, engine, metrics

    async def chat(self, request: Request) -> Response:
        """POST /v1/chat/completions."""
        return await self._reply(request, parse_chat, "chatcmpl", answers.chat_response, self._chat_stream)

    async def completion(self, request: Request) -> Response:
        """POST /v1/completions."""
        return await self._reply(
            request, parse_completion, "cmpl", answers.completion_response, self._completion_stream
        )

    async def models(self, request: Request) -> Response:
        """GET /v1/models."""
        from starlette.responses import JSONResponse

        return JSONResponse({"object": "list", "data": [self._model()]})

    async def model(self, request: Request) -> Response:
        """GET /v1/models/NAME."""
        from starlette.responses import JSONResponse

        self._models.check_name(request.path_params["name"])
        return JSONResponse(self._model())

    async def health(self, request: Request) -> Response:
        """GET /healthz: the server lives, and takes requests unless it is stopping."""
        from starlette.responses import JSONResponse

        stopping = self.engine.line.is_closed
        return JSONResponse({"status": "stopping" if stopping else "ok"}, status_code=503 if stopping else 200)

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

    async def _reply(
        self,
        request: Request,
        parse: Callable[[Any], ReplyRequest],
        prefix: str,
        whole: Callable[[Head, ReplyRequest, Sequence[Choice]], dict[str, Any]],
        stream: Callable[[Head, ReplyRequest, Exchange], AsyncIterator[str]],
    ) -> Response:
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import JSONResponse, Response, StreamingResponse

        asked = parse(await json_of(request))
        jobs: tuple[Job, ...] = await run_in_threadpool(jobs_of, asked, self._models)  # it cuts text into tokens
        dialect = jobs[0].speaker.dialect.name
        name = f"{prefix}-{secrets.token_hex(12)}"
        head = Head(name, int(time.time()), self._models.name, f"npblender-{__version__}-{dialect}")
        exchange = Exchange(self.engine, self.metrics, jobs, request.receive)
        if asked.stream:
            headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # the latter is for nginx
            events = _guarded(exchange, stream(head, asked, exchange))
            return StreamingResponse(events, media_type="text/event-stream", headers=headers)
        with exchange:
            try:
                choices = await exchange.finish()
            except ClientGone:
                return Response(status_code=499)  # it will not be read
        return JSONResponse(whole(head, asked, choices))

    async def _chat_stream(self, head: Head, asked: ReplyRequest, exchange: Exchange) -> AsyncIterator[str]:
        for number in exchange.choices:
            delta = {"role": "assistant", "content": "", "refusal": None}
            yield answers.event(answers.chat_chunk(head, asked, number, delta, None))
        async for each in exchange.events():
            if isinstance(each, Said):
                delta = {"content": each.piece.text}
                yield answers.event(answers.chat_chunk(head, asked, each.number, delta, each.piece))
            elif isinstance(each, Ended):
                yield answers.event(answers.chat_end(head, asked, exchange.choices[each.number]))
            elif each is None:
                yield ": still at it\n\n"
        if asked.include_usage:
            yield answers.event(answers.usage_chunk(head, "chat.completion.chunk", exchange.found()))

    async def _completion_stream(self, head: Head, asked: ReplyRequest, exchange: Exchange) -> AsyncIterator[str]:
        offsets = dict.fromkeys(exchange.choices, 0)
        async for each in exchange.events():
            if isinstance(each, Said):
                yield answers.event(
                    answers.completion_chunk(head, asked, each.number, each.piece, offsets[each.number])
                )
                offsets[each.number] += answers.tokens_length(each.piece.tokens)
            elif isinstance(each, Ended):
                yield answers.event(answers.completion_end(head, asked, exchange.choices[each.number]))
            elif each is None:
                yield ": still at it\n\n"
        if asked.include_usage:
            yield answers.event(answers.usage_chunk(head, "text_completion", exchange.found()))


async def json_of(request: Request) -> Any:
    """The body of a request as JSON values.

    Raises:
        ApiError: it is no JSON, or one with NaN, or nested too deeply.
    """
    body = await request.body()
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_number)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ApiError(400, f"the body is no JSON: {reason}") from error


def _no_number(name: str) -> Any:
    raise ValueError(f"{shown(name)} is no number of JSON")


async def _guarded(exchange: Exchange, events: AsyncIterator[str]) -> AsyncIterator[str]:
    """The events of a stream, its end, and an error in its place; the searches are given up however it ends."""
    with exchange:
        try:
            async for each in events:
                yield each
        except ClientGone:
            return
        except Exception as error:  # the status is sent already
            yield answers.event(as_api_error(error).to_object())
            return
        yield answers.event("[DONE]")
