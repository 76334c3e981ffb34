"""Tests of `npblender.tokenizer`: text to ids and back."""
