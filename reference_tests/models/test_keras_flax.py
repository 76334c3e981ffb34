"""The faces of transformers 4's Keras and Flax classes: their calling habits, and the examples of their documentation.

That their numbers are the originals' is shown by `python -m tools compare forward` (Keras and Flax answer the same
calls there), and that they read the originals' files by `checkpoint/test_formats.py`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import npblender
from npblender import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BlenderbotSmallConfig,
    BlenderbotSmallForConditionalGeneration,
    BlenderbotSmallModel,
    FlaxBlenderbotSmallForConditionalGeneration,
    FlaxBlenderbotSmallModel,
    TFBlenderbotSmallForConditionalGeneration,
    TFBlenderbotSmallModel,
)
from npblender.models.example import EXAMPLE_CONFIG, example_model
from npblender.models.flax_params import params_of, weights_of
from npblender.transformer.parameters import BASE_MODEL, FULL_MODEL, to_arrays
from reference_tests.support import tiny_folder
from reference_tests.support.asserts import assert_close
from reference_tests.support.tolerances import TOLERANCES

KERAS = (TFBlenderbotSmallModel, TFBlenderbotSmallForConditionalGeneration)
FLAX = (FlaxBlenderbotSmallModel, FlaxBlenderbotSmallForConditionalGeneration)
IDS, TARGET, MASK = np.array([[5, 6, 7], [8, 9, 0]]), np.array([[1, 9], [1, 4]]), np.array([[1, 1, 1], [1, 1, 0]])


def torch_like(face: Any) -> Any:
    """The plain model of a face's weights."""
    if isinstance(face, FLAX):
        parts = face.model_class.parts
        weights = weights_of(face.params, face.config, parts, face.dtype)
        return face.model_class(face.config, weights, dialect=face.dialect)
    plain = BlenderbotSmallModel if face.parts == BASE_MODEL else BlenderbotSmallForConditionalGeneration
    return plain(face.config, face.weights, dialect=face.dialect)


def first(output: Any) -> np.ndarray:
    return np.asarray(output.logits if "logits" in output else output.last_hidden_state)


@pytest.mark.parametrize("keras", KERAS)
def test_keras_takes_inputs_as_dict_list_tuple_by_position_and_by_name(keras: Any) -> None:
    model = keras(EXAMPLE_CONFIG, seed=0)
    named = {"input_ids": IDS, "attention_mask": MASK, "decoder_input_ids": TARGET}
    expected = first(torch_like(model).forward(**named))
    for output in (
        model(named),
        model(dict(named), training=False),
        model([IDS, MASK, TARGET]),
        model((IDS, MASK, TARGET), use_cache=False),
        model(IDS, MASK, TARGET),
        model(IDS, attention_mask=MASK, decoder_input_ids=TARGET),
        model(**named),
        model.call(**named),
        model.call([IDS, MASK, TARGET]),
    ):
        np.testing.assert_array_equal(first(output), expected)
    assert model.dialect.name == "transformers-4"


def test_keras_takes_positions_of_the_target_by_position() -> None:
    model = TFBlenderbotSmallModel(EXAMPLE_CONFIG)
    positions = np.array([[3, 1], [0, 0]])
    expected = model(input_ids=IDS, decoder_input_ids=TARGET, decoder_position_ids=positions)
    np.testing.assert_array_equal(first(model(IDS, None, TARGET, None, positions)), first(expected))
    assert not np.array_equal(first(expected), first(model(IDS, None, TARGET)))


def test_keras_training_draws_dropout() -> None:
    config = EXAMPLE_CONFIG.replace(dropout=0.5)
    model = TFBlenderbotSmallModel(config)
    calls = [first(model(IDS, None, TARGET, training=True, generator=seed)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(calls[0], calls[1])
    assert not np.array_equal(calls[0], calls[2])
    assert not np.array_equal(calls[0], first(model(IDS, None, TARGET)))


@pytest.mark.parametrize(
    ("arguments", "named", "words"),
    [
        ((IDS, MASK), {"attention_mask": MASK}, "given twice"),
        ((None,) * 13, {}, "12 inputs"),
        ((IDS,), {"tranining": True}, "has no argument 'tranining'"),
        (([IDS], MASK), {}, "name the others"),
    ],
)
def test_keras_refuses_what_it_would_not_use(arguments: Any, named: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        TFBlenderbotSmallModel(EXAMPLE_CONFIG)(*arguments, **named)


@pytest.mark.parametrize("flax", FLAX)
def test_flax_parameters_are_a_nested_dict_and_go_both_ways(flax: Any) -> None:
    model = flax(EXAMPLE_CONFIG, seed=3)
    tree = model.params if flax is FlaxBlenderbotSmallModel else model.params["model"]
    plain = to_arrays(torch_like(model).weights)
    np.testing.assert_array_equal(tree["shared"]["embedding"], plain["shared.weight"])
    layer = tree["decoder"]["layers"]["1"]
    np.testing.assert_array_equal(layer["fc1"]["kernel"], plain["decoder.layers.1.fc1.weight"].T)
    np.testing.assert_array_equal(
        layer["encoder_attn_layer_norm"]["scale"], plain["decoder.layers.1.encoder_attn_layer_norm.weight"]
    )
    other = flax(EXAMPLE_CONFIG, seed=4)
    before = first(other(IDS, MASK, TARGET))
    np.testing.assert_array_equal(first(other(IDS, MASK, TARGET, params=model.params)), first(model(IDS, MASK, TARGET)))
    np.testing.assert_array_equal(first(other(IDS, MASK, TARGET)), before)  # params= changed nothing
    other.params = model.params
    np.testing.assert_array_equal(first(other(IDS, MASK, TARGET)), first(model(IDS, MASK, TARGET)))


@pytest.mark.parametrize("flax", FLAX)
def test_flax_without_init_leaves_the_parameters_to_the_caller(flax: Any, tmp_path: Path) -> None:
    parts = flax.model_class.parts
    plain = example_model(flax.model_class)
    plain.save_pretrained(tmp_path)
    model, params = flax.from_pretrained(tmp_path, _do_init=False)
    with pytest.raises(ValueError, match="_do_init=False"):
        _ = model.params
    for call in (lambda: model(IDS), lambda: model.encode(IDS), lambda: model.init_cache(1, 2, None)):
        with pytest.raises(ValueError, match="pass params="):
            call()
    whole = flax.from_pretrained(tmp_path)
    np.testing.assert_array_equal(first(model(IDS, MASK, TARGET, params=params)), first(whole(IDS, MASK, TARGET)))
    drawn = model.init_weights(7, (1, 1))
    assert sorted(drawn) == sorted(params)
    assert weights_of(drawn, model.config, parts, "float32").dtype == np.float32
    model.save_pretrained(tmp_path / "again", params=params)
    np.testing.assert_array_equal(
        first(flax.from_pretrained(tmp_path / "again")(IDS, MASK, TARGET)), first(whole(IDS, MASK, TARGET))
    )


def test_flax_dtype_is_that_of_the_computation(tmp_path: Path) -> None:
    example_model().save_pretrained(tmp_path)
    for dtype in ("float32", np.float64):
        model = FlaxBlenderbotSmallForConditionalGeneration.from_pretrained(tmp_path, dtype=dtype)
        assert model(IDS, MASK, TARGET).logits.dtype == np.dtype(dtype)


def test_flax_shifts_the_source_where_there_is_no_target() -> None:
    model = FlaxBlenderbotSmallForConditionalGeneration(EXAMPLE_CONFIG)
    shifted = np.concatenate([np.full((2, 1), 1), IDS[:, :-1]], axis=1)
    np.testing.assert_array_equal(first(model(IDS)), first(model(IDS, decoder_input_ids=shifted)))


def test_flax_in_steps_is_flax_at_once() -> None:
    model = FlaxBlenderbotSmallForConditionalGeneration(EXAMPLE_CONFIG, dtype="float64")
    whole = model(IDS, MASK, TARGET).logits
    encoded = model.encode(IDS, MASK)
    assert_close(model.decode(TARGET, encoded, MASK).logits, whole, TOLERANCES["float64 computed another way"])
    cache = model.init_cache(2, 2, encoded)
    wide = np.ones((2, 2), np.int64)
    for at in range(2):
        step = model.decode(TARGET[:, at : at + 1], encoded, MASK, wide, np.full((2, 1), at), cache)
        assert_close(step.logits[:, 0], whole[:, at], TOLERANCES["float64 computed another way"])
        cache = step.past_key_values
    with pytest.raises(ValueError, match="decoder_position_ids"):
        model.decode(TARGET, encoded, past_key_values=cache)


def test_flax_train_draws_dropout_from_a_key() -> None:
    model = FlaxBlenderbotSmallModel(EXAMPLE_CONFIG.replace(dropout=0.5))
    key = np.array([0, 42], np.uint32)  # as jax.random.PRNGKey(42) is
    calls = [first(model(IDS, MASK, TARGET, train=True, dropout_rng=rng)) for rng in (key, key, 5)]
    np.testing.assert_array_equal(calls[0], calls[1])
    assert not np.array_equal(calls[0], calls[2])
    with pytest.raises(TypeError, match="key"):
        model(IDS, train=True, dropout_rng="42")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda tree: tree.pop("shared"), "lack shared.embedding"),
        (lambda tree: tree.update(head={"kernel": 0}), "does not have: head.kernel"),
        (lambda tree: tree["shared"].update(embedding=np.zeros((3, 6))), r"shared.embedding has shape \(3, 6\)"),
        (lambda tree: tree["encoder"]["layers"]["0"]["fc1"].update(kernel=np.zeros((5, 6))), r"not \(6, 5\)"),
    ],
)
def test_flax_parameters_that_do_not_fit_are_named(spoil: Any, words: str) -> None:
    model = FlaxBlenderbotSmallModel(EXAMPLE_CONFIG)
    tree = model.params
    spoil(tree)
    with pytest.raises(ValueError, match=words):
        model(IDS, params=tree)


def test_params_and_weights_undo_each_other() -> None:
    model = example_model()
    tree = params_of(model.weights, FULL_MODEL)
    back = to_arrays(weights_of(tree, model.config, FULL_MODEL, "float32"))
    for name, array in to_arrays(model.weights).items():
        np.testing.assert_array_equal(back[name], array)


def test_the_examples_of_keras_documentation(tmp_path: Path) -> None:
    """The Keras examples of 4.52.4, with a tiny model for the published one and NumPy for tensors."""
    mname = tiny_folder.save_folder(tmp_path)
    model = TFBlenderbotSmallForConditionalGeneration.from_pretrained(mname)
    tokenizer = AutoTokenizer.from_pretrained(mname)
    utterance = "My friends are cool but they eat too many carbs."
    inputs = tokenizer([utterance], return_tensors="np")
    reply_ids = model.generate(**inputs, max_length=8)
    said = tokenizer.batch_decode(reply_ids, skip_special_tokens=True)[0]
    following = f"{utterance}__end__ __start__{said}__end__ __start__ I'm not sure"
    inputs = tokenizer([following], return_tensors="np")
    inputs.pop("token_type_ids", None)
    next_reply_ids = model.generate(**inputs, max_length=8)
    plain = BlenderbotSmallForConditionalGeneration.from_pretrained(mname, dialect="transformers-4")
    np.testing.assert_array_equal(next_reply_ids, plain.generate(**inputs, max_length=8))


def test_the_examples_of_flax_documentation(tmp_path: Path) -> None:
    """The Flax examples of 4.52.4: encode, decode, generate, and logits of a text."""
    name = tiny_folder.save_folder(tmp_path)
    model = FlaxBlenderbotSmallForConditionalGeneration.from_pretrained(name)
    tokenizer = AutoTokenizer.from_pretrained(name)
    text = "My friends are cool but they eat too many carbs."
    inputs = tokenizer(text, max_length=60, truncation=True, return_tensors="np")
    encoder_outputs = model.encode(**inputs)
    start = model.config.decoder_start_token_id
    decoder_input_ids = np.ones((inputs.input_ids.shape[0], 1), dtype="i4") * start
    outputs = model.decode(decoder_input_ids, encoder_outputs)
    assert outputs.logits.shape == (1, 1, len(tokenizer))
    base = FlaxBlenderbotSmallModel.from_pretrained(name)
    assert base.decode(decoder_input_ids, base.encode(**inputs)).last_hidden_state.shape == (1, 1, 12)
    summary_ids = model.generate(inputs["input_ids"], max_length=8).sequences
    assert tokenizer.batch_decode(summary_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    logits = model(tokenizer(["My friends are but they eat."], return_tensors="np")["input_ids"]).logits
    assert logits.shape[0] == 1
    plain = BlenderbotSmallForConditionalGeneration.from_pretrained(name, dialect="transformers-4")
    np.testing.assert_array_equal(summary_ids, plain.generate(inputs["input_ids"], max_length=8))


def test_auto_classes_read_the_model_type(tmp_path: Path) -> None:
    folder = tiny_folder.save_folder(tmp_path)
    assert type(AutoConfig.from_pretrained(folder)) is BlenderbotSmallConfig
    assert type(AutoModelForSeq2SeqLM.from_pretrained(folder)) is BlenderbotSmallForConditionalGeneration
    assert AutoTokenizer.from_pretrained(folder).name_or_path == str(folder)
    assert AutoConfig.for_model("blenderbot-small", d_model=32).d_model == 32
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"blenderbot-small"', '"blenderbot"'))
    for auto in (AutoConfig, AutoTokenizer, AutoModelForSeq2SeqLM):
        with pytest.raises(ValueError, match=r"model_type is 'blenderbot'; only 'blenderbot-small'"):
            auto.from_pretrained(folder)
        with pytest.raises(TypeError, match="from_pretrained"):
            auto()
    with pytest.raises(FileNotFoundError):
        AutoConfig.from_pretrained("no/folder")


def test_they_are_there_when_they_are_asked_for() -> None:
    for name in ("TFBlenderbotSmallModel", "FlaxBlenderbotSmallModel", "AutoTokenizer"):
        assert name in npblender.__all__
        assert name in dir(npblender)
