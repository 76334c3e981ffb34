"""A pass over many rows, cut into groups of rows that threads take side by side, each from the first layer to the last.

Sharing out every operation by itself has the threads wait for one another a hundred times a pass; this way they meet
once. Rows do not know of each other, and with matrices in panels no product of a row depends on how many there are, so
the cut changes no number. Panels in 16 bits are cut only where this machine would have others in panels as well: they
are panels everywhere, but elsewhere the BLAS has other kernels for other numbers of rows. Where somebody listens to a
pass, or is to be given every layer's arrays, or draws noise for it, it stays whole. Not here: what is computed (see
`forward`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np

from npblender import ops
from npblender.transformer.context import Context
from npblender.transformer.parameters import Weights, parameters

NO_LIMIT = nullcontext()


def one_blas_thread(weights: Weights) -> AbstractContextManager[None]:
    """While products are shared out here (see `ops.threads`), the BLAS is asked to keep to one thread.

    >>> from npblender.models.example import example_model
    >>> with one_blas_thread(example_model().weights):
    ...     pass
    """
    return NO_LIMIT if isinstance(weights.shared.weight, np.ndarray) else ops.ONE_THREAD


def packed_for(weights: Weights, rows: int) -> AbstractContextManager[None]:
    """Turn what is still to be turned before the decoder multiplies so many rows by it; and whose threads do so.

    A single row and matrices in rows are for the BLAS's own threads, as many as are wanted here.

    >>> from npblender.models.example import example_model
    >>> with packed_for(example_model().weights, 2):
    ...     pass
    """
    shared = weights.shared.weight
    if isinstance(shared, ops.LazyPanels) and shared.in_rows:
        if rows <= 1:
            return ops.BlasThreadLimit(ops.num_threads())
        # The shared matrix is the last of them: it says whether the others have been turned.
        for matrix in reversed(parameters(weights).values()):
            if isinstance(matrix, ops.LazyPanels):
                matrix.form(rows)
    return one_blas_thread(weights)


FEW = 16  # tokens a thread, below which reading the weights once more costs more than waiting saves


def groups_of_rows(batch: int, tokens: int, weights: Weights, context: Context) -> list[slice]:
    """How `batch` rows of `tokens` each are cut: a single group where cutting does not pay, or may not be.

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> groups_of_rows(8, 128, model.weights, Context(model.config, model.dialect))
    [slice(0, 8, None)]
    """
    threads = ops.num_threads()
    matrix = weights.shared.weight
    may = context.can_fuse and not context.collect_states and not context.collect_attentions
    may = may and isinstance(matrix, ops.Panels | ops.LazyPanels) and matrix.keeps_rows_apart
    if not may or threads == 1 or batch * tokens < FEW * threads:
        return [slice(0, batch)]
    count = min(batch, threads)
    edges = [batch * n // count for n in range(count + 1)]
    return [slice(*edges[n : n + 2]) for n in range(count)]


def each_group(job: Callable[[slice], None], groups: list[slice]) -> None:
    """Do the job for every group, shared out over threads; inside, an operation keeps to one.

    >>> each_group(print, [slice(0, 8)])
    slice(0, 8, None)
    """

    def work(_worker: int, first: int, last: int) -> None:
        with ops.use_threads(1):
            for group in groups[first:last]:
                job(group)

    if len(groups) == 1:
        job(groups[0])
    else:
        ops.run_in_threads(work, len(groups), ops.num_threads())
