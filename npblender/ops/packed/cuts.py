"""How matrices are cut into panels: narrow ones for a BLAS with kernels for small matrices, wide ones for others.

Where small matrices have kernels of their own (AVX-512), a panel is small enough for them, and nothing is packed in a
product. Elsewhere the BLAS packs what it multiplies by, whatever its size. There it is a wide panel, stored along the
sums, that costs it least, and a product of few rows is shared out best by the BLAS's own threads, which wait for work
without sleeping. The measurements are in docs/performance.md.
"""

from __future__ import annotations

import functools
import os
import sys
from dataclasses import dataclass

from npblender.common.printable import shown
from npblender.ops.packed.blas import WITH_SMALL_KERNELS, core_name

VARIABLE = "NPBLENDER_PANELS"


@dataclass(frozen=True)
class Cut:
    """How matrices are cut into panels for the kernels of a BLAS, and whose threads share the products.

    >>> NARROW.width, WIDE.width
    (64, 2048)
    """

    width: int  # columns of a panel at most
    depth: int  # rows of a panel at most: sums of more numbers are made in parts, and added up
    product: int  # multiplications of one product at most: more rows are multiplied in turns
    shared: int  # multiplications from which a second thread of ours pays; a few rows count as four, for the reading
    blas_shares: bool  # whether the BLAS's threads share the products of a pass that is not cut into groups of rows

    def can_split(self, rows: int, count: int) -> bool:
        """Whether a matrix of so many rows is `count` equal parts of whole panels, or of columns of a single panel.

        >>> NARROW.can_split(384, 3), NARROW.can_split(300, 3), WIDE.can_split(300, 3), WIDE.can_split(6000, 3)
        (True, False, True, False)
        """
        return rows % count == 0 and (rows <= self.width or rows // count % self.width == 0)


NARROW = Cut(width=64, depth=256, product=1_000_000, shared=2**24, blas_shares=False)
"""64 columns are a full set of vector registers; sums in parts of 256 also halve the rounding errors. OpenBLAS uses its
kernels for small matrices up to a million multiplications."""

WIDE = Cut(width=2048, depth=sys.maxsize, product=sys.maxsize, shared=2**22, blas_shares=True)
"""Whole sums: the BLAS makes them in parts by itself."""

CUTS = {"narrow": NARROW, "wide": WIDE}


@functools.cache
def preferred_cut() -> Cut:
    """The faster cut for this machine's BLAS; NPBLENDER_PANELS in the environment chooses otherwise.

    Raises ValueError for another word there.
    """
    asked = os.environ.get(VARIABLE)
    if asked is None:
        return NARROW if core_name() in WITH_SMALL_KERNELS else WIDE
    if asked not in CUTS:
        raise ValueError(f"{VARIABLE} is {shown(asked)}, but must be one of {', '.join(CUTS)}")
    return CUTS[asked]
