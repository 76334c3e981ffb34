"""The float32 noise of a point: how far correct float32 programs lie from the float64 truth, and errors in its units.

In reading order:
    units            the unit of error, and when an array has diverged
    measured         the noise of every point of a run, over the variants
    variants         evaluations that are equal in exact arithmetic and round differently
    permuted_model   one source of variants: the model with its inner dimensions in another order
    plain_loops      another: sums from left to right, as plain loops compute them
"""
