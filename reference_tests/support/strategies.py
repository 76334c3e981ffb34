"""Every Hypothesis strategy of the project: dtypes, shapes, arrays, layouts.

Arrays are drawn read-only, so an operation that writes into its argument fails at once.
"""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.strategies import DrawFn, SearchStrategy

FLOATS = (np.float32, np.float64, np.longdouble)


def read_only(array: np.ndarray) -> np.ndarray:
    """A copy-free read-only view of `array`."""
    view = array.view()
    view.flags.writeable = False
    return view


def float_dtypes() -> SearchStrategy[type]:
    """One of the three dtypes that the package computes in."""
    return st.sampled_from(FLOATS)


def shapes(
    min_dims: int = 0, max_dims: int = 3, min_side: int = 0, max_side: int = 5
) -> SearchStrategy[tuple[int, ...]]:
    """Shapes of few and short axes, empty ones and the scalar's `()` included unless the arguments forbid."""
    return hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side)


def moderate_floats(limit: float = 30.0) -> SearchStrategy[float]:
    """Finite float32-representable values up to `limit` in magnitude, tiny ones and both zeros included."""
    bound = float(np.float32(limit))
    return st.floats(-bound, bound, width=32, allow_nan=False)


def any_floats() -> SearchStrategy[float]:
    """Every float32 value: NaN, infinities, subnormals, zeros of both signs."""
    return st.floats(width=32)


@st.composite
def float_arrays(
    draw: DrawFn,
    shape: SearchStrategy[tuple[int, ...]] | tuple[int, ...] | None = None,
    dtype: SearchStrategy[type] | type | None = None,
    elements: SearchStrategy[float] | None = None,
) -> np.ndarray:
    """A read-only float array; by default of any small shape, any of the three dtypes, moderate values.

    The values are representable in float32, so the same values can be asked for in every dtype.
    """
    dtype = float_dtypes() if dtype is None else dtype
    kind = draw(dtype) if isinstance(dtype, SearchStrategy) else dtype
    values = draw(
        hnp.arrays(
            np.float32,
            shapes() if shape is None else shape,
            elements=moderate_floats() if elements is None else elements,
            fill=st.nothing(),
        )
    )
    return read_only(values.astype(kind))


@st.composite
def layouts(draw: DrawFn, array: np.ndarray) -> np.ndarray:
    """The same values in another memory layout: as they are, Fortran order, reversed twice, or strided."""
    kind = draw(st.sampled_from(("plain", "fortran", "reversed", "strided")))
    if kind == "fortran":
        return read_only(np.asfortranarray(array))
    if kind == "reversed":
        return read_only(np.flip(np.flip(array).copy()))
    if kind == "strided" and array.ndim:
        wide = np.repeat(array, 2, axis=-1)
        return read_only(wide[..., ::2])
    return array


def seeds() -> SearchStrategy[int]:
    """Seeds for `numpy.random.default_rng`, for arrays too large to draw value by value."""
    return st.integers(0, 2**32 - 1)


@st.composite
def id_arrays(draw: DrawFn, vocabulary: int, shape: Any = None, dtype: Any = np.int64) -> np.ndarray:
    """Read-only ids from 0 to vocabulary - 1, of any small shape."""
    ids = hnp.arrays(dtype, shapes() if shape is None else shape, elements=st.integers(0, vocabulary - 1))
    return read_only(draw(ids))


def json_values() -> SearchStrategy[Any]:
    """What JSON can hold and give back equal: no NaN, no infinity."""
    leaves = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    return st.recursive(
        leaves | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    )


@st.composite
def tiny_config_files(draw: DrawFn) -> dict[str, Any]:
    """The content of a config.json of a small model: every size drawn, encoder and decoder apart."""
    encoder_heads, decoder_heads = draw(st.sampled_from([(1, 2), (2, 3), (3, 1), (2, 2)]))
    vocabulary = draw(st.integers(3, 12))
    an_id = st.none() | st.integers(0, vocabulary - 1)
    probability = st.floats(0, 1)
    content = {
        "vocab_size": vocabulary,
        "max_position_embeddings": draw(st.integers(1, 7)),
        "d_model": 6 * draw(st.integers(1, 2)),
        "encoder_layers": draw(st.integers(1, 2)),
        "encoder_ffn_dim": draw(st.integers(1, 5)),
        "encoder_attention_heads": encoder_heads,
        "decoder_layers": draw(st.integers(1, 2)),
        "decoder_ffn_dim": draw(st.integers(1, 5)),
        "decoder_attention_heads": decoder_heads,
        "activation_function": draw(st.sampled_from(["gelu", "relu", "silu", "gelu_new"])),
        "scale_embedding": draw(st.booleans()),
        "dropout": draw(probability),
        "decoder_layerdrop": draw(probability),
        "init_std": draw(st.floats(0, 10)),
        "pad_token_id": draw(an_id),
        "bos_token_id": draw(an_id),
        "decoder_start_token_id": draw(an_id),
        "eos_token_id": draw(an_id | st.lists(st.integers(0, vocabulary - 1), min_size=1, max_size=3)),
        "forced_eos_token_id": draw(an_id),
    }
    return content
