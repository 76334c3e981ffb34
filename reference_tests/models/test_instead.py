"""What means nothing here says what to write instead: names on a tokenizer, arguments of `generate`, settings."""

import inspect
import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import npblender
from npblender import (
    BlenderbotSmallConfig,
    BlenderbotSmallForConditionalGeneration,
    BlenderbotSmallTokenizer,
    FlaxBlenderbotSmallModel,
    GenerationConfig,
)
from npblender.common.instead import INSTEAD as IMPORTS
from npblender.config.generation_options import INSTEAD, NOT_COVERED, OPTIONS
from npblender.generation.call_arguments import GenerateArguments
from npblender.tokenizer.example import example_tokenizer
from npblender.tokenizer.instead import INSTEAD as TOKENIZERS
from reference_tests.support.generation_cases import lively_model


@pytest.mark.parametrize("name", IMPORTS)
def test_a_name_to_import(name: str) -> None:
    """`from npblender import name` shows the hint itself, `hasattr` is false, and so is a default taken."""
    expected = re.escape(f"npblender has no '{name}': {IMPORTS[name]}")
    with pytest.raises(ImportError, match=f"^{expected}$"):
        exec(f"from npblender import {name}", {})
    with pytest.raises(AttributeError, match=f"^{expected}$"):
        getattr(npblender, name)
    assert not hasattr(npblender, name)
    assert getattr(npblender, name, None) is None
    assert name not in dir(npblender)
    assert len(IMPORTS[name]) >= 20


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("TextStreamer", "model.stream("),
        ("pipeline", "Conversation.from_pretrained("),
        ("set_seed", "seed="),
        ("AutoModelForCausalLM", "BlenderbotSmallForCausalLM"),
        ("AutoModel", "AutoModelForSeq2SeqLM"),
        ("LogitsProcessorList", "logits_processor="),
        ("StoppingCriteriaList", "stopping_criteria="),
        ("BlenderbotForConditionalGeneration", "BlenderbotSmallForConditionalGeneration"),
    ],
)
def test_the_best_known_names_say_what_does_it(name: str, advice: str) -> None:
    with pytest.raises(ImportError) as caught:
        exec(f"from npblender import {name}", {})
    assert advice in str(caught.value)


def test_a_name_to_import_that_nobody_knows_is_an_error_as_ever() -> None:
    with pytest.raises(ImportError, match=r"^cannot import name 'evil' from 'npblender'"):
        exec("from npblender import evil", {})
    with pytest.raises(AttributeError, match=r"^module 'npblender' has no attribute 'evil'$"):
        _ = npblender.evil  # type: ignore[attr-defined]
    assert not {*IMPORTS} & {*npblender.__all__}, "what the table refuses is nowhere honoured"


def test_what_the_advice_about_imports_names_is_there() -> None:
    """Its classes and functions can be imported, its arguments are taken."""
    for text in set(IMPORTS.values()):
        for name in re.findall(
            r"\b(?:Auto|BlenderbotSmall|Flax|TF)\w+|\bConversation\b|\breply_to_all\b|\bCache\b", text
        ):
            if name != "BlenderbotSmall":
                assert name in npblender.__all__
        for name in re.findall(r"generate\((\w+)=", text):
            assert name in {*OPTIONS, *inspect.signature(BlenderbotSmallForConditionalGeneration.generate).parameters}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_name_on_a_tokenizer(name: str) -> None:
    tokenizer: Any = example_tokenizer()
    with pytest.raises(AttributeError, match=f"BlenderbotSmallTokenizer has no '{name}': .{{20}}"):
        getattr(tokenizer, name)
    assert not hasattr(BlenderbotSmallTokenizer, name), "what the table refuses is nowhere honoured"
    with pytest.raises(AttributeError, match=r"has no 'evil'$"):
        _ = tokenizer.evil


def test_a_tokenizer_is_pickled_as_before() -> None:
    tokenizer = example_tokenizer()
    assert pickle.loads(pickle.dumps(tokenizer))("low")["input_ids"] == tokenizer("low")["input_ids"]


@pytest.mark.parametrize("name", INSTEAD)
def test_an_argument_of_generate(name: str) -> None:
    model: Any = lively_model(0, "transformers-5")
    with pytest.raises(TypeError, match=rf"generate\(\) does not take '{name}': .{{10}}"):
        model.generate([[5, 6, 7]], **{name: None})
    assert name not in {*OPTIONS, *GenerateArguments.__annotations__}
    assert {*NOT_COVERED} <= {*INSTEAD}


def test_an_array_of_texts_says_tolist() -> None:
    with pytest.raises(TypeError, match=r"text must be a string .*; pass text\.tolist\(\)"):
        example_tokenizer()(np.array(["low", "lower"]))


def test_json_of_settings(tmp_path: Path) -> None:
    settings = GenerationConfig(num_beams=4, max_length=20, eos_token_id=[2, 3], extra={"a": 1})
    assert settings.to_diff_dict() == {"a": 1, "num_beams": 4, "eos_token_id": [2, 3]}, "20 is what it is anyway"
    assert json.loads(settings.to_json_string(use_diff=False)) == settings.to_dict()
    settings.to_json_file(tmp_path / "any.json")
    assert json.loads((tmp_path / "any.json").read_text()) == settings.to_diff_dict()
    with pytest.raises(TypeError, match=r"settings = settings\.replace\(num_beams=\.\.\.\)"):
        settings.update(num_beams=2)


def test_flax_models_are_shown_in_a_few_words() -> None:
    config = BlenderbotSmallConfig(vocab_size=30, d_model=16, encoder_layers=1, decoder_layers=1)
    shown = repr(FlaxBlenderbotSmallModel(config))
    assert re.fullmatch(
        r"FlaxBlenderbotSmallModel\([\d,]+ parameters, 1 \+ 1 layers, .*dialect 'transformers-4'\)", shown
    )
    without = FlaxBlenderbotSmallModel(config, _do_init=False)
    assert repr(without) == "FlaxBlenderbotSmallModel(without parameters, d_model 16, float32)"


class OfTorch:
    """As torch's dtypes: an object that is shown by its name."""

    def __str__(self) -> str:
        return "torch.float16"


class OfTransformers:
    """As transformers' `GenerationConfig`."""

    def to_diff_dict(self) -> dict[str, Any]:
        return {"max_new_tokens": 3}


def test_what_other_libraries_call_by_the_same_name() -> None:
    """torch's dtypes for loading; a mapping, or transformers' settings, assigned to a model."""
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(dtype=OfTorch())
    assert model.storage == "float16"
    model = lively_model(0, "transformers-5")
    expected = model.generate([[5, 6, 7]], max_new_tokens=3)
    for settings in (OfTransformers(), {"max_new_tokens": 3}, GenerationConfig(max_new_tokens=3)):
        model.generation_config = settings
        assert model.generation_config == GenerationConfig(max_new_tokens=3)
        np.testing.assert_array_equal(model.generate([[5, 6, 7]]), expected)
    with pytest.raises(TypeError, match="generation_config must be a GenerationConfig or a mapping"):
        model.generation_config = 3
