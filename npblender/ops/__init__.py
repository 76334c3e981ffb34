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
    erf_tables      coefficients, written by tools/measure/derive_erf.py
    error_function  erf and the normal distribution function
    gelu_kernels    GELU, its table in float32
    activations     gelu, gelu_new, relu, silu by name
    operations      softmax, layer norm, lookup, loss, dropout
Nothing here knows of heads, layers or configurations.
"""

from npblender.common.array_types import FloatArray, IntArray
from npblender.ops.activations import ACTIVATIONS, gelu_new, relu, silu
from npblender.ops.error_function import erf
from npblender.ops.gelu import gelu
from npblender.ops.linear import linear, linears, products
from npblender.ops.operations import cross_entropy, dropout, embed, layer_norm, log_softmax, softmax
from npblender.ops.packed.blas import ONE_THREAD, BlasThreadLimit, layout
from npblender.ops.packed.fused_mlp import can_be_shared, two_linears
from npblender.ops.packed.half_panels import HalfPanels
from npblender.ops.packed.lazy_panels import LazyPanels
from npblender.ops.packed.matrix_like import MatrixLike
from npblender.ops.packed.panels import Panels
from npblender.ops.threads import num_threads, run_in_threads, use_threads

__all__ = [
    "ACTIVATIONS",
    "ONE_THREAD",
    "BlasThreadLimit",
    "FloatArray",
    "HalfPanels",
    "IntArray",
    "Panels",
    "LazyPanels",
    "MatrixLike",
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
    "run_in_threads",
    "silu",
    "softmax",
    "two_linears",
    "use_threads",
]
