"""What a caller's logits processor and stopping criterion return is checked: shapes, dtypes, NaN, nothing left."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reference_tests.support.tiny_folder import make_model

CALL = {"max_length": 6, "min_length": 0, "num_beams": 1, "do_sample": False}


def nan_at_one(ids: Any, scores: Any) -> Any:
    scores = scores.copy()
    scores[0, 3] = np.nan
    return scores


PROCESSORS = {
    "nothing": (lambda ids, scores: None, "must return scores of shape .*, not NoneType"),
    "too narrow": (lambda ids, scores: scores[:, :-1], "must return scores of shape"),
    "a row": (lambda ids, scores: scores[0], "must return scores of shape"),
    "whole numbers": (lambda ids, scores: np.zeros(scores.shape, int), "floating-point scores, not int64"),
    "objects": (lambda ids, scores: scores.astype(object), "floating-point scores, not object"),
    "NaN": (nan_at_one, "returned NaN, first for token 3 of row 0"),
    "nothing possible": (lambda ids, scores: np.full_like(scores, -np.inf), "left row 0 no token"),
}


@pytest.mark.parametrize("dialect", ["parlai", "transformers-4", "transformers-5"])
@pytest.mark.parametrize(("processor", "message"), PROCESSORS.values(), ids=list(PROCESSORS))
def test_a_logits_processor(dialect: str, processor: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_model(dialect=dialect).generate([[5, 6]], logits_processor=[processor], **CALL)


CRITERIA = {
    "nothing": lambda ids, scores: None,
    "a number": lambda ids, scores: 1,
    "a text": lambda ids, scores: "stop",
    "numbers": lambda ids, scores: np.zeros(len(ids)),
    "too many": lambda ids, scores: np.zeros(len(ids) + 1, bool),
    "rows of rows": lambda ids, scores: np.zeros((len(ids), 2), bool),
}


@pytest.mark.parametrize("criterion", CRITERIA.values(), ids=list(CRITERIA))
def test_a_stopping_criterion(criterion: Any) -> None:
    with pytest.raises(
        ValueError, match="a stopping criterion must return True or False, or one of them for each of 2 rows"
    ):
        make_model(dialect="transformers-5").generate([[5, 6], [6, 5]], stopping_criteria=[criterion], **CALL)


def test_what_a_criterion_may_say() -> None:
    model, ids = make_model(dialect="transformers-5"), [[5, 6], [6, 5]]
    whole = model.generate(ids, **CALL)
    for said in (True, np.True_, [True, True], np.array([True, True]), np.array([[True], [True]])):
        found = model.generate(ids, stopping_criteria=[lambda ids, scores, said=said: said], **CALL)
        assert found.shape == (2, 2)
    for said in (False, [False, False]):
        found = model.generate(ids, stopping_criteria=[lambda ids, scores, said=said: said], **CALL)
        assert found.tolist() == whole.tolist()


@pytest.mark.parametrize("dialect", ["parlai", "transformers-4", "transformers-5"])
@pytest.mark.parametrize("beams", [1, 3])
def test_a_mask_of_the_prompt_that_masks_nothing_changes_nothing(dialect: str, beams: int) -> None:
    model, call = make_model(dialect=dialect), {**CALL, "num_beams": beams, "max_length": 8}
    for prompt in ([[1, 5]], [[1, 5, 6, 7]], [[5, 6]]):
        plain = model.generate([[5, 6]], decoder_input_ids=prompt, **call)
        ones = np.ones_like(prompt)
        masked = model.generate([[5, 6]], decoder_input_ids=prompt, decoder_attention_mask=ones, **call)
        assert masked.tolist() == plain.tolist()


def test_a_mask_of_the_prompt_hides_what_it_masks_in_every_dialect() -> None:
    """A token that is hidden can be any token: the rest of the reply is the same."""
    for dialect in ("parlai", "transformers-5"):
        model, mask = make_model(dialect=dialect), [[1, 0, 1]]
        replies = [
            model.generate([[5, 6]], decoder_input_ids=[[1, hidden, 7]], decoder_attention_mask=mask, **CALL)
            for hidden in (5, 9)
        ]
        assert replies[0][0, 3:].tolist() == replies[1][0, 3:].tolist()


def test_parlai_never_says_its_start_token() -> None:
    with pytest.raises(ValueError, match=r"hold the start token 1 at \[0, 2\]: ParlAI's model never says it"):
        make_model().generate([[5, 6]], decoder_input_ids=[[1, 5, 1]], **CALL)
    found = make_model(dialect="transformers-5").generate([[5, 6]], decoder_input_ids=[[1, 5, 1]], **CALL)
    assert found[0, :3].tolist() == [1, 5, 1]


ALLOWED = {
    "nothing": None,
    "a text": "12",
    "bytes": b"12",
    "a number": 5,
    "texts": ["5"],
    "fractions": [5.0],
    "switches": [True],
    "lists": [[5]],
    "nothings": [None],
    "a matrix": np.array([[5, 6]]),
    "behind the vocabulary": [5, 220],
    "before the vocabulary": [-1],
}


@pytest.mark.parametrize("dialect", ["parlai", "transformers-5"])
@pytest.mark.parametrize("said", ALLOWED.values(), ids=list(ALLOWED))
def test_what_prefix_allowed_tokens_fn_returns(said: Any, dialect: str) -> None:
    with pytest.raises(ValueError, match="prefix_allowed_tokens_fn must return a list of token ids, 0 to 219, not"):
        make_model(dialect=dialect).generate([[5, 6]], prefix_allowed_tokens_fn=lambda source, ids: said, **CALL)


def test_what_prefix_allowed_tokens_fn_may_return() -> None:
    model = make_model(dialect="transformers-5")
    replies = [
        model.generate([[5, 6]], prefix_allowed_tokens_fn=lambda source, ids, said=said: said, **CALL).tolist()
        for said in (
            [5, 7],
            (5, 7),
            np.array([7, 5]),
            {5, 7},
            {5: "a", 7: "b"},
            range(5, 8, 2),
            np.array([5, 7], np.uint8),
        )
    ]
    assert all(reply == replies[0] for reply in replies)
    assert set(replies[0][0][1:-1]) <= {5, 7}
    with pytest.raises(ValueError, match="allows nothing after"):
        model.generate([[5, 6]], prefix_allowed_tokens_fn=lambda source, ids: [], **CALL)
    with pytest.raises(TypeError, match="takes a function of"):
        model.generate([[5, 6]], prefix_allowed_tokens_fn="abc", **CALL)
