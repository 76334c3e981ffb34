"""Many callers, rude callers, and the end: the full line, clients that go away, stops that finish what runs, kills."""

import concurrent.futures
import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from reference_tests.support.cli_runs import environment
from reference_tests.support.servers import Server, running_server

LONG = {"temperature": 1.0, "max_length": 120, "min_length": 118, "no_repeat_ngram_size": 0}
"""A reply of over a hundred tokens, which takes a while."""
FULL = {**LONG, "n": 16}
"""A quarter of all rows."""


@pytest.fixture(scope="module")
def small(needs_serve: None):
    """A server in whose line two searches may wait."""
    with running_server("--workers-queue", 2) as running:
        yield running


def begin(server: Server, **fields) -> socket.socket:
    """Send a chat completion, and leave the connection open without reading."""
    body = json.dumps({"messages": [{"role": "user", "content": "Tell me a story."}], **fields}).encode()
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return connection


def fill(server: Server, **fields) -> list[socket.socket]:
    """Fill all rows: four requests of sixteen replies, one after another, so that none has to wait for long."""
    begun = []
    for number in range(1, 5):
        begun.append(begin(server, **FULL, **fields))
        wait_for_rows(server, 16 * number)
    return begun


def wait_for_rows(server: Server, at_least: float) -> None:
    deadline = time.monotonic() + 30
    while server.metric("npblender_rows") < at_least:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("stream", [False, True])
def test_clients_that_go_away_free_their_places(small: Server, stream: bool) -> None:
    """Four fill all rows for seconds; gone, they leave nothing behind, and the next one is served at once."""
    gone = fill(small, stream=stream)
    steps = small.metric("npblender_steps")
    for connection in gone:
        connection.close()
    small.wait_for("npblender_rows", 0, seconds=20)
    assert small.metric("npblender_steps") - steps < 60, "the last of them had a hundred tokens to go"
    assert small.metric("npblender_queue_length") == 0
    assert small.chat("Hi!").status == 200


@pytest.mark.slow
def test_a_full_line_says_when_to_come_again(small: Server) -> None:
    busy = fill(small)
    waiting = [begin(small, **LONG) for _ in range(2)]
    small.wait_for("npblender_queue_length", 2)
    refused = small.chat("Hi!", temperature=0.5)
    assert refused.status == 429
    assert refused.json["error"]["type"] == "rate_limit_error"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert small.get("/healthz").status == 200  # it is busy, not ill
    for connection in waiting:
        answer = connection.recv(1 << 16)
        assert answer.startswith(b"HTTP/1.1 200"), "what had a place in the line is served"
    for connection in (*busy, *waiting):
        connection.close()
    small.wait_for("npblender_rows", 0)
    assert small.chat("Hi!").status == 200


def test_whole_searches_have_their_place_in_the_line_too(small: Server) -> None:
    """Beam searches of a transformers dialect run in a thread of their own, and their clients may leave as well."""
    fields = {"dialect": "transformers-5", "num_beams": 8, "max_length": 120, "min_length": 118}
    gone = [begin(small, **fields) for _ in range(2)]
    time.sleep(0.2)
    for connection in gone:
        connection.close()
    assert small.chat("Hi!", dialect="transformers-5", num_beams=2).status == 200


@pytest.mark.slow
def test_a_stop_finishes_what_runs(needs_serve: None) -> None:
    with running_server() as server, concurrent.futures.ThreadPoolExecutor(8) as threads:
        running = [
            threads.submit(server.chat, "Tell me a story.", stream=number % 2 == 0, **FULL) for number in range(6)
        ]
        wait_for_rows(server, 64)  # four run, two wait
        server.process.send_signal(signal.SIGTERM)
        for number, each in enumerate(running):
            answer = each.result(timeout=60)
            assert answer.status == 200
            if number % 2 == 0:
                ends = [event["choices"][0]["finish_reason"] for event in answer.events if event["choices"]]
                assert sum(end is not None for end in ends) == 16
        assert server.process.wait(timeout=30) == 0
        with pytest.raises(ConnectionError):
            server.get("/healthz")


def test_killed_under_load_and_started_again(needs_serve: None) -> None:
    """No client hangs: those of the killed server get an error at once, and the next server takes the same port."""
    results: list[str] = []

    def ask(server: Server) -> None:
        try:
            results.append(str(server.chat("Tell me a story.", **FULL).status))
        except (OSError, EOFError, ValueError) as error:
            results.append(type(error).__name__)
        except Exception as error:  # http.client's own
            results.append(type(error).__name__)

    with running_server() as server:
        clients = [threading.Thread(target=ask, args=(server,)) for _ in range(12)]
        for client in clients:
            client.start()
        wait_for_rows(server, 64)
        server.process.kill()
        server.process.wait(timeout=30)
        for client in clients:
            client.join(timeout=30)
        assert not any(client.is_alive() for client in clients)
        assert len(results) == 12
        assert "200" not in results
        port = server.port
    with running_server(port=port) as again:
        assert again.chat("Hi!").status == 200


@pytest.mark.slow
def test_slow_connections_are_closed(needs_serve: None, tmp_path: Path) -> None:
    """One that says nothing, and one whose body never comes; with shorter limits than the real ones."""
    starter = tmp_path / "impatient.py"
    starter.write_text(
        "import sys\n"
        "from npblender.chat.serve import body, running\n"
        "running.HEADER_SECONDS, body.BODY_SECONDS = 1.0, 1.0\n"
        "from npblender.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    with running_server(starter=starter) as server:
        silent = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        assert silent.recv(100) == b""
        silent.close()
        slow = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        slow.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n\r\n{"
        )
        assert b" 408 " in slow.recv(1000)
        slow.close()
        kept = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        kept.connect()
        first = kept.sock
        for _ in range(2):
            kept.request("GET", "/healthz")
            assert kept.getresponse().read()
            time.sleep(1.5)
        assert kept.sock is first, "a connection that has asked may idle"
        first.sendall(b"GET /healthz HTTP/1.1\r\nHost: loc")
        assert first.recv(100) == b"", "half a header of a later request is waited for as long as the first"
        kept.close()


def test_a_taken_port_is_an_error_of_one_line(server: Server) -> None:
    from reference_tests.support.cli_runs import one_error, run_cli

    assert f"port {server.port}" in one_error(run_cli("serve", "--port", server.port))
    assert "cannot listen on 203.0.113.7" in one_error(run_cli("serve", "--host", "203.0.113.7"))
    assert "printable ASCII" in one_error(run_cli("serve", "--api-key", ""))


def test_without_the_extra_the_command_says_how_to_install_it(tmp_path: Path) -> None:
    code = (
        "import importlib.util as u; found = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'starlette' else found(name, *more)\n"
        "import sys; from npblender.cli.main import main; sys.exit(main(['serve', '--model', 'nowhere']))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=False)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("npblender serve: error: npblender serve needs starlette")  # and what else is missing
    assert run.stderr.endswith(": pip install 'npblender[serve]'\n")


def test_cors_is_off_unless_an_origin_is_named(server: Server, needs_serve: None) -> None:
    asking = {"Origin": "https://my.example", "Access_Control_Request_Method": "POST"}
    assert server.request("OPTIONS", "/v1/chat/completions", **asking).status == 403
    assert server.get("/healthz", Origin="https://my.example").status == 403
    with running_server("--allow-origin", "https://my.example", "--api-key", "k") as open_one:
        preflight = open_one.request("OPTIONS", "/v1/chat/completions", **asking)
        assert preflight.status == 200
        assert preflight.headers["access-control-allow-origin"] == "https://my.example"
        assert open_one.get("/healthz", Origin="https://my.example").status == 200
        assert open_one.get("/healthz", Origin="https://evil.example").status == 403
        assert open_one.get("/v1/models").status == 401
        assert open_one.get("/v1/models", Authorization="Bearer k").status == 200
