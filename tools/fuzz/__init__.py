"""Readers of files from strangers, fed with mutated files: what each must never do, whatever it is given."""
