"""Modules of the demo's training, by idea; `python -m tools demo` is their command line."""
