"""Runs a model once and keeps every named array, with the float32 noise of each: `trace` and `record`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from inspect import Signature, signature
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from npblender.checkpoint import resolve_dtype
from npblender.common.checks import closest_name, switch_or_default
from npblender.common.printable import shown
from npblender.common.version import __version__
from npblender.config.dialect import Dialect, describe_dialect, resolve_dialect
from npblender.groundtruth.noise.measured import measure_noise, record_arrays
from npblender.groundtruth.tracing.evaluate import Evaluation, planned_points
from npblender.groundtruth.tracing.inputs import TraceInputs, check_inputs, unknown_inputs
from npblender.groundtruth.tracing.points import without_step
from npblender.groundtruth.tracing.trace_file import Trace
from npblender.models.pretrained import PreTrainedModel

FLOAT64 = np.dtype(np.float64)


def trace(
    model: PreTrainedModel,
    *arrays: Any,
    points: str | Sequence[str] | None = None,
    dtype: DTypeLike | None = None,
    dialect: str | Dialect | Mapping[str, Any] | None = None,
    noise: bool = True,
    **inputs: Any,
) -> Trace:
    """Record every named intermediate of one run of a model, and how much of each is float32 noise.

    Args:
        model: any of the three classes; the causal head takes `input_ids`, `attention_mask`, `labels`, `head_mask`,
            `inputs_embeds` and `position_ids`.
        arrays, inputs: the fields of `TraceInputs`, in its order or by name: input_ids, attention_mask,
            decoder_input_ids, decoder_attention_mask, labels, and so on, as `forward` takes them. Without a target it
            is made from `labels`, or is the start token alone. `steps=True` runs the target over a cache: `prefill`
            tokens first (points `prefill.decoder...`), then one at a time (`step1.decoder...`); the encoder and the
            cross keys come once, under their plain names.
        points: names or globs such as `"*.norm"`, to keep these only; in steps `"logits"` means those of every step.
        dtype: "float32", "float64" or "longdouble"; None is the model's own.
        dialect: which original to follow; None is the model's own.
        noise: whether to measure the noise, which takes a float64 run and several float32 ones.

    Raises:
        ValueError, TypeError: an argument that does not fit, or a glob that matches no point; the message names it.

    >>> found = trace(model, [[5, 6, 7]], decoder_input_ids=[[1, 9]], points=["encoder.states", "logits"])
    >>> found.points, found.noise["logits"].rms < 1e-6
    (('encoder.states', 'logits'), True)
    """
    for wrong in unknown_inputs(inputs):
        raise TypeError(f"trace: {wrong}")
    return record(model, TraceInputs(*arrays, **inputs), points=points, dtype=dtype, dialect=dialect, noise=noise)


def _signature_of_trace() -> Signature:
    """What `help(trace)` shows: the fields of `TraceInputs` by their names."""
    own, fields = signature(trace).parameters, signature(TraceInputs).parameters
    options = [each for each in own.values() if each.kind is each.KEYWORD_ONLY]
    return Signature([own["model"], *fields.values(), *options], return_annotation="Trace")


trace.__signature__ = _signature_of_trace()  # type: ignore[attr-defined]


def record(
    model: PreTrainedModel,
    inputs: TraceInputs,
    *,
    points: str | Sequence[str] | None = None,
    dtype: DTypeLike | None = None,
    dialect: str | Dialect | Mapping[str, Any] | None = None,
    noise: bool = True,
) -> Trace:
    """Do what `trace` does, with inputs in one record, such as those written in another trace's file.

    >>> first = trace(model, [[5, 6, 7]], points="encoder.states", noise=False)
    >>> again = record(model, TraceInputs.from_json(first.inputs), points="encoder.states", noise=False)
    >>> bool((first.arrays["encoder.states"] == again.arrays["encoder.states"]).all())
    True
    """
    if not isinstance(model, PreTrainedModel):
        raise TypeError(f"trace takes a model of npblender, not {type(model).__name__}")
    if not isinstance(inputs, TraceInputs):
        raise TypeError(f"inputs are TraceInputs, not {type(inputs).__name__}: TraceInputs.from_json(...) makes them")
    chosen = model.dialect if dialect is None else resolve_dialect(dialect)
    kind = model.dtype if dtype is None else resolve_dtype(dtype)
    run = check_inputs(model.config, model.weights, chosen, inputs)
    original = Evaluation(model.config, chosen, model.weights, run)
    wanted = select_points(list(planned_points(original)), points)
    arrays = record_arrays(original.in_dtype(kind), set(wanted))
    measured = {}
    if switch_or_default("noise", noise, True):
        truth = arrays if kind == FLOAT64 else record_arrays(original.in_dtype(FLOAT64), set(wanted))
        measured = measure_noise(original, truth)
    return Trace(
        arrays=arrays,
        noise=measured,
        dtype="longdouble" if kind.char == "g" else kind.name,
        dialect=describe_dialect(chosen),
        config=model.config.to_dict(),
        inputs=run.to_json(),
        producer={"npblender": __version__, "numpy": np.__version__},
    )


def select_points(names: Sequence[str], globs: str | Sequence[str] | None) -> list[str]:
    """Select the names that match any of the globs, with or without their step; all of them if there are no globs.

    Raises ValueError for a glob that matches none.

    >>> select_points(["encoder.states", "prefill.logits", "step1.logits"], ["logits", "enc*"])
    ['encoder.states', 'prefill.logits', 'step1.logits']
    >>> select_points(["encoder.states"], "encoder.state")
    Traceback (most recent call last):
    ValueError: no point is named 'encoder.state'; did you mean 'encoder.states'? '*' stands for any part of a name
    """
    if globs is None:
        return list(names)
    patterns = [globs] if isinstance(globs, str) else list(globs)
    chosen: set[str] = set()
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise TypeError(f"points are named by texts, not by {shown(pattern)}")
        found = {name for name in names if fnmatchcase(name, pattern) or fnmatchcase(without_step(name), pattern)}
        if not found:
            close = closest_name(pattern, names)
            hint = f"did you mean {shown(close)}? " if close else ""
            raise ValueError(f"no point is named {shown(pattern)}; {hint}'*' stands for any part of a name")
        chosen |= found
    if not chosen:
        raise ValueError("points is an empty list, which keeps nothing; leave it out to keep all")
    return [name for name in names if name in chosen]
