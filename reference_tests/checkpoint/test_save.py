"""Saving: what comes back is equal to the last bit, under transformers' names, always the same bytes."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file

from npblender.checkpoint import dtypes, load, save
from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import PARLAI, TRANSFORMERS_5, resolve_dialect
from npblender.config.generation_config import GenerationConfig
from npblender.transformer.parameters import (
    BASE_MODEL,
    CAUSAL_MODEL,
    FULL_MODEL,
    Linear,
    Weights,
    random_weights,
    to_arrays,
)
from reference_tests.support.asserts import assert_same
from reference_tests.support.stored import TINY, names_of
from reference_tests.support.strategies import seeds, tiny_config_files

PARTS = {"full": FULL_MODEL, "base": BASE_MODEL, "causal": CAUSAL_MODEL}
FILE = "model.safetensors"


def changed(weights: Weights, **arrays: np.ndarray) -> Weights:
    """The same weights with another first linear map in the encoder."""
    assert weights.encoder is not None
    layer = dataclasses.replace(weights.encoder.layers[0], fc1=Linear(**arrays))
    return dataclasses.replace(
        weights, encoder=dataclasses.replace(weights.encoder, layers=(layer, *weights.encoder.layers[1:]))
    )


@given(
    content=tiny_config_files(),
    seed=seeds(),
    kind=st.sampled_from(["full", "base", "causal"]),
    stored=st.sampled_from(["float16", "float32", "float64"]),
    dtype=st.sampled_from(["float32", "float64", "longdouble"]),
)
def test_saved_and_loaded_is_equal(
    tmp_path_factory: Any, content: dict[str, Any], seed: int, kind: str, stored: str, dtype: str
):
    if dtype == "longdouble" and not dtypes._longdouble_is_wider():
        dtype = "float64"
    config = BlenderbotSmallConfig.from_dict(content)
    weights = random_weights(config, seed, "float64" if stored == "float64" else "float32", PARTS[kind])
    folder = tmp_path_factory.mktemp("saved")
    save(folder, config, weights, dtype=stored)
    assert BlenderbotSmallConfig.from_pretrained(folder) == config
    before, after = to_arrays(weights), to_arrays(load(folder, config, PARTS[kind], dtype))
    assert list(before) == list(after)
    for name in before:
        assert_same(after[name], before[name].astype(stored).astype(dtype), name)


@pytest.mark.parametrize("kind", ["full", "base", "causal"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_file_as_the_library_sees_it(kind: str, dtype: str, tmp_path: Path):
    weights = random_weights(TINY, 1, "float64", PARTS[kind])
    save(tmp_path, TINY, weights, dtype=dtype)
    found, names = load_file(tmp_path / FILE), names_of(TINY, kind)
    assert sorted(found) == sorted(names.values())
    for name, array in to_arrays(weights).items():
        assert_same(found[names[name]], array.astype(dtype), name)
    with safe_open(tmp_path / FILE, "np") as file:
        assert file.metadata() == {"format": "pt"}


def test_weights_are_stored_as_they_are_unless_asked(tmp_path: Path):
    for dtype in ("float32", "float64"):
        save(tmp_path / dtype, TINY, random_weights(TINY, 0, dtype))
        assert load_file(tmp_path / dtype / FILE)["model.shared.weight"].dtype == dtype


def test_longdouble_has_no_format(tmp_path: Path):
    weights = random_weights(TINY, 0, np.longdouble)
    if weights.dtype == np.float64:
        pytest.skip("longdouble is float64 on this machine")
    with pytest.raises(
        ValueError, match=r"own dtype .* cannot be stored; choose dtype='float16' or 'bfloat16' or 'float32'"
    ):
        save(tmp_path, TINY, weights)
    save(tmp_path, TINY, weights, dtype="float64")
    assert load(tmp_path, TINY, dtype="float64").shared.weight[0, 0] == np.float64(weights.shared.weight[0, 0])


@pytest.mark.parametrize("dtype", ["int8", "", 4, "longdouble"])
def test_formats_that_are_not_written(dtype: Any, tmp_path: Path):
    with pytest.raises(ValueError, match="choose dtype='float16' or 'bfloat16' or 'float32' or 'float64'"):
        save(tmp_path / "new", TINY, random_weights(TINY, 0), dtype=dtype)
    assert not (tmp_path / "new").exists()


def test_arrays_in_any_layout(tmp_path: Path):
    """A transposed or strided view is written as the values it shows."""
    weights = random_weights(TINY, 0)
    fc1 = weights.encoder.layers[0].fc1
    views = changed(weights, weight=np.asfortranarray(fc1.weight), bias=np.repeat(fc1.bias, 2)[::2])
    assert not views.encoder.layers[0].fc1.weight.flags.c_contiguous
    save(tmp_path / "plain", TINY, weights)
    save(tmp_path / "views", TINY, views)
    assert (tmp_path / "plain" / FILE).read_bytes() == (tmp_path / "views" / FILE).read_bytes()


def test_the_same_bytes_every_time(tmp_path: Path):
    code = (
        "import sys; from npblender.checkpoint import save; from npblender.config import GenerationConfig;"
        "from npblender.transformer.parameters import random_weights; from reference_tests.support.stored import TINY;"
        "save(sys.argv[1], TINY.replace(extra={'b': 1, 'a': {'d': 2, 'c': 3}}), random_weights(TINY, 5),"
        "GenerationConfig(num_beams=2, top_k=5), 'parlai')"
    )
    root = Path(__file__).resolve().parents[2]
    for name in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": name, "PYTHONPATH": str(root)}
        subprocess.run([sys.executable, "-c", code, tmp_path / name], check=True, env=environment)
    names = sorted(path.name for path in (tmp_path / "1").iterdir())
    assert names == ["config.json", "generation_config.json", FILE]
    for name in names:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_the_dialect_is_kept(tmp_path: Path):
    weights = random_weights(TINY, 0)
    own = dataclasses.replace(PARLAI, name="mine", start_logit=None)
    for given_, kept in (("transformers-4", "transformers-4"), (TRANSFORMERS_5, "transformers-5"), (None, None)):
        save(tmp_path, TINY, weights, dialect=given_)
        assert BlenderbotSmallConfig.from_pretrained(tmp_path).npblender_dialect == kept
    save(tmp_path, TINY, weights, dialect=own)
    kept = BlenderbotSmallConfig.from_pretrained(tmp_path).npblender_dialect
    assert resolve_dialect(kept) == own
    # Saved once more without being named, it stays.
    save(tmp_path, BlenderbotSmallConfig.from_pretrained(tmp_path), weights)
    assert resolve_dialect(BlenderbotSmallConfig.from_pretrained(tmp_path).npblender_dialect) == own
    with pytest.raises(ValueError, match="unknown dialect 'moses'"):
        save(tmp_path, TINY, weights, dialect="moses")


def test_settings_are_written_if_there_are_any(tmp_path: Path):
    settings = GenerationConfig(num_beams=10, length_penalty=0.65)
    save(tmp_path / "with", TINY, random_weights(TINY, 0), settings)
    assert GenerationConfig.from_pretrained(tmp_path / "with") == settings
    save(tmp_path / "without", TINY, random_weights(TINY, 0))
    assert sorted(path.name for path in (tmp_path / "without").iterdir()) == ["config.json", FILE]


def test_config_json_says_what_is_stored(tmp_path: Path):
    for key in ("torch_dtype", "dtype"):
        config = TINY.replace(extra={key: "float32", "architectures": ["X"]})
        save(tmp_path, config, random_weights(TINY, 0), dtype="float16")
        content = json.loads((tmp_path / "config.json").read_text())
        assert (content[key], content["architectures"]) == ("float16", ["X"])
    save(tmp_path, TINY, random_weights(TINY, 0), dtype="float16")
    assert {"torch_dtype", "dtype"}.isdisjoint(json.loads((tmp_path / "config.json").read_text()))


def test_weights_that_can_not_be_saved_are_named(tmp_path: Path):
    weights = random_weights(TINY, 0, "float64")
    fc1 = weights.encoder.layers[0].fc1
    name = r"encoder\.layers\.0\.fc1\.weight"
    with pytest.raises(ValueError, match=rf"of another shape: {name} is \[6, 5\], the config asks for \[5, 6\]"):
        save(tmp_path / "x", TINY, changed(weights, weight=fc1.weight.T, bias=fc1.bias))
    with pytest.raises(ValueError, match=rf"not finite as float64: {name}"):
        save(tmp_path / "x", TINY, changed(weights, weight=fc1.weight * np.nan, bias=fc1.bias))
    with pytest.raises(ValueError, match=rf"not finite as float16: {name}"):
        save(tmp_path / "x", TINY, changed(weights, weight=fc1.weight * 1e6, bias=fc1.bias), dtype="float16")
    with pytest.raises(ValueError, match=r"missing: decoder\.layers\.1\.fc1\.weight"):
        save(tmp_path / "x", TINY.replace(decoder_layers=2), weights)
    with pytest.raises(ValueError, match=r"unknown: encoder\.layers\.1\.fc1\.weight"):
        save(tmp_path / "x", TINY.replace(encoder_layers=1), weights)
    assert not (tmp_path / "x").exists()


def test_a_place_that_can_not_be_written_to(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="no folder can be made at"):
        save(tmp_path / "file", TINY, random_weights(TINY, 0))
    (tmp_path / "folder" / FILE).mkdir(parents=True)
    with pytest.raises(ValueError, match=r"model\.safetensors cannot be written"):
        save(tmp_path / "folder", TINY, random_weights(TINY, 0))
    assert [path.name for path in (tmp_path / "folder").iterdir()] == [FILE]


def test_saving_anew_leaves_an_open_file_alone(tmp_path: Path):
    """The new file takes the old one's place; it is not written over it, under the hands of who still reads it."""
    save(tmp_path, TINY, random_weights(TINY, 0))
    for name in (FILE, "config.json"):
        old = (tmp_path / name).read_bytes()
        with (tmp_path / name).open("rb") as reader:
            save(tmp_path, TINY.replace(dropout=0.5 if name != FILE else 0.25), random_weights(TINY, 1))
            assert (tmp_path / name).read_bytes() != old
            assert reader.read() == old


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save(tmp_path, TINY, random_weights(TINY, 0))
    old = (tmp_path / FILE).read_bytes()

    def fail(tensors: Any, path: Path, metadata: Any) -> None:
        path.write_bytes(b"half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr("safetensors.numpy.save_file", fail)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, TINY, random_weights(TINY, 1))
    assert (tmp_path / FILE).read_bytes() == old
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", FILE]
