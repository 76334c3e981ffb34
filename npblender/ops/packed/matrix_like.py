"""The interface of a packed matrix: NumPy takes one wherever it takes an array, by a copy."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.lib.mixins import NDArrayOperatorsMixin

from npblender.common.array_types import Array


class MatrixLike(NDArrayOperatorsMixin):
    """The base: `shape`, `dtype` and `whole_array` are a subclass's own, everything else follows from them.

    >>> class Ones(MatrixLike):
    ...     shape, dtype = (2, 3), np.dtype(np.float32)
    ...     def whole_array(self):
    ...         return np.ones(self.shape, self.dtype)
    >>> len(Ones()), Ones().size, (Ones() + 1)[0], Ones().T.shape
    (2, 6, array([2., 2., 2.], dtype=float32), (3, 2))
    """

    @property
    def shape(self) -> tuple[int, int]:
        """(F, D), as of the matrix."""
        raise NotImplementedError

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of every number, as an array holds it and as it is computed with."""
        raise NotImplementedError

    def whole_array(self) -> Array:
        """The matrix as a new array [F, D]."""
        raise NotImplementedError

    def fill(self, first: int, rows: Array) -> None:
        """Put rows [rows, D] of the matrix, from number `first` on, into their places."""
        raise NotImplementedError

    def take(self, ids: Array, axis: int = 0) -> Array:
        """The rows that `ids` name, ids [...] -> [..., D]."""
        return self.whole_array().take(ids, axis=axis)

    @property
    def ndim(self) -> int:
        """Two, as of every matrix."""
        return 2

    @property
    def size(self) -> int:
        """F * D."""
        return math.prod(self.shape)

    @property
    def T(self) -> Array:
        """The transposed matrix [D, F], a copy."""
        return self.whole_array().T

    def astype(self, dtype: npt.DTypeLike) -> Array:
        """The matrix as an array of another dtype.

        >>> from npblender.ops.packed.panels import Panels
        >>> Panels.of(np.ones((3, 2))).astype(np.float32).dtype
        dtype('float32')
        """
        return self.whole_array().astype(dtype, copy=False)

    def mean(self, *args: Any, **kwargs: Any) -> Any:
        """As of the array.

        >>> from npblender.ops.packed.panels import Panels
        >>> Panels.of(np.ones((3, 2))).mean(axis=0)
        array([1., 1.])
        """
        return self.whole_array().mean(*args, **kwargs)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        return self.whole_array()[key]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("panels become an array only by a copy")
        return self.whole_array().astype(dtype or self.dtype, copy=False)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        plain = (part.whole_array() if isinstance(part, MatrixLike) else part for part in inputs)
        return getattr(ufunc, method)(*plain, **kwargs)

    def __repr__(self) -> str:
        return f"{type(self).__name__} of a matrix {list(self.shape)}, {self.dtype}"


Matrix: TypeAlias = npt.NDArray[Any] | MatrixLike  # what a linear map is multiplied by: an array, or packed for speed
