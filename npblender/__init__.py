"""npblender: BlenderbotSmall in NumPy, to be read, to check a port against, and to chat with on a CPU.

from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer
model = BlenderbotSmallForConditionalGeneration.from_pretrained()      # the demo; or a folder
tokenizer = BlenderbotSmallTokenizer.from_pretrained()
"""

import importlib
from typing import TYPE_CHECKING, Any

from npblender.common.version import __version__ as __version__
from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import PARLAI, TRANSFORMERS_4, TRANSFORMERS_5, Dialect
from npblender.config.generation_config import GenerationConfig
from npblender.models import BlenderbotSmallForCausalLM, BlenderbotSmallForConditionalGeneration, BlenderbotSmallModel
from npblender.tokenizer import BlenderbotSmallTokenizer
from npblender.transformer.kv_cache import Cache

if TYPE_CHECKING:
    from npblender.chat import Conversation
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

_WHEN_ASKED_FOR = {"Conversation": "chat", "Trace": "groundtruth", "compare": "groundtruth", "trace": "groundtruth"}
"""What few programs need, and the room that has it: a reply starts sooner without."""


def __getattr__(name: str) -> Any:
    """What few programs need is imported when it is asked for."""
    if name in _WHEN_ASKED_FOR:
        return getattr(importlib.import_module(f"npblender.{_WHEN_ASKED_FOR[name]}"), name)
    raise AttributeError(f"module 'npblender' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHEN_ASKED_FOR})
