"""Tests of `npblender.cli`: every subcommand, run as a user runs it."""
