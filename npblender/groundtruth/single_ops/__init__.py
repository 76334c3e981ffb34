"""single_ops."""
