"""Modules of the demo's training, by idea; `tools/train_demo.py` is their command line."""
