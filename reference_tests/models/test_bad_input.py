"""Bad input: every call ends in an error of a fitting built-in type that names the argument and says what would do."""

import inspect

import pytest

from reference_tests.faults.bad_calls import CAUSAL, FUSED_PROJECTIONS, MODEL, of_values
from reference_tests.faults.bad_parts import MODELS, PASTS, of_encoder_outputs
from reference_tests.faults.bad_values import Bad

TABLE = {**of_values(), **FUSED_PROJECTIONS, **of_encoder_outputs(), **PASTS, **MODELS}


@pytest.mark.parametrize("bad", TABLE.values(), ids=TABLE.keys())
def test_bad_input_is_refused_by_name(bad: Bad) -> None:
    with pytest.raises(bad.error) as caught:  # a warning would be another error here: see pyproject.toml
        bad.call()
    assert type(caught.value) is bad.error
    message = str(caught.value)
    missing = [word for word in bad.words.split() if word not in message]
    assert not missing, f"{message!r} lacks {missing}"
    assert "\n" not in message


def test_the_table_covers_every_argument() -> None:
    """Each argument of the whole model and of the causal head is refused for some value at least."""
    words = {word for bad in TABLE.values() for word in bad.words.split()}
    arguments = {*inspect.signature(MODEL.forward).parameters, *inspect.signature(CAUSAL.forward).parameters}
    assert arguments - words == set()
    assert len(TABLE) > 400
