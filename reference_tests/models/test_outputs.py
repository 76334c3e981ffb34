"""What the models return and hand on: records, caches, losses, the Flax triple."""

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from npblender import Cache
from npblender.config.dialect import DIALECTS, TRANSFORMERS_4, Dialect
from npblender.transformer.kv_cache import LayerCache
from npblender.transformer.outputs import Seq2SeqLMOutput
from reference_tests.support.asserts import assert_close
from reference_tests.support.model_cases import CLASSES, draw_model, ids_of
from reference_tests.support.tolerances import TOLERANCES

AGAIN = TOLERANCES["float64 computed another way"]

RNG = np.random.default_rng(31)
MODEL = draw_model(np.random.default_rng(6), TRANSFORMERS_4, encoder_layers=2, decoder_layers=2)
CAUSAL = draw_model(np.random.default_rng(6), TRANSFORMERS_4, "causal", decoder_layers=2)
CONFIG = MODEL.config
IDS, DECODER_IDS = ids_of(RNG, CONFIG, 2, 4), ids_of(RNG, CONFIG, 2, 3)
EVERYTHING = {"output_hidden_states": True, "output_attentions": True}


def test_outputs_by_attribute_key_index_and_slice() -> None:
    out = MODEL(IDS, decoder_input_ids=DECODER_IDS, labels=DECODER_IDS, **EVERYTHING)
    names = [
        *("loss", "logits", "decoder_hidden_states", "decoder_attentions", "cross_attentions"),
        *("encoder_last_hidden_state", "encoder_hidden_states", "encoder_attentions"),
    ]
    assert isinstance(out, Seq2SeqLMOutput)
    assert list(out.keys()) == list(out) == list(dict(out)) == list({**out}) == names
    assert out.past_key_values is None
    assert "past_key_values" not in out
    assert len(out) == len(out.to_tuple()) == len(out[:]) == len(names)
    for index, (name, value) in enumerate(out.items()):
        assert out[index] is out[name] is getattr(out, name) is value is out.get(name)
    assert out[1:3] == out.to_tuple()[1:3]
    assert out[-1] is out.encoder_attentions
    assert out.get("past_key_values", 5) == 5
    with pytest.raises(KeyError, match="it has loss, logits"):
        out["past_key_values"]
    with pytest.raises(IndexError):
        out[99]
    with pytest.raises(AttributeError):
        out.logits = None


def test_shapes_of_every_output() -> None:
    out = MODEL(IDS, decoder_input_ids=DECODER_IDS, **EVERYTHING)
    d, heads, decoder_heads = CONFIG.d_model, CONFIG.encoder_attention_heads, CONFIG.decoder_attention_heads
    assert out.logits.shape == (2, 3, CONFIG.vocab_size)
    assert [h.shape for h in out.encoder_hidden_states] == [(2, 4, d)] * 3  # layers + 1
    assert [h.shape for h in out.decoder_hidden_states] == [(2, 3, d)] * 3
    assert [a.shape for a in out.encoder_attentions] == [(2, heads, 4, 4)] * 2
    assert [a.shape for a in out.decoder_attentions] == [(2, decoder_heads, 3, 3)] * 2
    assert [a.shape for a in out.cross_attentions] == [(2, decoder_heads, 3, 4)] * 2
    assert out.encoder_hidden_states[-1] is out.encoder_last_hidden_state
    base = CLASSES["base"](CONFIG, replace(MODEL.weights, final_logits_bias=None), dialect=TRANSFORMERS_4)
    states = base(IDS, decoder_input_ids=DECODER_IDS, **EVERYTHING)
    assert np.array_equal(states.last_hidden_state, out.decoder_hidden_states[-1])
    assert list(states) == ["last_hidden_state", *(name for name in out if name != "logits")]
    step = MODEL(IDS, decoder_input_ids=DECODER_IDS[:, :1], past_key_values=out.past_key_values, **EVERYTHING)
    assert [a.shape for a in step.decoder_attentions] == [(2, decoder_heads, 1, 4)] * 2


def test_past_key_values_are_those_of_transformers() -> None:
    """Per layer (key, value, cross key, cross value), by index, by iteration, unpacked; tuples of them come back."""
    past = MODEL(IDS, decoder_input_ids=DECODER_IDS).past_key_values
    heads, size = CONFIG.decoder_attention_heads, CONFIG.d_model // CONFIG.decoder_attention_heads
    assert isinstance(past, Cache)
    assert len(past) == 2
    for layer in past:
        key, value, cross_key, cross_value = layer
        assert key.shape == value.shape == (2, heads, 3, size)
        assert cross_key.shape == cross_value.shape == (2, heads, 4, size)
        assert layer[0] is key
        assert layer[-1] is cross_value
        assert layer[:2] == (key, value)
    assert past[-1] is list(past)[1]
    assert past.get_seq_length() == past.length == past[0][0].shape[2] == 3
    assert (past.batch, past.source_length) == (2, 4)
    token = {"decoder_input_ids": DECODER_IDS[:, :1]}
    expected = MODEL(IDS, **token, past_key_values=past).logits
    for legacy in (tuple(tuple(layer) for layer in past), [list(layer) for layer in past]):
        assert np.array_equal(MODEL(IDS, **token, past_key_values=legacy).logits, expected)
    # With cross keys in the past nothing else need tell of the source.
    assert np.array_equal(MODEL(**token, past_key_values=past).logits, expected)
    own = tuple(tuple(layer)[:2] for layer in past)
    assert np.array_equal(MODEL(IDS, **token, past_key_values=own).logits, expected)
    assert past == past
    assert past != MODEL(IDS, decoder_input_ids=DECODER_IDS).past_key_values  # identity: arrays have no one truth
    assert hash(past) == hash(past)


def test_a_cache_can_be_cut_and_rearranged() -> None:
    past = MODEL(IDS, decoder_input_ids=DECODER_IDS).past_key_values
    again = MODEL(IDS, decoder_input_ids=DECODER_IDS[:, 2:], past_key_values=past.crop(2))
    assert_close(again.logits, MODEL(IDS, decoder_input_ids=DECODER_IDS).logits[:, 2:], AGAIN)
    swapped = past.take(np.array([1, 0, 1]))
    assert swapped.batch == 3
    assert np.array_equal(swapped[1][3], past[1][3][[1, 0, 1]])
    for wrong in (-1, 4):
        with pytest.raises(ValueError, match="cannot be cropped"):
            past.crop(wrong)
    with pytest.raises(ValueError, match="not all among"):
        past.take(np.array([2]))
    with pytest.raises(ValueError, match="or neither"):
        LayerCache(past[0][0], past[0][1], past[0][2])


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_flax_triple(dialect: Dialect) -> None:
    """encode, init_cache and decode, step by step, give what one call gives."""
    model = draw_model(np.random.default_rng(6), dialect)
    mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1]])
    whole = model(IDS, mask, DECODER_IDS, output_hidden_states=True)
    encoded = model.encode(IDS, mask)
    assert np.array_equal(encoded.last_hidden_state, whole.encoder_last_hidden_state)
    at_once = model.decode(DECODER_IDS, encoded, mask)
    assert_close(at_once.logits, whole.logits, AGAIN)
    cache = model.init_cache(2, 3, encoded)
    assert (cache.length, cache.max_length, cache.source_length) == (0, 3, 4)
    steps = []
    for n in range(3):
        step = model.decode(
            DECODER_IDS[:, n : n + 1],
            encoded,
            encoder_attention_mask=mask,
            decoder_attention_mask=np.ones((2, 3)),  # of the width that the cache was made for
            decoder_position_ids=np.full((2, 1), n),
            past_key_values=cache,
        )
        steps.append(step.logits)
        cache = step.past_key_values
    assert_close(np.concatenate(steps, axis=1), whole.logits, AGAIN)
    with pytest.raises(ValueError, match="init_cache made room for 3"):
        model.decode(DECODER_IDS[:, :1], encoded, past_key_values=cache)
    base = CLASSES["base"](model.config, replace(model.weights, final_logits_bias=None), dialect=dialect)
    states = base.decode(DECODER_IDS, encoded, mask)
    assert_close(states.last_hidden_state, whole.decoder_hidden_states[-1], AGAIN)
    assert type(model.decode(DECODER_IDS, encoded, mask, return_dict=False)) is tuple


def test_decode_while_training_with_layerdrop_keeps_no_cache() -> None:
    model = draw_model(np.random.default_rng(6), TRANSFORMERS_4, decoder_layerdrop=0.5)
    encoded = model.encode(IDS)
    assert "past_key_values" in model.decode(DECODER_IDS, encoded)
    assert "past_key_values" not in model.decode(DECODER_IDS, encoded, train=True, dropout_rng=0)
    assert "past_key_values" not in model(IDS, decoder_input_ids=DECODER_IDS, training=True, generator=0)


def test_labels_are_shifted_into_decoder_ids() -> None:
    start, pad = CONFIG.decoder_start_token_id, CONFIG.pad_token_id
    labels = np.array([[7, 8, 9], [9, -100, 7]])
    made = MODEL(IDS, labels=labels)
    said = MODEL(IDS, decoder_input_ids=[[start, 7, 8], [start, 9, pad]])
    assert np.array_equal(made.logits, said.logits)
    assert made.past_key_values is None
    other = MODEL(IDS, decoder_input_ids=DECODER_IDS, labels=labels)  # given ids win, and only the loss looks at labels
    assert np.array_equal(other.logits, MODEL(IDS, decoder_input_ids=DECODER_IDS).logits)
    embeds = MODEL.get_input_embeddings().weight[DECODER_IDS]
    assert_close(MODEL(IDS, decoder_inputs_embeds=embeds, labels=labels).loss, other.loss, AGAIN)


def test_loss_is_the_mean_over_labels_that_count() -> None:
    labels = np.array([[7, -100, 9], [-100, -100, 3]])
    out = MODEL(IDS, labels=labels)
    counted = labels != -100
    probabilities = np.exp(out.logits) / np.exp(out.logits).sum(axis=-1, keepdims=True)
    expected = -np.log(np.take_along_axis(probabilities[counted], labels[counted][:, None], axis=1)).mean()
    assert out.loss.shape == ()
    assert out.loss.dtype == np.float64
    assert_close(out.loss, expected, AGAIN)
    assert out[0] is out.loss
    assert MODEL(IDS, labels=labels, return_dict=False)[0] == out.loss


@pytest.mark.parametrize("model", [MODEL, CAUSAL], ids=["seq2seq", "causal"])
def test_a_loss_of_no_labels_is_nan_without_a_warning(model: Any) -> None:
    source = {} if model is CAUSAL else {"input_ids": IDS, "decoder_input_ids": DECODER_IDS}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = model(**({"input_ids": DECODER_IDS} | source), labels=np.full((2, 3), -100))
    assert np.isnan(out.loss)
    assert np.isfinite(out.logits).all()


def test_causal_labels_are_not_shifted() -> None:
    """Label i belongs to the logits at i, and the cache is kept."""
    out = CAUSAL(DECODER_IDS, labels=DECODER_IDS)
    log_probabilities = np.log(np.exp(out.logits) / np.exp(out.logits).sum(axis=-1, keepdims=True))
    expected = -np.take_along_axis(log_probabilities, DECODER_IDS[..., None], axis=2).mean()
    assert_close(out.loss, expected, AGAIN)
    assert out.past_key_values.length == 3


def test_encoder_and_decoder_on_their_own() -> None:
    encoder, decoder = MODEL.get_encoder(), MODEL.get_decoder()
    whole = MODEL(IDS, decoder_input_ids=DECODER_IDS, **EVERYTHING)
    encoded = encoder(IDS, **EVERYTHING)
    assert list(encoded) == ["last_hidden_state", "hidden_states", "attentions"]
    assert np.array_equal(encoded.attentions[1], whole.encoder_attentions[1])
    states = decoder(DECODER_IDS, encoder_hidden_states=encoded.last_hidden_state, **EVERYTHING)
    assert np.array_equal(states.last_hidden_state, whole.decoder_hidden_states[-1])
    assert np.array_equal(states.cross_attentions[1], whole.cross_attentions[1])
    assert list(states) == ["last_hidden_state", "past_key_values", "hidden_states", "attentions", "cross_attentions"]
    assert "past_key_values" not in decoder(DECODER_IDS, use_cache=False)
