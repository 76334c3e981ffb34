"""Deliberate mistakes: a zoo of porting errors, faults planted in the package, and bad calls."""
