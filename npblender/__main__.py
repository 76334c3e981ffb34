"""`python -m npblender` is the console script `npblender`."""

import sys

INTERRUPTED = 130


def main() -> int:
    """Run one command and return its exit code; Ctrl-C ends it quietly, even while its modules are imported."""
    try:
        from npblender.cli.main import main as run

        return run()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":  # not in the processes that a run starts, which import this module again
    sys.exit(main())
