"""Tests of `npblender.ops`: elementary operations and packed products."""
