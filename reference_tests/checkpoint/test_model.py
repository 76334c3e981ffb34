"""Folders as the public classes meet them: saved, loaded, and refused with an error that names the thing."""

import json
from pathlib import Path

import numpy as np
import pytest

from npblender import BlenderbotSmallForCausalLM, BlenderbotSmallForConditionalGeneration, BlenderbotSmallModel
from npblender.config.dialect import PARLAI, TRANSFORMERS_4
from reference_tests.support.stored import TINY, split, tensors_of, write

CLASSES = (BlenderbotSmallForConditionalGeneration, BlenderbotSmallModel, BlenderbotSmallForCausalLM)
FILE = "model.safetensors"


@pytest.mark.parametrize("model_class", CLASSES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_saved_model_comes_back(model_class: type, dtype: str, tmp_path: Path):
    model = model_class.from_config(TINY, seed=3, dialect="transformers-4", dtype=dtype)
    model.save_pretrained(tmp_path)
    again = model_class.from_pretrained(tmp_path, dtype=dtype)
    assert again.dialect == TRANSFORMERS_4
    assert again.dtype == dtype
    ids = np.array([[5, 6, 7]])
    inputs = {"input_ids": ids} if model_class is CLASSES[2] else {"input_ids": ids, "decoder_input_ids": ids}
    assert np.array_equal(model(**inputs)[0], again(**inputs)[0])
    assert model_class.from_pretrained(tmp_path, dialect="parlai").dialect == PARLAI


def test_a_folder_that_names_no_dialect_is_parlais(tmp_path: Path):
    TINY.save_pretrained(tmp_path)
    write(tmp_path / FILE, tensors_of(TINY, "parlai")[1])
    assert CLASSES[0].from_pretrained(tmp_path).dialect == PARLAI


@pytest.mark.parametrize("model_class", CLASSES)
def test_bad_folders(model_class: type, tmp_path: Path):
    absent = r"there is no folder 'facebook/blenderbot_small-90M', and no model of this name in .*: (allow|pip install)"
    with pytest.raises(FileNotFoundError, match=absent):
        model_class.from_pretrained("facebook/blenderbot_small-90M")
    with pytest.raises(FileNotFoundError, match=r"no config\.json"):
        model_class.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**TINY.to_dict(), "model_type": "blenderbot"}))
    with pytest.raises(ValueError, match=r"config\.json: model_type is 'blenderbot'; only 'blenderbot-small'"):
        model_class.from_pretrained(tmp_path)
    TINY.save_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"neither model\.safetensors nor"):
        model_class.from_pretrained(tmp_path)
    _, stored = tensors_of(TINY, "full")
    write(tmp_path / FILE, stored)
    for dtype in ("float8", "int8", "double precision"):
        with pytest.raises(ValueError, match="choose 'float32', 'float64' or 'longdouble'"):
            model_class.from_pretrained(tmp_path, dtype=dtype)
    with pytest.raises(ValueError, match="unknown dialect 'hf'"):
        model_class.from_pretrained(tmp_path, dialect="hf")
    model_class.from_pretrained(tmp_path)
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"model\.safetensors was cut short"):
        model_class.from_pretrained(tmp_path)
    write(tmp_path / FILE, {**stored, "model.decoder.layers.0.fc1.weight": np.zeros((6, 13))})
    with pytest.raises(
        ValueError, match=r"decoder\.layers\.0\.fc1\.weight is \[6, 13\], the config asks for \[13, 6\]"
    ):
        model_class.from_pretrained(tmp_path)
    (tmp_path / FILE).unlink()
    split(tmp_path, stored, 2)
    model_class.from_pretrained(tmp_path)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"not there: model-00002-of-00002\.safetensors"):
        model_class.from_pretrained(tmp_path)
