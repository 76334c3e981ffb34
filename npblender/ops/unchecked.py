"""The operations as plain formulas, by the names they have in `npblender.ops`: what a forward pass computes with.

A pass checks its arguments once, where they come in, and turns NumPy's warnings off once, so nothing here does either:
dtypes and shapes are taken to fit, and the numbers are those of the checked operations, bit for bit.

>>> softmax(np.array([0.0, np.log(3.0)]))
array([0.25, 0.75])
"""

from npblender.ops.activations import ACTIVATIONS, gelu_new, relu, silu
from npblender.ops.error_function import erf, normal_cdf
from npblender.ops.gelu import gelu
from npblender.ops.linear import linear, linears, mlp, products
from npblender.ops.operations import cross_entropy, dropout, embed, layer_norm, log_softmax, softmax

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
    "products",
    "relu",
    "silu",
    "softmax",
]
