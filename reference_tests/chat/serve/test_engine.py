"""The engine by itself: what one search's failure does to others, time limits, the order of the line, the end."""

import queue
import threading
from dataclasses import replace

import numpy as np
import pytest

from npblender.chat.history import PROFILES
from npblender.chat.serve.dialect_models import DialectModels, jobs_of
from npblender.chat.serve.engine import Engine
from npblender.chat.serve.errors import ApiError
from npblender.chat.serve.request_body import parse_chat
from npblender.chat.serve.request_queue import RequestQueue
from npblender.chat.serve.submissions import Ended, Failed, Said
from npblender.generation import shared_decoder
from reference_tests.support.tiny_folder import make_model, save_folder

LIMITS = {"max_length": 12, "min_length": 2}
FOREVER = {"max_length": 63, "min_length": 62}


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> DialectModels:
    folder = save_folder(tmp_path_factory.mktemp("tiny") / "model", seed=2)
    return DialectModels("tiny", make_model(seed=2), str(folder), PROFILES["parlai"])


@pytest.fixture
def engine(models: DialectModels):
    made = Engine(models)
    made.start()
    yield made
    made.close(30)
    assert len(made.line) == 0
    assert made.rows == 0


def jobs(models: DialectModels, text: str = "hello", **fields):
    return jobs_of(parse_chat({"messages": [{"role": "user", "content": text}], **LIMITS, **fields}), models)


def submit(engine: Engine, wanted):
    """The events of a request as a queue, and its submissions."""
    events: queue.Queue = queue.Queue()
    return events, engine.submit(wanted, events.put)


def finish(events: queue.Queue):
    """What a request of one reply ends with: its text and its end, or its error."""
    text = ""
    while True:
        event = events.get(timeout=30)
        if isinstance(event, Said):
            text += event.piece.text
        elif isinstance(event, Ended):
            return text, event
        elif isinstance(event, Failed):
            return event.error


def test_a_search_that_fails_fails_alone(engine: Engine, models: DialectModels) -> None:
    class Broken:
        def __call__(self, ids, scores):
            if ids.shape[1] > 3:
                raise ZeroDivisionError("of mine")
            return scores

    (job,) = jobs(models)
    broken = replace(job, speaker=replace(job.speaker, block=Broken()))
    expected = finish(submit(engine, [job])[0])
    others = [submit(engine, [each])[0] for each in (job, broken, job)]
    results = [finish(each) for each in others]
    assert isinstance(results[1], ApiError)
    assert "ZeroDivisionError: of mine" in results[1].message
    assert results[0][0] == results[2][0] == expected[0]


def test_a_pass_that_fails_ends_its_searches_and_nothing_else(
    engine: Engine, models: DialectModels, monkeypatch
) -> None:
    real, broken = shared_decoder.next_logits, threading.Event()

    def out_of_memory(*args):
        if broken.is_set():
            raise MemoryError
        return real(*args)

    monkeypatch.setattr(shared_decoder, "next_logits", out_of_memory)
    expected = finish(submit(engine, jobs(models))[0])
    broken.set()
    results = [finish(submit(engine, jobs(models))[0]) for _ in range(3)]
    assert all(isinstance(each, ApiError) and "MemoryError" in each.message for each in results)
    broken.clear()
    assert finish(submit(engine, jobs(models))[0])[0] == expected[0]


def test_whole_searches_fail_and_go_on_too(engine: Engine, models: DialectModels, monkeypatch) -> None:
    fields = {"dialect": "transformers-5", "num_beams": 2}
    expected = finish(submit(engine, jobs(models, **fields))[0])
    monkeypatch.setattr("npblender.chat.serve.engine.search_replies", lambda *a, **k: 1 / 0)
    assert "ZeroDivisionError" in finish(submit(engine, jobs(models, **fields))[0]).message
    monkeypatch.undo()
    assert finish(submit(engine, jobs(models, **fields))[0])[0] == expected[0]


@pytest.mark.parametrize("fields", [{}, {"dialect": "transformers-5", "num_beams": 3}])
def test_a_request_has_its_time(models: DialectModels, fields) -> None:
    engine = Engine(models, seconds=0.0)
    engine.start()
    error = finish(submit(engine, jobs(models, **fields))[0])
    assert error.status == 504
    engine.close(30)


def test_a_cancelled_search_sends_nothing_more(engine: Engine, models: DialectModels) -> None:
    events, submissions = submit(engine, jobs(models, **{**FOREVER, "temperature": 1.0}))
    for submission in submissions:
        submission.cancel()
    engine.close(30)
    while not events.empty():
        assert isinstance(events.get(), Said)


def test_a_whole_search_ends_when_its_callers_are_gone(models: DialectModels, monkeypatch) -> None:
    from npblender.chat.serve import engine as module

    real, ended = module.search_replies, []

    def watched(*arguments, **options):
        try:
            return real(*arguments, **options)
        except module.AllGone:
            ended.append(True)
            raise

    monkeypatch.setattr(module, "search_replies", watched)
    engine = Engine(models)
    waiting = [submit(engine, jobs(models, dialect="transformers-5", num_beams=3)) for _ in range(3)]
    monkeypatch.setattr(
        module, "_reply", _after(lambda: [submission.cancel() for submission in all_of(waiting)], module._reply)
    )
    engine.start()
    engine.close(30)
    assert ended == [True]
    assert all(events.empty() for events, _ in waiting)


def all_of(waiting):
    return [submission for _, submissions in waiting for submission in submissions]


def _after(first, then):
    """A function that does one thing and then another, with its arguments."""

    def both(*arguments):
        first()
        return then(*arguments)

    return both


def test_closing_finishes_what_waits(models: DialectModels) -> None:
    engine = Engine(models, rows=2)
    fields = [{}, {"num_beams": 2}, {"dialect": "transformers-5", "num_beams": 2}, {"temperature": 1.0}] * 3
    waiting = [submit(engine, jobs(models, **each))[0] for each in fields]  # before it has started
    engine.start()
    engine.close(60)
    for events in waiting:
        assert isinstance(finish(events)[1], Ended)
    with pytest.raises(ApiError) as caught:
        submit(engine, jobs(models))
    assert caught.value.status == 503


def test_beams_of_one_dialect_are_searched_for_together_and_others_apart(models: DialectModels, monkeypatch) -> None:
    """What waits with equal settings is one search where the dialect allows it; its replies are those of each alone."""
    from npblender.chat.serve import engine as module

    sizes: list[int] = []
    real = module.search_replies

    def counted(speaker, sources, settings, **options):
        sizes.append(len(sources))
        return real(speaker, sources, settings, **options)

    monkeypatch.setattr(module, "search_replies", counted)
    texts = ["hello", "how are you", "i like cats and dogs and tea", "music?"]
    cases = [
        ({"dialect": "transformers-5", "num_beams": 3}, [4]),
        ({"dialect": "transformers-4", "num_beams": 3}, [1] * 4),  # a source that is done takes more there
        ({"dialect": "transformers-5", "num_beams": 3, "do_sample": True, "seed": 4}, [1] * 4),
    ]
    for fields, expected in cases:
        replies = []
        for together in (False, True):
            engine = Engine(models)
            sizes.clear()
            if not together:
                engine.start()
            waiting = []
            for text in texts:
                waiting.append(submit(engine, jobs(models, text, **fields))[0])
                if not together:
                    replies.append(finish(waiting[-1])[0])
            if together:
                engine.start()
                assert [finish(events)[0] for events in waiting] == replies
                assert sizes == expected
            engine.close(30)


def test_the_line() -> None:
    class Fake:
        def __init__(self, request: int, width: int = 1) -> None:
            self.request, self.width, self.is_given_up = request, width, False

    line = RequestQueue(2)
    first, second = Fake(1), [Fake(2), Fake(2, width=9)]
    line.add([first])
    line.add(second)
    assert len(line) == 2
    with pytest.raises(ApiError) as caught:
        line.add([Fake(3)])
    assert caught.value.status == 429
    assert caught.value.headers["Retry-After"] == "1"
    second[0].is_given_up = True
    with line.changed:
        taken = line.take(lambda submission: submission.width < 5, most=9, or_skip=lambda submission: False)
        assert taken == [first], "what was given up is dropped, and a wide search is not overtaken"
        line._submissions.append(Fake(4))
        assert line.take(lambda submission: submission.width < 5, most=9, or_skip=lambda submission: False) == []
        skipped = line.take(lambda submission: True, most=9, or_skip=lambda submission: submission.width > 5)
        assert [submission.request for submission in skipped] == [4]
        assert line.take(lambda submission: True, most=9, or_skip=lambda submission: False) == [second[1]]
    assert len(line) == 0
    line.close()
    with pytest.raises(ApiError):
        line.add([first])


def test_a_reply_does_not_wait_for_a_longer_one(engine: Engine, models: DialectModels) -> None:
    """Continuous: what comes while a long reply is in work joins it, and ends before it."""
    long_events, _ = submit(engine, jobs(models, **{**FOREVER, "num_beams": 1}))
    assert isinstance(long_events.get(timeout=30), Said)
    short, end = finish(submit(engine, jobs(models, max_length=4))[0])
    assert end.tokens <= 4
    remaining = []
    while not remaining or isinstance(remaining[-1], Said):
        remaining.append(long_events.get(timeout=30))
    assert isinstance(remaining[-1], Ended)
    assert len(remaining) > 2, "it had ended before the short one"
    assert np.isfinite(end.candidates[0].score)
    assert short == end.candidates[0].text
