"""Errors as OpenAI's interface shows them: a status, and an object with message, type, param and code.

{"error": {"message": "...", "type": "invalid_request_error", "param": "temperature", "code": null}}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from npblender.common.printable import cut, one_line

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    429: "rate_limit_error",
    431: "invalid_request_error",
    500: "server_error",
    503: "server_error",
    504: "timeout_error",
}
"""What `type` says for a status."""
MOST_MESSAGE = 2000  # characters of a message: whatever a client has sent, its error stays readable


class ApiError(Exception):
    """An error to be shown to a client.

    >>> ApiError(404, "there is no such thing", param="model").to_object()["error"]["type"]
    'not_found_error'
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = cut(one_line(message), MOST_MESSAGE)
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    def to_object(self) -> dict[str, Any]:
        """The object that is sent."""
        kind = TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def refused(error: Exception) -> ApiError:
    """The error for a value that the package refused: its own text, and the setting that it names at its beginning.

    >>> refused(ValueError("top_p must be between 0 and 1, not 3")).param
    'top_p'
    """
    message = str(error) or type(error).__name__
    named = re.match(r"([a-z]+(?:_[a-z0-9]+)+|temperature)\b", message)
    return ApiError(400, message, param=named[1] if named else None)


def unforeseen(error: BaseException) -> ApiError:
    """The error itself if it is one to be shown, else the error for what should not have happened.

    >>> unforeseen(MemoryError()).to_object()["error"]["message"]
    'the reply failed: MemoryError'
    """
    if isinstance(error, ApiError):
        return error
    text = f": {error}" if str(error) else ""
    return ApiError(500, f"the reply failed: {type(error).__name__}{text}")
