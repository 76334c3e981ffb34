"""A reply on its way: words, stop texts, what is kept back, and log-probabilities."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender.chat.replies import candidate
from npblender.chat.serve.reply_text import ReplyText, StopText, token_score
from npblender.chat.spacing import Words
from npblender.ops import log_softmax
from reference_tests.support.tiny_folder import make_tokenizer

TOKENIZER = make_tokenizer()
IDS = st.lists(st.integers(0, len(TOKENIZER) - 1), max_size=20)


@given(IDS)
def test_words_that_arrive_are_the_text_of_the_whole(ids) -> None:
    words = Words(TOKENIZER)
    pieces = [piece for token in ids for piece in words.push(token)] + words.close()
    assert "".join(pieces) == candidate(TOKENIZER, ids).text
    assert all(pieces)


PARTS = st.text(alphabet="ab ", max_size=4)


@given(st.lists(PARTS, max_size=12), st.lists(st.text(alphabet="ab ", min_size=1, max_size=3), max_size=3))
def test_stop_texts_against_the_whole_text(pieces, stops) -> None:
    """However the text is cut: what is shown ends where a stop first begins, and nothing that is shown is part of one.

    Of stops that overlap the one that is complete first ends the text, as it does for a client who reads along.
    """
    whole = "".join(pieces)
    stop = StopText(stops)
    shown, seen = "", ""
    for piece in pieces:
        seen += piece
        if stop.is_over:
            break
        shown += stop.push(piece)
        assert whole.startswith(shown)
    over = stop.is_over
    shown += stop.close()
    first = min((seen.find(each) for each in stops if each in seen), default=None)
    assert over == (first is not None)
    assert shown == (whole if first is None else seen[:first])


@pytest.mark.parametrize("stops", [["ab"], ["aab"], ["aba"], ["abab"], ["bb", "aba"], ["a"]])
def test_stop_texts_at_every_cut(stops) -> None:
    """Every text of up to six letters, in one piece, letter by letter, and in two pieces at every place."""
    for length in range(1, 7):
        for letters in itertools.product("ab", repeat=length):
            whole = "".join(letters)
            first = min((whole.find(each) for each in stops if each in whole), default=None)
            for cut in range(length):
                for pieces in ([whole[:cut], whole[cut:]], letters):
                    stop = StopText(stops)
                    shown = "".join(stop.push(piece) for piece in pieces)
                    assert first is None or stop.is_over
                    if len(stops) == 1 or first is None:
                        assert shown + stop.close() == (whole if first is None else whole[:first]), (whole, pieces)


def test_a_stop_ends_a_reply_and_its_tokens() -> None:
    telling = ReplyText(TOKENIZER, ["you"], None)
    ids = [TOKENIZER.convert_tokens_to_ids(token) for token in ("hello", ",", "how", "are", "you", "?")]
    pieces = [telling.push(token) for token in ids]
    assert "".join(piece.text for piece in pieces if piece) == "hello, how are "
    assert telling.is_over
    assert telling.tokens == 5  # the mark came after the end
    assert telling.close() is None


def test_every_token_has_its_score_and_none_is_lost() -> None:
    rng = np.random.default_rng(0)
    telling = ReplyText(TOKENIZER, [], 2)
    ids = [TOKENIZER.convert_tokens_to_ids(token) for token in ("__start__", "h@@", "i", "'", "m", "__end__")]
    rows = log_softmax(rng.standard_normal((len(ids), len(TOKENIZER))).astype(np.float32))
    pieces = [telling.push(token, row) for token, row in zip(ids, rows, strict=True)]
    pieces.append(telling.close())
    scores = [score for piece in pieces if piece for score in piece.tokens]
    assert [score.token for score in scores] == ["h@@", "i", "'", "m"]
    for score, token, row in zip(scores, ids[1:5], rows[1:5], strict=True):
        assert score.logprob == float(row[token])
        best = np.argsort(-row)[:2]
        assert [name for name, _ in score.top] == TOKENIZER.convert_ids_to_tokens(best.tolist())
        assert [value for _, value in score.top] == row[best].tolist()
    assert token_score(TOKENIZER, 5, rows[0], 0).top == ()
