"""Tests of the model in `npblender/demo` and of its trainer in `tools/demo`."""
