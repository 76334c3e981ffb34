"""What `npblender explain` shows of a reply, for the "look inside" of the page: made once, and kept for its tab.

    POST /api/explain {what a chat completion takes, the reply as the last message} -> {"url": "/api/explain/NAME"}
A name cannot be guessed, so that a tab, which sends no key, may open it.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from npblender.chat.conversation import Conversation
from npblender.chat.serve.asgi import in_thread, json_of, json_response
from npblender.chat.serve.dialect_models import DialectModels
from npblender.chat.serve.errors import ApiError, refused
from npblender.chat.serve.limits import MOST_PAGES
from npblender.chat.serve.request_body import parse_chat
from npblender.chat.transcript import Transcript

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; sandbox allow-scripts"
"""Beside the policy of the page itself, which names its scripts: it has no origin, and so no way to this server."""


class Inside:
    """The handlers of explanations, and the latest pages."""

    def __init__(self, models: DialectModels) -> None:
        import asyncio

        self._models = models
        self._pages: OrderedDict[str, str] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()  # an explanation takes a second of work in every dialect

    async def make(self, request: Request) -> Response:
        """POST /api/explain."""
        body = await json_of(request)
        async with self._one_at_a_time:
            html = await in_thread(explanation_of, body, self._models)
        name = secrets.token_hex(16)
        self._pages[name] = html
        while len(self._pages) > MOST_PAGES:
            self._pages.popitem(last=False)
        return json_response({"url": f"/api/explain/{name}"}, 201)

    async def show(self, request: Request) -> Response:
        """GET /api/explain/NAME."""
        from starlette.responses import HTMLResponse

        html = self._pages.get(request.path_params["name"])
        if html is None:
            raise ApiError(404, f"this page is no longer kept, as the latest {MOST_PAGES} are; look inside again")
        return HTMLResponse(html, headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-store"})


def explanation_of(body: Any, models: DialectModels) -> str:
    """Return the page about the last message of a chat completion's body, which must be the assistant's.

    Raises:
        ApiError: a body that does not fit, or a last message that is no reply.
    """
    asked = parse_chat(body)
    models.check_name(asked.model)
    speaker = models.of(asked.dialect)
    (talk,) = asked.talks
    if talk.turns[-1].speaker != "model":
        raise ApiError(400, "the last message must be the assistant's: the reply to look into", param="messages")
    try:
        conversation = Conversation(
            speaker.model, speaker.tokenizer, profile=models.profile, block=models.phrases, seed=asked.seed
        )
        conversation.restore(Transcript(models.profile.name, talk.persona, talk.turns, asked.settings))
        return conversation.explain().to_html()
    except (TypeError, ValueError) as error:
        raise refused(error) from error
