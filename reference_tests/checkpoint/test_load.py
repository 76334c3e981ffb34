"""Loading weights: what every original writes is understood, and what does not fit is named."""

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npblender.checkpoint import dtypes, load, resolve_dtype
from npblender.checkpoint.dtypes import decode
from npblender.config import BlenderbotSmallConfig
from npblender.transformer.parameters import BASE_MODEL, CAUSAL_MODEL, FULL_MODEL, to_arrays
from reference_tests.support.asserts import assert_same
from reference_tests.support.stored import TINY, as_bytes, names_of, split, tensors_of, write

PARTS = {"full": FULL_MODEL, "base": BASE_MODEL, "causal": CAUSAL_MODEL, "parlai": FULL_MODEL}
FILE = "model.safetensors"


def assert_weights(folder: Path, tree: dict[str, np.ndarray], parts: frozenset[str], dtype: Any = "float32") -> None:
    arrays = to_arrays(load(folder, TINY, parts, dtype))
    assert arrays
    for name, array in arrays.items():
        if name not in tree:
            assert name == "final_logits_bias"
        expected = tree[name] if name in tree else np.zeros((1, TINY.vocab_size))
        assert_same(array, expected.astype(resolve_dtype(dtype)), name)
        assert array.flags.c_contiguous
        assert array.flags.owndata  # nothing keeps a whole file alive


@pytest.mark.parametrize("original", ["full", "base", "causal", "parlai"])
def test_every_original(original: str, tmp_path: Path):
    tree, stored = tensors_of(TINY, original)
    write(tmp_path / FILE, stored)
    assert_weights(tmp_path, tree, PARTS[original])


@pytest.mark.parametrize("parts", [BASE_MODEL, CAUSAL_MODEL])
@pytest.mark.parametrize("original", ["full", "base", "parlai"])
def test_parts_that_a_class_lacks_are_not_extra(original: str, parts: frozenset[str], tmp_path: Path):
    tree, stored = tensors_of(TINY, original)
    write(tmp_path / FILE, stored)
    assert_weights(tmp_path, tree, parts)


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_shards(shards: int, tmp_path: Path):
    tree, stored = tensors_of(TINY, "full")
    split(tmp_path, stored, shards)
    assert_weights(tmp_path, tree, FULL_MODEL)


def test_a_whole_file_comes_before_shards(tmp_path: Path):
    _, other = tensors_of(TINY, "full", seed=1)
    split(tmp_path, other, 2)
    tree, stored = tensors_of(TINY, "full", seed=0)
    write(tmp_path / FILE, stored)
    assert_weights(tmp_path, tree, FULL_MODEL)


SHARED_NAMES = (
    *("model.shared.weight", "shared.weight", "model.encoder.embed_tokens.weight"),
    *("model.decoder.embed_tokens.weight", "lm_head.weight", "embeddings.weight", "encoder.embeddings.weight"),
)


@pytest.mark.parametrize("parts", [FULL_MODEL, BASE_MODEL, CAUSAL_MODEL])
@pytest.mark.parametrize("name", SHARED_NAMES)
def test_the_embeddings_under_any_one_name(name: str, parts: frozenset[str], tmp_path: Path):
    tree, stored = tensors_of(TINY, "full")
    del stored["model.shared.weight"]
    write(tmp_path / FILE, {name: tree["shared.weight"], **stored})
    assert_weights(tmp_path, tree, parts)


def test_tied_copies_that_agree(tmp_path: Path):
    tree, stored = tensors_of(TINY, "full")
    write(tmp_path / FILE, {**stored, **dict.fromkeys(SHARED_NAMES, tree["shared.weight"])})
    assert_weights(tmp_path, tree, FULL_MODEL)


def test_tied_copies_that_agree_after_rounding(tmp_path: Path):
    tree, stored = tensors_of(TINY, "full")
    shared = tree["shared.weight"] = tree["shared.weight"].astype(np.float16).astype(np.float32)
    stored = {**stored, "model.shared.weight": shared, "lm_head.weight": shared}
    write(tmp_path / FILE, stored, {**dict.fromkeys(stored, "float32"), "lm_head.weight": "float16"})
    assert_weights(tmp_path, tree, FULL_MODEL)


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("lm_head.weight", {"full", "causal"}),  # the base model has no head that could be untied
        ("model.encoder.embed_tokens.weight", {"full", "base"}),
        ("model.decoder.embed_tokens.weight", {"full", "base", "causal"}),
        ("decoder.embeddings.weight", {"full", "base", "causal"}),
    ],
)
@pytest.mark.parametrize("kind", ["full", "base", "causal"])
def test_copies_that_disagree(name: str, refused: set[str], kind: str, tmp_path: Path):
    tree, stored = tensors_of(TINY, "full")
    other = tree["shared.weight"].copy()
    other[-1, -1] = np.nextafter(other[-1, -1], np.float32(9))
    write(tmp_path / FILE, {**stored, name: other})
    if kind in refused:
        with pytest.raises(ValueError, match=f"{name} differs from model.shared.weight") as error:
            load(tmp_path, TINY, PARTS[kind])
        assert ("untied head" in str(error.value)) == (name == "lm_head.weight")
    else:
        assert_weights(tmp_path, tree, PARTS[kind])


def test_the_buffer_of_parlai_is_no_parameter(tmp_path: Path):
    tree, stored = tensors_of(TINY, "parlai")
    stored["START"] = np.array([1])
    write(tmp_path / FILE, stored, {**dict.fromkeys(stored, "float32"), "START": "int64"})
    assert_weights(tmp_path, tree, FULL_MODEL)


@pytest.mark.parametrize("stored_as", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "longdouble"])
def test_formats_of_numbers(stored_as: str, dtype: str, tmp_path: Path):
    if dtype == "longdouble" and not dtypes._longdouble_is_wider():
        pytest.skip("longdouble is no wider than float64 on this machine")
    tree, stored = tensors_of(TINY, "full")
    names = names_of(TINY, "full")
    write(tmp_path / FILE, stored, stored_as)
    expected = {}
    for name in tree:
        raw = as_bytes(stored[names[name]], stored_as)
        if stored_as == "bfloat16":  # a bfloat16 is a float32 whose lower two bytes were left away
            flat = [struct.unpack("<f", b"\0\0" + raw[at : at + 2])[0] for at in range(0, len(raw), 2)]
        else:
            code = {"float16": "e", "float32": "f", "float64": "d"}[stored_as]
            flat = struct.unpack(f"<{tree[name].size}{code}", raw)
        expected[name] = np.array(flat, np.float64).reshape(tree[name].shape)
    assert_weights(tmp_path, expected, FULL_MODEL, dtype)


@pytest.mark.parametrize(("stored", "code", "pad"), [("F16", "<e", b""), ("BF16", "<f", b"\0\0")])
def test_every_bit_pattern_of_two_bytes(stored: str, code: str, pad: bytes):
    raw = np.arange(2**16, dtype="<u2").view(np.uint8)
    for dtype in (np.float32, np.float64):
        values = decode(raw, stored, np.dtype(dtype))
        expected = [struct.unpack(code, pad + raw[at : at + 2].tobytes())[0] for at in range(0, raw.size, 2)]
        assert_same(values, np.array(expected, np.float64).astype(dtype))


def test_formats_may_be_mixed(tmp_path: Path):
    tree, stored = tensors_of(TINY, "full")
    half = {name: values.astype(np.float16).astype(np.float32) for name, values in tree.items()}
    names = names_of(TINY, "full")
    formats = {name: ("float16", "float32", "float64")[n % 3] for n, name in enumerate(stored)}
    write(tmp_path / FILE, {names[name]: half[name] for name in tree}, formats)
    assert_weights(tmp_path, half, FULL_MODEL)


def test_longer_than_the_buffer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Tensors that need many pieces, the last one shorter; the NaN in the last piece is still found."""
    monkeypatch.setattr("npblender.checkpoint.read.BUFFER_BYTES", 16)
    tree, stored = tensors_of(TINY, "full")
    for dtype in ("float32", "float16", "float64"):
        write(tmp_path / FILE, {**stored, "lm_head.weight": tree["shared.weight"]}, dtype)
        rounded = {name: values.astype(dtype).astype(np.float32) for name, values in tree.items()}
        assert_weights(tmp_path, rounded, FULL_MODEL)
    for at in (0, 37, -1):
        broken = tree["shared.weight"].copy()
        broken.flat[at] = np.nan
        write(tmp_path / FILE, {**stored, "model.shared.weight": broken})
        with pytest.raises(ValueError, match=r"not finite.*model\.shared\.weight"):
            load(tmp_path, TINY)
        write(tmp_path / FILE, {**stored, "lm_head.weight": broken})
        with pytest.raises(ValueError, match=r"lm_head\.weight differs"):
            load(tmp_path, TINY)


def test_everything_that_does_not_fit_is_named_at_once(tmp_path: Path):
    tree, stored = tensors_of(TINY, "full")
    del stored["model.encoder.layers.0.fc1.weight"]
    del stored["model.decoder.layers.0.encoder_attn.q_proj.bias"]
    stored["model.encoder.layers.1.fc1.weight"] = np.zeros((5, 7))
    stored["final_logits_bias"] = np.zeros((11,))
    stored["model.encoder.layers.2.fc1.weight"] = np.zeros((5, 6))
    stored["classifier.weight"] = np.zeros((2,))
    stored["model.decoder.layernorm_embedding.weight"] = np.full(6, np.nan)
    stored["model.decoder.layernorm_embedding.bias"] = np.array([0, 0, 0, 0, 0, -np.inf])
    stored["decoder.layers.0.fc1.bias"] = np.zeros(13)  # the bare name, beside the one with the prefix
    stored["lm_head.weight"] = tree["shared.weight"] + 1
    stored["model.encoder.layernorm_embedding.bias"] = np.zeros(6)
    write(
        tmp_path / FILE,
        stored,
        {**dict.fromkeys(stored, "float32"), "model.encoder.layernorm_embedding.bias": "int64"},
    )
    with pytest.raises(ValueError, match="do not fit the configuration") as error:
        load(tmp_path, TINY)
    lines = sorted(line.strip() for line in str(error.value).splitlines()[1:])
    assert lines == sorted(
        [
            "missing: encoder.layers.0.fc1.weight [5, 6]",
            "missing: decoder.layers.0.encoder_attn.q_proj.bias [6]",
            "of another shape: model.encoder.layers.1.fc1.weight is [5, 7], the config asks for [5, 6]",
            "of another shape: final_logits_bias is [11], the config asks for [1, 11]",
            "unknown: model.encoder.layers.2.fc1.weight [5, 6]",
            "unknown: classifier.weight [2]",
            "not finite as float32: model.decoder.layernorm_embedding.weight holds NaN, infinity or too large a number",
            "not finite as float32: model.decoder.layernorm_embedding.bias holds NaN, infinity or too large a number",
            "one parameter under several names: model.decoder.layers.0.fc1.bias, decoder.layers.0.fc1.bias",
            "an untied head is not covered: lm_head.weight differs from model.shared.weight",
            "no float: model.encoder.layernorm_embedding.bias is I64; F16, BF16, F32, F64 are read",
        ]
    )
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("name", ["model.shared.weight", "model.encoder.layers.1.fc2.bias", "final_logits_bias"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite(name: str, value: float, tmp_path: Path):
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        _, stored = tensors_of(TINY, "full")
        stored[name] = stored[name].copy()
        stored[name].flat[-1] = value
        write(tmp_path / FILE, stored, dtype)
        with pytest.raises(ValueError, match=f"not finite as float32: {name}"):
            load(tmp_path, TINY)


def test_a_number_too_large_for_the_dtype(tmp_path: Path):
    tree, stored = tensors_of(TINY, "full")
    wide = {name: values.astype(np.float64) for name, values in stored.items()}
    wide["model.shared.weight"][0, 0] = tree["shared.weight"].astype(np.float64)[0, 0]
    wide["model.shared.weight"][3, 1] = 1e300
    write(tmp_path / FILE, wide, "float64")
    with pytest.raises(ValueError, match=r"not finite as float32: model\.shared\.weight .* too large a number"):
        load(tmp_path, TINY)
    assert load(tmp_path, TINY, dtype="float64").shared.weight[3, 1] == 1e300


def test_what_is_not_read_need_not_be_finite(tmp_path: Path):
    tree, stored = tensors_of(TINY, "full")
    stored["model.encoder.layers.0.fc1.bias"] = np.full(5, np.nan)
    write(tmp_path / FILE, stored)
    assert_weights(tmp_path, tree, CAUSAL_MODEL)


def test_a_causal_file_lacks_the_encoder(tmp_path: Path):
    _, stored = tensors_of(TINY, "causal")
    write(tmp_path / FILE, stored)
    with pytest.raises(ValueError, match=r"missing: encoder\.embed_positions\.weight \[7, 6\]") as error:
        load(tmp_path, TINY, BASE_MODEL)
    assert str(error.value).count("missing: encoder.") == 3 + 16 * TINY.encoder_layers


def test_another_configuration_does_not_fit(tmp_path: Path):
    _, stored = tensors_of(TINY, "full")
    write(tmp_path / FILE, stored)
    with pytest.raises(ValueError, match=r"shared\.weight is \[11, 6\], the config asks for \[12, 6\]"):
        load(tmp_path, TINY.replace(vocab_size=12))
    with pytest.raises(ValueError, match=r"missing: decoder\.layers\.1\.fc1\.weight \[13, 6\]"):
        load(tmp_path, TINY.replace(decoder_layers=2))
    with pytest.raises(ValueError, match=r"unknown: model\.encoder\.layers\.1\.fc1\.weight \[5, 6\]"):
        load(tmp_path, TINY.replace(encoder_layers=1))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pytorch_model.bin", ["is a pickle", "allow_pickle=True", "npblender convert"]),
        ("pytorch_model.bin.index.json", ["is a pickle", "--allow-pickle"]),
        ("model", ["is a pickle", "allow_pickle=True"]),
        ("model.checkpoint", ["is a pickle", "allow_pickle=True"]),
        ("flax_model.msgpack", ["flax_model.msgpack has"]),
    ],
)
def test_files_of_other_kinds_are_refused_with_the_way_out(name: str, words: list[str], tmp_path: Path):
    (tmp_path / name).write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(ValueError, match=name.replace(".", r"\.")) as error:
        load(tmp_path, TINY)
    for word in words:
        assert word in str(error.value)
    tree, stored = tensors_of(TINY, "full")  # beside a safetensors file it does not matter
    write(tmp_path / FILE, stored)
    assert_weights(tmp_path, tree, FULL_MODEL)


def test_a_folder_without_weights(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="no/folder"):
        load("no/folder", TINY)
    with pytest.raises(FileNotFoundError, match=r"neither model\.safetensors nor"):
        load(tmp_path, TINY)
    (tmp_path / "weights.safetensors").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"it holds weights\.safetensors: rename"):
        load(tmp_path, TINY)
    with pytest.raises(ValueError, match="is a file"):
        load(tmp_path / "weights.safetensors", TINY)


def test_dtypes_that_are_computed_in():
    for name in ("float32", "float64"):
        for same in (name, np.dtype(name), getattr(np, name), np.dtype(name).newbyteorder(">")):
            assert resolve_dtype(same) == np.dtype(name)
            assert resolve_dtype(same).isnative
    for other in ("float16", "bfloat16", "int64", "complex64", "float", "", np.float16, np.int64, "i4,f4"):
        if other == "float":  # NumPy's name for float64
            assert resolve_dtype(other) == np.float64
            continue
        with pytest.raises(ValueError, match="choose 'float32', 'float64' or 'longdouble'"):
            resolve_dtype(other)
    for nonsense in (None, 3, [1], object()):
        with pytest.raises(TypeError, match="choose"):
            resolve_dtype(nonsense)


def test_longdouble_is_refused_where_it_brings_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dtypes, "_longdouble_is_wider", lambda: False)
    for name in ("longdouble", np.longdouble):
        with pytest.raises(ValueError, match="no wider than float64"):
            resolve_dtype(name)
    assert resolve_dtype("float64") == np.float64
    monkeypatch.setattr(dtypes, "_longdouble_is_wider", lambda: True)
    assert resolve_dtype("longdouble") == np.dtype(np.longdouble)


@pytest.mark.real_weights
def test_the_published_weights():
    folder = os.environ.get("NPBLENDER_90M")
    if not folder:
        pytest.skip("NPBLENDER_90M does not name a folder with the published weights as safetensors")
    config = BlenderbotSmallConfig.from_pretrained(folder)
    arrays = to_arrays(load(folder, config))
    assert sum(array.size for name, array in arrays.items() if name != "final_logits_bias") == 87_508_992
    assert not arrays["final_logits_bias"].any()
