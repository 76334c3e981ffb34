"""Writes the command lines that answer what a comparison leaves open: more points, or each operation alone."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from npblender.groundtruth.tracing.points import split_step

SHORT = 40
"""The most ids of a row that are written into a command; longer ones, batches and masks come from a file."""


def trace_command(inputs: Mapping[str, Any] | None, *options: str) -> str:
    """Write the `npblender trace` command that runs these inputs again.

    >>> trace_command({"input_ids": [[5, 6]], "attention_mask": [[1, 1]], "decoder_input_ids": [[1]]}, "--refed")
    'npblender trace --input-ids 5,6 --decoder-input-ids 1 --refed'
    >>> trace_command({"input_ids": [[5, 6], [7, 8]]}, "--out", "x")
    'npblender trace --inputs INPUTS.json --out x'
    """
    words = ["npblender", "trace"]
    given = dict(inputs or {})
    steps, prefill = given.pop("steps", False), given.pop("prefill", 1)
    rows = {name: value[0] for name, value in given.items() if isinstance(value, list) and len(value) == 1}
    plain = {name: row for name, row in rows.items() if name.endswith("input_ids") and len(row) <= SHORT}
    whole = all(
        name in plain or (name.endswith("attention_mask") and set(rows.get(name, [0])) == {1}) for name in given
    )
    if not whole or "input_ids" not in plain:
        words += ["--inputs", "INPUTS.json"]
    else:
        for name, row in plain.items():
            words += ["--" + name.replace("_", "-"), ",".join(map(str, row))]
        if steps:
            words += ["--steps", "--prefill", str(prefill)]
    return " ".join([*map(shlex.quote, words), *options])


def needs_file(command: str) -> str:
    """Say what INPUTS.json is where a command names it, as a sentence to follow the command."""
    return " (INPUTS.json: the text of the metadata key inputs of the reference)" if "INPUTS.json" in command else ""


def globs_of(names: Sequence[str]) -> list[str]:
    """Cover names of points by few globs, one a layer.

    >>> globs_of(["encoder.layers.0.ffn.sum", "encoder.layers.0.ffn.norm", "step1.logits"])
    ['encoder.layers.0.*', 'step1.logits']
    """
    globs = {}
    for name in names:
        step, bare = split_step(name)
        parts = bare.split(".")
        globs[name if len(parts) < 3 else step + ".".join(parts[: 3 if parts[1] == "layers" else 2]) + ".*"] = True
    return list(globs)
