"""transformers 4's Keras and Flax classes by name: thin faces of the models here, with their own calling habits.

Keras: inputs in the first position as a dict, list or tuple, or all of them by position; `call`; `training`. Flax: the
parameters are a nested dict, `params`, and every call takes another one as `params=` without changing the model;
`train` and `dropout_rng`; `_do_init=False` leaves the parameters to the caller; `dtype` is that of the computation.

They answer in NumPy arrays, in the dialect of transformers 4.52 unless another is asked for, since later versions have
neither. The mathematics and all checks are those of the other classes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from npblender.checkpoint import resolve_storage
from npblender.common.printable import shown
from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import TRANSFORMERS_4, Dialect
from npblender.config.generation_config import GenerationConfig
from npblender.models.flax_params import Params, params_of, weights_of
from npblender.models.heads import BlenderbotSmallForConditionalGeneration, BlenderbotSmallModel
from npblender.models.pretrained import PreTrainedModel
from npblender.models.seq2seq import EncoderDecoder
from npblender.models.signatures import KERAS_ORDER, is_packed
from npblender.transformer.kv_cache import Cache
from npblender.transformer.packing import lay_out
from npblender.transformer.parameters import Weights, random_weights

Face = TypeVar("Face", bound="FlaxPreTrainedModel")
Keras = TypeVar("Keras", bound="_KerasHabits")


class _KerasHabits(PreTrainedModel):
    """What the two Keras classes add: made from a configuration alone, called by position, `call`."""

    def __init__(
        self,
        config: BlenderbotSmallConfig,
        weights: Weights | None = None,
        *,
        seed: int = 0,
        dialect: str | Dialect = TRANSFORMERS_4,
        generation_config: GenerationConfig | None = None,
    ) -> None:
        drawn = {"seed": seed} if weights is None else {}
        super().__init__(config, weights, dialect=dialect, generation_config=generation_config, **drawn)

    @classmethod
    def from_pretrained(cls: type[Keras], folder: str | os.PathLike[str] | None = None, **options: Any) -> Keras:
        """Load a folder as `BlenderbotSmallModel.from_pretrained` does, in transformers 4's dialect.

        >>> TFBlenderbotSmallModel.from_pretrained().dialect.name
        'transformers-4'
        """
        return super().from_pretrained(folder, **{"dialect": TRANSFORMERS_4, **options})

    def call(self, *inputs: Any, **arguments: Any) -> Any:
        """Run the model on inputs packed into the first position, by position in Keras's order, or by name.

        >>> keras = TFBlenderbotSmallModel(config)
        >>> by_name = keras(input_ids=[[5, 6]], decoder_input_ids=[[1]])
        >>> packed = keras([np.array([[5, 6]]), None, np.array([[1]])])
        >>> bool((by_name.last_hidden_state == packed.last_hidden_state).all())
        True
        """
        if not inputs or is_packed(inputs[0]):
            return super().forward(*inputs, **arguments)  # type: ignore[misc]
        if len(inputs) > len(KERAS_ORDER):
            raise TypeError(f"by position there are {len(KERAS_ORDER)} inputs: {', '.join(KERAS_ORDER)}")
        named = dict(zip(KERAS_ORDER, inputs, strict=False))
        twice = sorted(set(named) & set(arguments))
        if twice:
            raise TypeError(f"{shown(twice[0])} is given twice, by position and by name")
        return super().forward(**named, **arguments)  # type: ignore[misc]

    __call__ = call


class TFBlenderbotSmallModel(_KerasHabits, BlenderbotSmallModel):
    """Keras's `TFBlenderbotSmallModel`: ids -> states, `BlenderbotSmallModel` with Keras's habits."""

    __call__ = _KerasHabits.call


class TFBlenderbotSmallForConditionalGeneration(_KerasHabits, BlenderbotSmallForConditionalGeneration):
    """Keras's class of that name: ids -> logits, loss and replies, with Keras's habits."""

    __call__ = _KerasHabits.call


class FlaxPreTrainedModel:
    """What the two Flax classes share: a configuration, parameters that may be elsewhere, and the calls.

    Args:
        config: the model's configuration.
        input_shape: taken for the habit's sake; parameters do not depend on it.
        seed: of the random parameters.
        dtype: what is computed in: "float32", "float64", "longdouble", or as NumPy has them.
        _do_init: False makes a model without parameters; every call then needs `params=`.

    >>> flax = FlaxBlenderbotSmallForConditionalGeneration(config, seed=0, dtype=np.float64)
    >>> flax.params["model"]["encoder"]["layers"]["0"]["fc1"]["kernel"].shape
    (6, 5)
    >>> flax(np.array([[5, 6]]), decoder_input_ids=np.array([[1]])).logits.dtype
    dtype('float64')
    """

    model_class: ClassVar[type[EncoderDecoder[Any]]]

    def __init__(
        self,
        config: BlenderbotSmallConfig,
        input_shape: tuple[int, ...] = (1, 1),
        seed: int = 0,
        dtype: DTypeLike = np.float32,
        _do_init: bool = True,
        *,
        dialect: str | Dialect = TRANSFORMERS_4,
        generation_config: GenerationConfig | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(config, BlenderbotSmallConfig):
            raise TypeError(f"config must be a BlenderbotSmallConfig, not {type(config).__name__}")
        if len(input_shape) != 2:
            raise ValueError(f"input_shape has two axes, rows and tokens; got {input_shape}")
        self.config, self.dialect = config, dialect
        self.dtype, self._storage = resolve_storage(dtype)
        self.generation_config = generation_config or GenerationConfig.from_model_config(config)
        self._model: EncoderDecoder[Any] | None = None
        if params is not None:
            self._model = self._with(params)
        elif _do_init:
            self._model = self._with(self.init_weights(seed, input_shape))

    def __repr__(self) -> str:
        if self._model is None:
            return f"{type(self).__name__}(without parameters, d_model {self.config.d_model}, {self.dtype})"
        return f"{type(self).__name__}{repr(self._model).removeprefix(self.model_class.__name__)}"

    @classmethod
    def from_pretrained(
        cls: type[Face],
        folder: str | os.PathLike[str] | None = None,
        *,
        dtype: DTypeLike = np.float32,
        _do_init: bool = True,
        dialect: str | Dialect = TRANSFORMERS_4,
        allow_pickle: bool = False,
        **where: Any,
    ) -> Any:
        """Load a folder, whatever format its weights have: the model, or with `_do_init=False` (model, parameters).

        `where` are the options of the other models' `from_pretrained` for names on the Hub.

        >>> flax, params = FlaxBlenderbotSmallModel.from_pretrained(_do_init=False)
        >>> sorted(params)
        ['decoder', 'encoder', 'shared']
        """
        model = cls.model_class.from_pretrained(
            folder, dialect=dialect, dtype=dtype, allow_pickle=allow_pickle, **where
        )
        face = cls(
            model.config, dtype=dtype, _do_init=False, dialect=dialect, generation_config=model.generation_config
        )
        if not _do_init:
            return face, params_of(model.weights, cls.model_class.parts)
        face._model = model
        return face

    def save_pretrained(
        self, folder: str | os.PathLike[str], params: Mapping[str, Any] | None = None, *, dtype: str | None = None
    ) -> None:
        """Write safetensors and configuration, of `params` if they are given; both transformers read them."""
        self._chosen(params).save_pretrained(folder, dtype=dtype)

    def init_weights(self, rng: Any, input_shape: tuple[int, ...] = (1, 1), params: None = None) -> Params:
        """Draw random parameters from a seed or a key (they do not depend on `input_shape`)."""
        if params is not None:
            raise TypeError("params= would be filled up with random ones; pass whole parameters to a call")
        seed = int(np.random.default_rng(_seed(rng)).integers(2**32)) if not isinstance(rng, int) else rng
        return params_of(random_weights(self.config, seed, self.dtype, self.model_class.parts), self.model_class.parts)

    @property
    def params(self) -> Params:
        """The parameters as a nested dict with Flax's names, kernels [in, out].

        Raises:
            ValueError: the model was made with `_do_init=False`.
        """
        return params_of(self._chosen(None).weights, self.model_class.parts)

    @params.setter
    def params(self, params: Mapping[str, Any]) -> None:
        self._chosen(None)  # a model without parameters takes none later
        self._model = self._with(params)

    def __call__(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        decoder_input_ids: Any = None,
        decoder_attention_mask: Any = None,
        position_ids: Any = None,
        decoder_position_ids: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        train: bool = False,
        params: Mapping[str, Any] | None = None,
        dropout_rng: Any = None,
    ) -> Any:
        """Run source and target through the model; without a target it is the source, shifted right."""
        given = _named(locals())
        if decoder_input_ids is None:
            ids, pad = np.asarray(input_ids), np.asarray(self.config.pad_token_id)
            start = np.full_like(ids[:, :1], self.config.decoder_start_token_id)
            shifted = np.concatenate([start, ids[:, :-1]], axis=1)
            given["decoder_input_ids"] = np.where(shifted == -100, pad, shifted)
        return self._chosen(params).forward(**given, use_cache=False)

    def encode(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        position_ids: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        train: bool = False,
        params: Mapping[str, Any] | None = None,
        dropout_rng: Any = None,
    ) -> Any:
        """Encode a source: ids [B, S] -> `last_hidden_state` [B, S, D]."""
        return self._chosen(params).encode(**_named(locals()))

    def init_cache(
        self, batch_size: int, max_length: int, encoder_outputs: Any, params: Mapping[str, Any] | None = None
    ) -> Cache:
        """Make an empty cache over the source, to begin `decode` with; its cross keys depend on `params`."""
        return self._chosen(params).init_cache(batch_size, max_length, encoder_outputs)

    def decode(
        self,
        decoder_input_ids: Any,
        encoder_outputs: Any,
        encoder_attention_mask: Any = None,
        decoder_attention_mask: Any = None,
        decoder_position_ids: Any = None,
        past_key_values: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        train: bool = False,
        params: Mapping[str, Any] | None = None,
        dropout_rng: Any = None,
    ) -> Any:
        """Run target ids [B, T] over an encoded source, and over the past if `init_cache` or a call gave one.

        Raises:
            ValueError: a past without `decoder_position_ids`, as in Flax.
        """
        if past_key_values is not None and decoder_position_ids is None:
            raise ValueError("decoder_position_ids is needed beside past_key_values: the positions of the new tokens")
        return self._chosen(params).decode(**_named(locals()))

    def _chosen(self, params: Mapping[str, Any] | None) -> EncoderDecoder[Any]:
        """The model of the given parameters, or else the one that is held."""
        if params is not None:
            return self._with(params)
        if self._model is None:
            raise ValueError("a model of _do_init=False holds no params: pass params= to every call")
        return self._model

    def _with(self, params: Mapping[str, Any]) -> EncoderDecoder[Any]:
        parts = self.model_class.parts
        weights = lay_out(self.config, weights_of(params, self.config, parts, self.dtype), parts, self._storage)
        return self.model_class(self.config, weights, dialect=self.dialect, generation_config=self.generation_config)


class FlaxBlenderbotSmallModel(FlaxPreTrainedModel):
    """Flax's `FlaxBlenderbotSmallModel`: ids -> states."""

    model_class = BlenderbotSmallModel


class FlaxBlenderbotSmallForConditionalGeneration(FlaxPreTrainedModel):
    """Flax's class of that name: ids -> logits and replies."""

    model_class = BlenderbotSmallForConditionalGeneration

    def generate(
        self,
        input_ids: Any,
        generation_config: GenerationConfig | None = None,
        prng_key: Any = None,
        trace: bool = True,
        params: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Generate replies: a record whose `sequences` are ids [B, T]. `trace`, jax's compilation, changes nothing.

        >>> flax = FlaxBlenderbotSmallForConditionalGeneration(config, seed=0)
        >>> flax.generate(np.array([[5, 6]]), max_length=5).sequences.shape[0]
        1
        """
        if not isinstance(trace, bool):
            raise TypeError(f"trace must be true or false, not {shown(trace)}")
        model = self._chosen(params)
        assert isinstance(model, BlenderbotSmallForConditionalGeneration)
        seed = None if prng_key is None else np.random.default_rng(_seed(prng_key))
        return model.generate(input_ids, generation_config, seed=seed, return_dict_in_generate=True, **options)


def _named(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call, a method's `locals()`, as the models here take them: with a generator for jax's key."""
    key = given["dropout_rng"]
    generator = None if key is None else np.random.default_rng(_seed(key))
    passed = {name: value for name, value in given.items() if name not in ("self", "params")}
    return {**passed, "dropout_rng": generator}


def _seed(key: Any) -> Any:
    """A seed for NumPy from a whole number, from one of NumPy's generators, or from jax's key, an array of words."""
    if isinstance(key, np.random.Generator):
        return key
    words = np.asarray(key)
    if words.dtype.kind not in "iu" or (words < 0).any():
        raise TypeError(f"a key is a whole number, an array of them, or a numpy.random.Generator, not {shown(key)}")
    return [int(word) for word in words.ravel()]
