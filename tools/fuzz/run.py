"""Feeds the readers of checkpoints with mutated files and says what came of it.

    python -m tools fuzz                                  # every reader, 20,000 files each
    python -m tools fuzz pickle flax --executions 1000000 # some, more often
    python -m tools fuzz pickle --seed 7 --first 4711 --executions 1   # one file again
    python -m tools fuzz --write-docs LOG [LOG ...]       # docs/security.md, from what runs have printed

The same seed and number give the same file. Exits with 1 if a reader did what it must not (see `checkpoints.py`); the
file is kept, and its name printed.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from tools import ROOT
from tools.docs.tables import write_between_markers
from tools.fuzz.checkpoints import CRASHING, READERS, isolated
from tools.fuzz.mutations import mutated
from tools.fuzz.report import table
from tools.fuzz.watching import Fault

PAGE = ROOT / "docs" / "security.md"
AT_ONCE = 20_000  # executions of a reader that may crash, in one process
LONGEST = 3.0  # seconds of the processor for one of these, which needs less than a thousandth


def here(name: str, first: int, count: int, seed: int, report: bool) -> int:
    """Run executions in this process. The status: 1 after the first fault."""
    reader = READERS[name]
    seeds = reader.seeds()
    for number in range(first, first + count):
        if report:
            limit_time()
            print(f"doing {number - first}", flush=True)
        data = mutated(random.Random(f"{name} {seed} {number}"), seeds, reader.words)
        try:
            reader.execute(data)
        except (Fault, Exception) as fault:
            kept = Path(tempfile.gettempdir()) / f"fuzz-{name}-{seed}-{number}"
            kept.write_bytes(data)
            which = f"{name} {number} of seed {seed}"
            print(
                f"{which}: {type(fault).__name__}: {fault}; the file is {kept}, and no other was read", file=sys.stderr
            )
            return 1
    return 0


def limit_time() -> None:
    """End this process if what follows takes too long: code in C cannot be interrupted otherwise."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, LONGEST)


def apart(name: str, first: int, count: int, seed: int) -> tuple[int, list[str]]:
    """Run executions in processes of their own, and go on behind one that takes its process with it."""
    done, ends, status = 0, [], 0
    while done < count:
        part, ended = isolated(name, first + done, min(AT_ONCE, count - done), seed)
        done += part
        if ended:
            ends.append(ended)
            print(f"{name} {first + done - 1}: {ended}", file=sys.stderr, flush=True)
            status |= not ended.startswith("ended with -")
    return status, ends


def counted(ends: list[str]) -> str:
    """What became of the processes: those that a signal of the system ended, and those whose time was over.

    >>> counted(["ended with -27 ", "ended with -11 ", "ended with -27 "])
    '1 crashed, 2 did not come back'
    """
    late = sum(end.startswith(f"ended with -{getattr(signal, 'SIGPROF', 27):d} ") for end in ends)
    return f"{len(ends) - late} crashed, {late} did not come back"


def main() -> int:
    listing = "\n".join(f"    {name:13}{reader.about}" for name, reader in READERS.items())
    parser = argparse.ArgumentParser(
        description=f"{__doc__}\nreaders:\n{listing}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("readers", nargs="*", metavar="READER", help="which (default: all)")
    parser.add_argument("--executions", type=int, default=20_000, metavar="N", help="files for each (default: 20000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first file (default: 0)")
    parser.add_argument("--write-docs", nargs="+", type=Path, metavar="LOG", help="no run: a table of the runs in LOG")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = [name for name in options.readers if name not in READERS]
    if unknown:
        parser.error(f"no reader is called {', '.join(unknown)}; there are {', '.join(READERS)}")
    if options.write_docs:
        write_between_markers(PAGE, "fuzz", table([path.read_text() for path in options.write_docs]))
        return 0
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
            wrong, ends = apart(name, options.first, options.executions, options.seed)
            ended = f"in the library's process {counted(ends)}"
        else:
            wrong, ended = here(name, options.first, options.executions, options.seed, False), ""
        status |= wrong
        outcome = "FAULT" if wrong else "no fault"
        seconds = time.monotonic() - started
        more = f", {ended}" if ended else ""
        files = f"{options.executions:,} files of seed {options.seed}"
        print(f"{name:13} {files}, {seconds:.0f} s: {outcome}{more}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
