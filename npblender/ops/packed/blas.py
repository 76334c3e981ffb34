"""The BLAS that NumPy multiplies with: which it is, its threads, and the layout of matrices that it is fastest with."""

from __future__ import annotations

import functools
import os
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from npblender.common.printable import shown

VARIABLE = "NPBLENDER_LAYOUT"
LAYOUTS = ("by-use", "panels", "rows")

WITH_SMALL_KERNELS = ("SkylakeX", "Cooperlake", "SapphireRapids")
"""OpenBLAS's names of processors with AVX-512, for which it multiplies small matrices without packing them first."""

WITHOUT = ("Haswell", "Zen")
"""Its names of processors with AVX2: it packs every matrix, and wide panels cost it least (see `cuts`)."""


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

    Panels win for several rows on the processors named above, and lose elsewhere (docs/performance.md). There what may
    be multiplied by single rows is in panels only once it is multiplied by more: by use. NPBLENDER_LAYOUT in the
    environment chooses otherwise; another word there is a ValueError.
    """
    asked = os.environ.get(VARIABLE)
    if asked is None:
        return "by-use" if core_name() in (*WITH_SMALL_KERNELS, *WITHOUT) else "rows"
    if asked not in LAYOUTS:
        raise ValueError(f"{VARIABLE} is {shown(asked)}, but must be one of {', '.join(LAYOUTS)}")
    return asked


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
