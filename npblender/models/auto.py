"""transformers' Auto classes: they read a folder's `model_type` and give the one class that there is for it here."""

from __future__ import annotations

import os
from typing import Any

from npblender import demo
from npblender.common import json_files
from npblender.common.checks import switch_or_default
from npblender.common.printable import shown
from npblender.config import BlenderbotSmallConfig
from npblender.models.heads import BlenderbotSmallForConditionalGeneration
from npblender.tokenizer import BlenderbotSmallTokenizer


def check_model_type(
    folder: str | os.PathLike[str] | None, options: dict[str, Any] | None = None, need: str = "config"
) -> None:
    """Refuse a folder whose config.json says that it is of another model. One without config.json passes.

    `options` are those of `from_pretrained`. What `force_download` asks for is done here, and taken out of them.

    Raises:
        FileNotFoundError, ValueError: there is no such folder, or its model is not covered.
    """
    options = {} if options is None else options
    where = {name: options[name] for name in json_files.DOWNLOAD if name in options}
    options.pop("force_download", None)
    place = json_files.model_folder(demo.folder() if folder is None else folder, need=need, **where)
    path = place / "config.json"
    if not path.is_file():
        return
    found = json_files.read_object(path).get("model_type")
    if found != BlenderbotSmallConfig.model_type:
        raise ValueError(
            f"{path}: model_type is {shown(found)}; only {shown(BlenderbotSmallConfig.model_type)} is covered here"
        )


class _Auto:
    """The base of classes with class methods only, of which there are no instances."""

    def __init__(self, *_arguments: Any, **_options: Any) -> None:
        raise TypeError(f"{type(self).__name__} is not made itself: from_pretrained(folder) gives the folder's class")


class AutoConfig(_Auto):
    """transformers' `AutoConfig`.

    >>> AutoConfig.from_pretrained().model_type
    'blenderbot-small'
    """

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str] | None = None, **changes: Any) -> BlenderbotSmallConfig:
        """Read a folder's configuration, with `changes` to its fields."""
        check_model_type(folder, changes)
        return BlenderbotSmallConfig.from_pretrained(demo.folder() if folder is None else folder, **changes)

    @classmethod
    def for_model(cls, model_type: str, **fields: Any) -> BlenderbotSmallConfig:
        """Make a configuration from its type's name and fields.

        >>> AutoConfig.for_model("blenderbot-small", d_model=64).d_model
        64
        """
        return BlenderbotSmallConfig.from_dict({"model_type": model_type, **fields})


class AutoTokenizer(_Auto):
    """transformers' `AutoTokenizer`.

    >>> type(AutoTokenizer.from_pretrained()).__name__
    'BlenderbotSmallTokenizer'
    """

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str] | None = None, **options: Any) -> BlenderbotSmallTokenizer:
        """Read a folder's tokenizer; options as `BlenderbotSmallTokenizer.from_pretrained` takes them.

        `use_fast=True` gives `BlenderbotSmallTokenizerFast` (extra `[fast]`), with the same ids.
        """
        fast = switch_or_default("use_fast", options.pop("use_fast", None), False)
        check_model_type(folder, options, "tokenizer")
        if fast:
            from npblender.tokenizer.fast import BlenderbotSmallTokenizerFast

            return BlenderbotSmallTokenizerFast.from_pretrained(folder, **options)
        return BlenderbotSmallTokenizer.from_pretrained(folder, **options)


class AutoModelForSeq2SeqLM(_Auto):
    """transformers' `AutoModelForSeq2SeqLM`.

    >>> type(AutoModelForSeq2SeqLM.from_pretrained()).__name__
    'BlenderbotSmallForConditionalGeneration'
    """

    @classmethod
    def from_pretrained(
        cls, folder: str | os.PathLike[str] | None = None, **options: Any
    ) -> BlenderbotSmallForConditionalGeneration:
        """Load a folder's model; options as `BlenderbotSmallForConditionalGeneration.from_pretrained` takes them."""
        check_model_type(folder, options, "model")
        return BlenderbotSmallForConditionalGeneration.from_pretrained(folder, **options)

    @classmethod
    def from_config(cls, config: BlenderbotSmallConfig, **options: Any) -> BlenderbotSmallForConditionalGeneration:
        """Make a model with seeded random weights, as `BlenderbotSmallForConditionalGeneration.from_config` does."""
        return BlenderbotSmallForConditionalGeneration.from_config(config, **options)
