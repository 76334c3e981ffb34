"""The names of the searches, and the groups of them that read the same settings.

Which search runs is decided in `generation.planning`; which settings a search reads is a column of the table in
`generation_options`. A search that is added here needs both, a module in `generation/search` and a line in
`generation.generate.search_of`.
"""

# transformers' searches
GREEDY = "greedy search"
SAMPLE = "sampling"
BEAM = "beam search"
BEAM_SAMPLE = "beam sampling"
GROUP_BEAM = "group beam search"
CONSTRAINED_BEAM = "constrained beam search"
CONTRASTIVE = "contrastive search"
LOOKUP = "prompt lookup"

# ParlAI's searches
PARLAI_BEAM = "ParlAI beam search"
PARLAI_DELAYED = "ParlAI delayed beam search"
PARLAI_SAMPLE = "ParlAI sampling"

ONE_REPLY = frozenset({GREEDY, CONTRASTIVE, LOOKUP})  # one path and one reply for each source
SEVERAL_BEAMS = frozenset({BEAM, BEAM_SAMPLE, GROUP_BEAM, CONSTRAINED_BEAM})
WARPED = frozenset({SAMPLE, BEAM_SAMPLE})  # reshape the distribution that they draw from
TRANSFORMERS = ONE_REPLY | {SAMPLE} | SEVERAL_BEAMS

PARLAI_RANDOM = frozenset({PARLAI_DELAYED, PARLAI_SAMPLE})
PARLAI = frozenset({PARLAI_BEAM}) | PARLAI_RANDOM

RANDOM = WARPED | PARLAI_RANDOM  # draw random numbers
EVERY = TRANSFORMERS | PARLAI
