"""Tests of `npblender.groundtruth`: traces, units of noise, comparison, golden packs."""
