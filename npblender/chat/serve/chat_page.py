"""The page to chat in: three files of this package as one, and what it asks the server for besides replies.

The page's own script and style are named by their hashes in its Content-Security-Policy; nothing else may run in it,
and it may talk to this server only. So even a text that became HTML by a mistake could do nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from npblender.chat.explanation.as_page import hash_of
from npblender.chat.replies import make_settings
from npblender.chat.serve.asgi import in_thread, json_of, json_response
from npblender.chat.serve.dialect_models import DialectModels
from npblender.chat.serve.errors import ApiError
from npblender.chat.serve.limits import MOST_CHARACTERS_IN_ALL, MOST_LISTED
from npblender.chat.serve.request_body import SETTINGS
from npblender.chat.talks import NoSuchTalk, TalkConflict, Talks
from npblender.chat.transcript import Transcript
from npblender.common.checks import check_whole
from npblender.common.printable import shown
from npblender.common.version import __version__
from npblender.config.dialect import DIALECTS
from npblender.config.generation_options import OPTIONS

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

FOLDER = Path(__file__).parent / "page"
SHOWN = ("temperature", "top_k", "top_p")  # settings that a request has under a name of OpenAI's


def page() -> tuple[str, str]:
    """Return the page, and its Content-Security-Policy."""
    html, style, script = ((FOLDER / name).read_text(encoding="utf-8") for name in ("chat.html", "chat.css", "chat.js"))
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {hash_of(script)}",
            f"style-src {hash_of(style)}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )
    return html.replace("/*style*/", style).replace("/*script*/", script), policy


class Page:
    """The handlers of the page's requests."""

    def __init__(self, models: DialectModels, talks: Talks | None) -> None:
        self._models, self._talks = models, talks
        self._html, self._policy = page()

    async def index(self, request: Request) -> Response:
        """GET /."""
        from starlette.responses import HTMLResponse

        return HTMLResponse(self._html, headers={"Content-Security-Policy": self._policy, "Cache-Control": "no-cache"})

    async def about(self, request: Request) -> Response:
        """GET /api/about: what the page shows of the model and its settings."""
        return json_response(await in_thread(self._about))

    async def transcript(self, request: Request) -> Response:
        """POST /api/transcript: a transcript as it is read, or why it cannot be."""
        return json_response(transcript_of(await json_of(request)).to_dict())

    async def conversations(self, request: Request) -> Response:
        """GET /api/conversations: the list. POST: keeps a new one."""
        talks = self._kept()
        if request.method == "POST":
            made = transcript_of(_part(await json_of(request), "transcript"))
            name = await in_thread(talks.begin, made)
            return json_response({"id": name, "revision": 1}, 201)
        entries = await in_thread(talks.list, MOST_LISTED)
        return json_response({"conversations": [vars(entry) for entry in entries]})

    async def conversation(self, request: Request) -> Response:
        """GET, PUT, DELETE /api/conversations/ID."""
        from starlette.responses import Response

        talks, name = self._kept(), request.path_params["id"]
        try:
            if request.method == "DELETE":
                await in_thread(talks.delete, name)
                return Response(status_code=204)
            if request.method == "PUT":
                body = await json_of(request)
                revision = check_whole("revision", _part(body, "revision"), 1)
                made = transcript_of(_part(body, "transcript"))
                return json_response({"revision": await in_thread(talks.save, name, made, revision)})
            found, revision = await in_thread(talks.load, name)
            return json_response({"id": name, "revision": revision, "transcript": found.to_dict()})
        except NoSuchTalk as error:
            raise ApiError(404, str(error)) from error
        except TalkConflict as error:
            raise ApiError(409, str(error)) from error
        except TypeError as error:
            raise ApiError(400, str(error)) from error

    def _kept(self) -> Talks:
        if self._talks is None:
            raise ApiError(404, "this server keeps no conversations: start it with --db FILE")
        return self._talks

    def _about(self) -> dict[str, Any]:
        models = self._models
        names = [dialect.name for dialect in DIALECTS]
        listed = [name for name in OPTIONS if name in SETTINGS or name in SHOWN]
        rows: list[dict[str, str]] = [
            {"name": name, "kind": OPTIONS[name].kind.text, "meaning": OPTIONS[name].meaning} for name in listed
        ]
        rows.append({"name": "seed", "kind": "whole number", "meaning": "makes what is drawn at random repeatable"})
        defaults = {}
        for name in names:
            plan = make_settings(models.profile, models.of(name).model, {}).plan
            defaults[name] = {key: value for key, value in plan.settings.to_dict().items() if key in listed}
        return {
            "model": models.name,
            "version": __version__,
            "dialect": models.default.dialect.name,
            "dialects": names,
            "profile": models.profile.name,
            "settings": rows,
            "defaults": defaults,
            "keeps": self._talks is not None,
        }


def transcript_of(content: Any) -> Transcript:
    """Read a transcript; its settings are checked where they are used.

    Raises:
        ApiError: it is none, or too long.
    """
    try:
        found = Transcript.from_dict(content)
    except (TypeError, ValueError) as error:
        raise ApiError(400, str(error)) from error
    if sum(len(turn.text) for turn in found.turns) > MOST_CHARACTERS_IN_ALL:
        raise ApiError(413, f"the transcript is longer than {MOST_CHARACTERS_IN_ALL} characters")
    return found


def _part(body: Any, name: str) -> Any:
    if not isinstance(body, dict) or name not in body:
        raise ApiError(400, f"the body must be an object with {name}, not {shown(body, 60)}", param=name)
    return body[name]
