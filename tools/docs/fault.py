"""Plants one fault of the zoo in the demo: the first wrong point, and what becomes of a reply.

    python -m tools fault                          # the names of all faults
    python -m tools fault "causal mask missing"    # one of them
    python -m tools fault NAME --say "Hi!"

It is for the tasks "predict, run, explain" of docs/exercises.md. The target of the trace is the right model's reply:
its first three tokens at once (points that begin with `prefill.`), then one a step. Needs npblender and pytest.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer
from npblender.transformer.parameters import from_arrays, to_arrays
from reference_tests.faults.zoo import Array, Fault, harmed_run
from reference_tests.faults.zoo_all import ZOO

PREFILL = 3
CLOSE = 1e-9  # in float64 all that is right agrees far better, and all that is wrong far worse


def first_wrong(right: Mapping[str, Array], wrong: Mapping[str, Array]) -> tuple[str, float] | None:
    """The first point that differs, and by how much of the right one's largest number; None if all are the same."""
    for name, array in right.items():
        other = wrong.get(name)
        if other is None or other.shape != array.shape:
            return name, np.inf
        with np.errstate(invalid="ignore"):
            share = float(np.abs(other - array).max() / max(np.abs(array).max(), 1e-300))
        if not share <= CLOSE:
            return name, share
    return None


def reply_of(fault: Fault | None, model: BlenderbotSmallForConditionalGeneration, ids: list[int]) -> list[int]:
    """The ids of a greedy reply, with the fault planted while it is searched. Faults of what is fed plant nothing."""
    arrays, dialect = to_arrays(model.weights), model.dialect
    with pytest.MonkeyPatch.context() as patch:
        if fault is not None and fault.patch is not None:
            fault.patch(patch)
        if fault is not None and fault.weights is not None:
            fault.weights(arrays)
        if fault is not None and fault.dialect is not None:
            dialect = replace(fault.dialect(dialect), name="faulty")
        planted = BlenderbotSmallForConditionalGeneration(
            model.config, from_arrays(model.config, arrays), dialect=dialect
        )
        settings: dict[str, Any] = {
            "num_beams": 1,
            "min_length": 0,
            "no_repeat_ngram_size": 0,
            "encoder_no_repeat_ngram_size": 0,
        }
        found: list[int] = planted.generate([ids], max_length=24, **settings)[0].tolist()
        return found


def report(name: str, said: str) -> list[str]:
    """What to print of one fault."""
    fault = ZOO[name]
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(dtype="float64")
    tokenizer = BlenderbotSmallTokenizer.from_pretrained()
    ids = tokenizer(said)["input_ids"]
    reply = reply_of(None, model, ids)
    inputs: dict[str, Any] = {
        "input_ids": [ids],
        "decoder_input_ids": [reply[:-1]],
        "steps": True,
        "prefill": min(PREFILL, len(reply) - 2),
    }
    given = (model.config, to_arrays(model.weights), model.dialect, inputs, "float64")
    found = first_wrong(harmed_run(None, *given), harmed_run(fault, *given))
    where = "none" if found is None else f"{found[0]}, off by {found[1]:.1e} of its largest number"
    replies = [
        tokenizer.decode(each, skip_special_tokens=True, clean_up_tokenization_spaces=True)
        for each in (reply, reply_of(fault, model, ids))
    ]
    return [f"first wrong point: {where}", f"right reply:       {replies[0]}", f"with the fault:    {replies[1]}"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", metavar="NAME", help="the fault (default: list all)")
    parser.add_argument("--say", default="Do you have any pets?", help="what the demo is asked")
    arguments = parser.parse_args()
    if arguments.name is None:
        print("\n".join(f"{name:35} {fault.cause}" for name, fault in ZOO.items()))
        return 0
    if arguments.name not in ZOO:
        close = difflib.get_close_matches(arguments.name, ZOO, 1)
        parser.error(f"there is no fault {arguments.name!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
    print("\n".join(report(arguments.name, arguments.say)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
