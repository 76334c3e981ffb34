"""The operations that everything is computed with, as functions of arrays. Heads and layers are no subject here.

In reading order:

    operations       softmax, layer norm, lookup, loss, dropout: a formula each
    linear           linear maps, several of one input, the feed-forward block, products of stacks
    activations      relu, silu, gelu_new, and the table of activations by name
    gelu             the model's own activation, by a table where it is float32
    error_function   erf and the normal distribution function; erf_tables has the coefficients
    checked          the same operations behind checks of their arguments: what this module exports
    unchecked        the same operations by the same names without checks: what a forward pass computes with
    threads          how an operation is evaluated: in blocks that stay in cache, in a few threads
    packed           how a large matrix is laid out so that products with it are fast

Import what you call from here. Every function below checks its arguments, keeps their dtype and raises no warning.
"""

from npblender.ops.checked import (
    ACTIVATIONS,
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
    mlp,
    normal_cdf,
    products,
    relu,
    silu,
    softmax,
)
from npblender.ops.threads import num_threads, use_threads

__all__ = [
    "ACTIVATIONS",
    "cross_entropy",
    "dropout",
    "embed",
    "erf",
    "gelu",
    "gelu_new",
    "layer_norm",
    "linear",
    "linears",
    "log_softmax",
    "mlp",
    "normal_cdf",
    "num_threads",
    "products",
    "relu",
    "silu",
    "softmax",
    "use_threads",
]
