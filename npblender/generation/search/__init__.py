"""The searches, a file each: which path through the tokens becomes the reply.

In reading order:
    greedy_and_sampling  one path a row: the best token each time, or a random one
    beam                 several paths a source, as transformers does it (Sutskever et al. 2014)
    beam_hypotheses      finished hypotheses, for the next two
    diverse_beam         groups of beams that keep apart (Vijayakumar et al. 2018)
    constrained_beam     beams that must say given words (Post and Vilar 2018)
    contrastive          probable tokens, unlike what has been said (Su et al. 2022)
    prompt_lookup        greedy search that guesses several tokens at a time (Saxena 2023)
    parlai               ParlAI's beam search, sampling and delayed beam search

Each is a generator: it yields the tokens of a step where one path a row is followed, and returns the record.
"""
