"""The encoder and the decoder of a model as callables: what transformers' `get_encoder` and `get_decoder` return.

Every public method comes through `call_encoder` or `call_decoder`. They take the caller's arguments by name (`given`, a
method's own `locals()`), check them into a `Source` or a `Target`, and run the forward pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from npblender.common.array_types import Array
from npblender.common.checks import check_embeddings, switch_or_default
from npblender.models.pretrained import PreTrainedModel
from npblender.models.signatures import DECODER_ORDER, ENCODER_ORDER, accepts_transformers_names
from npblender.transformer.checks import Seed, as_cache, check_encoder_outputs, check_source, check_target, make_context
from npblender.transformer.context import Context, Sink, Source
from npblender.transformer.forward import run_decoder, run_encoder, start_decoder
from npblender.transformer.outputs import BaseModelOutput, BaseModelOutputWithPastAndCrossAttentions, ModelOutput

Given = Mapping[str, Any]

PASS_ARGUMENTS = ("tap", "training", "generator", "output_attentions", "output_hidden_states")
SOURCE_ARGUMENTS = ("input_ids", "inputs_embeds", "attention_mask", "head_mask", "position_ids")


def context_of(model: PreTrainedModel, given: Given) -> Context:
    """Make the record that one pass shares, from the arguments that every `forward` takes."""
    return make_context(model.config, model.dialect, **{name: given.get(name) for name in PASS_ARGUMENTS})


def returned(model: PreTrainedModel, output: ModelOutput, return_dict: bool | None) -> Any:
    """Return the record itself, or with `return_dict=False` the tuple of what is in it, as in transformers.

    >>> returned(model, BaseModelOutput("states"), return_dict=False)
    ('states',)
    """
    return output if switch_or_default("return_dict", return_dict, model.config.return_dict) else output.to_tuple()


def keeps_cache(context: Context) -> bool:
    """Whether a pass leaves a whole cache behind. LayerDrop in training leaves layers out of it."""
    return context.rng is None or context.config.decoder_layerdrop == 0


def wants_cache(context: Context, use_cache: bool | None) -> bool:
    """Whether a result carries a cache: as the caller says, else the configuration, if one can be kept.

    >>> wants_cache(context, None), wants_cache(context, False)
    (True, False)
    """
    wanted = switch_or_default("use_cache", use_cache, context.config.use_cache)
    if use_cache and not keeps_cache(context):
        raise ValueError("use_cache=True with decoder LayerDrop leaves layers of the cache short; use one of the two")
    return wanted and keeps_cache(context)


def call_encoder(model: PreTrainedModel, context: Context, given: Given) -> tuple[BaseModelOutput, Source]:
    """Check the encoder's arguments and run it; the source is returned too, for its mask.

    >>> output, source = call_encoder(model, context, {"input_ids": [[5, 6, 0]]})
    >>> source.attention_mask
    array([[ True,  True, False]])
    """
    source = check_source(
        model.config,
        model.dtype,
        mask_from_ids=model.dialect.mask_from_ids,
        **{name: given.get(name) for name in SOURCE_ARGUMENTS},
    )
    return run_encoder(model.weights, source, context), source


def call_decoder(
    model: PreTrainedModel,
    context: Context,
    encoder_states: Array | None,
    given: Given,
    *,
    prefix: str = "",
    source_mask: str = "encoder_attention_mask",
) -> BaseModelOutputWithPastAndCrossAttentions:
    """Check the decoder's arguments and run it, over the past keys in `given` or from the start.

    `prefix` and `source_mask` say what the call names its arguments: `decoder_input_ids`, `attention_mask`.

    >>> call_decoder(model, context, None, {"input_ids": [[1, 9]]}).past_key_values.length
    2
    """
    target, cache = check_target(
        model.config,
        model.dtype,
        given.get("past_key_values"),
        encoder_states,
        prefix=prefix,
        source_mask_name=source_mask,
        encoder_attention_mask=given.get(source_mask),
        **{name: given.get(name) for name in ("cross_attn_head_mask", "cache_position")},
        **{name: given.get(prefix + name) for name in SOURCE_ARGUMENTS},
    )
    if cache is None or (cache.source_length is None and encoder_states is not None):
        tokens = target.inputs_embeds if target.input_ids is None else target.input_ids
        assert tokens is not None
        started = start_decoder(model.weights, len(tokens), encoder_states, context)
        cache = started if cache is None else cache.with_cross(started)
    return run_decoder(model.weights, target, cache, context)


def call_decoder_alone(
    model: PreTrainedModel, context: Context, given: Given
) -> BaseModelOutputWithPastAndCrossAttentions:
    """Run a decoder that is called without its encoder; the cache is in the result if it is wanted."""
    cached = wants_cache(context, given.get("use_cache"))
    states = check_states(model, given.get("encoder_hidden_states"), given.get("past_key_values"))
    output = call_decoder(model, context, states, given)
    return output if cached else replace(output, past_key_values=None)


def given_encoder(model: PreTrainedModel, encoder_outputs: Any, past_key_values: Any) -> BaseModelOutput | None:
    """Return the given encoder outputs, checked; None if the past, which must then hold cross keys, is all there is.

    >>> given_encoder(model, None, None)
    Traceback (most recent call last):
    ValueError: there is no source: pass input_ids, inputs_embeds, encoder_outputs, or past_key_values with cross keys
    """
    if encoder_outputs is not None:
        return check_encoder_outputs(model.config, model.dtype, encoder_outputs)
    past = None if past_key_values is None else as_cache(past_key_values, model.dtype)
    if past is None or not past.sees_source:
        raise ValueError(
            "there is no source: pass input_ids, inputs_embeds, encoder_outputs, or past_key_values with cross keys"
        )
    return None


def check_states(model: PreTrainedModel, encoder_hidden_states: Any, past_key_values: Any) -> Array | None:
    """Return the states [B, S, D] that a decoder called on its own attends to, checked; None if there are none.

    transformers leaves cross-attention out of a step without them, whatever its past holds. So a past with cross keys
    needs them here.
    """
    if encoder_hidden_states is not None:
        d, dtype = model.config.d_model, model.dtype
        return check_embeddings("encoder_hidden_states", encoder_hidden_states, d, dtype)
    past = None if past_key_values is None else as_cache(past_key_values, model.dtype)
    if past is not None and past.sees_source:
        raise ValueError(
            "past_key_values has cross keys: pass the encoder_hidden_states they are of in every step, "
            "as transformers needs them"
        )
    return None


class BlenderbotSmallEncoder:
    """The encoder of a model: ids [B, S] -> states [B, S, D]."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model

    @accepts_transformers_names(ENCODER_ORDER)
    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        *,
        head_mask: Any = None,
        inputs_embeds: Any = None,
        position_ids: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool = False,
        generator: Seed = None,
        tap: Sink | None = None,
    ) -> Any:
        """Return the source's states as a `BaseModelOutput`. Arguments as in the whole model's `forward`.

        >>> model.get_encoder().forward([[5, 6, 7]]).last_hidden_state[0, 0, :2].round(4)
        array([-1.594 ,  0.5372], dtype=float32)
        """
        given = locals()
        output, _ = call_encoder(self.model, context_of(self.model, given), given)
        return returned(self.model, output, return_dict)

    __call__ = forward


class BlenderbotSmallDecoder:
    """The decoder of a model: ids [B, T] and, if given, encoder states [B, S, D] -> states [B, T, D] and a cache."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model

    @accepts_transformers_names(DECODER_ORDER)
    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        encoder_hidden_states: Any = None,
        encoder_attention_mask: Any = None,
        *,
        head_mask: Any = None,
        cross_attn_head_mask: Any = None,
        past_key_values: Any = None,
        inputs_embeds: Any = None,
        position_ids: Any = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        cache_position: Any = None,
        training: bool = False,
        generator: Seed = None,
        tap: Sink | None = None,
    ) -> Any:
        """Return the target's states and a cache. Without encoder states there is no cross-attention (transformers).

        >>> model.get_decoder().forward([[1, 9]]).past_key_values.length
        2
        """
        given = locals()
        output = call_decoder_alone(self.model, context_of(self.model, given), given)
        return returned(self.model, output, return_dict)

    __call__ = forward
