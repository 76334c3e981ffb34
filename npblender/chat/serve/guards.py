"""What a request must pass before it reaches a route: its host, its origin, its key, its size and its time.

    request -> Guard -> route
Loopback is not private: any page in a browser can send requests there. A page of another site has another `Origin`, and
under a name that was made to point here (DNS rebinding) it has another `Host`; both are refused. Starlette's own check
of hosts answers in plain text and knows names only; here every address passes, since a rebound name is none.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import time
from collections.abc import Iterable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from npblender.chat.serve.asgi import error_response
from npblender.chat.serve.body import Body
from npblender.chat.serve.errors import ApiError
from npblender.chat.serve.limits import MOST_BODY_BYTES, MOST_HEADER_BYTES
from npblender.common.printable import shown

if TYPE_CHECKING:
    from starlette.routing import Route
    from starlette.types import ASGIApp, Receive, Scope, Send

    from npblender.chat.serve.metrics import Metrics

OPEN = ("/", "/healthz")
"""What needs no key: the page, which holds nothing but itself, and the question whether the server lives."""
OPEN_BELOW = "/api/explain/"  # below it, too: a page that was made with the key, under a name that cannot be guessed
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)
"""On every response: no guessing of types, no address of the page in links that lead away, no frame around it."""
CLOSE = (b"connection", b"close")


@dataclass(frozen=True)
class Rules:
    """Who may send requests."""

    hosts: frozenset[str] = frozenset()
    """Names by which the server may be called, besides localhost and all addresses; "*" allows every name."""
    origins: frozenset[str] = frozenset()  # origins of other sites whose pages may send requests; "*" allows all
    key: str | None = None


def name_of_host(header: str) -> str | None:
    """The name or address in a Host header, without its port; None if it is neither.

    >>> name_of_host("LocalHost:8000"), name_of_host("[::1]:80"), name_of_host("a b"), name_of_host("x@evil.example")
    ('localhost', '::1', None, None)
    """
    if not header or any(mark in header for mark in "@/?#\\ \t"):
        return None
    parts = _parts(f"//{header}")
    return None if parts is None else parts.hostname


def host_is_allowed(header: str, names: Iterable[str]) -> bool:
    """Whether a request for this host is for this server.

    >>> [host_is_allowed(host, ["chat.example"]) for host in ("localhost:80", "10.0.0.7", "chat.example", "x.example")]
    [True, True, True, False]
    """
    name = name_of_host(header)
    if name is None:
        return False
    name = name.removesuffix(".")
    if name == "localhost" or name.endswith(".localhost") or {name, "*"} & set(names):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def host_name(text: str) -> str:
    """Read a name for `Rules.hosts`, in the letters that a Host header has.

    Raises:
        ValueError: no Host header would ever match it; the message says what would do.

    >>> host_name("Chat.Example"), host_name("192.168.0.7"), host_name("*")
    ('chat.example', '192.168.0.7', '*')
    >>> host_name("chat.example:8000")
    Traceback (most recent call last):
    ValueError: 'chat.example:8000' is no name of a host; say chat.example
    """
    if text == "*":
        return text
    with suppress(ValueError):
        return str(ipaddress.ip_address(text.removeprefix("[").removesuffix("]")))
    parts = _parts(text if "//" in text else f"//{text}")
    name = None if parts is None else _ascii_name(parts.hostname)
    if name is None or name != text.lower().removesuffix("."):
        would_do = "say a name such as chat.example, without a port" if name is None else f"say {name}"
        raise ValueError(f"{shown(text)} is no name of a host; {would_do}")
    return name


def origin_name(text: str) -> str:
    """Read an origin for `Rules.origins`, as browsers send it: the scheme and the host, and a port that is not usual.

    Raises:
        ValueError: no Origin header would ever match it; the message says what would do.

    >>> origin_name("https://ok.example/"), origin_name("http://localhost:3000"), origin_name("*")
    ('https://ok.example', 'http://localhost:3000', '*')
    >>> origin_name("https://ok.example:443/chat")
    Traceback (most recent call last):
    ValueError: 'https://ok.example:443/chat' is no origin; say https://ok.example
    """
    if text in ("*", "null"):
        return text
    parts = _parts(text)
    name = None if parts is None else _ascii_name(parts.hostname)
    if parts is None or name is None or not parts.scheme:
        raise ValueError(f"{shown(text)} is no origin; say one such as https://ok.example")
    host = f"[{name}]" if ":" in name else name
    usual = parts.port is None or parts.port == {"http": 80, "https": 443}.get(parts.scheme)
    origin = f"{parts.scheme}://{host}{'' if usual else f':{parts.port}'}"
    if text.removesuffix("/") != origin:
        raise ValueError(f"{shown(text)} is no origin; say {origin}")
    return origin


def _parts(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises for what is no port
    except ValueError:
        return None
    return parts


def _ascii_name(name: str | None) -> str | None:
    """A host's name in the letters of a header, or its address; None for what is neither."""
    if name is None:
        return None
    with suppress(ValueError):
        return str(ipaddress.ip_address(name))
    try:
        found = name.removesuffix(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    return found if re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", found) else None


def origin_is_allowed(origin: str, host: str, origins: Iterable[str]) -> bool:
    """Whether a page of this origin may send requests to this host: its own pages, and those that were allowed.

    >>> [origin_is_allowed(each, "localhost:8000", []) for each in ("http://localhost:8000", "http://evil.example")]
    [True, False]
    """
    if {origin, "*"} & set(origins):
        return True
    return urlsplit(origin).netloc.lower() == host.lower()


def check_key(header: str, key: str) -> None:
    """Compare an Authorization header with the key, in a time that says nothing about the key."""
    scheme, _, given = header.partition(" ")
    right = hmac.compare_digest(given.strip().encode(), key.encode())
    if scheme.lower() != "bearer" or not right:
        message = "this server asks for a key: send the header Authorization: Bearer KEY"
        raise ApiError(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})


def check_header_bytes(scope: Scope, most: int = MOST_HEADER_BYTES) -> None:
    """Refuse a request whose line and headers, with their line ends, take too many bytes.

    Raises:
        ApiError: 431.

    >>> scope = {"method": "GET", "raw_path": b"/", "query_string": b"", "headers": [(b"host", b"localhost")]}
    >>> check_header_bytes(scope, len(b"GET / HTTP/1.1\\r\\nhost: localhost\\r\\n\\r\\n"))
    """
    target = len(scope["raw_path"]) + (len(scope["query_string"]) + 1 if scope["query_string"] else 0)
    line = len(scope["method"]) + 1 + target + len(" HTTP/1.1\r\n")
    size = line + sum(len(name) + len(value) + len(": \r\n") for name, value in scope["headers"]) + len("\r\n")
    if size > most:
        message = f"the request's line and headers take {size} bytes; {most} are allowed"
        raise ApiError(431, message, headers={"Connection": "close"})


def check(rules: Rules, method: str, path: str, headers: MutableMapping[bytes, bytes], is_taken: bool = True) -> None:
    """Refuse a request by its headers. `is_taken`: a route takes it; if none does, its body need not be JSON.

    Raises:
        ApiError: 403 for another host or origin, 401 for a wrong key, 413 for too large a body, 415 for no JSON.
    """
    host = headers.get(b"host", b"").decode("latin-1")
    if not host_is_allowed(host, rules.hosts):
        message = f"this server is not {shown(host)}: use its address or localhost, or start it with --allow-host NAME"
        raise ApiError(403, message, code="host_not_allowed")
    origin = headers.get(b"origin", b"").decode("latin-1")
    if origin and not origin_is_allowed(origin, host, rules.origins):
        message = f"pages of {shown(origin)} may not send requests here; start the server with --allow-origin {origin}"
        raise ApiError(403, message, code="origin_not_allowed")
    if rules.key is not None and method != "OPTIONS" and path not in OPEN and not path.startswith(OPEN_BELOW):
        check_key(headers.get(b"authorization", b"").decode("latin-1"), rules.key)
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or int(length[:20]) > MOST_BODY_BYTES:
        raise ApiError(413, f"the body is larger than {MOST_BODY_BYTES} bytes", headers={"Connection": "close"})
    kind = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
    if is_taken and method in ("POST", "PUT", "PATCH") and kind != "application/json":
        raise ApiError(415, f"the body must be JSON: send Content-Type: application/json, not {kind or 'none'}")


class Guard:
    """The application behind these rules; it also counts requests, and shows errors in OpenAI's form."""

    def __init__(self, app: ASGIApp, rules: Rules, metrics: Metrics, routes: Iterable[Route]) -> None:
        self._app, self._rules, self._metrics = app, rules, metrics
        self._routes = tuple(routes)
        self._paths = frozenset(route.path for route in self._routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection's request."""
        from starlette.routing import Match

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 499  # that of a client that went away, as nginx counts it
        body = Body(dict(scope["headers"]), receive)

        async def send_guarded(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                there = {name.lower() for name, _ in message["headers"]}
                more = HEADERS if body.is_whole else (*HEADERS, CLOSE)  # what is still to come is no next request
                message["headers"] = [*message["headers"], *(pair for pair in more if pair[0] not in there)]
            await send(message)

        try:
            check_header_bytes(scope)
            is_taken = any(route.matches(scope)[0] is Match.FULL for route in self._routes)
            check(self._rules, scope["method"], scope["path"], dict(scope["headers"]), is_taken)
            await self._app(scope, body.receive, send_guarded)
        except ApiError as error:
            await error_response(error)(scope, receive, send_guarded)
        finally:
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._metrics.request(path, status, time.monotonic() - began)
