"""The version of this package, for files that name their maker and for the command line."""

__version__ = "0.1.0"
