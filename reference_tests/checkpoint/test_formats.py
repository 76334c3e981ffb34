"""The files of other frameworks, as the originals wrote them (see golden/PROVENANCE.md), and by hand."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from npblender import (
    BlenderbotSmallConfig,
    BlenderbotSmallForCausalLM,
    BlenderbotSmallForConditionalGeneration,
    BlenderbotSmallModel,
    BlenderbotSmallTokenizer,
    Conversation,
    GenerationConfig,
)
from npblender.checkpoint import load
from npblender.checkpoint.folder import find_tensors, read_torch
from npblender.checkpoint.formats.errors import DamagedFileError
from npblender.checkpoint.parameter_names import canonical_name
from npblender.checkpoint.read import each_piece
from npblender.transformer.parameters import BASE_MODEL, CAUSAL_MODEL, FULL_MODEL, to_arrays
from reference_tests.support import torch_files as torch
from reference_tests.support.asserts import assert_close
from reference_tests.support.stored import TINY, bfloat16_bits, tensors_of
from reference_tests.support.tolerances import TOLERANCES

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "checkpoints"
NEED_H5PY = ("keras",)
ROUNDED = {"half": "float16", "legacy-float16": "float16", "brain": "bfloat16"}
FOLDERS = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir() and path.name != "parlai")


def truth(folder: str) -> dict[str, np.ndarray]:
    """The stored weights under the tree's names, rounded as the folder's file rounds them."""
    arrays = {canonical_name(name): array for name, array in load_file(GOLDEN / "weights.safetensors").items()}
    if folder == "odd":
        arrays["final_logits_bias"] = np.zeros_like(arrays["final_logits_bias"])
    if ROUNDED.get(folder) == "float16":
        arrays = {name: array.astype(np.float16).astype(np.float32) for name, array in arrays.items()}
    if ROUNDED.get(folder) == "bfloat16":
        arrays = {
            name: (bfloat16_bits(array).astype(np.uint32) << 16).view(np.float32) for name, array in arrays.items()
        }
    return arrays


def test_there_are_folders_of_every_format() -> None:
    files = {path.name for path in GOLDEN.rglob("*") if path.is_file()}
    assert {"pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "flax_model.msgpack", "model"} <= files


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_format_gives_the_stored_weights(folder: str, dtype: str) -> None:
    if folder in NEED_H5PY:
        pytest.importorskip("h5py", reason="the extra `formats` is not installed")
    parts = BASE_MODEL if folder.endswith("base") else FULL_MODEL
    found = to_arrays(load(GOLDEN / folder, TINY, parts, dtype, allow_pickle=True))
    expected = truth(folder)
    assert len(found) == len(expected) - (parts == BASE_MODEL)
    for name, array in found.items():
        assert array.dtype == dtype
        np.testing.assert_array_equal(array, expected[name].astype(dtype), err_msg=name)


@pytest.mark.parametrize("model", [BlenderbotSmallModel, BlenderbotSmallForCausalLM])
def test_a_causal_head_and_a_base_model_read_the_same_files(model: type) -> None:
    """The file stores the shared embedding alone; transformers leaves a causal head's random, here it is tied."""
    loaded = model.from_pretrained(GOLDEN / "flax")
    np.testing.assert_array_equal(np.asarray(loaded.weights.shared.weight), truth("flax")["shared.weight"])
    other = model.from_pretrained(GOLDEN / "pickled", allow_pickle=True)
    np.testing.assert_array_equal(np.asarray(other.weights.shared.weight), truth("pickled")["shared.weight"])


def test_which_file_is_taken(tmp_path: Path) -> None:
    """Safetensors first; a pickle only if it is allowed, and before the others then."""
    shutil.copytree(GOLDEN / "flax", tmp_path, dirs_exist_ok=True)
    shutil.copy(GOLDEN / "pickled" / "pytorch_model.bin", tmp_path)

    def files(allow_pickle: bool) -> set[str]:
        return {tensor.file.name for tensor in find_tensors(tmp_path, allow_pickle).values()}

    assert files(False) == {"flax_model.msgpack"}
    assert files(True) == {"pytorch_model.bin"}
    BlenderbotSmallForConditionalGeneration.from_pretrained(tmp_path).save_pretrained(tmp_path)
    assert files(True) == files(False) == {"model.safetensors"}
    for name in ("model.safetensors", "flax_model.msgpack"):
        (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=r"npblender convert .* --allow-pickle"):
        BlenderbotSmallForConditionalGeneration.from_pretrained(tmp_path)


def test_keras_without_h5py_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("npblender.checkpoint.formats.keras_h5.find_spec", lambda _name: None)
    with pytest.raises(ImportError, match=r"pip install 'npblender\[formats\]'"):
        load(GOLDEN / "keras", TINY)


def test_a_folder_of_parlai_replies_as_parlai_did() -> None:
    """ids, texts and scores of an agent that parlai 1.7.2 saved, loaded again and asked."""
    folder = GOLDEN / "parlai"
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(folder, allow_pickle=True)
    tokenizer = BlenderbotSmallTokenizer.from_pretrained(folder)
    talk = Conversation.from_pretrained(folder, allow_pickle=True)
    replies = json.loads((folder / "replies.json").read_text())
    assert len(replies) > 3
    for asked in replies:
        ids = tokenizer(asked["text"])["input_ids"]
        assert ids == asked["ids"]
        out = model.generate([ids], return_dict_in_generate=True, output_scores=True)
        assert tokenizer.decode(out.sequences[0], skip_special_tokens=True) == asked["reply"]
        assert_close(out.sequences_scores[0], np.array(asked["beams"][0][1]), TOLERANCES["search against ParlAI"])
        talk.reset()
        if "\n" not in asked["text"]:
            assert talk.reply(asked["text"]).raw == asked["reply"]
    state = {canonical_name(name): array for name, array in load_file(folder / "state.safetensors").items()}
    for name, array in to_arrays(model.weights).items():
        if name != "final_logits_bias":
            np.testing.assert_array_equal(array, state[name])


def test_parlai_options_become_configuration_and_settings() -> None:
    config = BlenderbotSmallConfig.from_pretrained(GOLDEN / "parlai")
    assert (config.d_model, config.encoder_layers, config.decoder_layers) == (12, 1, 2)
    assert (config.npblender_dialect, config.scale_embedding, config.vocab_size) == ("parlai", True, 220)
    settings = GenerationConfig.from_pretrained(GOLDEN / "parlai")
    assert (settings.num_beams, settings.min_length, settings.max_length) == (3, 4, 16)
    assert (settings.no_repeat_ngram_size, settings.encoder_no_repeat_ngram_size) == (3, 3)
    assert settings.beam_block_full_context is True
    talk = Conversation.from_pretrained(GOLDEN / "parlai", allow_pickle=True)
    assert talk.resolved_settings().plan.settings.beam_block_full_context is True


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("variant", "prelayernorm"),
        ("dict_tokenizer", "gpt2"),
        ("model", "bart"),
        ("learn_positional_embeddings", False),
        ("dict_lower", False),
        ("n_heads", 0),
        ("embedding_size", "12"),
        ("share_word_embeddings", False),
    ],
)
def test_an_option_of_parlai_that_is_not_covered_is_refused_by_name(option: str, value: object, tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "parlai", tmp_path, dirs_exist_ok=True)
    content = json.loads((tmp_path / "model.opt").read_text())
    (tmp_path / "model.opt").write_text(json.dumps({**content, option: value}))
    with pytest.raises(ValueError, match=rf"model\.opt.*{option}"):
        BlenderbotSmallConfig.from_pretrained(tmp_path)


def test_a_checkpoint_of_parlai_amid_training(tmp_path: Path) -> None:
    for name, other in (("model", "model.checkpoint"), ("model.opt", "model.checkpoint.opt")):
        shutil.copy(GOLDEN / "parlai" / name, tmp_path / other)
    for name in ("model.dict", "model.dict.codecs"):
        shutil.copy(GOLDEN / "parlai" / name, tmp_path / name)
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(tmp_path, allow_pickle=True)
    assert model.config.vocab_size == 220


def test_parlai_pads_the_vocabulary_of_a_half_precision_model(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "parlai", tmp_path, dirs_exist_ok=True)
    content = json.loads((tmp_path / "model.opt").read_text())
    (tmp_path / "model.opt").write_text(json.dumps({**content, "fp16": True}))
    assert BlenderbotSmallConfig.from_pretrained(tmp_path).vocab_size == 224
    assert BlenderbotSmallTokenizer.from_pretrained(tmp_path).get_vocab()["__FP16_PAD_3__"] == 223


def hand_made(dtype: str, kind: str, legacy: bool) -> tuple[dict[str, np.ndarray], bytes]:
    """A whole model as an old torch wrote it: no byteorder, no version, or the form before zips."""
    _, stored = tensors_of(TINY, "full", 5)
    items = {name: torch.tensor(kind, str(at), array.shape) for at, (name, array) in enumerate(stored.items())}
    contents = {str(at): array.astype(dtype).tobytes() for at, array in enumerate(stored.values())}
    program = torch.pickled(torch.dictionary(items))
    if legacy:
        counts = {key: (len(content) // np.dtype(dtype).itemsize, content) for key, content in contents.items()}
        return stored, torch.torch_legacy(program, counts)
    return stored, torch.torch_zip(program, contents)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(("dtype", "kind"), [("<f4", "FloatStorage"), ("<f8", "DoubleStorage"), ("<f2", "HalfStorage")])
def test_old_files_made_by_hand(dtype: str, kind: str, legacy: bool, tmp_path: Path) -> None:
    stored, content = hand_made(dtype, kind, legacy)
    (tmp_path / "pytorch_model.bin").write_bytes(content)
    found = to_arrays(load(tmp_path, TINY, FULL_MODEL, "float64", allow_pickle=True))
    for name, array in stored.items():
        canonical = canonical_name(name)
        assert canonical is not None
        np.testing.assert_array_equal(found[canonical], array.astype(dtype).astype(np.float64))
    causal = to_arrays(load(tmp_path, TINY, CAUSAL_MODEL, "float64", allow_pickle=True))
    np.testing.assert_array_equal(causal["shared.weight"], found["shared.weight"])


COPIES = ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight")


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("kind", ["FloatStorage", "HalfStorage"])
@pytest.mark.parametrize("shares", [True, False])
def test_tied_copies_in_pickles_are_compared(shares: bool, kind: str, legacy: bool, tmp_path: Path) -> None:
    """One storage under four names, or four of them: equal to the last bit, else the differing name is refused."""
    _, stored = tensors_of(TINY, "full", 5)
    dtype = {"FloatStorage": "<f4", "HalfStorage": "<f2"}[kind]
    embedding = stored["model.shared.weight"]
    items = {name: torch.tensor(kind, name, array.shape) for name, array in stored.items()}
    contents = {name: array.astype(dtype).tobytes() for name, array in stored.items()}
    for name in COPIES:
        items[name] = torch.tensor(kind, "model.shared.weight" if shares else name, embedding.shape)
        contents |= {} if shares else {name: contents["model.shared.weight"]}

    def save() -> None:
        program = torch.pickled(torch.dictionary(items))
        counts = {key: (len(content) // np.dtype(dtype).itemsize, content) for key, content in contents.items()}
        content = torch.torch_legacy(program, counts) if legacy else torch.torch_zip(program, contents)
        (tmp_path / "pytorch_model.bin").write_bytes(content)

    save()
    for parts in (FULL_MODEL, CAUSAL_MODEL):
        found = to_arrays(load(tmp_path, TINY, parts, allow_pickle=True))["shared.weight"]
        np.testing.assert_array_equal(found, embedding.astype(dtype).astype(np.float32))
    if shares:
        return
    good = dict(contents)
    for name in COPIES:
        changed = bytearray(good[name])
        changed[-2] ^= 1  # the last number, a little
        contents = {**good, name: bytes(changed)}
        save()
        what = "untied head" if name == "lm_head.weight" else "second embedding"
        for allowed in ("float32", "float64", "float16"):
            if kind == "FloatStorage" and allowed == "float16":
                continue  # both round to one number
            with pytest.raises(ValueError, match=f"{what} is not covered: {name} differs from model.shared.weight"):
                load(tmp_path, TINY, FULL_MODEL, allowed, allow_pickle=True)


def test_a_zip_with_zip64_records(tmp_path: Path) -> None:
    program = torch.pickled(torch.dictionary({"a": torch.tensor("FloatStorage", "0", (3,))}))
    entries = [torch.Entry("x/data.pkl", program, wide=True), torch.Entry("x/data/0", bytes(12), wide=True)]
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(torch.zipped(entries, wide=True))
    assert read_torch(path)["a"].size == 12


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_view_is_read_as_numpy_sees_it(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Offsets, strides, transposition, repetition: the rows are those of the same view in NumPy."""
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    flat = rng.standard_normal(40).astype("<f4")
    shape = data.draw(st.lists(st.integers(1, 4), min_size=0, max_size=3))
    strides = [data.draw(st.integers(0, 5)) for _ in shape]
    reach = sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
    if reach >= flat.size:
        return
    offset = data.draw(st.integers(0, flat.size - reach - 1))
    path = tmp_path_factory.getbasetemp() / f"view-{os.getpid()}.bin"
    view = torch.rebuilt(torch.storage("FloatStorage", "0", flat.size), offset, shape, strides)
    path.write_bytes(torch.torch_zip(torch.pickled(torch.dictionary({"a": view})), {"0": flat.tobytes()}))
    (tensor,) = read_torch(path).values()
    expected = np.lib.stride_tricks.as_strided(flat[offset:], shape, [4 * step for step in strides])
    found = np.full(shape, np.nan)
    each_piece([tensor], np.dtype("float64"), lambda _tensor, first, rows: fill(found, first, rows))
    np.testing.assert_array_equal(found, expected)


def fill(target: np.ndarray, first: int, rows: np.ndarray) -> None:
    if target.ndim:
        target[first : first + len(rows)] = rows
    else:
        target[...] = rows.reshape(())


def test_a_large_transposed_tensor_comes_in_pieces(tmp_path: Path) -> None:
    """More than one buffer, and rows that lie within one another."""
    flat = np.arange(1500 * 700, dtype="<f4")
    view = torch.rebuilt(torch.storage("FloatStorage", "0", flat.size), 0, (1500, 700), (1, 1500))
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(torch.torch_zip(torch.pickled(torch.dictionary({"a": view})), {"0": flat.tobytes()}))
    (tensor,) = read_torch(path).values()
    found, calls = np.zeros((1500, 700)), []

    def put(_tensor: object, first: int, rows: np.ndarray) -> None:
        calls.append(first)
        found[first : first + len(rows)] = rows

    each_piece([tensor], np.dtype("float64"), put)
    np.testing.assert_array_equal(found, flat.reshape(700, 1500).T)
    assert len(calls) > 3


@pytest.mark.parametrize("folder", [name for name in FOLDERS if "sharded" not in name])
def test_a_file_cut_anywhere_is_refused(folder: str, tmp_path: Path) -> None:
    if folder in NEED_H5PY:
        pytest.importorskip("h5py", reason="the extra `formats` is not installed")
    (source,) = [path for path in (GOLDEN / folder).iterdir() if path.suffix in (".bin", ".h5", ".msgpack")]
    whole = source.read_bytes()
    lengths = [*range(0, len(whole), max(1, len(whole) // (3 if folder in NEED_H5PY else 40))), len(whole) - 1]
    for length in lengths:
        (tmp_path / source.name).write_bytes(whole[:length])
        with pytest.raises(DamagedFileError):
            find_tensors(tmp_path, allow_pickle=True)
