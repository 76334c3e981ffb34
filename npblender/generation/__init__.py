"""Generation: from an encoded source to the ids of a reply.

Roles, each in a file of its own: `plan` decides what a call does and refuses what can not be done; `decoding` runs the
model step by step; `filters` change scores, in the order of `chain`; the searches choose (`rows` one path a row,
`trees` in ParlAI's way); `stopping` ends a row; `recording` keeps what the result shall hold.
"""

from npblender.generation.mixin import GenerationMixin
from npblender.generation.outputs import (
    GenerateBeamEncoderDecoderOutput,
    GenerateEncoderDecoderOutput,
    Hypothesis,
)

__all__ = [
    "GenerateBeamEncoderDecoderOutput",
    "GenerateEncoderDecoderOutput",
    "GenerationMixin",
    "Hypothesis",
]
