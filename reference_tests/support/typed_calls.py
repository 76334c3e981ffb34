"""Calls for type checkers, which are never run: right ones, and wrong ones that must be reported.

A wrong call has a `type: ignore` for mypy and a `pyright: ignore` for pyright. Both checkers report an ignore of theirs
that nothing was hidden by, so `python -m tools types` fails if a wrong call is not noticed, and if a right one is
refused. What a call returns is compared by `assert_type`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from npblender import (
    BlenderbotSmallForConditionalGeneration,
    BlenderbotSmallModel,
    BlenderbotSmallTokenizer,
    Conversation,
    GenerationConfig,
    reply_to_all,
)
from npblender.generation.generate import Record
from npblender.transformer.outputs import Seq2SeqLMOutput, Seq2SeqModelOutput

if TYPE_CHECKING:
    from typing_extensions import assert_type

SOURCE = [[5, 6, 7]]


def right_calls(model: BlenderbotSmallForConditionalGeneration, tokenizer: BlenderbotSmallTokenizer) -> None:
    """What programs write: each returns what it says."""
    batch = tokenizer(["hi"], return_tensors="np")
    lengths = np.array([4, 9])
    model.generate(**batch, max_new_tokens=lengths.max()).sum()
    assert_type(model.generate(batch), NDArray[np.int64])
    assert_type(model.generate(SOURCE, num_beams=2, max_length=None), NDArray[np.int64])
    assert_type(model.generate(SOURCE, return_dict_in_generate=False), NDArray[np.int64])
    assert_type(model.generate(SOURCE, return_dict_in_generate=True, output_scores=True), Record)
    assert_type(model.generate(SOURCE, return_dict_in_generate=bool(lengths.any())), NDArray[np.int64] | Record)
    assert_type(model.stream(SOURCE, num_beams=1), Iterator[NDArray[np.int64]])
    assert_type(model.stream(SOURCE, tokenizer=tokenizer, num_beams=1), Iterator[str])
    assert_type(model(SOURCE, decoder_input_ids=[[1]]), Seq2SeqLMOutput)
    model(SOURCE, decoder_input_ids=[[1]]).logits[0].argmax()
    assert_type(BlenderbotSmallModel(model.config)(SOURCE, decoder_input_ids=[[1]]), Seq2SeqModelOutput)
    assert_type(model(SOURCE, decoder_input_ids=[[1]], return_dict=False), Any)
    model.generate(SOURCE, None, lambda ids, scores: scores, [lambda ids, scores: False], seed=np.int64(3))
    model.generate(SOURCE, {"num_beams": 2}, do_sample=np.True_, temperature=np.float32(0.5), top_k=np.int64(3))


def right_values(model: BlenderbotSmallForConditionalGeneration) -> None:
    """A value of every kind of setting, in Python's numbers and in NumPy's."""
    ids = np.array([[3, 4]])
    model.generate(SOURCE, eos_token_id=ids[0, -1], suppress_tokens=ids[0], bad_words_ids=ids)
    model.generate(SOURCE, eos_token_id=[2, 3], suppress_tokens=[5], bad_words_ids=[[5, 6], ids[0]])
    model.generate(SOURCE, force_words_ids=[[3, 4], [[5], [6, 7]]], sequence_bias=[[[3, 4], 0.5]])
    model.generate(SOURCE, sequence_bias={(3, 4): 0.5}, exponential_decay_length_penalty=(2, 1.5))
    model.generate(SOURCE, early_stopping="never", stop_strings=["a"], decoder_start_token_id=[1])
    model.generate(SOURCE, length_penalty=1, max_time=np.float64(3))
    GenerationConfig(max_length=np.int64(9), eos_token_id=ids[0]).replace(num_beams=np.int64(4), extra={"a": 1})
    Conversation.from_pretrained(persona="i have a dog.", num_beams=1, seed=3).reply("hi", min_length=np.int64(3))
    for record in reply_to_all(["hi"], num_beams=lengths_of(ids)):
        print(record["reply"])


def lengths_of(ids: NDArray[np.int64]) -> np.int64:
    """A number as NumPy has it."""
    return np.int64(ids.shape[0])


def wrong_calls(model: BlenderbotSmallForConditionalGeneration, talk: Conversation) -> None:
    """A name that does not exist, or a value of another type."""
    model.generate(SOURCE, max_new_token=4)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    model.generate(SOURCE, num_beam=4)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    model.generate(inputs=SOURCE, temprature=1.0)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    model.generate(input_id=SOURCE)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    model.generate(SOURCE, num_beams="4")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    model.generate(SOURCE, do_sample=1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    model.generate(SOURCE, max_length=2.5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    model.generate(SOURCE, early_stopping="ever")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    model.generate(SOURCE, streamer=print)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    record = model.generate(SOURCE, return_dict_in_generate=True)
    record.argmax()  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue]
    _ = model.generate(SOURCE).sequences  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    model.stream(SOURCE, num_beam=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    model.stream(SOURCE, streamer=print)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    model(SOURCE, decoder_inputs_ids=[[1]])  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    model.evil()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    GenerationConfig(num_beam=4)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    GenerationConfig().replace(num_beam=4)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    _ = GenerationConfig().num_beam  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    talk.reply("hi", num_beam=4)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    talk.configure(top_k="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Conversation.from_pretrained(personas="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    reply_to_all(["hi"], num_beam=4)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
