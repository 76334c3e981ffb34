"""Many inputs: order, batches by length, bad lines, repeatability, executors, and going on after a kill."""

import io
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path

import pytest

import npblender.chat.batch.running
from npblender.chat import Conversation
from npblender.chat.batch import replies_in_order, reply_to_all
from npblender.chat.batch.jobs import BatchJob, prepare
from npblender.chat.batch.requests import BadLine, Request, as_request, parse_lines, whole_lines
from npblender.chat.batch.workers import local_processes, reply_to_batch
from npblender.chat.history import FittedSource
from npblender.common.printable import json_line
from reference_tests.support.asserts import assert_close
from reference_tests.support.tiny_folder import WORDS, make_model, make_tokenizer
from reference_tests.support.tolerances import TOLERANCES

SHORT = {"min_length": 2, "max_length": 6, "num_beams": 2}
TEXTS = [" ".join(WORDS[at : at + 1 + at % 5]) for at in range(20)]


def alone(text: str, **options: object) -> str:
    """The reply to one text, in a conversation of its own."""
    return Conversation(make_model(seed=2), make_tokenizer(), **{**SHORT, **options}).reply(text).text


# What a line is.


def test_lines_of_text_and_of_json() -> None:
    text = list(parse_lines([b"\xef\xbb\xbfhi\r\n", b" \n", b"\xff\n", b"you"], jsonl=False))
    assert [type(line) for line in text] == [Request, BadLine, BadLine, Request]
    assert [line.number for line in text] == [1, 2, 3, 4]
    assert text[0].carried == {"input": "hi"}
    assert text[2].reason == "the line is not UTF-8 text (invalid start byte)"
    assert text[2].carried == {"input": "\\xff"}
    objects = list(parse_lines([b'{"text": "hi", "id": 7}\n', b"{", b'"hi"', b"5", b'{"text": NaN}'], jsonl=True))
    assert objects[0] == as_request(1, {"text": "hi", "id": 7})
    assert isinstance(objects[2], Request)
    assert [getattr(line, "reason", "")[:20] for line in objects[1::2]] == [
        "the line is not JSON",
        "a line must be a str",
    ]
    assert "NaN is no number of JSON" in objects[4].reason


def test_fields_of_an_object() -> None:
    request = as_request(1, {"turns": ["hi", "hello", "tea?"], "persona": ["i sing"], "id": {"deep": [1]}})
    assert [turn.text for turn in request.turns] == ["hi", "hello", "tea?"]
    assert request.persona == ("i sing",)
    split = as_request(1, {"text": "your persona: i sing\nhi\n\nyou"})
    assert [turn.text for turn in split.turns] == ["hi", "you"]
    assert split.persona == ("your persona: i sing",)
    assert as_request(1, "one\ntwo").turns[0].text == "one\ntwo"  # a line of text is one turn


BAD = {
    '{"txt": "hi"}': '"text" or "turns", one of the two',
    '{"text": "hi", "turns": []}': '"text" or "turns", one of the two',
    '{"text": 5}': '"text" must be a string',
    '{"turns": "hi"}': '"turns" must be a list of strings',
    '{"turns": ["hi", 5]}': '"turns" must be a list of strings',
    '{"turns": []}': "nothing to reply to",
    '{"text": "  "}': "nothing to reply to",
    '{"text": "hi", "persona": 5}': '"persona" must be a text or a list of texts, not int',
    '{"text": "hi", "persona": ["i sing", null]}': "its item 2 is NoneType",
    '{"turns": ["Hi", ""]}': "turn 2 is empty",
    '{"turns": [" ", "Hi"]}': "turn 1 is empty",
    '{"text": "hi", "text": "you"}': "the name 'text' stands there twice",
    '{"text": "hi", "a": {"b": 1, "b": 2}}': "the name 'b' stands there twice",
    '{"text": "hi", "id": 1e999}': "1e999 is too large a number",
    '{"text": "hi", "id": -1e999}': "-1e999 is too large a number",
    '{"text": "hi", "id": Infinity}': "Infinity is no number of JSON",
    '{"text": "hi", "id": ' + "7" * 5000 + "}": "the line is not JSON: Exceeds the limit",
    '{"text": "hi", "id": ' + "[" * 100_000 + "]" * 100_000 + "}": "recursion",
    '{"text": "hi", "id": ' + "9" * 400 + ".5e9999999}": "is too large a number",
    '{"text": "hi", "persona": [" "]}': "a persona line is empty",
    '{"text": "hi", "reply": 1}': "the field 'reply' is one that the output adds",
    "[1]": "must be a string or an object, not [1]",
}


@pytest.mark.parametrize(("line", "reason"), BAD.items())
def test_bad_objects_say_why(line: str, reason: str) -> None:
    (found,) = parse_lines([line.encode()], jsonl=True)
    assert isinstance(found, BadLine)
    assert reason in found.reason
    assert len(found.reason) < 300
    json_line(dict(found.carried))  # the line's error object can be written


def test_a_persona_of_one_line_may_be_a_string() -> None:
    assert as_request(1, {"text": "hi", "persona": "i sing"}).persona == ("i sing",)


def test_a_line_of_any_size_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npblender.chat.batch.requests, "LINE_LIMIT", 10)
    content = b"short\n" + b"x" * 25 + b"\n" + b"y" * 10 + b"\n" + b"z" * 9 + b"\n" + b"w" * 11
    found = list(parse_lines(whole_lines(io.BytesIO(content)), jsonl=False))
    reasons = [getattr(line, "reason", None) for line in found]
    assert reasons == [None, *["the line has more than 10 bytes"] * 2, None, "the line has more than 10 bytes"]


def test_bad_items_do_not_end_the_others(tiny_folder: Path) -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    inputs = ["hi", b"hi", None, 5, ["hi"], {"text": b"hi"}, {"turns": "hi"}, {5: 6}, "\ud800", {"a": deep}, "you"]
    records = list(reply_to_all(inputs, tiny_folder, **SHORT))  # type: ignore[arg-type]
    assert [record["line"] for record in records] == list(range(1, len(inputs) + 1))
    assert [at for at, record in enumerate(records) if "reply" in record] in ([0, 10], [0, 8, 10])


@pytest.mark.parametrize("inputs", ["hello", b"hello", {"text": "hello"}, 5])
def test_one_input_is_not_taken_for_many(tiny_folder: Path, inputs: object) -> None:
    with pytest.raises(TypeError, match="inputs must be a list of texts or objects, not one "):
        reply_to_all(inputs, tiny_folder)  # type: ignore[arg-type]


def test_a_block_of_one_phrase_may_be_a_string(tiny_folder: Path) -> None:
    one, many = (list(reply_to_all(["hi"], tiny_folder, block=block, **SHORT)) for block in ("you", ["you"]))
    assert one == many


# Replies.


def test_every_input_gets_the_reply_that_it_would_get_alone(tiny_folder: Path) -> None:
    """Batches of three by length, in the order of the input; float64, so that batch mates change nothing."""
    inputs = [{"text": text, "id": number} for number, text in enumerate(TEXTS)]
    records = list(reply_to_all(inputs, tiny_folder, batch_size=3, dtype="float64", **SHORT))
    assert [record["id"] for record in records] == list(range(len(TEXTS)))
    assert [record["line"] for record in records] == list(range(1, len(TEXTS) + 1))
    assert [record["reply"] for record in records] == [alone(text) for text in TEXTS]
    talk = Conversation(make_model(seed=2), make_tokenizer(), **SHORT)
    assert_close(records[4]["score"], talk.reply(TEXTS[4]).score, TOLERANCES["score of a search"])


def test_batches_hold_inputs_of_like_length(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []

    def watch(job: BatchJob, sources: list[FittedSource], first: int) -> list[dict[str, object]]:
        seen.append([len(source.ids) for source in sources])
        return reply_to_batch(job, sources, first)

    monkeypatch.setattr(npblender.chat.batch.running, "reply_to_batch", watch)
    list(reply_to_all(TEXTS, tiny_folder, batch_size=4, **SHORT))
    assert [length for lengths in seen for length in lengths] == sorted(len(make_tokenizer().encode(t)) for t in TEXTS)
    assert [len(lengths) for lengths in seen] == [4] * 5


def test_bad_inputs_are_reported_and_the_others_go_on(tiny_folder: Path) -> None:
    inputs = ["hi", {"text": 5}, "", "\x1c", {"text": "hello", "persona": ["i like tea " * 40]}, "you"]
    records = list(reply_to_all(inputs, tiny_folder, batch_size=2, **SHORT))
    assert [record["line"] for record in records] == [1, 2, 3, 4, 5, 6]
    assert ["error" in record for record in records] == [False, True, True, True, True, False]
    assert "positions" in records[4]["error"]
    assert records[5]["reply"] == alone("you")


def test_one_input_can_not_spoil_its_batch(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong in a search: the others of the batch are searched for one by one."""
    real = npblender.chat.batch.workers.search_replies
    bad = len(make_tokenizer().encode(TEXTS[4]))

    def fragile(speaker, sources, settings, **options):
        if any(len(source.ids) == bad for source in sources):
            raise FloatingPointError("overflow")
        return real(speaker, sources, settings, **options)

    monkeypatch.setattr(npblender.chat.batch.workers, "search_replies", fragile)
    records = list(reply_to_all(TEXTS[:8], tiny_folder, batch_size=8, **SHORT))
    assert [record.get("error") for record in records] == [
        "FloatingPointError: overflow" if len(make_tokenizer().encode(text)) == bad else None for text in TEXTS[:8]
    ]


def test_long_inputs_say_what_they_lost(tiny_folder: Path) -> None:
    turns = {"turns": ["hello " * 20] * 5}
    long, short = reply_to_all([turns, "hello " * 70], tiny_folder, **SHORT)
    assert (long["dropped_turns"], "cut_tokens" in long) == (2, False)
    assert (short["cut_tokens"], "dropped_turns" in short) == (6, False)


def test_settings_that_do_not_fit_are_refused_before_anything_is_done(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="no option 'num_beems'"):
        reply_to_all(["hi"], tiny_folder, num_beems=3)
    with pytest.raises(FileNotFoundError, match="no folder"):
        reply_to_all(["hi"], tmp_path / "none")
    with pytest.raises(TypeError, match="block must be a text or a list of texts"):
        reply_to_all(["hi"], tiny_folder, block=b"darn")
    with pytest.raises(ValueError, match="hold at least one line"):
        list(reply_to_all(["hi"], tiny_folder, batch_size=0))


def test_sampling_depends_on_the_seed_and_not_on_where_a_run_began(tiny_folder: Path) -> None:
    options = {"do_sample": True, "max_length": 12, "seed": 3}
    whole = list(reply_to_all(TEXTS, tiny_folder, batch_size=4, **options))
    assert [r["reply"] for r in whole] == [
        r["reply"] for r in reply_to_all(TEXTS, tiny_folder, batch_size=4, **options)
    ]
    other = list(reply_to_all(TEXTS, tiny_folder, batch_size=4, **{**options, "seed": 4}))
    assert [r["reply"] for r in whole] != [r["reply"] for r in other]
    job = BatchJob(str(tiny_folder), settings={"do_sample": True, "max_length": 12}, seed=3)
    requests = [as_request(number, text) for number, text in enumerate(TEXTS, start=1)]
    rest = list(replies_in_order(requests, job, prepare(job), batch_size=4, skip=11))
    assert rest == whole[11:]


def test_every_batch_draws_its_own_random_numbers(tiny_folder: Path) -> None:
    options = {"do_sample": True, "max_length": 12, "seed": 3}
    found = list(reply_to_all(["hi"] * 4, tiny_folder, batch_size=1, **options))
    assert len({record["reply"] for record in found}) > 1


def test_runners_up_are_reported_when_asked_for(tiny_folder: Path) -> None:
    (record,) = reply_to_all(["hi"], tiny_folder, dialect="transformers-5", n_best=2, **SHORT)
    assert record["n_best"][0]["reply"] == record["reply"]
    assert len(record["n_best"]) == 2


def test_the_block_list_reaches_the_workers(tiny_folder: Path) -> None:
    (free,) = reply_to_all(["hi"], tiny_folder, **SHORT)
    words = [word for word in free["reply"].split() if word.isalpha()]
    (kept,) = reply_to_all(["hi"], tiny_folder, block=words, **SHORT)
    assert words
    assert not set(words) & set(kept["reply"].split()[:-1])


# Executors.


class Backwards(Executor):
    """Finishes the work that was given to it last first, and counts how much is waiting."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[object], object, tuple[object, ...]]] = []
        self.most = 0

    def submit(self, fn, /, *args, **kwargs):
        future: Future[object] = Future()
        self.waiting.append((future, fn, args))
        self.most = max(self.most, len(self.waiting))
        return future

    def finish_one(self) -> None:
        future, fn, args = self.waiting.pop()
        future.set_result(fn(*args))


def test_the_order_of_the_input_is_kept_whatever_the_workers_do(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = Backwards()
    real = npblender.chat.batch.running.wait

    def wait(futures, **options):
        executor.finish_one()
        return real(futures, **options)

    monkeypatch.setattr(npblender.chat.batch.running, "wait", wait)
    read: list[int] = []

    def inputs() -> Iterator[str]:
        for number, text in enumerate(TEXTS * 3):
            read.append(number)
            yield text

    job = BatchJob(str(tiny_folder), settings=SHORT)
    requests = (as_request(number, text) for number, text in enumerate(inputs(), start=1))
    found = []
    for record in replies_in_order(requests, job, prepare(job), executor, batch_size=2, window=10):
        found.append(record)
        assert len(read) <= record["line"] + 30  # three windows: what is read ahead is bounded
    assert [record["line"] for record in found] == list(range(1, 61))
    assert [record["reply"] for record in found] == [alone(text) for text in TEXTS] * 3
    assert 2 <= executor.most <= 5


@pytest.mark.slow
def test_threads_and_processes_give_what_one_thread_gives(tiny_folder: Path) -> None:
    here = list(reply_to_all(TEXTS[:12], tiny_folder, batch_size=3, **SHORT))
    with ThreadPoolExecutor(2) as threads:
        assert list(reply_to_all(TEXTS[:12], tiny_folder, executor=threads, batch_size=3, **SHORT)) == here
    with local_processes(2) as processes:
        found = list(reply_to_all(TEXTS[:12], tiny_folder, executor=processes, batch_size=3, **SHORT))
    assert [(r["line"], r["reply"]) for r in found] == [(r["line"], r["reply"]) for r in here]
    assert_close([r["score"] for r in found], [r["score"] for r in here], TOLERANCES["score of a search"])


def test_a_worker_that_fails_ends_the_run_and_what_waits_is_given_up(tiny_folder: Path) -> None:
    class Failing(Executor):
        def __init__(self) -> None:
            self.futures: list[Future[object]] = []

        def submit(self, fn, /, *args, **kwargs):
            future: Future[object] = Future()
            self.futures.append(future)
            if len(self.futures) == 3:
                future.set_exception(ConnectionError("the machine is gone"))
            return future

    executor = Failing()
    with pytest.raises(ConnectionError, match="gone"):
        list(reply_to_all(TEXTS, tiny_folder, executor=executor, batch_size=2, **SHORT))
    assert all(future.cancelled() for number, future in enumerate(executor.futures) if number != 2)
