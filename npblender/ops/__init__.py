"""The elementary operations, in one room: everything the model computes is made of these.

    threads         work shared out over a few threads
    blas            what is known of NumPy's BLAS
    standin         what NumPy takes for an array
    panel_products  products with small matrices that lie in a row
    panels          a matrix laid out for fast products
    rows_first      a matrix that becomes so when it is needed
    sixteen         numbers of 16 bits
    halves          panels kept in 16 bits
    linear_maps     rows times a matrix, and products of stacks
    two_linears     a feed-forward block as one piece of work a thread
    elementwise     blocks that stay in cache, and the check of every input
    erf_tables      coefficients, written by tools/derive_erf.py
    error_function  erf and the normal distribution function
    gelu_kernels    GELU, its table in float32
    activations     gelu, gelu_new, relu, silu by name
    operations      softmax, layer norm, lookup, loss, dropout
Nothing here knows of heads, layers or configurations.
"""

from npblender.ops.blas import ONE_THREAD, AtMost, layout
from npblender.ops.halves import Halves
from npblender.ops.linear_maps import products
from npblender.ops.operations import (
    ACTIVATIONS,
    FloatArray,
    IntArray,
    cross_entropy,
    dropout,
    embed,
    erf,
    gelu,
    gelu_new,
    layer_norm,
    linear,
    linears,
    log_softmax,
    relu,
    silu,
    softmax,
)
from npblender.ops.panels import Panels
from npblender.ops.rows_first import RowsFirst
from npblender.ops.standin import StandIn
from npblender.ops.threads import num_threads, share_out, use_threads
from npblender.ops.two_linears import can_be_shared, two_linears

__all__ = [
    "ACTIVATIONS",
    "ONE_THREAD",
    "AtMost",
    "FloatArray",
    "Halves",
    "IntArray",
    "Panels",
    "RowsFirst",
    "StandIn",
    "can_be_shared",
    "cross_entropy",
    "dropout",
    "embed",
    "erf",
    "gelu",
    "gelu_new",
    "layer_norm",
    "layout",
    "linear",
    "linears",
    "log_softmax",
    "num_threads",
    "products",
    "relu",
    "share_out",
    "silu",
    "softmax",
    "two_linears",
    "use_threads",
]
