"""The network: ids -> states -> cache -> logits, as the paper has it, with every shape on the line.

In reading order:

    parameters   the weights as a tree, each with its shape
    context      what a pass is given: `Source`, `Target`, and the `Context` that its parts share
    masks        who may attend to whom
    attention    multi-head attention, the feed-forward block, the norm after each
    encoder      source -> states
    kv_cache     the keys and values of the tokens so far
    decoder      target and cache -> states and a longer cache
    forward      the whole: source -> states -> cache -> states -> logits -> loss
    outputs      the records that public methods return

These are formulas of arrays that fit. Around them:

    checks       a caller's arguments, checked once, before a pass
    execution    how a pass is run: threads, groups of rows
    packing      how the matrices are laid out in memory, so that products with them are fast
"""
