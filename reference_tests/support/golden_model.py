"""The model of a forward golden, in any dialect and dtype. Asserts nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from npblender import BlenderbotSmallConfig, BlenderbotSmallForConditionalGeneration
from npblender.transformer.parameters import from_arrays


def model_of(case: Any, dialect: str, dtype: str) -> BlenderbotSmallForConditionalGeneration:
    """The model whose configuration and weights a golden's case holds, its weights rounded to float32."""
    config = BlenderbotSmallConfig.from_dict(case.config)
    stored = {name.removeprefix("model."): value.astype(np.float32) for name, value in case.weights.items()}
    weights = from_arrays(config, {name: value.astype(dtype) for name, value in stored.items()})
    return BlenderbotSmallForConditionalGeneration(config, weights, dialect=dialect)
