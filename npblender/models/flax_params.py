"""Flax's nested parameters and the weights' tree: one from the other.

    {"model": {"encoder": {"layers": {"0": {"fc1": {"kernel": [in, out], "bias": [out]}, ...}}}}, "final_logits_bias"}

A kernel is a transposed weight, a norm has a scale, an embedding a table; the bare model has no `model` above.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from npblender.common.array_types import Array
from npblender.config import BlenderbotSmallConfig
from npblender.transformer.parameters import (
    LOGITS_BIAS,
    Parts,
    Weights,
    expected_shapes,
    from_arrays,
    to_arrays,
)

Params: TypeAlias = dict[str, Any]  # Flax's parameters: a dict of dicts, arrays at its ends


def params_of(weights: Weights, parts: Parts) -> Params:
    """Arrange weights as Flax does: `model` above all but the bias in a model with a head, kernels [in, out].

    >>> from npblender.transformer.parameters import FULL_MODEL
    >>> tree = params_of(weights, FULL_MODEL)
    >>> sorted(tree), sorted(tree["model"]["decoder"]["layers"]["1"]["encoder_attn_layer_norm"])
    (['final_logits_bias', 'model'], ['bias', 'scale'])
    """
    tree: Params = {}
    for name, array in to_arrays(weights).items():
        path, kernel = flax_path(name, parts)
        node = tree
        for key in path[:-1]:
            node = node.setdefault(key, {})
        node[path[-1]] = array.T if kernel else array
    return tree


def weights_of(params: Mapping[str, Any], config: BlenderbotSmallConfig, parts: Parts, dtype: DTypeLike) -> Weights:
    """Take weights out of Flax's parameters; `params_of` undoes it.

    Raises:
        ValueError: parameters that are missing, unknown or of another shape; the message names them.

    >>> from npblender.transformer.parameters import FULL_MODEL
    >>> weights_of({"model": {}}, config, FULL_MODEL, "float32")
    Traceback (most recent call last):
    ValueError: params lack model.shared.embedding, model.encoder.embed_positions.embedding and 74 more
    """
    given = {".".join(path): array for path, array in _leaves(params)}
    arrays: dict[str, Array] = {}
    missing, wrong = [], []
    for name, shape in expected_shapes(config, parts).items():
        path, kernel = flax_path(name, parts)
        joined = ".".join(path)
        if joined not in given:
            missing.append(joined)
            continue
        array = np.asarray(given.pop(joined), dtype)
        arrays[name] = np.ascontiguousarray(array.T if kernel else array)
        if arrays[name].shape != shape:
            wrong.append(f"{joined} has shape {array.shape}, not {shape[::-1] if kernel else shape}")
    if missing:
        more = f" and {len(missing) - 2} more" if len(missing) > 2 else ""
        raise ValueError(f"params lack {', '.join(missing[:2])}{more}")
    if given:
        raise ValueError(f"params hold what this model does not have: {', '.join(sorted(given)[:5])}")
    if wrong:
        raise ValueError("; ".join(wrong))
    return from_arrays(config, arrays, parts)


def flax_path(name: str, parts: Parts) -> tuple[list[str], bool]:
    """Find Flax's path of a parameter, and whether it is a kernel, which Flax keeps transposed.

    >>> from npblender.transformer.parameters import BASE_MODEL
    >>> flax_path("encoder.layers.0.fc1.weight", BASE_MODEL)
    (['encoder', 'layers', '0', 'fc1', 'kernel'], True)
    """
    if name == LOGITS_BIAS:
        return [name], False
    *path, last = name.split(".")
    kernel = False
    if last == "weight" and "norm" in path[-1]:
        last = "scale"
    elif last == "weight" and path[-1] in ("shared", "embed_positions"):
        last = "embedding"
    elif last == "weight":
        last, kernel = "kernel", True
    return [*(["model"] if LOGITS_BIAS in parts else []), *path, last], kernel


def _leaves(node: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not isinstance(node, Mapping):
        raise TypeError(f"params must be a nested dict, not {type(node).__name__}")
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, str(key)))
        else:
            yield (*path, str(key)), value
