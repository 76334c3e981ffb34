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

from __future__ import annotations

import importlib
import sys

from npblender.common.version import __version__ as __version__

TYPE_CHECKING = False  # type checkers take it for True; the module `typing` takes as long to import as all that is here
if TYPE_CHECKING:
    from typing import Any

    from npblender.chat import Conversation
    from npblender.chat.batch import reply_to_all
    from npblender.chat.explanation import Explanation, explain
    from npblender.config import BlenderbotSmallConfig
    from npblender.config.dialect import PARLAI, TRANSFORMERS_4, TRANSFORMERS_5, Dialect
    from npblender.config.generation_config import GenerationConfig
    from npblender.groundtruth import Trace, compare, trace
    from npblender.models import (
        BlenderbotSmallForCausalLM,
        BlenderbotSmallForConditionalGeneration,
        BlenderbotSmallModel,
    )
    from npblender.models.auto import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer
    from npblender.models.keras_flax import (
        FlaxBlenderbotSmallForConditionalGeneration,
        FlaxBlenderbotSmallModel,
        TFBlenderbotSmallForConditionalGeneration,
        TFBlenderbotSmallModel,
    )
    from npblender.tokenizer import BlenderbotSmallTokenizer
    from npblender.tokenizer.fast import BlenderbotSmallTokenizerFast
    from npblender.transformer.kv_cache import Cache

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

_HOMES = {
    "PARLAI": "config.dialect",
    "TRANSFORMERS_4": "config.dialect",
    "TRANSFORMERS_5": "config.dialect",
    "AutoConfig": "models.auto",
    "AutoModelForSeq2SeqLM": "models.auto",
    "AutoTokenizer": "models.auto",
    "BlenderbotSmallConfig": "config",
    "BlenderbotSmallForCausalLM": "models",
    "BlenderbotSmallForConditionalGeneration": "models",
    "BlenderbotSmallModel": "models",
    "BlenderbotSmallTokenizer": "tokenizer",
    "BlenderbotSmallTokenizerFast": "tokenizer.fast",
    "Cache": "transformer.kv_cache",
    "Conversation": "chat",
    "Explanation": "chat.explanation",
    "Dialect": "config.dialect",
    "FlaxBlenderbotSmallForConditionalGeneration": "models.keras_flax",
    "FlaxBlenderbotSmallModel": "models.keras_flax",
    "GenerationConfig": "config.generation_config",
    "TFBlenderbotSmallForConditionalGeneration": "models.keras_flax",
    "TFBlenderbotSmallModel": "models.keras_flax",
    "Trace": "groundtruth",
    "compare": "groundtruth",
    "explain": "chat.explanation",
    "reply_to_all": "chat.batch",
    "trace": "groundtruth",
}
"""The public names, and the room of each: imported at their first use. So a reply imports nothing that it does not
need, and the command line is there, to be interrupted, before NumPy is."""
_ROOMS = (
    *("chat", "checkpoint", "cli", "common", "config", "demo", "generation", "groundtruth", "models", "ops"),
    *("tokenizer", "transformer"),
)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        found = getattr(importlib.import_module(f"npblender.{_HOMES[name]}"), name)
    elif name in _ROOMS:
        found = importlib.import_module(f"npblender.{name}")
    else:
        from npblender.common.instead import INSTEAD, error_for
        from npblender.common.printable import shown

        if name in INSTEAD:
            # An import statement looks with hasattr in _handle_fromlist, which lets an ImportError through; of an
            # AttributeError it would make a text of its own, without the advice. Any other hasattr is to be False.
            raise error_for(name, importing=sys._getframe(1).f_code.co_name == "_handle_fromlist")
        raise AttributeError(f"module 'npblender' has no attribute {shown(name)}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_ROOMS})
