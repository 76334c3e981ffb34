"""Modules of the demo's training, by idea; `tools/demo/__main__.py` is their command line."""
