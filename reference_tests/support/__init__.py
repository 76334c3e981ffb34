"""What several tests and tools share: drawn models, tolerances, assertions, fixtures' contents."""
