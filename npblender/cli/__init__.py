"""The command line: `npblender chat`, `generate`, `tokenize` and `info`, one file a subcommand.

Nothing is computed here, and what is not needed by a subcommand is not imported for it.
"""
