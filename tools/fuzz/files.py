"""Damages files, has every reader read them, and counts what comes out: what loads, what is refused, what is a finding.

python -m tools fuzz-files --count 1000000 --write-docs     # docs/security.md
python -m tools fuzz-files --count 20000 --seed 7 --only NPZ
python -m tools fuzz-files --sum a.json b.json --write-docs  # of several runs with --json
python -m tools fuzz-files --replay SEED:READER:NUMBER       # one mutation again, with its traceback

A mutation is decided by the seed, the reader's name and its number, so each can be made again by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from types import FrameType

from tools import ROOT
from tools.docs.tables import markdown, write_between_markers
from tools.fuzz.damage import mutated
from tools.fuzz.file_readers import Reader, laid_out, readers

PAGE = ROOT / "docs" / "security.md"
SECONDS = 20
"""A reader that takes longer hangs: the valid files take milliseconds."""
MEMORY = 3 << 30
"""Memory beyond what the process has at first; the valid files take megabytes."""
MESSAGE = 1200, 102
"""The most letters of a line of a message, and the most lines: a hundred parameters that do not fit."""


def read_one(reader: Reader, folder: Path, seed: int, number: int) -> str:
    """Make one mutation, read it, and say what came out: "loads", "refused", or what is wrong."""
    draw = Random(f"{seed}:{reader.name}:{number}")
    name = draw.choice(reader.damaged)
    (folder / name).write_bytes(mutated(draw, reader.files[name]))
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        reader.read(folder)
        return "loads"
    except (ValueError, TypeError, OSError) as error:
        return _verdict(reader, folder, str(error))
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"raises {type(error).__name__}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for each, content in reader.files.items():
            try:
                intact = (folder / each).stat().st_size == len(content) and (folder / each).read_bytes() == content
            except OSError:
                intact = False
            if not intact:
                (folder / each).write_bytes(content)


def _verdict(reader: Reader, folder: Path, message: str) -> str:
    lines = message.replace(str(folder), "").split("\n")
    if max(map(len, lines)) > MESSAGE[0] or len(lines) > MESSAGE[1]:
        return "has a message too long"
    if reader.names_file and str(folder) not in message:
        return "names no file"
    return "refused"


class Hang(BaseException):
    """A reader took too long."""


def _hang(_signal: int, _frame: FrameType | None) -> None:
    raise Hang


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, help="mutations in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", metavar="READER", help="one reader, by its name")
    parser.add_argument("--replay", metavar="SEED:READER:NUMBER")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the counts there, as the run goes on")
    parser.add_argument("--write-docs", action="store_true", help="write the table of docs/security.md")
    parser.add_argument(
        "--sum", type=Path, nargs="+", metavar="FILE", help="no run: the table of those that wrote FILE"
    )
    arguments = parser.parse_args()
    if arguments.sum:
        text = table(summed([json.loads(path.read_text()) for path in arguments.sum]))
        print(text)
        if arguments.write_docs:
            write_between_markers(PAGE, "fuzz-files", text)
        return 0
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, _hang)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    chosen = [each for each in readers() if arguments.only in (None, each.name)]
    resource.setrlimit(resource.RLIMIT_AS, (max(used * 2, 1 << 30) + MEMORY, resource.RLIM_INFINITY))
    if arguments.replay:
        return replay(chosen, arguments.replay)
    shares = sum(reader.share for reader in chosen)
    found: dict[str, Counter[str]] = {}
    failed = 0
    for reader in chosen:
        counts = found[reader.name] = Counter()
        started = time.monotonic()
        with laid_out(reader) as folder:
            for number in range(round(arguments.count * reader.share / shares)):
                what = read_one(reader, folder, arguments.seed, number)
                if what not in ("loads", "refused"):
                    if counts[what] < 3:
                        print(f"  {arguments.seed}:{reader.name}:{number} {what}", flush=True)
                    failed += 1
                counts[what] += 1
                if arguments.json is not None and number % 1000 == 0:
                    arguments.json.write_text(json.dumps(found))
        print(f"{reader.name}: {dict(counts)} in {time.monotonic() - started:.0f} s", flush=True)
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(found))
    print(f"{sum(map(Counter.total, found.values())):,} mutations, {failed} findings")
    if arguments.write_docs:
        write_between_markers(PAGE, "fuzz-files", table(found))
    return int(failed > 0)


def summed(runs: Sequence[Mapping[str, Mapping[str, int]]]) -> dict[str, Counter[str]]:
    """Add up the counts of several runs, as `--json` writes them.

    >>> summed([{"NPZ": {"loads": 1}}, {"NPZ": {"loads": 2, "refused": 3}}])
    {'NPZ': Counter({'loads': 3, 'refused': 3})}
    """
    found: dict[str, Counter[str]] = {}
    for run in runs:
        for name, counts in run.items():
            found.setdefault(name, Counter()).update(counts)
    return found


def table(found: dict[str, Counter[str]]) -> str:
    """The counts of a run, a reader a row."""
    rows = [
        [name, f"{sum(counts.values()):,}", f"{counts['loads']:,}", f"{counts['refused']:,}",
         f"{sum(counts.values()) - counts['loads'] - counts['refused']:,}"]
        for name, counts in found.items()
    ]  # fmt: skip
    total = [f"{sum(int(row[at].replace(',', '')) for row in rows):,}" for at in range(1, 5)]
    return markdown(["reader", "mutations", "load", "refused", "findings"], [*rows, ["all", *total]])


def replay(chosen: list[Reader], name: str) -> int:
    reader_name = name.split(":")[1]
    reader = next(each for each in chosen if each.name == reader_name)
    with laid_out(reader) as folder:
        draw = Random(name)
        file = draw.choice(reader.damaged)
        content = mutated(draw, reader.files[file])
        (folder / file).write_bytes(content)
        print(f"{file}: {content[:300]!r}")
        try:
            reader.read(folder)
        except Exception as error:
            traceback.print_exc()
            print(len(str(error)), str(error)[:2000])
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
