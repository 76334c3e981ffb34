"""Tests of `npblender.generation`: logits processors, searches, streaming."""
