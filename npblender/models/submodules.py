"""The two halves of a model as callables of their own: what transformers' `get_encoder` and `get_decoder` return.

They stand on the model they come from. `call_encoder` and `call_decoder` are the one way into either half for every
public method: they check the arguments and run the forward pass.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from npblender.common.array_checks import check_embeddings
from npblender.common.array_types import Array
from npblender.common.field_checks import switch_or_default
from npblender.models.pretrained import PreTrainedModel
from npblender.models.signatures import accepts_transformers_names
from npblender.transformer.checks import Seed, as_cache, check_encoder_outputs, check_source, check_target, make_context
from npblender.transformer.context import Context, Sink
from npblender.transformer.forward import run_decoder, run_encoder, start_decoder
from npblender.transformer.inputs import Source
from npblender.transformer.outputs import BaseModelOutput, BaseModelOutputWithPastAndCrossAttentions, ModelOutput


def returned(model: PreTrainedModel, output: ModelOutput, return_dict: bool | None) -> Any:
    """The record itself, or as in transformers the tuple of what is in it.

    >>> from npblender.models.example import example_model
    >>> returned(example_model(), BaseModelOutput("states"), return_dict=False)
    ('states',)
    """
    return output if switch_or_default("return_dict", return_dict, model.config.return_dict) else output.to_tuple()


def keeps_cache(context: Context) -> bool:
    """Whether a call can leave a whole cache behind: LayerDrop makes holes in it.

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> keeps_cache(Context(model.config, model.dialect))
    True
    """
    return context.rng is None or context.config.decoder_layerdrop == 0


def wants_cache(context: Context, use_cache: bool | None) -> bool:
    """Whether a result carries a cache: as the caller or else the configuration says, if it can be kept.

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> wants_cache(Context(model.config, model.dialect), None)
    True
    """
    wanted = switch_or_default("use_cache", use_cache, context.config.use_cache)
    if use_cache and not keeps_cache(context):
        raise ValueError("use_cache=True with decoder LayerDrop leaves layers of the cache short; use one of the two")
    return wanted and keeps_cache(context)


def call_encoder(model: PreTrainedModel, context: Context, **arguments: Any) -> tuple[BaseModelOutput, Source]:
    """Check the encoder's arguments and run it; the source is returned for its mask.

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> output, source = call_encoder(model, Context(model.config, model.dialect), input_ids=[[5, 6, 0]])
    >>> output.last_hidden_state.shape, source.attention_mask
    ((1, 3, 6), array([[ True,  True, False]]))
    """
    source = check_source(model.config, model.dtype, mask_from_ids=model.dialect.mask_from_ids, **arguments)
    return run_encoder(model.weights, source, context), source


def call_decoder(
    model: PreTrainedModel,
    context: Context,
    encoder_states: Array | None,
    past_key_values: Any,
    **arguments: Any,
) -> BaseModelOutputWithPastAndCrossAttentions:
    """Check the decoder's arguments and run it, over given past keys or from the start.

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> context = Context(model.config, model.dialect)
    >>> call_decoder(model, context, None, None, prefix="", input_ids=[[1, 9]]).last_hidden_state.shape
    (1, 2, 6)
    """
    target, cache = check_target(model.config, model.dtype, past_key_values, encoder_states, **arguments)
    if cache is None or (cache.source_length is None and encoder_states is not None):
        tokens = target.inputs_embeds if target.input_ids is None else target.input_ids
        assert tokens is not None
        started = start_decoder(model.weights, len(tokens), encoder_states, context)
        cache = started if cache is None else cache.with_cross(started)
    return run_decoder(model.weights, target, cache, context)


def given_encoder(model: PreTrainedModel, encoder_outputs: Any, past_key_values: Any) -> BaseModelOutput | None:
    """Given encoder outputs; None if the past, which must then hold cross keys, is all there is of the source.

    >>> from npblender.models.example import example_model
    >>> given_encoder(example_model(), None, None)
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
    """The states [B, S, D] that a decoder called on its own attends to, if there are any.

    transformers leaves cross-attention out of a step that is not given them again, whatever its past holds; so a past
    with cross keys needs them here.

    >>> from npblender.models.example import example_model
    >>> check_states(example_model(), [[[0.5] * 6] * 4], None).shape
    (1, 4, 6)
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

    @accepts_transformers_names(("input_ids", "attention_mask", "head_mask", "inputs_embeds"))
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
        """The source's states as a `BaseModelOutput`. Arguments as in the whole model's `forward`.

        >>> from npblender.models.example import example_model
        >>> example_model().get_encoder().forward([[5, 6, 7]]).last_hidden_state.shape
        (1, 3, 6)
        """
        model = self.model
        context = make_context(
            model.config, model.dialect, tap, training, generator, output_attentions, output_hidden_states
        )
        output, _ = call_encoder(
            model,
            context,
            input_ids=input_ids,
            attention_mask=attention_mask,
            inputs_embeds=inputs_embeds,
            head_mask=head_mask,
            position_ids=position_ids,
        )
        return returned(model, output, return_dict)

    __call__ = forward


class BlenderbotSmallDecoder:
    """The decoder of a model: ids [B, T] and, if given, encoder states [B, S, D] -> states [B, T, D] and a cache."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model

    @accepts_transformers_names(("input_ids", "attention_mask", "encoder_hidden_states", "encoder_attention_mask"))
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
        """The target's states and cache. Without encoder states there is no cross-attention, as in transformers.

        >>> from npblender.models.example import example_model
        >>> out = example_model().get_decoder().forward([[1, 9]])
        >>> out.last_hidden_state.shape, out.past_key_values.length
        ((1, 2, 6), 2)
        """
        model = self.model
        context = make_context(
            model.config, model.dialect, tap, training, generator, output_attentions, output_hidden_states
        )
        cached = wants_cache(context, use_cache)
        output = call_decoder(
            model,
            context,
            check_states(model, encoder_hidden_states, past_key_values),
            past_key_values,
            prefix="",
            input_ids=input_ids,
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            encoder_attention_mask=encoder_attention_mask,
            head_mask=head_mask,
            cross_attn_head_mask=cross_attn_head_mask,
            position_ids=position_ids,
            cache_position=cache_position,
        )
        return returned(model, output if cached else replace(output, past_key_values=None), return_dict)

    __call__ = forward
