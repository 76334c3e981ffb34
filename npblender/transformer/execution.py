"""How a pass is executed: how many threads the BLAS uses, when matrices are packed, and which rows threads take.

What is computed stands in `encoder`, `decoder` and `forward`; nothing here changes a number.

A pass over many rows is cut into groups of rows that threads take side by side, each from the first layer to the last.
Sharing out every operation by itself has the threads wait for one another a hundred times a pass; this way they meet
once. Rows are independent, and with matrices in panels no product of a row depends on how many there are, so the cut
changes no number. Panels in 16 bits are cut only where this machine would have others in panels as well: they
are panels everywhere, but elsewhere the BLAS has other kernels for other numbers of rows. A pass stays whole where
arrays of every layer are wanted, by a tap or in the result, and where dropout is drawn for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import ParamSpec, TypeVar

import numpy as np

from npblender.ops.packed.blas import ONE_THREAD, BlasThreadLimit
from npblender.ops.packed.lazy_panels import LazyPanels, Sharing
from npblender.ops.packed.panels import Panels
from npblender.ops.threads import num_threads, run_in_threads, use_threads
from npblender.transformer.context import Context, Source, Target
from npblender.transformer.decoder import decode
from npblender.transformer.encoder import encode
from npblender.transformer.kv_cache import Cache
from npblender.transformer.outputs import BaseModelOutput, BaseModelOutputWithPastAndCrossAttentions
from npblender.transformer.packing import is_half
from npblender.transformer.parameters import Weights, parameters

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
NO_LIMIT = nullcontext()


@contextmanager
def threads_of_blas() -> Iterator[None]:
    """A `with` block in which the BLAS shares products out, over as many threads as are wanted here, and we do not."""
    with BlasThreadLimit(num_threads()), use_threads(1):
        yield


def whose_threads(weights: Weights, groups: int = 1) -> AbstractContextManager[None]:
    """The threads of a pass in so many groups of rows: ours, with a single one for the BLAS, or the BLAS's.

    Never both: an idle thread of OpenBLAS busy-waits on a processor that ours would use.

    >>> whose_threads(weights) is NO_LIMIT  # this model's matrices are small, and not packed
    True
    """
    matrix = weights.shared.weight
    if isinstance(matrix, np.ndarray):
        return NO_LIMIT
    by_blas = isinstance(matrix, Panels | LazyPanels) and matrix.cut.blas_shares
    return threads_of_blas() if by_blas and groups == 1 else ONE_THREAD


def packed_for(weights: Weights, rows: int, groups: int = 1) -> AbstractContextManager[None]:
    """Pack the matrices that the decoder multiplies so many rows by, if they are not; return `whose_threads`.

    A single row is multiplied by matrices as they lie (see `ops.packed.lazy_panels`), one thread of the BLAS each.
    """
    shared = weights.shared.weight
    if isinstance(shared, LazyPanels) and shared.in_rows:
        if rows <= 1:
            Sharing.learn(np.asarray(shared.form(1)))
            return ONE_THREAD
        # The shared matrix is the last of them: it says whether the others have been packed.
        for matrix in reversed(parameters(weights).values()):
            if isinstance(matrix, LazyPanels):
                matrix.form(rows)
    return whose_threads(weights, groups)


KEPT_BYTES = 31 << 20  # glibc learns from blocks of up to 32 MiB, and then keeps twice as much


def keep_freed_memory(weights: Weights) -> None:
    """Have the C library keep the memory of one pass for the next, for a model whose own matrices are larger.

    glibc returns large blocks to the system when they are freed, and every page of the next ones is a fault: a fifth of
    encoding 8 x 32 tokens at the published size. It stops at blocks as large as the largest freed so far, so one is
    freed here that nothing was written to. Other C libraries are not affected. Nothing is done for a model in 16 bits,
    which is there to save memory.

    >>> keep_freed_memory(weights)  # this model is small
    """
    rows, inner = weights.shared.weight.shape
    if rows * inner * weights.dtype.itemsize > KEPT_BYTES and not is_half(weights.shared.weight):
        np.empty(KEPT_BYTES, np.uint8)


def run(
    limit: AbstractContextManager[None],
    function: Callable[Arguments, Result],
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Result:
    """function(*args, **kwargs) as one pass: under a limit of the BLAS's threads, and with NumPy's warnings off.

    They are turned off here once, since the operations of a pass do not (see `ops.unchecked`).

    >>> run(NO_LIMIT, np.log, 0.0)
    np.float64(-inf)
    """
    with limit, np.errstate(all="ignore"):
        return function(*args, **kwargs)


def groups_of_rows(batch: int, tokens: int, weights: Weights, context: Context) -> list[slice]:
    """How `batch` rows of `tokens` each are cut: a single group where cutting does not pay, or may not be.

    Each group reads the weights, and packs them where the BLAS does; that must cost less than it saves (see `Cut`).

    >>> groups_of_rows(8, 128, weights, context)
    [slice(0, 8, None)]
    """
    threads = num_threads()
    matrix = weights.shared.weight
    whole = not context.can_fuse or context.collect_states or context.collect_attentions
    if whole or not isinstance(matrix, Panels | LazyPanels) or not matrix.keeps_rows_apart:
        return [slice(0, batch)]
    if threads == 1 or batch * tokens < matrix.cut.apart * threads:
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
        with use_threads(1):
            for group in groups[first:last]:
                job(group)

    if len(groups) == 1:
        job(groups[0])
    else:
        run_in_threads(work, len(groups), num_threads())


def encode_rows(weights: Weights, source: Source, context: Context, groups: list[slice]) -> BaseModelOutput:
    """What `encode` computes, by groups of rows."""
    if len(groups) == 1:
        return encode(weights, source, context)
    states = np.empty((*source.size, context.config.d_model), weights.dtype)  # [B, S, D]

    def some_rows(group: slice) -> None:
        states[group] = encode(weights, source.rows(group), context).last_hidden_state

    each_group(some_rows, groups)
    return BaseModelOutput(last_hidden_state=states)


def decode_rows(
    weights: Weights, target: Target, cache: Cache, context: Context, groups: list[slice]
) -> BaseModelOutputWithPastAndCrossAttentions:
    """What `decode` computes, by groups of rows."""
    if len(groups) == 1:
        return decode(weights, target, cache, context)
    states = np.empty((*target.size, context.config.d_model), weights.dtype)  # [B, T, D]
    longer = cache.extended(target.size[1])  # one cache, whose new tokens each group writes in its rows

    def some_rows(group: slice) -> None:
        before = longer.rows_before(group, cache.length)
        states[group] = decode(weights, target.rows(group), before, context).last_hidden_state

    each_group(some_rows, groups)
    return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=states, past_key_values=longer)
