"""Tests of `npblender.models`: the public classes and their arguments."""
