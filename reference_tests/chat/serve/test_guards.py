"""Who may send requests: hosts, origins, keys, sizes."""

import inspect
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender.chat.serve import guards, limits
from npblender.chat.serve.errors import ApiError, refused, unforeseen
from npblender.chat.serve.guards import (
    Rules,
    check,
    host_is_allowed,
    host_name,
    name_of_host,
    origin_is_allowed,
    origin_name,
)
from reference_tests.support.cli_runs import one_error, run_cli

OPEN = Rules()
HEADERS = {b"host": b"localhost:8000", b"content-type": b"application/json", b"content-length": b"2"}


def status_of(rules: Rules = OPEN, method: str = "POST", path: str = "/v1/chat/completions", **changes: str) -> int:
    headers = {**HEADERS, **{name.replace("_", "-").encode(): value.encode() for name, value in changes.items()}}
    try:
        check(rules, method, path, headers)
    except ApiError as error:
        return error.status
    return 200


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000", "192.168.0.7", "a.localhost"]
)
def test_addresses_and_localhost_are_this_server(host: str) -> None:
    assert host_is_allowed(host, [])


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "x@localhost",
        "localhost:x",
        "a b",
        "[::1",
    ],
)
def test_a_rebound_name_is_not(host: str) -> None:
    assert not host_is_allowed(host, ["chat.example"])
    assert status_of(host=host) == 403


def test_a_name_that_was_given_is() -> None:
    assert host_is_allowed("chat.example:80", ["chat.example"])
    assert host_is_allowed("chat.example.", ["chat.example"])
    assert host_is_allowed("any.example", ["*"])
    assert not host_is_allowed("a b", ["*"])


def test_pages_of_other_sites_are_refused() -> None:
    assert status_of(origin="http://localhost:8000") == 200
    assert status_of(origin="http://localhost:9000") == 403  # another port is another site
    assert status_of(origin="null") == 403
    assert status_of(origin="https://evil.example") == 403
    assert status_of(Rules(origins=frozenset({"https://my.example"})), origin="https://my.example") == 200
    assert origin_is_allowed("https://any.example", "localhost", ["*"])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("foo", "say one such as https://"),
        ("", "say one such as"),
        ("https://", "say one such as"),
        ("https://a b", "say one such as"),
        ("https://a.b:x", "say one such as"),
        ("//a.b", "say one such as"),
        ("http://a.b/c", "say http://a.b"),
        ("http://a.b//", "say http://a.b"),
        ("http://a.b?c", "say http://a.b"),
        ("http://me@a.b", "say http://a.b"),
        ("HTTPS://A.b", "say https://a.b"),
        ("https://a.b:443", "say https://a.b"),
        ("http://a.b:443/x", "say http://a.b:443"),
        ("https://b\xfccher.example", "say https://xn--bcher-kva.example"),
        ("http://*.b", "say one such as"),
    ],
)
def test_an_origin_that_would_never_match_is_refused(given: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{given!r} is no origin; {says}")) as caught:
        origin_name(given)
    would_do = str(caught.value).rpartition(" ")[2]
    assert origin_name(would_do) == would_do


@pytest.mark.parametrize(
    "given", ["http://a.b", "https://a.b:8443", "http://[::1]:8080", "chrome-extension://abc", "null"]
)
def test_an_origin_that_a_browser_sends_is_taken(given: str) -> None:
    assert origin_name(given) == origin_name(f"{given}/" if given != "null" else given) == given
    assert status_of(Rules(origins=frozenset({origin_name(given)})), origin=given) == 200


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("a/b", "say a"),
        ("chat.example:80", "say chat.example"),
        ("http://chat.example/", "say chat.example"),
        ("b\xfccher.example", "say xn--bcher-kva.example"),
        ("", "say a name such as"),
        ("a b", "say a name such as"),
        ("*.example", "say a name such as"),
    ],
)
def test_a_host_that_would_never_match_is_refused(given: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{given!r} is no name of a host; {says}")):
        host_name(given)


def test_a_host_that_a_client_sends_is_taken() -> None:
    for typed, header in (("Chat.Example.", "chat.example:80"), ("my_box", "my_box"), ("::1", "[::1]:8000")):
        assert host_is_allowed(header, [host_name(typed)])


@pytest.mark.usefixtures("needs_serve")
@pytest.mark.parametrize(("option", "value"), [("--allow-origin", "foo"), ("--allow-host", "a/b")])
def test_the_command_line_refuses_them_before_it_begins(option: str, value: str) -> None:
    assert f"{option}: {value!r} is no" in one_error(run_cli("serve", option, value))


def test_the_key() -> None:
    rules = Rules(key="secret")
    assert status_of(rules) == 401
    assert status_of(rules, authorization="Bearer wrong") == 401
    assert status_of(rules, authorization="Basic secret") == 401
    assert status_of(rules, authorization="Bearer secret") == 200
    assert status_of(rules, authorization="bearer  secret ") == 200
    assert status_of(rules, authorization="Bearer s\xe9cret") == 401
    assert status_of(rules, "GET", "/healthz") == 200
    assert status_of(rules, "GET", "/") == 200
    assert status_of(rules, "GET", "/metrics") == 401
    assert status_of(rules, "GET", "/v1/models") == 401


def test_keys_are_compared_in_constant_time() -> None:
    assert "hmac.compare_digest" in inspect.getsource(guards.check_key)
    assert "==" not in inspect.getsource(guards.check_key).replace('!= "bearer"', "")


def test_bodies() -> None:
    assert status_of(content_length=str(limits.MOST_BODY_BYTES)) == 200
    assert status_of(content_length=str(limits.MOST_BODY_BYTES + 1)) == 413
    assert status_of(content_length="9" * 5000) == 413
    assert status_of(content_length="-1") == 413
    assert status_of(content_type="application/json; charset=utf-8") == 200
    assert status_of(content_type="text/plain") == 415  # what a page of another site may send without asking
    assert status_of(method="GET", path="/healthz", content_type="") == 200
    check(OPEN, "POST", "/healthz", {b"host": b"localhost"}, is_taken=False)  # the route will say what it takes


@given(st.text(max_size=30))
def test_whatever_a_host_header_holds(header: str) -> None:
    name = name_of_host(header)
    assert name is None or (name and not any(mark in name for mark in "@/?# "))
    host_is_allowed(header, [])


@pytest.mark.parametrize("name", [name for name in vars(limits) if name.isupper()])
def test_every_limit_has_its_reason(name: str) -> None:
    source = inspect.getsource(limits)
    following = source.partition(f"\n{name} = ")[2].partition("\n")[2]
    assert following.startswith('"""'), f"{name} says nothing about itself"


def test_errors_say_one_line() -> None:
    assert refused(ValueError("num_beams must be at least 1, not 0")).param == "num_beams"
    assert refused(ValueError("there is nothing to reply to")).param is None
    assert "\n" not in ApiError(400, "a\nb").message
    assert len(ApiError(400, "x" * 10**6).message) < 3000
    assert unforeseen(KeyError("x")).status == 500
