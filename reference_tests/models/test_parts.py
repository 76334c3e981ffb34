"""Parts of a model that can be taken, replaced, named and kept: embeddings, dialects, files."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from npblender import BlenderbotSmallForConditionalGeneration
from npblender.config.dialect import DIALECTS, PARLAI, TRANSFORMERS_4, TRANSFORMERS_5, Dialect
from npblender.transformer import parameters
from npblender.transformer.parameters import Embedding, random_weights, to_arrays
from reference_tests.support.asserts import assert_close
from reference_tests.support.calls import calls_of
from reference_tests.support.model_cases import draw_config, draw_model
from reference_tests.support.tolerances import TOLERANCES

AGAIN = TOLERANCES["float64 computed another way"]

RNG = np.random.default_rng(41)
MODEL = draw_model(np.random.default_rng(6), TRANSFORMERS_4)
CONFIG = MODEL.config  # the other models here may have another vocabulary, of 17 at least
IDS, DECODER_IDS = RNG.integers(17, size=(2, 4)), RNG.integers(17, size=(2, 3))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_embeddings_are_called_with_ids(dtype: str) -> None:
    """As torch's are, on the way to `inputs_embeds`: the rows of the matrix, and the logits that the ids give."""
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(dtype=dtype)
    embeddings, ids = model.get_input_embeddings(), np.array([[5, 9, 5], [7, 6, 2]])
    rows = embeddings(ids)
    assert (rows.shape, rows.dtype) == ((2, 3, model.config.d_model), model.dtype)
    table = np.asarray(embeddings.weight)
    for place in np.ndindex(ids.shape):
        assert np.array_equal(rows[place], table[ids[place]])
    assert np.array_equal(embeddings(7), table[7])
    assert np.array_equal(embeddings(input=[5, 9]), table[[5, 9]])
    scaled = rows * model.dtype.type(np.sqrt(model.config.d_model) if model.config.scale_embedding else 1)
    target = [[1, 5], [1, 6]]
    found = model(inputs_embeds=scaled, decoder_input_ids=target).logits
    assert np.array_equal(found, model(ids, decoder_input_ids=target).logits)
    assert np.array_equal(model.generate(inputs_embeds=scaled, max_length=8), model.generate(ids, max_length=8))


def test_embeddings_refuse_what_is_no_id() -> None:
    model = BlenderbotSmallForConditionalGeneration.from_pretrained()
    size = model.config.vocab_size
    for wrong in (-1, size):
        with pytest.raises(ValueError, match=f"{wrong}.*{size}"):
            model.get_input_embeddings()([[5, wrong]])
    for ids in ([[5.0]], "hello", [True], None):
        with pytest.raises(TypeError, match="ids"):
            model.get_input_embeddings()(ids)


def test_resizing_keeps_old_logits_and_adds_the_mean() -> None:
    model = draw_model(np.random.default_rng(8), PARLAI)
    config, before = model.config, model(IDS, decoder_input_ids=DECODER_IDS)
    old, bias = model.get_input_embeddings().weight, model.weights.final_logits_bias
    size = config.vocab_size
    returned = model.resize_token_embeddings(size + 3)
    assert returned is model.get_input_embeddings()
    assert returned.weight.shape == (size + 3, config.d_model)
    assert model.config.vocab_size == size + 3
    assert np.array_equal(returned.weight[:size], old)
    assert_close(returned.weight[size:], np.broadcast_to(old.mean(axis=0), (3, old.shape[1])), AGAIN)
    grown = model(IDS, decoder_input_ids=DECODER_IDS)
    assert_close(grown.logits[..., :size], before.logits, AGAIN)
    assert np.array_equal(model.weights.final_logits_bias, np.concatenate([bias, np.zeros((1, 3))], axis=1))
    model.resize_token_embeddings(size)
    assert_close(model(IDS, decoder_input_ids=DECODER_IDS).logits, before.logits, AGAIN)
    assert model.resize_token_embeddings(pad_to_multiple_of=16).weight.shape[0] == 32
    assert model.resize_token_embeddings(9, 4).weight.shape[0] == 12
    with pytest.raises(ValueError, match="token_id"):
        model.resize_token_embeddings(2)
    assert model.config.vocab_size == 12  # a refusal changes nothing


def test_embeddings_can_be_replaced() -> None:
    model = draw_model(np.random.default_rng(8), PARLAI)
    other = np.asarray(RNG.standard_normal(model.get_input_embeddings().weight.shape))
    model.set_input_embeddings(other)
    assert np.array_equal(model.get_input_embeddings().weight, other)
    model.set_input_embeddings(Embedding(other.astype(np.float32)))
    assert model.get_input_embeddings().weight.dtype == model.dtype


@pytest.mark.parametrize("name", ["parlai", "transformers-4", "transformers-5"])
def test_dialects_by_name_and_by_record(name: str) -> None:
    config = draw_config(np.random.default_rng(9), scale_embedding=True)
    by_name = BlenderbotSmallForConditionalGeneration.from_config(config, seed=1, dialect=name)
    record = next(dialect for dialect in DIALECTS if dialect.name == name)
    by_record = BlenderbotSmallForConditionalGeneration.from_config(config, seed=1, dialect=record)
    assert by_name.dialect is by_record.dialect is record
    logits = by_name(IDS, decoder_input_ids=DECODER_IDS).logits
    assert np.array_equal(logits, by_record(IDS, decoder_input_ids=DECODER_IDS).logits)
    default = BlenderbotSmallForConditionalGeneration.from_config(config, seed=1)
    same = np.array_equal(logits, default(IDS, decoder_input_ids=DECODER_IDS).logits)
    assert same == (name == "parlai")


OWN = replace(TRANSFORMERS_5, name="mine", scale_decoder_embeddings=True, masked_score=-1e30, start_logit=-5.0)


@pytest.mark.parametrize("dialect", [*DIALECTS, OWN], ids=lambda dialect: dialect.name)
def test_files_keep_the_dialect(dialect: Dialect, tmp_path: Path) -> None:
    model = draw_model(np.random.default_rng(10), dialect)
    expected = model(IDS, decoder_input_ids=DECODER_IDS).logits
    model.save_pretrained(tmp_path)
    again = BlenderbotSmallForConditionalGeneration.from_pretrained(tmp_path, dtype="float64")
    assert again.dialect == dialect
    assert np.array_equal(again(IDS, decoder_input_ids=DECODER_IDS).logits, expected)
    other = BlenderbotSmallForConditionalGeneration.from_pretrained(
        pretrained_model_name_or_path=tmp_path, dtype="float64", dialect="transformers-5"
    )
    assert other.dialect is TRANSFORMERS_5


def test_a_model_and_its_outputs_can_be_pickled() -> None:
    """So that other processes can have them."""
    again = pickle.loads(pickle.dumps(MODEL))
    out = pickle.loads(pickle.dumps(again(IDS, decoder_input_ids=DECODER_IDS)))
    assert np.array_equal(out.logits, MODEL(IDS, decoder_input_ids=DECODER_IDS).logits)


def test_seeded_models_are_the_same_in_every_dtype_up_to_rounding() -> None:
    double = random_weights(CONFIG, 3, np.float64)
    single = random_weights(CONFIG, 3, np.float32)
    for name, array in to_arrays(double).items():
        assert np.array_equal(to_arrays(single)[name], array.astype(np.float32)), name


def test_a_folder_is_loaded_into_one_tree_of_weights() -> None:
    """The first load of a configuration, too: what shapes it asks for is no tree, and is worked out once."""
    parameters.expected_shapes.cache_clear()
    for _ in range(2):
        calls = calls_of(BlenderbotSmallForConditionalGeneration.from_pretrained)
        assert calls[parameters.build.__code__] == 1
        assert calls[parameters.Weights.__init__.__code__] == 1
