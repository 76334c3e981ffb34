"""Names that every example in a docstring may use without importing them: NumPy and one small model with its parts.

A pytest plugin, for the run over the package's docstrings:

    python -m pytest -p reference_tests.support.doctest_names --doctest-modules npblender

`np` is NumPy; `model` is `npblender.models.example.example_model()` (its sizes stand there), `config` its config,
`weights` its parameters, `context` an evaluation pass of it; `tokenizer` is the example tokenizer.
"""

from typing import Any

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _names_in_examples(doctest_namespace: dict[str, Any]) -> None:
    from npblender.models.example import example_model
    from npblender.tokenizer.example import example_tokenizer
    from npblender.transformer.checks import make_context

    model = example_model()
    doctest_namespace.update(
        np=np,
        model=model,
        config=model.config,
        weights=model.weights,
        context=make_context(model.config, model.dialect),
        tokenizer=example_tokenizer(),
    )
