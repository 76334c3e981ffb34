"""The version of this package, for all that names it: files that say who made them, and the command line."""

__version__ = "0.1.0"
