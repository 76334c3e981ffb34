"""How many threads NumPy's own OpenBLAS uses: asked, and for a small model set.

A reply of a small model is thousands of products of a few rows. Each is over before a second thread has begun, but
OpenBLAS wakes one all the same, which costs its time twice, and much more on a machine that has other work. Measured
with the demo on two cores: 0.25 s of processor time from start to reply with one thread, 0.6 to 2.5 s with two.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING

from npblender.ops.packed.blas import function, openblas

if TYPE_CHECKING:
    from npblender.config import BlenderbotSmallConfig

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
SMALL = 20_000_000
"""Parameters up to which one thread is enough."""


def blas_threads() -> int | str:
    """The number of threads that the BLAS uses; a note if it cannot be queried."""
    library = openblas()
    if library is None:
        return "unknown (NumPy's BLAS is not the OpenBLAS that comes with it)"
    return int(function(library, "get_num_threads")())


def count_parameters(config: BlenderbotSmallConfig) -> int:
    """Counts the parameters of a configuration as `num_parameters` does, without its weights.

    >>> from npblender.config import BlenderbotSmallConfig
    >>> count_parameters(BlenderbotSmallConfig(vocab_size=54944))
    87508992
    """
    from npblender.transformer.parameters import LOGITS_BIAS, expected_shapes

    return sum(prod(shape) for name, shape in expected_shapes(config).items() if name != LOGITS_BIAS)


def suit_threads(parameters: int, environment: Mapping[str, str] = os.environ) -> None:
    """Gives a small model one thread, unless the user has set a number or the BLAS has no such switch."""
    if parameters <= SMALL and not any(name in environment for name in THREAD_VARIABLES):
        library = openblas()
        if library is not None:
            function(library, "set_num_threads")(1)
