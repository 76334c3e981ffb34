"""Tokenizes texts into a trace's inputs: a batch of sources, and the replies that the decoder reads.

A reply follows the start token, as in training; the end token is not added, since nothing is predicted from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from npblender.common.printable import shown
from npblender.config import BlenderbotSmallConfig
from npblender.groundtruth.tracing.inputs import TraceInputs
from npblender.tokenizer import BlenderbotSmallTokenizer
from npblender.tokenizer.batching import pad_row


def inputs_of_texts(
    tokenizer: BlenderbotSmallTokenizer,
    config: BlenderbotSmallConfig,
    text: str | Sequence[str],
    reply: str | Sequence[str] | None = None,
) -> TraceInputs:
    """Turn one text or several, with a reply each or none, into ids and masks, shorter ones padded on the right.

    Raises ValueError for a text without tokens, another number of replies, or a config without start or pad token;
    TypeError for anything but texts.

    >>> inputs_of_texts(tokenizer, config, ["hello, lower", "hello"], ["!", "!"]).to_json()
    {'input_ids': [[5, 9, 7, 8], [5, 0, 0, 0]], 'attention_mask': [[1, 1, 1, 1], [1, 0, 0, 0]], \
'decoder_input_ids': [[1, 10], [1, 10]]}
    """
    texts = _several("text", text)
    sources = [_ids(tokenizer, "text", n, each) for n, each in enumerate(texts)]
    start, pad = config.decoder_start_token_id, config.pad_token_id
    if start is None or (pad is None and len(texts) > 1):
        raise ValueError("texts need a decoder_start_token_id and a pad_token_id in the model's config; give ids")
    targets = [[start]] * len(texts)
    if reply is not None:
        replies = _several("reply", reply)
        if len(replies) != len(texts):
            raise ValueError(f"there are {len(texts)} texts and {len(replies)} replies: one reply a text")
        targets = [[start, *_ids(tokenizer, "reply", n, each)] for n, each in enumerate(replies)]
    unequal = len({len(target) for target in targets}) > 1
    return TraceInputs(
        input_ids=_padded(sources, pad or 0),
        attention_mask=_padded([[1] * len(row) for row in sources], 0),
        decoder_input_ids=_padded(targets, pad or 0),
        decoder_attention_mask=_padded([[1] * len(row) for row in targets], 0) if unequal else None,
    )


def _several(name: str, given: Any) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list | tuple) or not texts or not all(isinstance(each, str) for each in texts):
        raise TypeError(f"{name} is a text or a list of texts, not {shown(given)}")
    return list(texts)


def _ids(tokenizer: BlenderbotSmallTokenizer, name: str, number: int, text: str) -> list[int]:
    ids = [int(i) for i in tokenizer(text)["input_ids"]]
    if not ids:
        raise ValueError(f"{name} {number}, {shown(text)}, has no tokens")
    return ids


def _padded(rows: list[list[int]], fill: int) -> list[list[int]]:
    length = max(map(len, rows))
    return [pad_row(row, length, fill, "right") for row in rows]
