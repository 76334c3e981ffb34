"""The error budget of a model, and the float32 ports that are scored against it."""
