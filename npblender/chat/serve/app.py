"""The application: every route, behind the guard."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from npblender.chat.serve.asgi import error_response, in_thread
from npblender.chat.serve.chat_page import Page
from npblender.chat.serve.dialect_models import DialectModels
from npblender.chat.serve.engine import Engine
from npblender.chat.serve.errors import ApiError, unforeseen
from npblender.chat.serve.guards import Guard, Rules
from npblender.chat.serve.inside import Inside
from npblender.chat.serve.limits import STOP_SECONDS
from npblender.chat.serve.metrics import Metrics
from npblender.chat.serve.routes import Api
from npblender.chat.talks import Talks

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

NEEDED = ("starlette", "uvicorn", "prometheus_client")


def check_installed() -> None:
    """Refuse to begin where the extra is not installed."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"npblender serve needs {', '.join(missing)}: pip install 'npblender[serve]'")


def make_app(models: DialectModels, engine: Engine, rules: Rules, talks: Talks | None = None) -> ASGIApp:
    """Make the ASGI application that replies with `models`. The engine runs while the application does.

    `talks` are where the page keeps conversations.

    Raises:
        ValueError: the extra is not installed.
    """
    check_installed()
    from starlette.applications import Starlette
    from starlette.middleware.cors import CORSMiddleware
    from starlette.routing import Route

    metrics = Metrics(engine)
    api = Api(models, engine, metrics)
    chat, inside = Page(models, talks), Inside(models)

    @asynccontextmanager
    async def running(app: Any) -> AsyncIterator[None]:
        engine.start()
        yield
        await in_thread(engine.close, STOP_SECONDS)

    routes = [
        Route("/v1/chat/completions", api.chat, methods=["POST"]),
        Route("/v1/completions", api.completion, methods=["POST"]),
        Route("/v1/models", api.models),
        Route("/v1/models/{name:path}", api.model),
        Route("/healthz", api.health),
        Route("/metrics", api.metrics_text),
        Route("/", chat.index),
        Route("/api/about", chat.about),
        Route("/api/explain", inside.make, methods=["POST"]),
        Route("/api/explain/{name}", inside.show),
        Route("/api/transcript", chat.transcript, methods=["POST"]),
        Route("/api/conversations", chat.conversations, methods=["GET", "POST"]),
        Route("/api/conversations/{id}", chat.conversation, methods=["GET", "PUT", "DELETE"]),
    ]
    handlers: Any = {404: _not_found, 405: _wrong_method, ApiError: _unforeseen, Exception: _unforeseen}
    app: ASGIApp = Starlette(routes=routes, exception_handlers=handlers, lifespan=running)
    app = Guard(app, rules, metrics, routes)
    if rules.origins:
        app = CORSMiddleware(
            app,
            allow_origins=sorted(rules.origins),
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
            max_age=600,
        )
    return app


async def _not_found(request: Request, error: Exception) -> Response:
    return error_response(ApiError(404, f"there is nothing at {request.url.path}", code="unknown_url"))


async def _wrong_method(request: Request, error: Exception) -> Response:
    allowed = (getattr(error, "headers", None) or {}).get("Allow", "")
    message = f"{request.url.path} does not take {request.method}; it takes {allowed}"
    return error_response(ApiError(405, message, headers={"Allow": allowed}))


async def _unforeseen(request: Request, error: Exception) -> Response:
    return error_response(unforeseen(error))
