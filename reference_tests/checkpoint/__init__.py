"""Tests of `npblender.checkpoint`: folders read, written and refused."""
