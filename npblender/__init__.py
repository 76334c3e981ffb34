"""npblender: BlenderbotSmall in NumPy, to be read, to check a port against, and to chat with on a CPU.

from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer
model = BlenderbotSmallForConditionalGeneration.from_pretrained()      # the demo; or a folder
tokenizer = BlenderbotSmallTokenizer.from_pretrained()
"""

from typing import TYPE_CHECKING, Any

from npblender.cache import Cache
from npblender.chat import Conversation
from npblender.config import BlenderbotSmallConfig
from npblender.config.generation_config import GenerationConfig
from npblender.dialects import PARLAI, TRANSFORMERS_4, TRANSFORMERS_5, Dialect
from npblender.model import (
    BlenderbotSmallForCausalLM,
    BlenderbotSmallForConditionalGeneration,
    BlenderbotSmallModel,
)
from npblender.tokenizer import BlenderbotSmallTokenizer
from npblender.version import __version__ as __version__

if TYPE_CHECKING:
    from npblender.groundtruth import Trace, compare, trace

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

_FOR_PORTERS = ("Trace", "compare", "trace")


def __getattr__(name: str) -> Any:
    """What only a porter needs is imported when it is asked for: a reply starts sooner without it."""
    if name in _FOR_PORTERS:
        from npblender import groundtruth

        return getattr(groundtruth, name)
    raise AttributeError(f"module 'npblender' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_FOR_PORTERS})
