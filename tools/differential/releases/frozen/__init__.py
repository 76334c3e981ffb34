"""Inputs that do not change with the package: copies, so that every checkout is asked the same questions."""
