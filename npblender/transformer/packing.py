"""How a model's matrices are laid out in memory, so that products with them are fast.

Large float32 matrices go into panels where this machine's BLAS gains by them (`packed.blas.layout`); everything else
stays as it is in files. What is multiplied by the decoder's rows goes there only when there are several
(`packed.lazy_panels`). All layouts stand for the same numbers, and no other module asks which it has. On any machine
the same matrices may be kept in 16 bits instead (`packed.half_panels`), in half the memory; all arithmetic is float32
then as well. Nothing here computes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from npblender.config import BlenderbotSmallConfig
from npblender.ops.packed.blas import NARROW, layout, preferred_cut
from npblender.ops.packed.half_bits import FORMATS, fits, narrow
from npblender.ops.packed.half_panels import HalfPanels
from npblender.ops.packed.lazy_panels import LazyPanels
from npblender.ops.packed.matrix_like import MatrixLike
from npblender.ops.packed.panels import Panels
from npblender.transformer.parameters import Matrix, Parts, Weights, build, parameters

HALF_FORMATS = FORMATS
"""The formats of 16 bits that large matrices may be kept in."""

LARGE = 2**16  # numbers in a matrix; a smaller one is in cache anyway
FUSED_PROJECTIONS = {"self_attn": ("q", "k", "v"), "encoder_attn": ("k", "v")}  # which share their input


def wants_panels(name: str, shape: tuple[int, ...], dtype: object) -> bool:
    """Whether the parameter of this name is a matrix that is better in panels here.

    Positions are only looked up, never multiplied by.

    >>> wants_panels("encoder.embed_positions.weight", (512, 512), "float32")
    False
    """
    return is_large(name, shape) and str(dtype) == "float32" and layout() != "rows"


def is_large(name: str, shape: tuple[int, ...]) -> bool:
    """Whether the parameter of this name is a matrix that is multiplied by and does not fit a cache.

    >>> is_large("shared.weight", (512, 512)), is_large("shared.weight", (11, 6)), is_large("shared.bias", (512, 512))
    (True, False, False)
    """
    multiplied = len(shape) == 2 and name.endswith("weight") and not name.endswith("embed_positions.weight")
    return multiplied and math.prod(shape) >= LARGE


def storage_of(weights: Weights) -> str:
    """The format that the large matrices are stored in: "float16" or "bfloat16", or else the dtype of all.

    Raises ValueError where some are kept in one and some in the other.

    >>> storage_of(weights)
    'float32'
    """
    found = sorted({matrix.stored for matrix in parameters(weights).values() if isinstance(matrix, HalfPanels)})
    if len(found) > 1:
        raise ValueError("the weights are kept in float16 and in bfloat16; choose one of them")
    return found[0] if found else str(weights.dtype)


def bytes_in_memory(shapes: Mapping[str, tuple[int, ...]], storage: str) -> int:
    """The bytes of parameters of these shapes, without what fills up panels.

    >>> shapes = {"shared.weight": (512, 512), "shared.bias": (512,)}
    >>> bytes_in_memory(shapes, "float32"), bytes_in_memory(shapes, "bfloat16")
    (1050624, 526336)
    """
    half = storage in HALF_FORMATS
    other = 4 if half else np.dtype(storage).itemsize
    return sum((2 if half and is_large(name, shape) else other) * math.prod(shape) for name, shape in shapes.items())


class MatrixAllocator:
    """Allocates storage for a model's parameters, in any order. Projections that share an input are allocated
    contiguously, so that they can be fused.

    With `storage` "float16" or "bfloat16" large matrices are kept so, and `dtype` is that of everything else.

    >>> MatrixAllocator({"shared.weight": (512, 512)}, np.float32, "float16").allocate("shared.weight")
    HalfPanels of a matrix [512, 512], float32 kept as float16
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], dtype: DTypeLike, storage: str | None = None) -> None:
        self._shapes, self._dtype = shapes, np.dtype(dtype)
        self._stored = storage if storage in HALF_FORMATS else None
        self._parts: dict[str, Matrix] = {}

    def allocate(self, name: str) -> Matrix:
        """Memory for the parameter of this name: panels, or a new array.

        >>> MatrixAllocator({"shared.weight": (11, 6)}, np.float64).allocate("shared.weight").dtype
        dtype('float64')
        """
        shape = self._shapes[name]
        if not self.is_packed(name, shape):
            return np.empty(shape, self._dtype)
        rows, inner = shape
        together = _side_by_side(name, self._shapes)
        cut = NARROW if self._stored else preferred_cut()
        if not together or not cut.can_split(len(together) * rows, len(together)):
            return self._empty(name, rows, inner)
        if name not in self._parts:
            whole = self._empty(name, len(together) * rows, inner)
            self._parts.update(zip(together, whole.split(len(together)), strict=True))
        return self._parts[name]

    def is_packed(self, name: str, shape: tuple[int, ...]) -> bool:
        """Whether the parameter of this name and shape is packed: it does not stay a plain array.

        >>> MatrixAllocator({}, np.float32, "float16").is_packed("shared.weight", (512, 512))
        True
        """
        return is_large(name, shape) if self._stored else wants_panels(name, shape, self._dtype)

    def _empty(self, name: str, rows: int, inner: int) -> Panels | LazyPanels:
        if self._stored:
            return HalfPanels.allocate((rows, inner), self._stored)
        if layout() == "by-use" and read_by_decoder_steps(name):
            return LazyPanels.of(np.empty((rows, inner), self._dtype))
        return Panels.empty((rows, inner), self._dtype)


def read_by_decoder_steps(name: str) -> bool:
    """Whether the parameter of this name may be multiplied by one row at a time: what a step of a decoder reads.

    >>> read_by_decoder_steps("decoder.layers.0.fc1.weight"), read_by_decoder_steps("encoder.layers.0.fc1.weight")
    (True, False)
    >>> read_by_decoder_steps("decoder.layers.0.encoder_attn.k_proj.weight")  # of all the source's states, once
    False
    """
    if name == "shared.weight":
        return True
    return name.startswith("decoder.") and not name.endswith(
        ("encoder_attn.k_proj.weight", "encoder_attn.v_proj.weight")
    )


def _side_by_side(name: str, shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """The projections of FUSED_PROJECTIONS that this one is fused with, if all are here."""
    place, dot, kind = name.rpartition("_proj.weight")
    attention, projection = place[:-1], place[-1:]
    together = FUSED_PROJECTIONS.get(attention.rstrip(".").rpartition(".")[2], ())
    if not dot or kind or projection not in together:
        return ()
    names = tuple(f"{attention}{other}_proj.weight" for other in together)
    return names if all(shapes.get(other) == shapes[name] for other in names) else ()


def store_rows(matrix: Matrix, first: int, rows: NDArray[Any]) -> bool:
    """Store some rows of a matrix, from number `first` on; return whether they are finite there.

    >>> matrix = np.zeros((3, 2))
    >>> store_rows(matrix, 2, np.ones((1, 2)))
    True
    >>> matrix.sum()
    np.float64(2.0)
    """
    if isinstance(matrix, HalfPanels):
        try:
            matrix.fill(first, rows)
        except OverflowError:
            return False
        return True
    if isinstance(matrix, np.ndarray):
        matrix[first : first + len(rows)] = rows
    else:
        matrix.fill(first, rows)
    return bool(np.isfinite(rows).all())


def rounded_to_storage(matrix: Matrix, rows: NDArray[Any]) -> NDArray[Any]:
    """Rows as this matrix would store them: rounded, where it is kept in 16 bits.

    >>> rounded_to_storage(np.zeros((3, 2)), np.ones((1, 2)))
    array([[1., 1.]])
    """
    return matrix.rounded(rows) if isinstance(matrix, HalfPanels) else rows


def stored_bits(matrix: Matrix, storage: str) -> NDArray[Any] | None:
    """A parameter's numbers in a storage format, bfloat16 as uint16; None where they are not all finite there.

    A new array only where the numbers are not that already.

    >>> stored_bits(np.array([[1.0, 2.0]]), "bfloat16"), stored_bits(np.array([1e9]), "float16")
    (array([[16256, 16384]], dtype=uint16), None)
    """
    with np.errstate(over="ignore"):
        if isinstance(matrix, HalfPanels) and matrix.stored == storage:
            bits = matrix.bits()
            return bits if storage == "bfloat16" else bits.view(np.float16)
        if storage == "bfloat16":
            bits = narrow(np.asarray(matrix, np.float32), storage)
            return bits if fits(bits, storage) else None
        numbers = np.ascontiguousarray(matrix, storage)
    return numbers if np.isfinite(numbers).all() else None


def is_half(matrix: Matrix) -> bool:
    """Whether a matrix is kept in 16 bits.

    >>> is_half(np.ones((2, 3)))
    False
    """
    return isinstance(matrix, HalfPanels)


def lay_out(config: BlenderbotSmallConfig, weights: Weights, parts: Parts, storage: str | None = None) -> Weights:
    """The same weights, each matrix as it is multiplied fastest, or rounded to `storage` if that is one of 16 bits.

    What is laid out already stays as it is. Without `storage` it is that of the weights (see `storage_of`): where some
    are in 16 bits, other large matrices become so. Raises ValueError for numbers that 16 bits cannot hold.

    >>> lay_out(config, weights, frozenset({"encoder", "decoder", "final_logits_bias"}), "bfloat16").shared.weight.dtype
    dtype('float32')
    """
    storage = storage_of(weights) if storage is None else storage
    done = HalfPanels if storage in HALF_FORMATS else MatrixLike
    found = parameters(weights)
    shapes = {name: matrix.shape for name, matrix in found.items() if not isinstance(matrix, done)}
    allocator = MatrixAllocator(shapes, weights.dtype, storage)
    if not any(allocator.is_packed(name, shape) for name, shape in shapes.items()):
        return weights  # as a checkpoint is read: straight to where it stays

    def laid_out(name: str, shape: tuple[int, ...]) -> Matrix:
        matrix = found[name]
        if isinstance(matrix, done) or not allocator.is_packed(name, shape):
            return matrix
        memory = allocator.allocate(name)
        if not store_rows(memory, 0, np.asarray(matrix)) and isinstance(memory, HalfPanels):
            raise ValueError(f"not finite as {storage}: {name} holds NaN, infinity or too large a number")
        return memory

    return build(config, laid_out, parts)
