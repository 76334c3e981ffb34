"""The public models: where the forward pass, files and generation meet.

handle      what every model is: configuration, weights, dialect, and the way in and out of files
stacks      encoder and decoder as callables of their own
seq2seq     what the two encoder-decoder models have in common
heads       the three classes
"""

from npblender.models.heads import (
    BlenderbotSmallForCausalLM,
    BlenderbotSmallForConditionalGeneration,
    BlenderbotSmallModel,
)

__all__ = ["BlenderbotSmallForCausalLM", "BlenderbotSmallForConditionalGeneration", "BlenderbotSmallModel"]
