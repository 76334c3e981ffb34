"""What packs hold as truth: definitions in plain Python that share no code with the package they judge.

arithmetic     the numbers: mpmath's, or Python's float64
operations     scalar and tensor operations, number by number
filters        logits processors, row by row
search_steps   the decisions of a search, retraced from its recorded scores
"""
