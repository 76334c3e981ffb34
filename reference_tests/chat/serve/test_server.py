"""The server as a client sees it: OpenAI's shapes, streams, errors, and replies equal to those of `Conversation`."""

import concurrent.futures
import contextlib
import http.client
import json
import socket
import subprocess
import time

import pytest

from npblender import Conversation
from npblender.chat.serve.limits import LINGER_SECONDS, MOST_BODY_BYTES, MOST_HEADER_BYTES
from reference_tests.support.asserts import assert_close
from reference_tests.support.servers import Server
from reference_tests.support.tolerances import TOLERANCES

MESSAGES = [{"role": "system", "content": "i love to cook."}, {"role": "user", "content": "What do you like to do?"}]


@pytest.fixture(scope="module")
def talk() -> Conversation:
    return Conversation.from_pretrained()


def expected(talk: Conversation, text: str, **options):
    fresh = Conversation(talk.model, talk.tokenizer, **options)
    return fresh.reply(text)


def test_a_reply_is_that_of_a_conversation(server: Server) -> None:
    answer = server.request("POST", "/v1/chat/completions", {"model": "demo", "messages": MESSAGES})
    assert answer.status == 200
    reply = Conversation.from_pretrained(persona=["i love to cook."]).reply("What do you like to do?")
    (choice,) = answer.json["choices"]
    assert choice["message"] == {"role": "assistant", "content": reply.text, "refusal": None}
    assert choice["finish_reason"] == "stop"
    assert answer.json["usage"] == {
        "prompt_tokens": len(reply.source.ids),
        "completion_tokens": len(reply.ids) - 2,
        "total_tokens": len(reply.source.ids) + len(reply.ids) - 2,
    }
    assert [each["reply"] for each in choice["npblender"]["n_best"]] == [each.text for each in reply.n_best]
    assert_close(choice["npblender"]["score"], reply.score, TOLERANCES["score of a search"])


TEXTS = ["Hi!", "Do you like music?", "What did you do today?", "I am a teacher.", "My dog died.", "Good morning!"]


@pytest.mark.parametrize("fields", [{}, {"temperature": 0}, {"temperature": 0.9, "seed": 7}, {"num_beams": 3}])
@pytest.mark.parametrize("dialect", ["parlai", "transformers-4", "transformers-5"])
def test_requests_that_are_served_together_get_what_each_gets_alone(server: Server, fields, dialect) -> None:
    """Twelve at once, twice six texts: each is what `Conversation` says alone, also where words are drawn."""
    steps = server.metric("npblender_steps")
    with concurrent.futures.ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda text: server.chat(text, dialect=dialect, **fields), TEXTS * 2))
    texts = [answer.json["choices"][0]["message"]["content"] for answer in answers]
    talk = Conversation.from_pretrained(dialect=dialect)
    settings = {"num_beams": 3} if "num_beams" in fields else {}
    if "temperature" in fields:
        drawn = {"do_sample": True, "temperature": 0.9} if fields["temperature"] else {"do_sample": False}
        settings = {"num_beams": 1, **drawn}
    alone = [expected(talk, text, seed=fields.get("seed"), **settings) for text in TEXTS]
    assert texts == [reply.text for reply in alone] * 2
    if dialect == "parlai":
        made = server.metric("npblender_steps") - steps
        assert made < 2 * sum(len(reply.ids) for reply in alone), "nothing was served together"


def test_a_stream_is_the_reply(server: Server) -> None:
    fields = {"temperature": 0, "logprobs": True, "top_logprobs": 3}
    whole = server.chat("Good morning!", **fields).json
    answer = server.chat("Good morning!", stream=True, stream_options={"include_usage": True}, **fields)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = answer.events
    assert {event["object"] for event in events} == {"chat.completion.chunk"}
    assert len({event["id"] for event in events}) == 1
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert events[-1]["choices"] == []
    assert events[-1]["usage"] == whole["usage"]
    pieces = [event["choices"][0] for event in events[1:-1]]
    assert "".join(piece["delta"].get("content", "") for piece in pieces) == whole["choices"][0]["message"]["content"]
    assert len(pieces) > 4, "the words came all at once"
    tokens = [token for piece in pieces if piece["logprobs"] for token in piece["logprobs"]["content"]]
    assert tokens == whole["choices"][0]["logprobs"]["content"]
    assert [piece["finish_reason"] for piece in pieces] == [None] * (len(pieces) - 1) + ["stop"]
    assert len(tokens) == whole["usage"]["completion_tokens"]
    for token in tokens:
        assert len(token["top_logprobs"]) == 3
        assert bytes(token["bytes"]).decode() == token["token"].removesuffix("@@")


@pytest.mark.parametrize("dialect", ["parlai", "transformers-5"])
def test_log_probabilities_of_beams_are_those_of_the_same_words_greedily(server: Server, dialect: str) -> None:
    """A beam search scores its reply by a pass over the whole, a single path step by step: where both find the same
    reply the numbers agree."""
    compared = 0
    for line in ("Thank you!", "Good morning!", "I am so tired.", "Do you like music?"):
        one = server.chat(line, num_beams=1, logprobs=True, dialect=dialect).json["choices"][0]
        many = server.chat(line, num_beams=4, n=4, logprobs=True, dialect=dialect).json["choices"]
        for choice in many:
            if choice["message"]["content"] == one["message"]["content"]:
                compared += 1
                assert_close(
                    [token["logprob"] for token in choice["logprobs"]["content"]],
                    [token["logprob"] for token in one["logprobs"]["content"]],
                    TOLERANCES["search against ParlAI"],
                )
    assert compared, "no beam found what is said greedily"


def test_several_replies(server: Server) -> None:
    drawn = server.chat("Hi!", n=3, temperature=1.0, seed=5).json["choices"]
    assert [choice["index"] for choice in drawn] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in drawn}) > 1, "each has random numbers of its own"
    assert drawn == server.chat("Hi!", n=3, temperature=1.0, seed=5).json["choices"]
    assert drawn[0]["message"] == server.chat("Hi!", temperature=1.0, seed=5).json["choices"][0]["message"]
    best = server.chat("Hi!", n=2).json["choices"]
    assert [c["message"]["content"] for c in best] == [c["reply"] for c in best[0]["npblender"]["n_best"]][:2]
    for rank, choice in enumerate(best):
        assert choice["npblender"]["score"] == best[0]["npblender"]["n_best"][rank]["score"]
        assert choice["npblender"]["raw"].replace(" ", "") == choice["message"]["content"].replace(" ", "")
    refused = server.chat("Hi!", n=3, temperature=0)
    assert (refused.status, refused.json["error"]["param"]) == (400, "n")


def test_limits_and_stops(server: Server) -> None:
    whole = server.chat("What do you like?", temperature=0).json["choices"][0]["message"]["content"]
    for dialect in ("parlai", "transformers-5"):
        answer = server.chat("What do you like?", temperature=0, max_tokens=3, dialect=dialect).json
        assert answer["usage"]["completion_tokens"] <= 3
        assert answer["choices"][0]["finish_reason"] == "length"
    huge = server.chat("What do you like?", temperature=0, max_tokens=100_000).json["choices"][0]
    assert huge["message"]["content"] == whole
    assert huge["finish_reason"] == "stop"
    word = whole.split()[2]
    stopped = server.chat("What do you like?", temperature=0, stop=[word]).json
    assert stopped["choices"][0]["message"]["content"] == whole[: whole.index(word)]
    assert stopped["choices"][0]["finish_reason"] == "stop"
    streamed = server.chat("What do you like?", temperature=0, stop=word, stream=True).events
    text = "".join(event["choices"][0]["delta"].get("content", "") for event in streamed)
    assert text == whole[: whole.index(word)]


def test_completions(server: Server) -> None:
    body = {"prompt": ["Hi!", "your persona: i sing.\nDo you sing?"], "temperature": 0, "logprobs": 2}
    answer = server.request("POST", "/v1/completions", body).json
    assert answer["object"] == "text_completion"
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    for choice in answer["choices"]:
        shown = choice["logprobs"]
        assert len(shown["tokens"]) == len(shown["token_logprobs"]) == len(shown["top_logprobs"])
        assert shown["text_offset"] == sorted(shown["text_offset"])
    first = server.chat("Hi!", temperature=0).json["choices"][0]["message"]["content"]
    assert answer["choices"][0]["text"] == first
    events = server.request("POST", "/v1/completions", {**body, "stream": True}).events
    for number in (0, 1):
        pieces = [event["choices"][0] for event in events if event["choices"][0]["index"] == number]
        assert "".join(piece["text"] for piece in pieces) == answer["choices"][number]["text"]
        offsets = [at for piece in pieces if piece["logprobs"] for at in piece["logprobs"]["text_offset"]]
        assert offsets == answer["choices"][number]["logprobs"]["text_offset"]
    ids = Conversation.from_pretrained().tokenizer.encode("hi !")
    assert (
        server.request("POST", "/v1/completions", {"prompt": ids, "temperature": 0}).json["choices"][0]["text"] == first
    )


def test_models_and_health(server: Server) -> None:
    listed = server.get("/v1/models").json
    assert [model["id"] for model in listed["data"]] == ["demo"]
    assert server.get("/v1/models/demo").json == listed["data"][0]
    missing = server.get("/v1/models/gpt-4")
    assert (missing.status, missing.json["error"]["code"]) == (404, "model_not_found")
    assert "'demo'" in server.chat(model="gpt-4").message
    assert server.get("/healthz").json == {"status": "ok"}


def test_metrics_count(server: Server) -> None:
    before = server.metric("npblender_requests_total"), server.metric("npblender_completion_tokens_total")
    made = server.chat("Hi!").json["usage"]["completion_tokens"]
    assert server.metric("npblender_requests_total") == before[0] + 3  # and the two requests for metrics before it
    assert server.metric("npblender_completion_tokens_total") == before[1] + made
    text = server.get("/metrics").body.decode()
    for name in ("request_seconds_bucket", "first_text_seconds_bucket", "queue_length", "queue_limit", "rows"):
        assert f"npblender_{name}" in text
    assert server.metric("npblender_queue_length") == 0
    assert server.metric("npblender_rows") == 0


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("GET", "/nothing", None, 404, "nothing at /nothing"),
        ("GET", "/v1/chat/completions", None, 405, "it takes POST"),
        ("POST", "/healthz", None, 405, "does not take POST; it takes "),
        ("PUT", "/v1/models", None, 405, "does not take PUT; it takes "),
        ("POST", "/nothing", None, 404, "nothing at /nothing"),
        ("POST", "/v1/chat/completions", None, 415, "the body must be JSON"),
        ("POST", "/v1/chat/completions", b"{", 400, "no JSON"),
        ("POST", "/v1/chat/completions", b"\xff", 400, "no JSON"),
        ("POST", "/v1/chat/completions", b'{"n": NaN}', 400, "NaN is no number"),
        ("POST", "/v1/chat/completions", b"[" * 100_000, 400, "nested too deeply"),
        ("POST", "/v1/chat/completions", b"x" * (MOST_BODY_BYTES + 1), 413, "larger than"),
        ("POST", "/v1/completions", {"prompt": [10**9]}, 400, "no token of"),
        ("POST", "/v1/chat/completions", {"messages": MESSAGES, "num_beams": 65}, 400, "at most 64"),
        ("POST", "/v1/chat/completions", {"messages": MESSAGES, "min_p": 0.1}, 400, "is not used by"),
        ("POST", "/v1/chat/completions", {"messages": MESSAGES, "top_p": 0.5, "top_k": 5}, 400, "by one of them"),
    ],
)
def test_errors_have_openais_form(server: Server, method, path, body, status, says) -> None:
    answer = server.request(method, path, body)
    assert answer.status == status
    assert set(answer.json) == {"error"}
    assert set(answer.json["error"]) == {"message", "type", "param", "code"}
    assert says in answer.message
    assert server.get("/healthz").status == 200


def test_a_long_persona_says_what_the_package_says(server: Server) -> None:
    messages = [{"role": "system", "content": "\n".join(["i like tea very much indeed."] * 30)}, MESSAGES[1]]
    answer = server.request("POST", "/v1/chat/completions", {"messages": messages})
    assert answer.status == 400
    assert "shorten it" in answer.message


def raw_request(server: Server, size: int, pieces: int = 1, pause: float = 0.0) -> bytes:
    """The response to a request whose line and headers take `size` bytes; b"" if the connection was closed first."""
    head = b"GET /healthz?a=b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Long: "
    sent = head + b"x" * (size - len(head) - 4) + b"\r\n\r\n"
    assert len(sent) == size
    step, response = -(-size // pieces), b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        with contextlib.suppress(ConnectionError):
            for begin in range(0, size, step):
                connection.sendall(sent[begin : begin + step])
                time.sleep(pause)
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65536):
                response += part
    return response


@pytest.mark.parametrize("size", [MOST_HEADER_BYTES + more for more in (-1000, -1, 0)])
@pytest.mark.parametrize("pieces", [1, 3])
def test_headers_up_to_the_limit_pass(server: Server, size: int, pieces: int) -> None:
    assert raw_request(server, size, pieces, pause=0.05).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("size", [MOST_HEADER_BYTES + 1, 33_000, 70_000, 120_000])
def test_headers_above_the_limit_are_refused(server: Server, size: int) -> None:
    """Those that come whole by the guard, those that come in parts by uvicorn; both in OpenAI's form."""
    response = raw_request(server, size)
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.split()[1] in (b"431", b"400")
    assert str(MOST_HEADER_BYTES) in json.loads(body)["error"]["message"]
    if size < 2 * MOST_HEADER_BYTES:  # one part of what uvicorn reads
        assert head.split()[1] == b"431"
        assert f"take {size} bytes" in json.loads(body)["error"]["message"]
    assert server.get("/healthz").status == 200


def test_headers_that_come_in_parts_are_refused_before_their_end(server: Server) -> None:
    response = raw_request(server, 2 * MOST_HEADER_BYTES, pieces=8, pause=0.05)
    assert response == b"" or b" 400 " in response.partition(b"\r\n")[0]
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b"no request\r\n\r\n")
        head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert json.loads(body)["error"]["type"] == "invalid_request_error"


def test_a_body_that_says_nothing_of_its_size_is_limited(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    chunks = (b"x" * 65536 for _ in range(40))
    try:
        connection.request("POST", "/v1/completions", chunks, {"Content-Type": "application/json"}, encode_chunked=True)
        assert connection.getresponse().status == 413
    finally:
        connection.close()
    assert server.get("/healthz").status == 200


@pytest.mark.parametrize(
    ("path", "headers", "size", "status"),
    [
        ("/v1/chat/completions", "Content-Type: application/json", MOST_BODY_BYTES + 1, 413),
        ("/nothing", "Content-Type: application/json", MOST_BODY_BYTES, 404),
        ("/v1/chat/completions", "Content-Type: text/plain\r\nConnection: close", MOST_BODY_BYTES, 415),
        ("/v1/chat/completions", "Content-Type: text/plain\r\nExpect: 100-continue", MOST_BODY_BYTES, 415),
    ],
)
def test_who_sends_all_before_reading_is_told_why_it_is_refused(
    server: Server, path: str, headers: str, size: int, status: int
) -> None:
    """The rest of the body comes long after the refusal; a closed connection would be reset by it."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n{headers}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(head.encode() + b"x" * 1000)
        for part in (1000, size - 2000):
            time.sleep(0.2)
            connection.sendall(b"x" * part)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == status
        assert "error" in json.loads(answer.read())


def test_who_waits_for_leave_to_send_is_refused_at_once(server: Server) -> None:
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        f"Content-Type: application/json\r\nContent-Length: {MOST_BODY_BYTES + 1}\r\n\r\n"
    )
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(head.encode())
        response = b"".join(iter(lambda: connection.recv(65536), b""))
    assert response.startswith(b"HTTP/1.1 413 ")
    assert time.monotonic() - began < LINGER_SECONDS


def test_a_refused_body_that_was_not_sent_is_no_next_request(server: Server) -> None:
    """A second request on the same connection would be read as that body; so the connection is closed."""
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nExpect: 100-continue\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(f"{head}Content-Length: 200\r\n\r\n".encode())
        response = b"".join(iter(lambda: connection.recv(65536), b""))
    assert response.startswith(b"HTTP/1.1 415 ")
    assert b"\r\nconnection: close\r\n" in response.lower()


def test_what_comes_after_a_refusal_is_dropped_unread(server: Server) -> None:
    """Endless chunks of a byte, which take long to parse: others are answered as if they were not there."""
    head = b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(head + b"1\r\nx\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 404 ")
        end, sent, is_closed = time.monotonic() + 30, 0, False
        while time.monotonic() < end and not is_closed:
            try:
                sent += connection.send(b"1\r\nx\r\n" * 5000)
            except ConnectionError:
                is_closed = True
    assert is_closed
    assert sent < 64 << 20
    assert server.get("/healthz").status == 200


def test_a_client_that_leaves_in_the_middle_is_no_fault_of_the_server(server: Server) -> None:
    before = server.metric("npblender_requests_total")
    head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        time.sleep(0.2)
    deadline = time.monotonic() + 30
    while server.metric("npblender_requests_total") < before + 2:
        assert time.monotonic() < deadline
    lines = server.get("/metrics").body.decode().splitlines()
    assert any('status="499"' in line for line in lines)
    assert not any('status="500"' in line for line in lines)


def test_every_response_has_the_safe_headers(server: Server) -> None:
    for answer in (
        server.get("/healthz"),
        server.get("/nothing"),
        server.chat(foo=1),
        server.get("/", Host="evil.example"),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers


def test_curl(server: Server) -> None:
    body = json.dumps({"messages": MESSAGES})
    run = subprocess.run(
        ["curl", "-s", f"{server.url}/v1/chat/completions", "-H", "Content-Type: application/json", "-d", body],
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert json.loads(run.stdout)["choices"][0]["message"]["role"] == "assistant"
