"""What the encoder-decoder models share: one call from source and target to a result, and Flax's three steps.

`forward` runs everything; `encode`, `init_cache` and `decode` are the same in steps. The two classes in heads.py
decide what a result holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import wraps
from typing import Any, Generic, Literal, TypeVar, overload

from npblender.common.array_types import IGNORED_LABEL, Array, Ids
from npblender.common.checks import check_ids, check_whole
from npblender.models.pretrained import PreTrainedModel
from npblender.models.signatures import KERAS_ORDER, accepts_transformers_names
from npblender.models.submodules import (
    SOURCE_ARGUMENTS,
    BlenderbotSmallDecoder,
    BlenderbotSmallEncoder,
    call_decoder,
    call_encoder,
    context_of,
    given_encoder,
    keeps_cache,
    returned,
    wants_cache,
)
from npblender.transformer.checks import Seed, check_encoder_outputs, make_context
from npblender.transformer.context import Context, Sink
from npblender.transformer.forward import shift_right, start_decoder
from npblender.transformer.kv_cache import Cache
from npblender.transformer.outputs import BaseModelOutput, BaseModelOutputWithPastAndCrossAttentions, ModelOutput

Result = TypeVar("Result", bound=ModelOutput)  # what `forward` of a class returns


class EncoderDecoder(PreTrainedModel, Generic[Result]):
    """The base of `BlenderbotSmallModel` and `BlenderbotSmallForConditionalGeneration`; use one of these."""

    @overload
    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        decoder_input_ids: Any = None,
        decoder_attention_mask: Any = None,
        *,
        head_mask: Any = None,
        decoder_head_mask: Any = None,
        cross_attn_head_mask: Any = None,
        encoder_outputs: Any = None,
        past_key_values: Any = None,
        inputs_embeds: Any = None,
        decoder_inputs_embeds: Any = None,
        position_ids: Any = None,
        decoder_position_ids: Any = None,
        labels: Any = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: Literal[True] | None = None,
        cache_position: Any = None,
        training: bool = False,
        generator: Seed = None,
        tap: Sink | None = None,
    ) -> Result: ...

    @overload
    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        decoder_input_ids: Any = None,
        decoder_attention_mask: Any = None,
        *,
        return_dict: bool | None,
        **arguments: Any,
    ) -> Any: ...  # a tuple for False

    @accepts_transformers_names(KERAS_ORDER)  # type: ignore[misc]  # **arguments: the first one's names
    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        decoder_input_ids: Any = None,
        decoder_attention_mask: Any = None,
        *,
        head_mask: Any = None,
        decoder_head_mask: Any = None,
        cross_attn_head_mask: Any = None,
        encoder_outputs: Any = None,
        past_key_values: Any = None,
        inputs_embeds: Any = None,
        decoder_inputs_embeds: Any = None,
        position_ids: Any = None,
        decoder_position_ids: Any = None,
        labels: Any = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        cache_position: Any = None,
        training: bool = False,
        generator: Seed = None,
        tap: Sink | None = None,
    ) -> Any:
        """Run source and target through the model: return states or logits, a cache, attentions, as a record.

        Args:
            input_ids: source ids [B, S], int; or `inputs_embeds` [B, S, D], which no original scales; or neither,
                if `encoder_outputs` or a cache with cross keys holds the source.
            attention_mask: [B, S], 1 = token, 0 = pad, for the encoder and for cross-attention. Without it
                `parlai` hides pad ids; the transformers dialects attend to them.
            decoder_input_ids: target ids [B, T], made from `labels` when absent; or `decoder_inputs_embeds`.
            decoder_attention_mask: [B, L], L = cached tokens + T. Attention is causal in any case.
            head_mask, decoder_head_mask, cross_attn_head_mask: [layers, H]; 0 silences a head, 1 does not.
                Honoured in every dialect, as transformers 4.52.4 does.
            encoder_outputs: what `encode` returned, or a tuple (states [B, S, D], ...).
            past_key_values: what an earlier call returned; positions go on from its length, and the source is the one
                whose cross keys it has.
            position_ids, decoder_position_ids: [B, S] and [B, T] in place of the dialect's own (Keras, Flax).
            labels: ids [B, T], -100 = ignored: the result then has a `loss`, and no cache.
            use_cache, output_attentions, output_hidden_states, return_dict: as in transformers; None stands
                for the configuration's value.
            cache_position: positions of the new tokens, as transformers passes them; they must follow the cache.
            training, generator: dropout and LayerDrop, drawn from a `numpy.random.Generator` or a seed.
            tap: called as tap(name, array) with every named intermediate array, which is read-only.

        Raises:
            ValueError, TypeError: an argument that does not fit; the message names it and says what would do.

        >>> out = model.forward([[5, 6, 7]], decoder_input_ids=[[1, 9]])
        >>> out.logits[0].argmax(axis=-1), list(out.keys())
        (array([8, 9]), ['logits', 'past_key_values', 'encoder_last_hidden_state'])
        """
        given = locals()  # every argument by its name
        label_ids = None if labels is None else self._label_ids(labels)
        if label_ids is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self._shifted(label_ids)
        if decoder_input_ids is None and decoder_inputs_embeds is None:
            start = self.config.decoder_start_token_id
            raise ValueError(f"decoder_input_ids is missing: a reply begins with [[{start}]]; or pass labels")
        context = context_of(self, given)
        cached = wants_cache(context, use_cache) and labels is None
        if encoder_outputs is None and (input_ids is not None or inputs_embeds is not None):
            encoder: BaseModelOutput | None
            encoder, source = call_encoder(self, context, given)
            attention_mask = source.attention_mask
        else:
            for name in SOURCE_ARGUMENTS:
                if given[name] is not None and name != "attention_mask":  # which cross-attention reads all the same
                    raise ValueError(
                        f"{name} would not be used: the source is encoded already; leave one of the two out"
                    )
            encoder = given_encoder(self, encoder_outputs, past_key_values)
        decoder = call_decoder(
            self,
            context,
            _states_of(encoder),
            {**given, "decoder_input_ids": decoder_input_ids, "attention_mask": attention_mask},
            prefix="decoder_",
            source_mask="attention_mask",
        )
        sides = {
            "past_key_values": decoder.past_key_values if cached else None,
            "decoder_hidden_states": decoder.hidden_states,
            "decoder_attentions": decoder.attentions,
            "cross_attentions": decoder.cross_attentions,
            "encoder_last_hidden_state": _states_of(encoder),
            "encoder_hidden_states": None if encoder is None else encoder.hidden_states,
            "encoder_attentions": None if encoder is None else encoder.attentions,
        }
        return returned(self, self._result(context, decoder.last_hidden_state, label_ids, sides), return_dict)

    __call__ = forward

    @wraps(BlenderbotSmallEncoder.forward, assigned=())
    def encode(self, *args: Any, **arguments: Any) -> Any:
        """Encode a source: ids [B, S] -> `last_hidden_state` [B, S, D]; arguments as `get_encoder()` takes them.

        >>> model.encode([[5, 6, 7]]).last_hidden_state[0, 0, :2].round(4)
        array([-1.594 ,  0.5372], dtype=float32)
        """
        return self.get_encoder()(*args, **arguments)

    @accepts_transformers_names()
    def init_cache(self, batch_size: int, max_length: int, encoder_outputs: Any, *, tap: Sink | None = None) -> Cache:
        """Make an empty cache over the source's keys and values, to begin `decode` with (Flax).

        `max_length` is how many tokens may follow; `decode` takes a `decoder_attention_mask` of that width.

        >>> cache = model.init_cache(1, 9, model.encode([[5, 6, 7]]))
        >>> cache.length, cache.source_length, cache.max_length
        (0, 3, 9)
        """
        states = check_encoder_outputs(self.config, self.dtype, encoder_outputs).last_hidden_state
        if len(states) != check_whole("batch_size", batch_size):
            raise ValueError(f"batch_size is {batch_size}, but the encoder's states have {len(states)} rows")
        positions = self.config.max_position_embeddings
        if check_whole("max_length", max_length, at_least=1) > positions:
            raise ValueError(f"max_length is {max_length}, but the model has {positions} positions")
        context = make_context(self.config, self.dialect, tap)
        return start_decoder(self.weights, len(states), states, context).allot(int(max_length))

    @accepts_transformers_names()
    def decode(
        self,
        decoder_input_ids: Any = None,
        encoder_outputs: Any = None,
        encoder_attention_mask: Any = None,
        decoder_attention_mask: Any = None,
        decoder_position_ids: Any = None,
        past_key_values: Any = None,
        *,
        decoder_inputs_embeds: Any = None,
        decoder_head_mask: Any = None,
        cross_attn_head_mask: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool = False,
        generator: Seed = None,
        tap: Sink | None = None,
    ) -> Any:
        """Run target ids [B, T] over an encoded source: return states or logits, and a cache to go on with (Flax).

        The source is in `encoder_outputs`, or in `past_key_values` from `init_cache` or from an earlier call.

        >>> out = model.decode([[1, 9]], model.encode([[5, 6, 7]]))
        >>> out.logits[0].argmax(axis=-1), out.past_key_values.length
        (array([8, 9]), 2)
        """
        given = locals()
        context = context_of(self, given)
        encoder = given_encoder(self, encoder_outputs, past_key_values)
        decoder = call_decoder(self, context, _states_of(encoder), given, prefix="decoder_")
        if not keeps_cache(context):
            decoder = replace(decoder, past_key_values=None)
        return returned(self, self._decoded(context, decoder), return_dict)

    def get_encoder(self) -> BlenderbotSmallEncoder:
        """The encoder as a callable from ids to states, transformers' module of that name."""
        return BlenderbotSmallEncoder(self)

    def get_decoder(self) -> BlenderbotSmallDecoder:
        """The decoder as a callable from ids and encoder states to states, transformers' module of that name."""
        return BlenderbotSmallDecoder(self)

    def _label_ids(self, labels: Any) -> Ids:
        """Checked labels [B, T]."""
        return check_ids("labels", labels, self.config.vocab_size, ignored=IGNORED_LABEL)

    def _shifted(self, labels: Ids) -> Ids:
        """Decoder input made from labels."""
        start, pad = self.config.decoder_start_token_id, self.config.pad_token_id
        if start is None or pad is None:
            raise ValueError("decoder_input_ids can be made from labels only if the config has a start id and a pad id")
        return shift_right(labels, start, pad)

    def _result(self, context: Context, states: Array, labels: Ids | None, sides: Mapping[str, Any]) -> Result:
        """Make what `forward` returns of the decoder's states and of `sides`: all else that a result holds."""
        raise NotImplementedError

    def _decoded(self, context: Context, decoder: BaseModelOutputWithPastAndCrossAttentions) -> ModelOutput:
        """Make what `decode` returns: the decoder's record as it is."""
        return decoder


def _states_of(encoder: BaseModelOutput | None) -> Array | None:
    return None if encoder is None else encoder.last_hidden_state
