"""Numbers that the originals computed, with the tests that read them."""
