"""What the page asks the server for besides replies, without a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from npblender.chat.history import Turn
from npblender.chat.talks import Talks
from npblender.chat.transcript import Transcript
from reference_tests.support.servers import Server, running_server


@pytest.fixture(scope="module")
def server(needs_serve: None, tmp_path_factory) -> Iterator[Server]:
    with running_server("--db", tmp_path_factory.mktemp("requests") / "talks.sqlite") as running:
        yield running


def test_without_a_database_there_is_none(needs_serve: None) -> None:
    with running_server() as server:
        assert server.get("/api/about").json["keeps"] is False
        assert "--db FILE" in server.get("/api/conversations").message
        assert server.get("/").headers["content-security-policy"].startswith("default-src 'none'")


def test_the_pages_requests_refuse_what_is_wrong(server: Server) -> None:
    kept = server.request("POST", "/api/conversations", {"transcript": Transcript("parlai").to_dict()})
    assert kept.status == 201
    place = f"/api/conversations/{kept.json['id']}"
    for method, path, body, status in [
        ("GET", "/api/conversations/nowhere", None, 404),
        ("DELETE", "/api/conversations/nowhere", None, 404),
        ("PUT", place, {"transcript": {}}, 400),
        ("PUT", place, {"revision": "1", "transcript": {}}, 400),
        ("PUT", place, {"revision": 1, "transcript": {"format": "x"}}, 400),
        ("PUT", place, {"revision": 9, "transcript": Transcript("parlai").to_dict()}, 409),
        ("POST", "/api/conversations", [], 400),
        ("POST", "/api/transcript", {"format": "npblender transcript", "version": 2}, 400),
        ("DELETE", place, None, 204),
        ("GET", place, None, 404),
    ]:
        answer = server.request(method, path, body)
        assert answer.status == status, (method, path, body)
        if status >= 400:
            assert answer.message


def test_explanations(server: Server) -> None:
    messages = [{"role": "system", "content": "i sing."}, {"role": "user", "content": "Hi!"}]
    said = server.request("POST", "/v1/chat/completions", {"messages": messages}).json["choices"][0]
    replied = [*messages, {"role": "assistant", "content": said["message"]["content"], "raw": said["npblender"]["raw"]}]
    made = server.request("POST", "/api/explain", {"messages": replied, "num_beams": 2, "dialect": "transformers-5"})
    assert made.status == 201
    page = server.get(made.json["url"])
    assert page.headers["content-type"].startswith("text/html")
    assert "sandbox allow-scripts" in page.headers["content-security-policy"]
    assert said["message"]["content"].split()[0] in page.body.decode()
    assert server.get(made.json["url"][:-1]).status == 404
    assert "assistant's" in server.request("POST", "/api/explain", {"messages": messages}).message
    assert server.request("POST", "/api/explain", {"messages": replied, "num_beams": 0}).status == 400


def test_a_key_opens_explanations(needs_serve: None) -> None:
    messages = [{"role": "user", "content": "Hi!"}, {"role": "assistant", "content": "hello."}]
    with running_server("--api-key", "k") as guarded:
        assert guarded.request("POST", "/api/explain", {"messages": messages}).status == 401
        made = guarded.request("POST", "/api/explain", {"messages": messages}, Authorization="Bearer k")
        assert guarded.get(made.json["url"]).status == 200  # a tab sends no key
        assert guarded.get("/api/explain/guessed").status == 404


def test_what_a_killed_server_had_kept_is_there(needs_serve: None, tmp_path: Path) -> None:
    """Two servers write into one file; one is killed right after its answers, and nothing that it reported is lost."""
    db = tmp_path / "talks.sqlite"
    with running_server("--db", db) as first, running_server("--db", db) as second:
        kept = []
        for number in range(6):
            server = (first, second)[number % 2]
            body = {"transcript": Transcript("parlai", (), (Turn("user", f"talk {number}"),)).to_dict()}
            kept.append(server.request("POST", "/api/conversations", body).json["id"])
        first.process.kill()
        first.process.wait()
        listed = second.get("/api/conversations").json["conversations"]
        assert [each["id"] for each in listed] == kept[::-1]
        body = {"revision": 1, "transcript": Transcript("parlai", (), (Turn("user", "changed"),)).to_dict()}
        assert second.request("PUT", f"/api/conversations/{kept[0]}", body).json == {"revision": 2}
    assert Talks(db).load(kept[0])[0].turns == (Turn("user", "changed"),)
