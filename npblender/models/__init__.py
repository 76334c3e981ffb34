"""The public models: where the forward pass, files and generation meet. In reading order:

example      a tiny model for worked examples
habits       what transformers users write on a model from memory: honoured, or what to write instead
pretrained   what every model has: configuration, weights, dialect, and its way in and out of a folder
submodules   the encoder and the decoder as callables, and the way of a call's arguments into either
seq2seq      what the two encoder-decoder models share: `forward`, and Flax's `encode`, `init_cache`, `decode`
heads        the three classes
flax_params  Flax's nested parameters and the weights' tree, one from the other
keras_flax   transformers 4's Keras and Flax classes by name, with their calling habits
auto         transformers' Auto classes
convert      a folder in any file format -> one that both transformers load
signatures   accepts the torch, Keras and Flax spellings of an argument
"""

from npblender.models.heads import (
    BlenderbotSmallForCausalLM,
    BlenderbotSmallForConditionalGeneration,
    BlenderbotSmallModel,
)

__all__ = ["BlenderbotSmallForCausalLM", "BlenderbotSmallForConditionalGeneration", "BlenderbotSmallModel"]
