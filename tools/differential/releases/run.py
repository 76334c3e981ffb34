"""Whether this checkout behaves as an earlier one does, bit for bit: both are recorded, and the records compared.

    python -m tools releases OLD                              # OLD: a checkout of an earlier release
    python -m tools releases OLD --only 'traces*,surface'     # some parts
    python -m tools releases OLD --keep build/releases        # keep both records; that of OLD is made only once

Recorded are the traces of seeded models in every dialect, dtype and memory layout, calls, searches, chats, the output
of every subcommand, packs, tokens, model folders both ways, the errors of bad calls, and the public names. Differences
that are meant stand in a list (`--allow FILE`, see `compare.py`) with a reason each. Status 1 if one is left.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tools import ROOT
from tools.differential.releases.compare import compare, jobs
from tools.differential.releases.record import chosen, record


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="a checkout of an earlier release")
    parser.add_argument("--new", type=Path, default=ROOT, help="the later checkout (default: this one)")
    parser.add_argument("--only", metavar="NAMES", help="jobs or parts, by name or glob, with commas between")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the records in FOLDER/old and FOLDER/new")
    parser.add_argument("--allow", type=Path, metavar="FILE", help="a list of differences that are meant")
    parser.add_argument("--whole", action="store_true", help="do not shorten texts")
    parser.add_argument("--show-allowed", action="store_true", help="print what the list allows, too")
    options = parser.parse_args(arguments)
    try:
        wanted = [job.name for job in chosen(options.only)]
        with tempfile.TemporaryDirectory() as temporary:
            place = (options.keep or Path(temporary)).resolve()
            old, new = place / "old", place / "new"
            missing = [name for name in wanted if not old.exists() or name not in jobs(old)]
            failed = record(options.old.resolve(), old, ",".join(missing)) if missing else []
            failed += record(options.new.resolve(), new, options.only, earlier=old)
            left = compare(
                old, new, options.only, options.allow, whole=options.whole, show_allowed=options.show_allowed
            )
    except ValueError as error:
        parser.error(str(error))
    return 1 if left or failed else 0


if __name__ == "__main__":
    sys.exit(main())
