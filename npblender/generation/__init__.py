"""Generation: from an encoded source to the ids of a reply.

What a call does is decided before anything is computed, and each role has a file of its own:

    uses, settling, refusals, plan   which search, which settings, which limits; what can not be done
    prepare, decoding                the arrays and the encoder; the decoder step by step
    filters, truncation, chain       scores -> scores, and in which order
    stopping                         when a row ends
    rows                             searches that follow one path a row: greedy, sampling
    beams; scorer, groups, constrained, constraints; contrastive; lookup      transformers' others
    parlai, trees                    ParlAI's beam search, sampling and delayed beams
    top, drawing                     the largest of many; random choices
    recording, outputs, transitions  what comes back
    streaming                        replies while they are made
    api, mixin                       the way in, as a function and as a method
It reads no files, knows no text but where text is asked for, and does not know the public models.
"""

from npblender.generation.mixin import GenerationMixin
from npblender.generation.outputs import GenerateBeamEncoderDecoderOutput, GenerateEncoderDecoderOutput, Hypothesis

__all__ = [
    "GenerateBeamEncoderDecoderOutput",
    "GenerateEncoderDecoderOutput",
    "GenerationMixin",
    "Hypothesis",
]
