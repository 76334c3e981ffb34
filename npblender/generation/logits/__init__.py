"""From logits to a choice: what changes the scores before a token is chosen, and how one is drawn.

In reading order:
    processors  penalties, blocks and forced tokens, each a function of scores and of the target so far
    warpers     what cuts a distribution short before a token is drawn: top-k, top-p, typical, ...
    chain       which of them the settings ask for, in transformers' order, and the caller's own
    top_k       the largest of many numbers without sorting them all
    sampling    random draws
"""
