"""The BLAS that NumPy multiplies with: which it is, its threads, and the layout of matrices that it is fastest with."""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npblender.common.printable import shown

VARIABLE = "NPBLENDER_LAYOUT"
PANELS_VARIABLE = "NPBLENDER_PANELS"
LAYOUTS = ("by-use", "panels", "rows")

WITH_SMALL_KERNELS = ("SkylakeX", "Cooperlake", "SapphireRapids")
"""OpenBLAS's names of processors with AVX-512, for which it multiplies small matrices without packing them first."""

WITH_AVX2 = ("Haswell", "Zen")
"""Its names of processors with AVX2: it packs every matrix, and wide panels cost it least (see `Cut`)."""


@functools.cache
def openblas() -> Any:
    """The OpenBLAS that NumPy's wheels bring along, as the process has loaded it; None where there is none."""
    import ctypes

    import numpy

    package = Path(numpy.__file__).parent
    for path in [*package.parent.glob("numpy.libs/*openblas*"), *package.glob(".dylibs/*openblas*")]:
        try:
            library = ctypes.CDLL(str(path))
        except OSError:
            continue
        if function(library, "get_num_threads") is not None:
            return library
    return None


@functools.cache
def function(library: Any, name: str) -> Any:
    """A function of OpenBLAS under the name that its build gave it; None if it has no such function."""
    for spelling in (f"scipy_openblas_{name}64_", f"openblas_{name}64_", f"scipy_openblas_{name}", f"openblas_{name}"):
        if hasattr(library, spelling):
            return getattr(library, spelling)
    return None


def core_name() -> str | None:
    """The processor that OpenBLAS chose its kernels for; None where it cannot be asked.

    OPENBLAS_CORETYPE in the environment makes it choose those of another.
    """
    import ctypes

    found = None if openblas() is None else function(openblas(), "get_corename")
    if found is None:
        return None
    found.restype = ctypes.c_char_p
    name: bytes = found()
    return name.decode()


@functools.cache
def layout() -> str:
    """The fastest layout of large float32 matrices here: "panels", "rows" (as they are), or "by-use".

    Panels win for several rows on the processors named above, and not elsewhere (docs/performance.md). There what may
    be multiplied by single rows is in panels only once it is multiplied by more: by use. NPBLENDER_LAYOUT in the
    environment chooses otherwise; another word there is a ValueError.
    """
    asked = os.environ.get(VARIABLE)
    if asked is None:
        return "by-use" if core_name() in (*WITH_SMALL_KERNELS, *WITH_AVX2) else "rows"
    if asked not in LAYOUTS:
        raise ValueError(f"{VARIABLE} is {shown(asked)}, but must be one of {', '.join(LAYOUTS)}")
    return asked


@dataclass(frozen=True)
class Cut:
    """How matrices are cut into panels for the kernels of a BLAS, and whose threads share the products.

    Where small matrices have kernels of their own, a panel is small enough for them, and a product packs nothing.
    Elsewhere the BLAS packs what it multiplies by, whatever its size. There a wide panel, stored along the sums, costs
    least, and a product of few rows is shared out best by its own threads, which wait for work without sleeping
    (docs/performance.md).

    >>> NARROW.width, WIDE.width
    (64, 2048)
    """

    width: int  # columns of a panel at most
    depth: int  # rows of a panel at most: sums of more numbers are made in parts, and added up
    product: int  # multiplications of one product at most: more rows are multiplied in turns
    many: int  # rows from which a few panels at a time are joined for products that are large
    shared: int  # multiplications from which a second thread of ours pays; a few rows count as four, for the reading
    blas_shares: bool  # whether the BLAS's threads share the products of a pass that is not cut into groups of rows
    apart: int  # tokens a thread, from which a pass is faster cut into groups of rows (see `transformer.execution`)

    def can_split(self, rows: int, count: int) -> bool:
        """Whether a matrix of so many rows is `count` equal parts of whole panels, or of columns of a single panel.

        >>> NARROW.can_split(384, 3), NARROW.can_split(300, 3), WIDE.can_split(300, 3), WIDE.can_split(6000, 3)
        (True, False, True, False)
        """
        return rows % count == 0 and (rows <= self.width or rows // count % self.width == 0)


NARROW = Cut(width=64, depth=256, product=1_000_000, many=128, shared=2**24, blas_shares=False, apart=16)
"""64 columns are a full set of vector registers; sums in parts of 256 also halve the rounding errors. OpenBLAS uses its
kernels for small matrices up to a million multiplications."""

WIDE = Cut(
    width=2048, depth=sys.maxsize, product=sys.maxsize, many=sys.maxsize, shared=2**22, blas_shares=True, apart=32
)
"""Whole sums: the BLAS makes them in parts by itself. It packs every matrix for each group: few tokens are not cut."""

CUTS = {"narrow": NARROW, "wide": WIDE}


@functools.cache
def preferred_cut() -> Cut:
    """The faster cut for this machine's BLAS; NPBLENDER_PANELS in the environment chooses otherwise.

    Raises ValueError for another word there.
    """
    asked = os.environ.get(PANELS_VARIABLE)
    if asked is None:
        return NARROW if core_name() in WITH_SMALL_KERNELS else WIDE
    if asked not in CUTS:
        raise ValueError(f"{PANELS_VARIABLE} is {shown(asked)}, but must be one of {', '.join(CUTS)}")
    return CUTS[asked]


class BlasThreadLimit:
    """A `with` block in which OpenBLAS uses at most `count` threads, in the whole process; afterwards as before.

    Nested limits: the smallest wins. A limit never raises the number of threads.

    >>> with BlasThreadLimit(2), ONE_THREAD:
    ...     pass
    """

    _lock, _asked, _before = threading.Lock(), Counter[int](), 0

    def __init__(self, count: int) -> None:
        self.count = count

    def __enter__(self) -> None:
        cls = BlasThreadLimit
        with cls._lock:
            if not cls._asked and openblas() is not None:
                cls._before = int(function(openblas(), "get_num_threads")())
            cls._asked[self.count] += 1
            cls._set()

    def __exit__(self, *_: object) -> None:
        cls = BlasThreadLimit
        with cls._lock:
            cls._asked[self.count] -= 1
            cls._asked += Counter()  # drops the counts of zero
            cls._set()

    @classmethod
    def _set(cls) -> None:
        if openblas() is not None:
            function(openblas(), "set_num_threads")(min([cls._before, *cls._asked]))


ONE_THREAD = BlasThreadLimit(1)
"""For products that are shared out over threads here: OpenBLAS's idle threads busy-wait on the cores that ours use."""


def wake_threads(count: int) -> None:
    """Let OpenBLAS use `count` threads from now on, in the whole process, where it has fewer; it starts those missing.

    Inside a `BlasThreadLimit` they are there when it ends. Nothing where NumPy has another BLAS.

    >>> wake_threads(1)
    """
    with BlasThreadLimit._lock:
        if openblas() is None:
            return
        if not BlasThreadLimit._asked:
            BlasThreadLimit._before = int(function(openblas(), "get_num_threads")())
        BlasThreadLimit._before = max(BlasThreadLimit._before, count)
        BlasThreadLimit._set()
