"""Generation: from an encoded source to the ids of a reply.

In reading order:
    plan, planning      what a call does, decided before anything is computed; what is refused
    decoder_state       the arrays of the call, checked and encoded; the decoder, step by step, and its cache
    logits/             from logits to a choice: processors, warpers, sampling
    stopping            when a row ends
    search/             the searches, a file each
    outputs             what comes back
    streaming           text while it is made
    shared_decoder, walks   many searches that come and go, a step at a time in one batch
    generate, mixin     the way in, as a function and as the model's methods
    call_arguments      the types of their keyword arguments, for type checkers

It reads no files, and text only for stop strings and streaming.
"""

from npblender.generation.mixin import GenerationMixin
from npblender.generation.outputs import GenerateBeamEncoderDecoderOutput, GenerateEncoderDecoderOutput, Hypothesis

__all__ = [
    "GenerateBeamEncoderDecoderOutput",
    "GenerateEncoderDecoderOutput",
    "GenerationMixin",
    "Hypothesis",
]
