"""Whether two checkouts behave alike: a record of each, and a comparison of the two records, bit for bit.

run        the command: `python -m tools releases OLD_CHECKOUT`
record     runs every part with one checkout and writes what it saw
compare    two records: every difference, and which of them a list allows
parts/     what is recorded, one module a part
frozen/    inputs: seeded models, calls, searches, and calls that must fail
places     where things lie that are not public, in every layout of the package
book       values as text and digests
"""
