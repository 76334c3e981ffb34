"""How fast npblender is beside other engines, and how near to what the machine allows.

    works      what is timed, and what each work must at least touch and compute
    folder     a model folder of the wanted sizes: random weights, a tokenizer, all that peers read
    texts      chat text that no tokenizer has seen
    machine    read bandwidth, matrix products, names and versions
    peers      one adapter an engine, and the table of them
    worker     one process an engine: it answers one request at a time
    rounds     asks the workers in turn, A B A B, with fresh inputs in every round
    starting   whole processes, from their start to a reply, and their peak memory
    summary    ratios, medians, spread, lines
    growth     how cost grows along a reply, with beams, with text
    plot       a drawing of the growth against the bounds
    report     the tables and the JSON file
    running    the command
Nothing here is imported by npblender, and the peers' packages live in environments of their own (python -m tools
originals).
"""
