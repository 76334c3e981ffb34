"""`python -m npblender` is the console script `npblender`."""

import sys

from npblender.cli.main import main

if __name__ == "__main__":  # not in the processes that a run starts, which import this module again
    sys.exit(main())
