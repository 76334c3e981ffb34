"""Tests of `npblender.config`: the two configurations and what they refuse."""
