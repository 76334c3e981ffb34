"""The models' face: every argument of the originals is honoured, and felt, or refused by name."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from npblender.config.dialect import PARLAI, TRANSFORMERS_4
from npblender.models.signatures import KERAS_ORDER, argument_names
from reference_tests.support.asserts import assert_close
from reference_tests.support.forward_checks import traced
from reference_tests.support.model_cases import draw_model, ids_of
from reference_tests.support.original_signatures import SIGNATURES, names
from reference_tests.support.tolerances import TOLERANCES

AGAIN = TOLERANCES["float64 computed another way"]

REFUSED = {
    "params",
    "deterministic",
    "num_items_in_batch",
    "output_router_logits",
    "cu_seq_lens_q",
    "cu_seq_lens_k",
    "max_length_q",
    "max_length_k",
    "is_causal",
    "seq_idx",
    *("synced_gpus", "assistant_model", "negative_prompt_ids", "negative_prompt_attention_mask"),
    *("use_model_defaults", "custom_generate", "prng_key", "trace"),
}
KINDS = {"Model": "base", "ForCausalLM": "causal"}
METHODS = {"call": "forward", "__call__": "forward"}

RNG = np.random.default_rng(21)
SEQ2SEQ = draw_model(np.random.default_rng(2), TRANSFORMERS_4, encoder_layers=2, decoder_layers=2, dropout=0.2)
CAUSAL = draw_model(np.random.default_rng(2), TRANSFORMERS_4, "causal", decoder_layers=2, dropout=0.2)
CONFIG = SEQ2SEQ.config
IDS, DECODER_IDS = ids_of(RNG, CONFIG, 2, 4), ids_of(RNG, CONFIG, 2, 3)
STATES = RNG.standard_normal((2, 4, CONFIG.d_model))


def method_of(class_name: str, method: str) -> Callable[..., Any]:
    model = draw_model(np.random.default_rng(1), PARLAI, KINDS.get(class_name, "seq2seq"))
    owner = {"Encoder": "get_encoder", "Decoder": "get_decoder"}.get(class_name)
    return getattr(getattr(model, owner)() if owner else model, METHODS.get(method, method))


@pytest.mark.parametrize("key", SIGNATURES, ids=" ".join)
def test_every_argument_is_honoured_or_refused_by_name(key: tuple[str, str, str]) -> None:
    method = method_of(key[1], key[2])
    unknown = [name for name in names(*key) if name not in argument_names(method)]
    assert set(unknown) <= REFUSED
    inputs = {"inputs": [[3, 4]]} if key[2] == "generate" else {}
    for name in unknown:
        with pytest.raises(TypeError, match=f"{name!r}"):
            method(**{**inputs, name: None})


def test_the_call_itself_shows_its_arguments() -> None:
    """`help(model)` and editors see what may be passed: `__call__` and `encode` are not mere *args."""
    for model in (SEQ2SEQ, CAUSAL, SEQ2SEQ.get_encoder(), SEQ2SEQ.get_decoder()):
        assert "input_ids" in inspect.signature(type(model).__call__).parameters
    assert "position_ids" in inspect.signature(SEQ2SEQ.encode).parameters


def past() -> Any:
    return SEQ2SEQ(IDS, decoder_input_ids=DECODER_IDS).past_key_values


def ones_but_one(*shape: int) -> np.ndarray:
    mask = np.ones(shape)
    mask.flat[0] = 0
    return mask


ENCODER_HEADS = (2, CONFIG.encoder_attention_heads)
DECODER_HEADS = (2, CONFIG.decoder_attention_heads)
CHANGES: dict[str, Any] = {
    "input_ids": IDS[::-1],
    "attention_mask": ones_but_one(2, 4),
    "decoder_input_ids": DECODER_IDS[::-1],
    "decoder_attention_mask": ones_but_one(2, 3),
    "head_mask": ones_but_one(*ENCODER_HEADS),
    "decoder_head_mask": ones_but_one(*DECODER_HEADS),
    "cross_attn_head_mask": ones_but_one(*DECODER_HEADS),
    "position_ids": [3, 2, 1, 0],
    "decoder_position_ids": [[1, 2, 3]],
    "past_key_values": past,
    "train": True,
    "training": True,
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_should_change_the_logits_does(name: str) -> None:
    value = CHANGES[name]() if callable(CHANGES[name]) else CHANGES[name]
    call = {"input_ids": IDS, "decoder_input_ids": DECODER_IDS}
    noise = {"generator": 0} if name in ("train", "training") else {}
    changed = SEQ2SEQ(**{**call, name: value, **noise}).logits
    assert np.abs(changed - SEQ2SEQ(**call).logits).max() > 1e-6


@pytest.mark.parametrize(
    ("name", "ids"), [("inputs_embeds", "input_ids"), ("decoder_inputs_embeds", "decoder_input_ids")]
)
def test_embeddings_stand_for_ids(name: str, ids: str) -> None:
    """The rows of the shared matrix, scaled where the model does not do it, give what their ids give."""
    call = {"input_ids": IDS, "decoder_input_ids": DECODER_IDS}
    factor = np.sqrt(CONFIG.d_model) if CONFIG.scale_embedding and name == "inputs_embeds" else 1.0
    embeds = SEQ2SEQ.get_input_embeddings().weight[call[ids]] * factor
    found = SEQ2SEQ(**{**{k: v for k, v in call.items() if k != ids}, name: embeds}).logits
    assert_close(found, SEQ2SEQ(**call).logits, AGAIN)


def test_encoder_outputs_stand_for_the_source() -> None:
    """In every form that transformers takes: a record, tuples of one to three, a dict, the states alone."""
    encoded = SEQ2SEQ.encode(IDS, output_hidden_states=True, output_attentions=True)
    expected = SEQ2SEQ(IDS, decoder_input_ids=DECODER_IDS, output_hidden_states=True)
    short = encoded.to_tuple()
    for form in (encoded, short[:1], short[:2], list(short), dict(encoded), encoded.last_hidden_state):
        output = SEQ2SEQ(encoder_outputs=form, decoder_input_ids=DECODER_IDS)
        assert np.array_equal(output.logits, expected.logits)
        assert np.array_equal(output.encoder_last_hidden_state, expected.encoder_last_hidden_state)
    kept = SEQ2SEQ(encoder_outputs=encoded, decoder_input_ids=DECODER_IDS)
    assert len(kept.encoder_hidden_states) == 3
    assert len(kept.encoder_attentions) == 2


def test_switches_choose_what_is_returned() -> None:
    call = {"input_ids": IDS, "decoder_input_ids": DECODER_IDS}
    always = ["logits", "past_key_values"]
    attentions = ["decoder_attentions", "cross_attentions"]
    assert list(SEQ2SEQ(**call)) == [*always, "encoder_last_hidden_state"]
    assert list(SEQ2SEQ(**call, use_cache=False)) == ["logits", "encoder_last_hidden_state"]
    shown = SEQ2SEQ(**call, output_attentions=True)
    assert list(shown) == [*always, *attentions, "encoder_last_hidden_state", "encoder_attentions"]
    shown = SEQ2SEQ(**call, output_hidden_states=True)
    assert list(shown) == [*always, "decoder_hidden_states", "encoder_last_hidden_state", "encoder_hidden_states"]
    plain = SEQ2SEQ(**call, return_dict=False)
    assert type(plain) is tuple
    assert np.array_equal(plain[0], SEQ2SEQ(**call)[0])
    assert len(plain) == 3
    quiet = type(SEQ2SEQ)(CONFIG.replace(use_cache=False, output_attentions=True, return_dict=False), SEQ2SEQ.weights)
    assert len(quiet(**call)) == 5  # logits, both attentions of the decoder, states and attentions of the encoder
    assert len(quiet(**call, use_cache=True, output_attentions=False)) == 3
    assert list(quiet(**call, return_dict=True, output_attentions=False)) == ["logits", "encoder_last_hidden_state"]


def test_cache_position_is_refused_where_the_cache_does_not_end() -> None:
    call = {"input_ids": IDS, "decoder_input_ids": DECODER_IDS}
    assert np.array_equal(SEQ2SEQ(**call, cache_position=[0, 1, 2]).logits, SEQ2SEQ(**call).logits)
    with pytest.raises(ValueError, match="cache_position must be 3 to 5"):
        SEQ2SEQ(**call, cache_position=[0, 1, 2], past_key_values=past())


def test_four_arguments_by_position_and_no_more() -> None:
    """torch, Keras and Flax agree on the first four places only; a fifth would mean something else in each."""
    mask, decoder_mask = ones_but_one(2, 4), ones_but_one(2, 3)
    named = SEQ2SEQ(
        input_ids=IDS, attention_mask=mask, decoder_input_ids=DECODER_IDS, decoder_attention_mask=decoder_mask
    )
    assert np.array_equal(SEQ2SEQ(IDS, mask, DECODER_IDS, decoder_mask).logits, named.logits)
    with pytest.raises(TypeError, match="pass the others by name"):
        SEQ2SEQ(IDS, mask, DECODER_IDS, decoder_mask, None)
    with pytest.raises(TypeError, match="'input_ids' is given twice"):
        SEQ2SEQ(IDS, input_ids=IDS)


def test_all_arguments_in_the_first_position() -> None:
    """As Keras takes them: a dict, or a list or tuple of arrays in the documented order, None for what is absent."""
    mask = ones_but_one(2, 4)
    expected = SEQ2SEQ(IDS, mask, DECODER_IDS).logits
    by_name = {"input_ids": IDS, "attention_mask": mask, "decoder_input_ids": DECODER_IDS}
    assert np.array_equal(SEQ2SEQ(by_name).logits, expected)
    assert np.array_equal(SEQ2SEQ({**by_name, "labels": None}, use_cache=False).logits, expected)
    for packed in ([IDS, mask, DECODER_IDS], (IDS, mask, DECODER_IDS)):
        assert np.array_equal(SEQ2SEQ(packed).logits, expected)
        assert "past_key_values" not in SEQ2SEQ(packed, use_cache=False)
    assert np.array_equal(SEQ2SEQ([IDS, mask], decoder_input_ids=DECODER_IDS).logits, expected)
    every: list[Any] = [None] * len(KERAS_ORDER)
    for name, value in {**by_name, "decoder_head_mask": CHANGES["decoder_head_mask"]}.items():
        every[KERAS_ORDER.index(name)] = value
    assert np.array_equal(
        SEQ2SEQ(every).logits, SEQ2SEQ(**by_name, decoder_head_mask=CHANGES["decoder_head_mask"]).logits
    )
    assert list(KERAS_ORDER) == SIGNATURES["TF", "Model", "call"].split()[: len(KERAS_ORDER)]
    states = SEQ2SEQ.get_encoder()([IDS, mask]).last_hidden_state
    assert np.array_equal(states, SEQ2SEQ.get_encoder()({"input_ids": IDS, "attention_mask": mask}).last_hidden_state)
    assert np.array_equal(CAUSAL([DECODER_IDS, None, STATES]).logits, CAUSAL(DECODER_IDS, None, STATES).logits)


def test_nested_lists_of_ints_are_ids() -> None:
    expected = SEQ2SEQ(IDS, decoder_input_ids=DECODER_IDS).logits
    assert np.array_equal(SEQ2SEQ(IDS.tolist(), decoder_input_ids=DECODER_IDS.tolist()).logits, expected)
    rows = tuple(tuple(row) for row in IDS.tolist())
    assert np.array_equal(SEQ2SEQ(rows, decoder_input_ids=list(DECODER_IDS)).logits, expected)
    for dtype in (np.int32, np.uint8, ">i8"):
        assert np.array_equal(SEQ2SEQ(IDS.astype(dtype), decoder_input_ids=DECODER_IDS).logits, expected)


def test_masks_of_any_dtype_are_the_same_mask() -> None:
    expected = SEQ2SEQ(IDS, ones_but_one(2, 4), DECODER_IDS).logits
    for dtype in (bool, np.int64, np.float32, np.float16, np.uint8):
        assert np.array_equal(SEQ2SEQ(IDS, ones_but_one(2, 4).astype(dtype), DECODER_IDS).logits, expected)


def test_decoder_with_and_without_a_source() -> None:
    """The causal head and `get_decoder` on their own: cross-attention only where there are states to attend to."""
    alone, over = CAUSAL(DECODER_IDS, output_attentions=True), CAUSAL(DECODER_IDS, None, STATES, output_attentions=True)
    assert "cross_attentions" not in alone
    assert [a.shape[-1] for a in over.cross_attentions] == [4, 4]
    assert {len(layer) for layer in alone.past_key_values} == {2}
    assert {len(layer) for layer in over.past_key_values} == {4}
    decoder = CAUSAL.get_decoder()(DECODER_IDS, encoder_hidden_states=STATES, output_hidden_states=True)
    assert len(decoder.hidden_states) == 3
    assert_close(decoder.last_hidden_state @ CAUSAL.get_input_embeddings().weight.T, over.logits, AGAIN)
    assert set(traced(CAUSAL, input_ids=DECODER_IDS)[0]) < set(
        traced(CAUSAL, input_ids=DECODER_IDS, encoder_hidden_states=STATES)[0]
    )
    # A source may come later than the first tokens: the past then gets its cross keys.
    later = CAUSAL(
        DECODER_IDS[:, 2:], encoder_hidden_states=STATES, past_key_values=CAUSAL(DECODER_IDS[:, :2]).past_key_values
    )
    assert {len(layer) for layer in later.past_key_values} == {4}


@pytest.mark.parametrize("keep", [0, 1, 2, 3, np.int64(2), [0, 2], np.array([1]), [-1]])
def test_logits_to_keep(keep: Any) -> None:
    every = CAUSAL(DECODER_IDS).logits
    kept = CAUSAL(DECODER_IDS, logits_to_keep=keep).logits
    wanted = every[:, -int(keep) :] if np.ndim(keep) == 0 else every[:, np.asarray(keep)]
    assert_close(kept, wanted, AGAIN)
    assert kept.shape == wanted.shape
