"""The model a second time, in plain Python lists and slow arithmetic, and the tests of these oracles."""
