"""Prompt lookup (Saxena 2023): greedy search that guesses several tokens at a time from earlier n-grams.

It looks for the last tokens of the reply earlier in the reply and in the source, has the decoder read what followed
them there in one call, and keeps as many of the guesses as greedy search would have chosen. So the reply is that of
greedy search, token for token, but for rounding: several positions at once are summed in another order than one.
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from npblender.common.array_types import Ids
from npblender.generation.decoder_state import DecoderState
from npblender.generation.logits.chain import Processor, apply, to_float32
from npblender.generation.outputs import GenerateEncoderDecoderOutput, StepRecord
from npblender.generation.plan import Plan
from npblender.generation.stopping import Stopping

LONGEST_NGRAM = 2  # transformers' default of max_matching_ngram_size


def guess(target: Ids, source: Ids, count: int, longest: int) -> Ids:
    """Return up to `count` tokens that followed the longest recent n-gram earlier: [L] and [S] -> [at most count].

    n-grams of `longest` down to 1 last tokens of the target are tried, in the target (latest occurrence first) and
    then in the source (earliest first).

    >>> guess(np.array([1, 5, 6, 7, 5, 6]), np.array([9, 5, 6, 8]), 2, 2)
    array([7, 5])
    >>> guess(np.array([1, 5]), np.array([9, 5, 6, 8]), 2, 2)
    array([6, 8])
    """
    for size in range(min(longest, len(target)), 0, -1):
        for text, places in ((target, slice(None, None, -1)), (source, slice(None))):
            if len(text) <= size:
                continue
            windows = np.lib.stride_tricks.sliding_window_view(text[:-1], size)  # something must follow
            found = np.flatnonzero((windows == target[-size:]).all(axis=1))[places]
            if found.size:
                return text[found[0] + size : found[0] + size + count]
    return np.empty(0, np.int64)


def search_lookup(
    plan: Plan, decoder: DecoderState, chain: list[Processor], stopping: Stopping
) -> Generator[Ids, None, GenerateEncoderDecoderOutput]:
    """Yield the tokens of one row, one by one; return the record with all of them."""
    count = plan.settings.prompt_lookup_num_tokens
    longest = plan.settings.max_matching_ngram_size or LONGEST_NGRAM
    assert count is not None
    encoded = decoder.encoded
    source = np.empty(0, np.int64) if encoded.source_ids is None else encoded.source_ids[0]
    if encoded.attention_mask is not None and len(source):
        source = source[encoded.attention_mask[0]]
    ids = decoder.prompts()  # [1, L]
    record = StepRecord(plan, decoder)
    ended = False
    while not ended:
        room = plan.max_length - 1 - ids.shape[1]  # a guess in the last place would be checked by a token too many
        guesses = guess(ids[0], source, min(count, room), longest) if room > 0 else np.empty(0, np.int64)
        tried = np.concatenate([ids, guesses[None]], axis=1)
        all_logits = to_float32(decoder.logits(tried, last=len(guesses) + 1)[0])  # [guesses + 1, V]
        for n, logits in enumerate(all_logits[:, None]):
            scores = apply(chain, ids, logits, owned=record.logits is None)
            record.step(logits, scores)
            token = scores.argmax(axis=1)
            ids = np.concatenate([ids, token[:, None]], axis=1)
            ended = bool(stopping(ids, record.scores)[0])
            yield token
            if ended or n == len(guesses) or token[0] != guesses[n]:
                break
        decoder.crop(ids.shape[1] - 1)
    return record.of_rows(ids)
