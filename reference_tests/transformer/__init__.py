"""Tests of `npblender.transformer`: the forward pass, its taps, and how it is executed."""
