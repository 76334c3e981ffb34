"""`npblender serve` as a process of its own, and plain HTTP requests to it."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reference_tests.support.cli_runs import ROOT, command, environment

START_SECONDS = 120
STOP_SECONDS = 60
REQUEST_SECONDS = 60


@dataclass(frozen=True)
class Answer:
    """A response: status, headers with lower-case names, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON values."""
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """The message of an error."""
        text: str = self.json["error"]["message"]
        return text

    @property
    def events(self) -> list[Any]:
        """The events of a stream but its end, which must be there."""
        lines = [line[6:] for line in self.body.decode().split("\n\n") if line.startswith("data: ")]
        assert lines[-1] == "[DONE]", lines[-1]
        return [json.loads(line) for line in lines[:-1]]


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    process: subprocess.Popen[str]
    port: int
    key: str | None = None

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request on a connection of its own; `body` becomes JSON unless it is bytes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_SECONDS)
        sent = {"Content-Type": "application/json"} if body is not None else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, content, sent)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        """GET."""
        return self.request("GET", path, **headers)

    def chat(self, text: str = "hi", **fields: Any) -> Answer:
        """One chat completion for one message."""
        return self.request("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": text}], **fields})

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        lines = self.get("/metrics").body.decode().splitlines()
        found = [line for line in lines if line.startswith((name + " ", name + "{"))]
        assert found, f"there is no {name}"
        return sum(float(line.rpartition(" ")[2]) for line in found)

    def wait_for(self, name: str, value: float, seconds: float = 30) -> None:
        """Waits until a metric has a value."""
        deadline = time.monotonic() + seconds
        while self.metric(name) != value:
            assert time.monotonic() < deadline, f"{name} is {self.metric(name)}, not {value}"
            time.sleep(0.05)


@contextmanager
def running_server(*arguments: object, port: int = 0, starter: Path | None = None, **changes: str) -> Iterator[Server]:
    """A server with these options, from its start to its end; it must end by itself when it is asked to.

    `starter` is a script that changes something first, and then does what `python -m npblender` does.
    """
    line = command("serve", "--port", port, *arguments)
    process = subprocess.Popen(
        line if starter is None else [line[0], str(starter), *line[3:]],
        cwd=ROOT,
        env=environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert "answers at http://" in first, (first, process.stderr.read() if process.stderr else "")
        yield Server(process, int(first.rstrip("/\n").rpartition(":")[2]))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
