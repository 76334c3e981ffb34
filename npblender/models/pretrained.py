"""What every public model has: a configuration, weights, a dialect, and its way in and out of a folder.

The three classes in heads.py differ only in their parts and heads. `npblender.transformer` has the mathematics and the
checks of a call's arguments, `npblender.checkpoint` the files.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from npblender import checkpoint, demo
from npblender.common import json_files
from npblender.common.array_types import Array
from npblender.common.checks import as_array, check_magnitude, check_whole, switch_or_default
from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import Dialect, resolve_dialect
from npblender.config.generation_config import GenerationConfig, as_generation_config
from npblender.models.habits import Habits, representation
from npblender.models.signatures import accepts_transformers_names
from npblender.transformer.execution import keep_freed_memory
from npblender.transformer.packing import lay_out, storage_of
from npblender.transformer.parameters import (
    FULL_MODEL,
    Embedding,
    Parts,
    Weights,
    expected_shapes,
    parameters,
    random_weights,
)

Model = TypeVar("Model", bound="PreTrainedModel")


class PreTrainedModel(Habits):
    """Configuration, weights and dialect of one model. Weights are values: changing a model means giving it others."""

    parts: ClassVar[Parts] = FULL_MODEL
    _config_changes: ClassVar[Mapping[str, Any]] = {}  # what the class sets in its configuration, as transformers does

    def __init__(
        self,
        config: BlenderbotSmallConfig,
        weights: Weights | None = None,
        *,
        dialect: str | Dialect = "parlai",
        generation_config: GenerationConfig | None = None,
        seed: int | None = None,
    ) -> None:
        """Make a model of weights; or, as in transformers, one with random weights, the same for the same `seed`."""
        if not isinstance(config, BlenderbotSmallConfig):
            raise TypeError(f"config must be a BlenderbotSmallConfig, not {type(config).__name__}")
        config = config.replace(**self._config_changes) if self._config_changes else config
        if weights is None:
            seed = int(np.random.default_rng().integers(2**32)) if seed is None else check_whole("seed", seed)
            weights = random_weights(config, seed, np.dtype(np.float32), self.parts)
        elif seed is not None:
            raise ValueError("seed is for random weights: leave it out, or leave out the weights")
        if not isinstance(weights, Weights):
            raise TypeError(
                f"weights must be Weights, not {type(weights).__name__}; without them random ones are drawn, "
                "Model(config, seed=0), and from_pretrained(folder) reads those of a folder"
            )
        found = {name: parameter.shape for name, parameter in parameters(weights).items()}
        expected = expected_shapes(config, self.parts)
        wrong = [name for name in {**expected, **found} if found.get(name) != expected.get(name)]
        if wrong:
            each = "; ".join(f"{name} is {found.get(name)}, not {expected.get(name)}" for name in wrong)
            raise ValueError(f"the weights do not fit the config of a {type(self).__name__}: {each}")
        found_dtypes = dict.fromkeys(parameter.dtype for parameter in parameters(weights).values())
        dtypes = set(map(checkpoint.resolve_dtype, found_dtypes))
        if len(dtypes) > 1:
            raise ValueError(f"the weights must have one dtype, not {', '.join(sorted(map(str, dtypes)))}")
        self.config = config
        self._set_weights(weights, storage_of(weights))
        self.dialect = resolve_dialect(dialect)
        self.generation_config = (
            GenerationConfig.from_model_config(config) if generation_config is None else generation_config
        )

    @classmethod
    @accepts_transformers_names()
    def from_config(
        cls: type[Model],
        config: BlenderbotSmallConfig,
        *,
        seed: int,
        dialect: str | Dialect = "parlai",
        dtype: DTypeLike = "float32",
    ) -> Model:
        """Make a model with seeded random weights, the same for the same seed on every machine (see `random_weights`).

        `dtype` as in `from_pretrained`.

        >>> type(model).from_config(config, seed=0, dtype="float64").dtype
        dtype('float64')
        """
        if not isinstance(config, BlenderbotSmallConfig):
            raise TypeError(f"config must be a BlenderbotSmallConfig, not {type(config).__name__}")
        seed = check_whole("seed", seed)
        computed, storage = checkpoint.resolve_storage(dtype)
        weights = lay_out(config, random_weights(config, seed, computed, cls.parts), cls.parts, storage)
        return cls(config, weights, dialect=dialect)

    @classmethod
    @accepts_transformers_names()
    def from_pretrained(
        cls: type[Model],
        folder: str | os.PathLike[str] | None = None,
        *,
        dialect: str | Dialect | None = None,
        dtype: DTypeLike = "float32",
        allow_pickle: bool = False,
        subfolder: str = "",
        revision: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        token: str | bool | None = None,
        force_download: bool = False,
    ) -> Model:
        """Load the model in a folder, or of a name on the Hugging Face Hub: configuration, settings and weights.

        Without a folder it is the demo that comes with the package. `dialect` is the one the folder was saved with,
        else "parlai". `dtype` is "float32", "float64" or "longdouble", whatever the file stores.

        `dtype` may also be "float16" or "bfloat16": half the memory, and slower; a token of the 90M takes about 1.7 and
        1.3 times as long (docs/performance.md). Large matrices are then kept in this format, rounded to the nearest;
        everything else, all arithmetic and all results are float32. Results are those of the rounded weights: a
        checkpoint that was stored so anyway, as the demo is in float16, loses nothing; any other becomes another model.

        The weights are safetensors, flax_model.msgpack, tf_model.h5 (with h5py: `npblender[formats]`), or, with
        `allow_pickle=True`, pytorch_model.bin or ParlAI's `model`. What reads a pickle here runs nothing in it; the
        switch is there because to read a file of a stranger should be a decision. `subfolder` is where in the folder
        the model lies.

        A name such as "facebook/blenderbot_small-90M" that is no folder is looked up in the Hub's cache, and downloaded
        with `npblender[hub]`. `revision` is a branch, a tag or a commit, `cache_dir` another cache, `token` for models
        that are not public; `local_files_only` downloads nothing, `force_download` what is in the cache, too.

        Raises FileNotFoundError for a folder or file that is not there, ValueError for files that do not fit.

        >>> type(model).from_pretrained("no such folder")
        Traceback (most recent call last):
        FileNotFoundError: there is no folder 'no such folder'; give a folder on this machine that holds config.json \
and the weights, or the name of a model on the Hub
        """
        arguments = locals()
        given = demo.FOLDER if folder is None else folder
        folder = json_files.model_folder(given, **{name: arguments[name] for name in json_files.DOWNLOAD})
        config = BlenderbotSmallConfig.from_pretrained(folder)
        if dialect is None:
            try:
                dialect = resolve_dialect(config.npblender_dialect or "parlai")
            except (TypeError, ValueError) as error:
                raise ValueError(f"{os.path.join(folder, 'config.json')}: {error}") from error
        weights = checkpoint.load(folder, config, cls.parts, dtype, allow_pickle=allow_pickle)
        settings = GenerationConfig.from_pretrained(folder)
        model = cls(config, weights, dialect=dialect, generation_config=settings)
        model.name_or_path = os.path.join(given, subfolder) if subfolder else os.fspath(given)
        return model

    @accepts_transformers_names()
    def save_pretrained(
        self,
        folder: str | os.PathLike[str],
        *,
        dtype: str | None = None,
        max_shard_size: int | str | None = None,
    ) -> None:
        """Write what `from_pretrained` here and in both transformers reads, the dialect under a key of ours.

        `dtype` is what the file stores: "float16", "bfloat16", "float32", "float64"; None stores what the model has,
        of one that keeps its large matrices in 16 bits these in 16 bits and the rest in float32. With `max_shard_size`,
        bytes or a text such as "200MB", there are several files if one would be larger.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save_pretrained(folder)
        ...     type(model).from_pretrained(folder).dialect.name
        'parlai'
        """
        size = None if max_shard_size is None else checkpoint.shard_bytes(max_shard_size)
        checkpoint.save(folder, self.config, self.weights, self.generation_config, self.dialect, dtype, size)

    @property
    def generation_config(self) -> GenerationConfig:
        """The settings of every reply; a mapping, or transformers' own object, may be assigned, too."""
        return self._generation_config

    @generation_config.setter
    def generation_config(self, settings: Any) -> None:
        self._generation_config = as_generation_config(settings)

    __repr__ = representation

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype that the model computes in."""
        return self.weights.dtype

    @property
    def storage(self) -> str:
        """The format of the large matrices: "float16" or "bfloat16" if that was asked for, else the dtype's name.

        A model whose matrices are all small keeps none in 16 bits, whatever was asked for.

        >>> type(model).from_pretrained(dtype="float16").storage
        'float16'
        """
        return storage_of(self.weights)

    def num_parameters(self) -> int:
        """Count the numbers that training sets; the constant bias of the logits is excluded, as in transformers."""
        return sum(a.size for name, a in parameters(self.weights).items() if name != "final_logits_bias")

    def get_input_embeddings(self) -> Embedding:
        """The matrix [V, D] that embeds tokens; its transpose makes the logits. Called with ids it gives their rows.

        Those are what `inputs_embeds` takes, times sqrt(D) where the configuration has `scale_embedding`.

        >>> model.get_input_embeddings()([[5, 6, 7]]).shape
        (1, 3, 6)
        """
        return self.weights.shared

    def set_input_embeddings(self, value: Embedding | Array) -> None:
        """Replace the matrix [V, D] that embeds tokens, rounded if the model keeps its large matrices in 16 bits.

        >>> model.set_input_embeddings(np.zeros((11, 6)))
        >>> model.get_input_embeddings().weight.any()
        np.False_
        """
        shape = (self.config.vocab_size, self.config.d_model)
        array = as_array("value", value.weight if isinstance(value, Embedding) else value)
        if array.shape != shape:
            raise ValueError(f"value has shape {array.shape}, not {shape}; resize_token_embeddings changes V")
        check_magnitude("value", array, self.dtype)
        self._set_weights(replace(self.weights, shared=Embedding(array.astype(self.dtype))), self.storage)

    def _set_weights(self, weights: Weights, storage: str) -> None:
        self.weights = lay_out(self.config, weights, self.parts, storage)
        keep_freed_memory(self.weights)

    @accepts_transformers_names()
    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> Embedding:
        """Cut or grow the vocabulary and the final bias. New rows are the mean of the old ones, new biases 0.

        The size is rounded up to `pad_to_multiple_of`; without one it stays. transformers draws new rows at random
        around the mean, or with `mean_resizing=False` around 0, which is refused: the mean itself needs no seed.

        >>> matrix = model.resize_token_embeddings(14).weight
        >>> len(matrix), np.allclose(matrix[13], matrix[:11].mean(axis=0))  # it had 11 rows
        (14, True)
        """
        size = self.config.vocab_size
        if new_num_tokens is not None:
            size = check_whole("new_num_tokens", new_num_tokens, at_least=1)
        if pad_to_multiple_of is not None:
            size += -size % check_whole("pad_to_multiple_of", pad_to_multiple_of, at_least=1)
        if not switch_or_default("mean_resizing", mean_resizing, True):
            raise ValueError(
                "mean_resizing=False draws new rows at random; set_input_embeddings takes rows of your own"
            )
        config = self.config.replace(vocab_size=size)  # refuses special ids that would fall out
        old = np.asarray(self.weights.shared.weight)
        added = max(0, size - len(old))
        rows = np.repeat(old.mean(axis=0, keepdims=True), added, axis=0)
        shared = Embedding(np.concatenate([old[:size], rows]))
        bias = self.weights.final_logits_bias
        if bias is not None:
            bias = np.concatenate([bias[:, :size], np.zeros((1, added), bias.dtype)], axis=1)
        self.config = config
        self._set_weights(replace(self.weights, shared=shared, final_logits_bias=bias), self.storage)
        return self.weights.shared
