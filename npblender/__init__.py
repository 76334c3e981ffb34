"""npblender: BlenderbotSmall in NumPy, to be read, to check a port against, and to chat with on a CPU.

from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer
model = BlenderbotSmallForConditionalGeneration.from_pretrained()      # the demo; or a folder
tokenizer = BlenderbotSmallTokenizer.from_pretrained()
"""

from npblender.cache import Cache
from npblender.chat import Conversation
from npblender.config import BlenderbotSmallConfig
from npblender.config.generation_config import GenerationConfig
from npblender.dialects import PARLAI, TRANSFORMERS_4, TRANSFORMERS_5, Dialect
from npblender.groundtruth import Trace, compare, trace
from npblender.model import (
    BlenderbotSmallForCausalLM,
    BlenderbotSmallForConditionalGeneration,
    BlenderbotSmallModel,
)
from npblender.tokenizer import BlenderbotSmallTokenizer
from npblender.version import __version__ as __version__

__all__ = [
    "PARLAI",
    "TRANSFORMERS_4",
    "TRANSFORMERS_5",
    "BlenderbotSmallConfig",
    "BlenderbotSmallForCausalLM",
    "BlenderbotSmallForConditionalGeneration",
    "BlenderbotSmallModel",
    "BlenderbotSmallTokenizer",
    "Cache",
    "Conversation",
    "Dialect",
    "GenerationConfig",
    "Trace",
    "compare",
    "trace",
]
