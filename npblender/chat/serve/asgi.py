"""JSON in and out, and work in threads, by Starlette: imported by the first request, since the extra may be missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from npblender.chat.batch.requests import no_number
from npblender.chat.serve.errors import ApiError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

Result = TypeVar("Result")


async def json_of(request: Request) -> Any:
    """The body of a request as JSON values.

    Raises:
        ApiError: it is no JSON, or one with NaN, or nested too deeply; or the client went away before it was whole.
    """
    from starlette.requests import ClientDisconnect

    try:
        body = await request.body()
    except ClientDisconnect:
        raise ApiError(499, "the client went away before its request was whole") from None
    try:
        return json.loads(body.decode("utf-8"), parse_constant=no_number)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ApiError(400, f"the body is no JSON: {reason}") from error


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON values as a response."""
    from starlette.responses import JSONResponse

    response: Response = JSONResponse(content, status_code=status, headers=headers)
    return response


def error_response(error: ApiError) -> Response:
    """The response for an error."""
    return json_response(error.to_object(), error.status, error.headers)


async def in_thread(work: Callable[..., Result], *arguments: Any) -> Result:
    """Do what takes long, or waits for a file, while other requests go on."""
    from starlette.concurrency import run_in_threadpool

    result: Result = await run_in_threadpool(work, *arguments)
    return result
