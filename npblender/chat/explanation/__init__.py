"""How one reply came about, number by number, as data and as one page for a browser: `npblender.explain`.

In reading order:
    explanation    the way in: a model, a tokenizer and a text -> `Explanation`, of every dialect
    runs           one source under one dialect: pieces, search, one pass over source and reply -> `Run`
    pieces         a text's pieces with every merge, and what a token is called
    passes         one pass over source and reply: embeddings, attentions, states, logits
    next_tokens    the most probable tokens of every step, and what the search blocked there
    lens           the logit lens: what every layer of the decoder would say
    searching      the planned search, with what it saw at every step kept
    blocking       what a search could not choose at a step, and why
    search_tree    that record -> the tree of beams, its hypotheses, and their scores by both length penalties
    differences    what two runs have in common, and where they part
    packed         arrays as 16-bit decimal numbers in base64
    as_data        an explanation as plain values for the page, within a limit of bytes
    as_page        these values and the files of `page` -> one HTML file
"""

from npblender.chat.explanation.explanation import Explanation, explain

__all__ = ["Explanation", "explain"]
