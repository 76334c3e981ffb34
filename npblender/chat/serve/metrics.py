"""What the server counts, as Prometheus reads it: requests, tokens, how long they take, and the line."""

from __future__ import annotations

from typing import Any

from npblender.chat.serve.engine import Engine

LATENCIES = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Bounds of the histograms in seconds: from a short reply of the demo to the longest that is waited for."""


class Metrics:
    """The counters of one server."""

    def __init__(self, engine: Engine) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._registry: Any = CollectorRegistry()
        kept: Any = {"registry": self._registry}
        self._requests = Counter("npblender_requests", "Requests by path and status", ["path", "status"], **kept)
        self._read = Counter("npblender_prompt_tokens", "Tokens that were read", **kept)
        self._made = Counter("npblender_completion_tokens", "Tokens that were generated", **kept)
        timed: Any = {"buckets": LATENCIES, **kept}
        meaning = "From a request to the end of its response"
        self._seconds = Histogram("npblender_request_seconds", meaning, ["path"], **timed)
        meaning = "From a request to the first text of its reply"
        self._first = Histogram("npblender_first_text_seconds", meaning, **timed)
        gauges = (
            ("npblender_queue_length", "Requests that wait", lambda: len(engine.line)),
            ("npblender_queue_limit", "How many may wait", lambda: engine.line.most),
            ("npblender_rows", "Paths that are decoded at the moment", lambda: engine.rows),
            ("npblender_steps", "Decoder steps since the start; each serves all rows", lambda: engine.steps),
        )
        for name, meaning, read in gauges:
            Gauge(name, meaning, **kept).set_function(read)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request that has ended."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def first_text(self, seconds: float) -> None:
        """Note when the first text of a reply was there."""
        self._first.observe(seconds)

    def tokens(self, read: int, made: int) -> None:
        """Count the tokens of a reply."""
        self._read.inc(read)
        self._made.inc(made)

    def text(self) -> bytes:
        """All of them, in Prometheus' text format."""
        from prometheus_client import generate_latest

        text: bytes = generate_latest(self._registry)
        return text
