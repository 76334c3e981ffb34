"""transformers' Auto classes: they read a folder's `model_type` and give the one class that there is for it here."""

from __future__ import annotations

import os
from typing import Any

from npblender import demo
from npblender.common import json_files
from npblender.config import BlenderbotSmallConfig
from npblender.models.heads import BlenderbotSmallForConditionalGeneration
from npblender.tokenizer import BlenderbotSmallTokenizer


def check_model_type(folder: str | os.PathLike[str] | None) -> None:
    """Refuses a folder whose config.json says that it is of another model. One without config.json passes.

    Raises:
        FileNotFoundError, ValueError: there is no such folder, or its model is not covered.

    >>> check_model_type(None)  # the demo
    """
    path = json_files.model_folder(demo.folder() if folder is None else folder) / "config.json"
    if not path.is_file():
        return
    found = json_files.read_object(path).get("model_type")
    if found != BlenderbotSmallConfig.model_type:
        raise ValueError(f"{path}: model_type is {found!r}; only {BlenderbotSmallConfig.model_type!r} is covered here")


class _Auto:
    """A class that is asked and never made."""

    def __init__(self, *_arguments: Any, **_options: Any) -> None:
        raise TypeError(f"{type(self).__name__} is not made itself: from_pretrained(folder) gives the folder's class")


class AutoConfig(_Auto):
    """transformers' `AutoConfig`.

    >>> AutoConfig.from_pretrained().model_type
    'blenderbot-small'
    """

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str] | None = None, **changes: Any) -> BlenderbotSmallConfig:
        """Reads a folder's configuration, with `changes` to its fields."""
        check_model_type(folder)
        return BlenderbotSmallConfig.from_pretrained(demo.folder() if folder is None else folder, **changes)

    @classmethod
    def for_model(cls, model_type: str, **fields: Any) -> BlenderbotSmallConfig:
        """Makes a configuration from its type's name and fields.

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
        """Reads a folder's tokenizer; options as `BlenderbotSmallTokenizer.from_pretrained` takes them."""
        check_model_type(folder)
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
        """Loads a folder's model; options as `BlenderbotSmallForConditionalGeneration.from_pretrained` takes them."""
        check_model_type(folder)
        return BlenderbotSmallForConditionalGeneration.from_pretrained(folder, **options)

    @classmethod
    def from_config(cls, config: BlenderbotSmallConfig, **options: Any) -> BlenderbotSmallForConditionalGeneration:
        """Makes a model with seeded random weights, as `BlenderbotSmallForConditionalGeneration.from_config` does."""
        return BlenderbotSmallForConditionalGeneration.from_config(config, **options)
