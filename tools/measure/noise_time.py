"""How long a trace with noise, and re-fed cases, take at the published size, with random weights.

    python -m tools measure noise-time                 # print
    python -m tools measure noise-time --write-docs    # into docs/numbers-you-can-trust.md

The sizes are those of facebook/blenderbot_small-90M, which are the defaults of `BlenderbotSmallConfig`; a source of 12
tokens and a target of 6, in one pass. Seconds are of one core, by the process's own clock.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable

import numpy as np

from npblender import BlenderbotSmallConfig, BlenderbotSmallForConditionalGeneration
from npblender.groundtruth import TraceInputs, record, refed
from tools import ROOT
from tools.bench.machine import processor
from tools.docs.tables import markdown, write_between_markers

PAGE = ROOT / "docs" / "numbers-you-can-trust.md"
SOURCE, TARGET = 12, 6


def seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write-docs", action="store_true", help=f"put the table into {PAGE.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    config = BlenderbotSmallConfig()
    model = BlenderbotSmallForConditionalGeneration.from_config(config, seed=0, dialect="parlai")
    rng = np.random.default_rng(0)
    inputs = TraceInputs(
        rng.integers(4, config.vocab_size, (1, SOURCE)).tolist(),
        decoder_input_ids=[[1, *rng.integers(4, config.vocab_size, TARGET - 1).tolist()]],
    )
    calls: dict[str, Callable[[], object]] = {
        "a trace in float64, without noise": lambda: record(model, inputs, dtype="float64", noise=False),
        "the same with the noise of every point": lambda: record(model, inputs, dtype="float64"),
        "re-fed cases with the noise of every value": lambda: refed(model, inputs),
    }
    rows = []
    for name, call in calls.items():
        taken = seconds(call)
        rows.append([name, f"{taken:,.0f} s", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB"])
        print(rows[-1], flush=True)
    table = markdown(["what", "time of one core", "most memory so far"], rows)
    machine = f"one core of {processor()}, NumPy {np.__version__}"
    text = f"{model.num_parameters():,} parameters, {SOURCE} source and {TARGET} target tokens; {machine}.\n\n{table}"
    print(text)
    if options.write_docs:
        write_between_markers(PAGE, "noise-time", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
