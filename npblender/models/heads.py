"""The public models, with transformers' names, arguments and outputs, on NumPy arrays.

    BlenderbotSmallModel                      ids -> states
    BlenderbotSmallForConditionalGeneration   ids -> logits, loss, replies
    BlenderbotSmallForCausalLM                the decoder alone, read as a language model

They hold no mathematics: see `npblender.transformer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import IGNORED_LABEL, Array, Ids
from npblender.common.checks import as_array, check_ids, check_whole
from npblender.generation import GenerationMixin
from npblender.models.pretrained import PreTrainedModel
from npblender.models.seq2seq import EncoderDecoder
from npblender.models.signatures import DECODER_ORDER, accepts_transformers_names
from npblender.models.submodules import BlenderbotSmallDecoder, call_decoder_alone, context_of, returned
from npblender.transformer.context import Context
from npblender.transformer.forward import logits_of, loss_of
from npblender.transformer.outputs import (
    BaseModelOutputWithPastAndCrossAttentions,
    CausalLMOutputWithCrossAttentions,
    Seq2SeqLMOutput,
    Seq2SeqModelOutput,
)
from npblender.transformer.parameters import BASE_MODEL, CAUSAL_MODEL, FULL_MODEL


class BlenderbotSmallModel(EncoderDecoder[Seq2SeqModelOutput]):
    """The model without a head: `forward` gives a `Seq2SeqModelOutput` whose `last_hidden_state` is [B, T, D]."""

    parts = BASE_MODEL

    def _label_ids(self, labels: Any) -> Ids:
        """Refused: a loss needs logits."""
        raise TypeError("labels need a head: use BlenderbotSmallForConditionalGeneration")

    def _result(
        self, context: Context, states: Array, labels: Ids | None, sides: Mapping[str, Any]
    ) -> Seq2SeqModelOutput:
        """Make what `forward` returns."""
        return Seq2SeqModelOutput(last_hidden_state=states, **sides)


class BlenderbotSmallForConditionalGeneration(GenerationMixin, EncoderDecoder[Seq2SeqLMOutput]):
    """The model that answers: `forward` gives a `Seq2SeqLMOutput` whose `logits` are [B, T, V]."""

    parts = FULL_MODEL

    def _result(self, context: Context, states: Array, labels: Ids | None, sides: Mapping[str, Any]) -> Seq2SeqLMOutput:
        """Make what `forward` returns."""
        logits = logits_of(self.weights, states, context)
        return Seq2SeqLMOutput(loss=_loss(logits, labels, context), logits=logits, **sides)

    def _decoded(
        self, context: Context, decoder: BaseModelOutputWithPastAndCrossAttentions
    ) -> CausalLMOutputWithCrossAttentions:
        """Make what `decode` returns: logits, as in Flax."""
        return _lm_output(decoder, logits_of(self.weights, decoder.last_hidden_state, context))


class BlenderbotSmallForCausalLM(PreTrainedModel):
    """The decoder alone: no final bias, and no cross-attention unless it is given encoder states."""

    parts = CAUSAL_MODEL
    _config_changes = MappingProxyType({"is_decoder": True, "is_encoder_decoder": False})

    @accepts_transformers_names(DECODER_ORDER, like=BlenderbotSmallDecoder.forward)
    def forward(
        self,
        *,
        labels: Any = None,
        logits_to_keep: int | NDArray[np.int64] = 0,
        return_dict: bool | None = None,
        **given: Any,
    ) -> Any:
        """Run ids [B, T]: return a `CausalLMOutputWithCrossAttentions` whose `logits` are [B, T, V].

        The arguments are those of `get_decoder()`, and two more. `labels` are NOT shifted: label i belongs to the
        logits at i, as in transformers. `logits_to_keep` computes the last n logits only (0 = all), or those at the
        given indices.

        >>> causal = BlenderbotSmallForCausalLM.from_config(config, seed=0)
        >>> causal.forward([[1, 9, 4]], logits_to_keep=1).logits.argmax(axis=-1)
        array([[8]])
        """
        context = context_of(self, given)
        decoder = call_decoder_alone(self, context, given)
        logits = logits_of(self.weights, kept_states(decoder.last_hidden_state, logits_to_keep), context)
        if labels is not None:
            labels = check_ids("labels", labels, self.config.vocab_size, ignored=IGNORED_LABEL)
        return returned(self, _lm_output(decoder, logits, _loss(logits, labels, context)), return_dict)

    __call__ = forward

    def get_decoder(self) -> BlenderbotSmallDecoder:
        """The decoder as a callable from ids to states."""
        return BlenderbotSmallDecoder(self)


def _loss(logits: Array, labels: Ids | None, context: Context) -> Array | None:
    """The loss of checked labels, of which there must be one for each of the logits [B, T, V]."""
    if labels is None:
        return None
    if labels.shape != logits.shape[:-1]:
        raise ValueError(f"labels have shape {labels.shape}, which does not fit logits of shape {logits.shape}")
    return np.asarray(loss_of(logits, labels, context))


def _lm_output(
    decoder: BaseModelOutputWithPastAndCrossAttentions, logits: Array, loss: Array | None = None
) -> CausalLMOutputWithCrossAttentions:
    return CausalLMOutputWithCrossAttentions(
        loss=loss,
        logits=logits,
        past_key_values=decoder.past_key_values,
        hidden_states=decoder.hidden_states,
        attentions=decoder.attentions,
        cross_attentions=decoder.cross_attentions,
    )


def kept_states(states: Array, logits_to_keep: int | NDArray[np.int64]) -> Array:
    """Select the states [B, T, D] whose logits are wanted: the last n (0 = all), or those at the given indices.

    >>> kept_states(np.arange(3).reshape(1, 3, 1), 2).ravel()
    array([1, 2])
    """
    new = states.shape[1]
    if np.ndim(as_array("logits_to_keep", logits_to_keep)) == 0:
        last = check_whole("logits_to_keep", logits_to_keep)
        if last > new:
            raise ValueError(f"logits_to_keep must be 0 (all) to {new}, the tokens there are; got {last}")
        return states[:, -last:] if last else states
    indices = as_array("logits_to_keep", logits_to_keep)
    if indices.ndim != 1 or not np.issubdtype(indices.dtype, np.integer):
        raise TypeError("logits_to_keep takes an int or a list of positions")
    if indices.size == 0 or indices.min() < -new or indices.max() >= new:
        raise ValueError(f"logits_to_keep names positions {indices.tolist()}; the tokens stand at 0 to {new - 1}")
    return states[:, indices]
