"""Numbers that a port is checked against: traces, their units of noise, comparison, golden packs."""
