"""npblender: BlenderbotSmall in NumPy, to be read, to check a port against, and to chat with on a CPU.

    from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer

    model = BlenderbotSmallForConditionalGeneration.from_pretrained()  # the demo; or a folder
    tokenizer = BlenderbotSmallTokenizer.from_pretrained()
    ids = model.generate(**tokenizer(["hello!"], return_tensors="np"))
    print(tokenizer.decode(ids[0], skip_special_tokens=True))

`Conversation` keeps a history, `reply_to_all` replies to many inputs, `explain` shows how a reply comes about, `trace`
and `compare` check a port. The rooms, from the ground up: common, ops, config, tokenizer, transformer, checkpoint,
demo, generation, models, chat, groundtruth, cli.
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
    from npblender.chat.batch import reply_to_all
    from npblender.chat.explanation import Explanation, explain
    from npblender.groundtruth import Trace, compare, trace
    from npblender.models.auto import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer
    from npblender.models.keras_flax import (
        FlaxBlenderbotSmallForConditionalGeneration,
        FlaxBlenderbotSmallModel,
        TFBlenderbotSmallForConditionalGeneration,
        TFBlenderbotSmallModel,
    )
    from npblender.tokenizer.fast import BlenderbotSmallTokenizerFast

__all__ = [
    "PARLAI",
    "TRANSFORMERS_4",
    "TRANSFORMERS_5",
    "AutoConfig",
    "AutoModelForSeq2SeqLM",
    "AutoTokenizer",
    "BlenderbotSmallConfig",
    "BlenderbotSmallForCausalLM",
    "BlenderbotSmallForConditionalGeneration",
    "BlenderbotSmallModel",
    "BlenderbotSmallTokenizer",
    "BlenderbotSmallTokenizerFast",
    "Cache",
    "Conversation",
    "Dialect",
    "Explanation",
    "FlaxBlenderbotSmallForConditionalGeneration",
    "FlaxBlenderbotSmallModel",
    "GenerationConfig",
    "TFBlenderbotSmallForConditionalGeneration",
    "TFBlenderbotSmallModel",
    "Trace",
    "compare",
    "explain",
    "reply_to_all",
    "trace",
]

_IMPORTED_LATER = {
    "AutoConfig": "models.auto",
    "AutoModelForSeq2SeqLM": "models.auto",
    "AutoTokenizer": "models.auto",
    "BlenderbotSmallTokenizerFast": "tokenizer.fast",
    "Conversation": "chat",
    "Explanation": "chat.explanation",
    "FlaxBlenderbotSmallForConditionalGeneration": "models.keras_flax",
    "FlaxBlenderbotSmallModel": "models.keras_flax",
    "TFBlenderbotSmallForConditionalGeneration": "models.keras_flax",
    "TFBlenderbotSmallModel": "models.keras_flax",
    "Trace": "groundtruth",
    "compare": "groundtruth",
    "explain": "chat.explanation",
    "reply_to_all": "chat.batch",
    "trace": "groundtruth",
}
"""Names that few programs need, and the room of each: imported at their first use, so that a reply starts sooner."""


def __getattr__(name: str) -> Any:
    if name in _IMPORTED_LATER:
        return getattr(importlib.import_module(f"npblender.{_IMPORTED_LATER[name]}"), name)
    from npblender.common.printable import shown

    raise AttributeError(f"module 'npblender' has no attribute {shown(name)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_IMPORTED_LATER})
