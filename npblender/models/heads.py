"""The public models, with transformers' names, arguments and outputs, on NumPy arrays.

    BlenderbotSmallModel                      ids -> states
    BlenderbotSmallForConditionalGeneration   ids -> logits, loss, replies
    BlenderbotSmallForCausalLM                the decoder alone, read as a language model
This is where the forward pass, files and generation meet. It holds no mathematics.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_checks import as_array, check_ids
from npblender.common.array_types import IGNORED_LABEL, Array
from npblender.common.field_checks import check_whole
from npblender.generation import GenerationMixin
from npblender.models.pretrained import PreTrainedModel
from npblender.models.seq2seq import EncoderDecoder
from npblender.models.signatures import accepts_transformers_names
from npblender.models.submodules import BlenderbotSmallDecoder, call_decoder, check_states, returned, wants_cache
from npblender.transformer.checks import Seed, make_context
from npblender.transformer.context import Context, Sink
from npblender.transformer.forward import logits_of, loss_of
from npblender.transformer.kv_cache import Cache
from npblender.transformer.outputs import (
    BaseModelOutput,
    BaseModelOutputWithPastAndCrossAttentions,
    CausalLMOutputWithCrossAttentions,
    Seq2SeqLMOutput,
    Seq2SeqModelOutput,
)
from npblender.transformer.parameters import BASE_MODEL, CAUSAL_MODEL, FULL_MODEL

Labels = NDArray[np.int64]


class BlenderbotSmallModel(EncoderDecoder):
    """The model without a head: `forward` gives a `Seq2SeqModelOutput` whose `last_hidden_state` is [B, T, D]."""

    parts = BASE_MODEL

    def _label_ids(self, labels: Any) -> Labels:
        """Refused: a loss needs logits."""
        raise TypeError("labels need a head: use BlenderbotSmallForConditionalGeneration")

    def _result(
        self,
        context: Context,
        encoder: BaseModelOutput | None,
        decoder: BaseModelOutputWithPastAndCrossAttentions,
        labels: Labels | None,
        cache: Cache | None,
    ) -> Seq2SeqModelOutput:
        """What `forward` returns."""
        return Seq2SeqModelOutput(
            last_hidden_state=decoder.last_hidden_state,
            past_key_values=cache,
            decoder_hidden_states=decoder.hidden_states,
            decoder_attentions=decoder.attentions,
            cross_attentions=decoder.cross_attentions,
            encoder_last_hidden_state=None if encoder is None else encoder.last_hidden_state,
            encoder_hidden_states=None if encoder is None else encoder.hidden_states,
            encoder_attentions=None if encoder is None else encoder.attentions,
        )

    def _decoded(
        self, context: Context, decoder: BaseModelOutputWithPastAndCrossAttentions
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """What `decode` returns: the decoder's record as it is."""
        return decoder


class BlenderbotSmallForConditionalGeneration(GenerationMixin, EncoderDecoder):
    """The model that answers: `forward` gives a `Seq2SeqLMOutput` whose `logits` are [B, T, V]."""

    parts = FULL_MODEL

    def _result(
        self,
        context: Context,
        encoder: BaseModelOutput | None,
        decoder: BaseModelOutputWithPastAndCrossAttentions,
        labels: Labels | None,
        cache: Cache | None,
    ) -> Seq2SeqLMOutput:
        """What `forward` returns."""
        logits = logits_of(self.weights, decoder.last_hidden_state, context)
        return Seq2SeqLMOutput(
            loss=None if labels is None else np.asarray(loss_of(logits, labels, context)),
            logits=logits,
            past_key_values=cache,
            decoder_hidden_states=decoder.hidden_states,
            decoder_attentions=decoder.attentions,
            cross_attentions=decoder.cross_attentions,
            encoder_last_hidden_state=None if encoder is None else encoder.last_hidden_state,
            encoder_hidden_states=None if encoder is None else encoder.hidden_states,
            encoder_attentions=None if encoder is None else encoder.attentions,
        )

    def _decoded(
        self, context: Context, decoder: BaseModelOutputWithPastAndCrossAttentions
    ) -> CausalLMOutputWithCrossAttentions:
        """What `decode` returns: logits, as in Flax."""
        return CausalLMOutputWithCrossAttentions(
            logits=logits_of(self.weights, decoder.last_hidden_state, context),
            past_key_values=decoder.past_key_values,
            hidden_states=decoder.hidden_states,
            attentions=decoder.attentions,
            cross_attentions=decoder.cross_attentions,
        )


class BlenderbotSmallForCausalLM(PreTrainedModel):
    """The decoder alone: no final bias, and no cross-attention unless it is given encoder states."""

    parts = CAUSAL_MODEL

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
        labels: Any = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        cache_position: Any = None,
        logits_to_keep: int | NDArray[np.int64] = 0,
        training: bool = False,
        generator: Seed = None,
        tap: Sink | None = None,
    ) -> Any:
        """Ids [B, T] -> a `CausalLMOutputWithCrossAttentions` whose `logits` are [B, T, V].

        The arguments are those of `BlenderbotSmallForConditionalGeneration.forward` on the decoder's side. `labels`
        are NOT shifted: label i belongs to the logits at i, as in transformers. `logits_to_keep` computes the last n
        logits only (0 = all), or those at the given indices.

        >>> from npblender.models.example import example_model
        >>> example_model(BlenderbotSmallForCausalLM).forward([[1, 9, 4]], logits_to_keep=1).logits.shape
        (1, 1, 11)
        """
        context = make_context(
            self.config, self.dialect, tap, training, generator, output_attentions, output_hidden_states
        )
        cached = wants_cache(context, use_cache)
        decoder = call_decoder(
            self,
            context,
            check_states(self, encoder_hidden_states, past_key_values),
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
        logits = logits_of(self.weights, kept_states(decoder.last_hidden_state, logits_to_keep), context)
        loss = None
        if labels is not None:
            label_ids = check_ids("labels", labels, self.config.vocab_size, ignored=IGNORED_LABEL)
            loss = np.asarray(loss_of(logits, label_ids, context))
        output = CausalLMOutputWithCrossAttentions(
            loss=loss,
            logits=logits,
            past_key_values=decoder.past_key_values if cached else None,
            hidden_states=decoder.hidden_states,
            attentions=decoder.attentions,
            cross_attentions=decoder.cross_attentions,
        )
        return returned(self, output, return_dict)

    __call__ = forward

    def get_decoder(self) -> BlenderbotSmallDecoder:
        """The decoder as a callable from ids to states."""
        return BlenderbotSmallDecoder(self)


def kept_states(states: Array, logits_to_keep: int | NDArray[np.int64]) -> Array:
    """The states [B, T, D] whose logits are wanted: the last n (0 = all), or those at the given indices.

    >>> kept_states(np.arange(3).reshape(1, 3, 1), 2).ravel()
    array([1, 2])
    """
    new = states.shape[1]
    if np.ndim(as_array("logits_to_keep", logits_to_keep)) == 0:
        last = check_whole("logits_to_keep", logits_to_keep, or_numpy=True)
        if last > new:
            raise ValueError(f"logits_to_keep must be 0 (all) to {new}, the tokens there are; got {last}")
        return states[:, -last:] if last else states
    indices = as_array("logits_to_keep", logits_to_keep)
    if indices.ndim != 1 or not np.issubdtype(indices.dtype, np.integer):
        raise TypeError("logits_to_keep takes an int or a list of positions")
    if indices.size == 0 or indices.min() < -new or indices.max() >= new:
        raise ValueError(f"logits_to_keep names positions {indices.tolist()}; the tokens stand at 0 to {new - 1}")
    return states[:, indices]
