"""Matrices laid out so that products with them are fast, and what is known of the BLAS that multiplies.

In reading order:

    matrix_like    what NumPy takes for a matrix without being an array
    panels         a matrix cut into panels, of which the BLAS packs as little as it can
    lazy_panels    a matrix that becomes panels when several rows are multiplied by it, and single rows as it lies
    half_bits      numbers of 16 bits, made float32 in few passes
    half_panels    panels whose numbers are kept in 16 bits
    fused_mlp      a feed-forward block as one piece of work for each thread
    blas           which BLAS it is, its threads, and which layout and width of panels it gains by

Outside `npblender.ops` only `transformer.packing` and `transformer.execution` use them: they choose what is laid out
how, and everything else calls `linear`, `linears`, `mlp` and `products`, which decide by themselves.
"""
