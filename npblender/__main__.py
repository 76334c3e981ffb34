"""`python -m npblender` is the console script `npblender`."""

import os
import sys

INTERRUPTED = 130
DEFAULT_THREADS = "OPENBLAS_DEFAULT_NUM_THREADS"


def main() -> int:
    """Run one command and return its exit code; Ctrl-C ends it quietly, even while its modules are imported."""
    try:
        if says_once(sys.argv[1:]):
            import_numpy_with_one_thread()
        from npblender.cli.main import main as run

        return run()
    except KeyboardInterrupt:
        return INTERRUPTED


def says_once(argv: list[str]) -> bool:
    """Whether the arguments are those of `npblender chat --say TEXT`, which replies and ends.

    >>> says_once(["chat", "--say=hi"]), says_once(["chat"]), says_once(["serve", "--say", "hi"])
    (True, False, False)
    """
    return argv[:1] == ["chat"] and any(argument.partition("=")[0] == "--say" for argument in argv)


def import_numpy_with_one_thread() -> None:
    """Import NumPy while its OpenBLAS is to start no second thread, unless the user has set a number of his own.

    That thread busy-waits for work from the import on: as much processor time as the whole reply of a small model
    takes. OpenBLAS reads this variable only where OPENBLAS_NUM_THREADS and OMP_NUM_THREADS are not set; it is removed
    again, so that one that is there later is the user's. A large model wakes the others: see `cli.options`.
    """
    if DEFAULT_THREADS in os.environ:
        return
    os.environ[DEFAULT_THREADS] = "1"
    try:
        import numpy  # noqa: F401
    finally:
        del os.environ[DEFAULT_THREADS]


if __name__ == "__main__":  # not in the processes that a run starts, which import this module again
    sys.exit(main())
