"""Feeds the readers of checkpoints with mutated files and says what came of it.

    python -m tools fuzz                                  # every reader, 20,000 files each
    python -m tools fuzz pickle flax --executions 1000000 # some, more often
    python -m tools fuzz pickle --seed 7 --first 4711 --executions 1   # one file again

The same seed and number give the same file. Exits with 1 if a reader did what it must not (see `checkpoints.py`); the
file is kept, and its name printed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tools.fuzz.checkpoints import CRASHING, READERS, Fault, isolated
from tools.fuzz.mutations import mutated

AT_ONCE = 20_000  # executions of a reader that may crash, in one process


def here(name: str, first: int, count: int, seed: int, report: bool) -> int:
    """Run executions in this process. The status: 1 after the first fault."""
    reader = READERS[name]
    seeds = reader.seeds()
    for number in range(first, first + count):
        data = mutated(random.Random(f"{name} {seed} {number}"), seeds, reader.words)
        try:
            reader.execute(data)
        except (Fault, Exception) as fault:
            kept = Path(tempfile.gettempdir()) / f"fuzz-{name}-{seed}-{number}"
            kept.write_bytes(data)
            print(f"{name} {number}: {type(fault).__name__}: {fault}; the file is {kept}", file=sys.stderr)
            return 1
        if report and (number - first) % 100 == 0:
            print(f"done {number - first}", flush=True)
    return 0


def apart(name: str, first: int, count: int, seed: int) -> tuple[int, list[str]]:
    """Run executions in processes of their own, and go on behind one that takes its process with it."""
    done, crashes, status = 0, [], 0
    while done < count:
        part, ended = isolated(name, first + done, min(AT_ONCE, count - done), seed)
        done += part
        if ended:
            crashes.append(f"{first + done - 1}: {ended}")
            status |= "Fault" in ended
    return status, crashes


def main() -> int:
    listing = "\n".join(f"    {name:13}{reader.about}" for name, reader in READERS.items())
    parser = argparse.ArgumentParser(
        description=f"{__doc__}\nreaders:\n{listing}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("readers", nargs="*", metavar="READER", help="which (default: all)")
    parser.add_argument("--executions", type=int, default=20_000, metavar="N", help="files for each (default: 20000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first file (default: 0)")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = [name for name in options.readers if name not in READERS]
    if unknown:
        parser.error(f"no reader is called {', '.join(unknown)}; there are {', '.join(READERS)}")
    if options.here:
        return here(options.readers[0], options.first, options.executions, options.seed, True)
    status = 0
    for name in options.readers or READERS:
        started = time.monotonic()
        if name in CRASHING:
            try:
                import h5py  # noqa: F401
            except ImportError:
                print(f"{name:13} left out: it needs h5py, pip install 'npblender[formats]'", flush=True)
                continue
            wrong, crashes = apart(name, options.first, options.executions, options.seed)
            ended = f"{len(crashes)} took their process with them" if crashes else "none took its process with it"
        else:
            wrong, ended = here(name, options.first, options.executions, options.seed, False), ""
        status |= wrong
        outcome = "FAULT" if wrong else "no fault"
        seconds = time.monotonic() - started
        more = f", {ended}" if ended else ""
        print(f"{name:13} {options.executions:,} files, {seconds:.0f} s: {outcome}{more}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
