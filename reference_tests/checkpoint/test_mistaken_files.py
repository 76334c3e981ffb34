"""What lies under a file's name in its place is recognised, named, and comes with what to do."""

import gzip
import io
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer, compare
from npblender.checkpoint.parameter_names import canonical_name

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 350248664\n"
MISTAKES = {
    "pointer": (POINTER, "Git LFS pointer, which stands for a file of 350,248,664 bytes.*git lfs pull"),
    "page": (b"<!DOCTYPE html>\n<html><head><title>Not found", "is a web page, not the file"),
    "page in capitals": (b"\n<HTML>", "is a web page"),
    "server's error": (b'<?xml version="1.0"?><Error>', "is XML, most likely a server's error"),
    "zeros": (bytes(600), "begins with zeros only"),
    "gzip": (gzip.compress(b"x" * 600), "packed with gzip"),
}
FILES = ("model.safetensors", "pytorch_model.bin", "flax_model.msgpack", "config.json", "merges.txt", "vocab.json")


@pytest.fixture
def folder(tmp_path: Path, tiny_folder: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "model with spaces"))


def load(folder: Path, name: str) -> Any:
    if name in ("merges.txt", "vocab.json"):
        return BlenderbotSmallTokenizer.from_pretrained(folder)
    return BlenderbotSmallForConditionalGeneration.from_pretrained(folder, allow_pickle=True)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistaken_file_is_named(folder: Path, name: str, kind: str) -> None:
    if name in ("pytorch_model.bin", "flax_model.msgpack"):
        (folder / "model.safetensors").unlink()
    content, message = MISTAKES[kind]
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{re.escape(str(folder / name))} .*{message}"):
        load(folder, name)


@pytest.mark.parametrize("said", ["Entry not found", '{"error":"Repository not found"}', "Access denied.\n"])
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "flax_model.msgpack"])
def test_a_servers_answer_is_shown(folder: Path, name: str, said: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / name).write_text(said)
    with pytest.raises(ValueError, match=f"is a text of {len(said)} letters, '{re.escape(said.strip())}', most likely"):
        load(folder, name)


@pytest.mark.parametrize("line", ["\u2028 a</w>", "a b</w>\u2028a b", "a\u2029b c", "a\x85 b"])
def test_a_line_of_merges_is_what_ends_with_a_line_break(folder: Path, line: str) -> None:
    """Unicode has more ends of lines; transformers would split a symbol there, and apply such a merge never."""
    whole = (folder / "merges.txt").read_text(encoding="utf-8")
    number = whole.count("\n") + 1
    (folder / "merges.txt").write_text(f"{whole}{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=f"merges.txt, line {number}: .* is not two symbols with one space between"):
        BlenderbotSmallTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(
    "name", ["config.json", "vocab.json", "merges.txt", "generation_config.json", "tokenizer_config.json"]
)
def test_a_folder_under_the_name_of_a_text(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / name).mkdir()
    of_tokenizer = name in ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")
    with pytest.raises(ValueError, match=f"{name} is a folder; a file of that name is needed"):
        load(folder, "vocab.json" if of_tokenizer else "config.json")


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_folder_under_the_name_of_weights(folder: Path, name: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / name).mkdir()
    with pytest.raises(ValueError, match=f"{name} is a folder; a file of that name is needed"):
        load(folder, name)


def test_an_array_of_np_save_names_savez(tmp_path: Path, folder: Path) -> None:
    np.save(tmp_path / "mine.npy", np.zeros((1, 2)))
    with pytest.raises(ValueError, match=r"single array of np\.save: write named arrays with np\.savez"):
        compare(tmp_path / "mine.npy", tmp_path / "mine.npy")
    assert np.load(io.BytesIO((tmp_path / "mine.npy").read_bytes())).shape == (1, 2)


def test_the_recipe_for_a_pickle_can_be_copied_into_a_shell(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02")
    with pytest.raises(ValueError, match="npblender convert") as caught:
        BlenderbotSmallForConditionalGeneration.from_pretrained(folder)
    words = shlex.split(str(caught.value).splitlines()[-1])
    assert words == ["npblender", "convert", str(folder), "NEW_FOLDER", "--allow-pickle"]


def test_names_of_a_model_that_was_wrapped(folder: Path) -> None:
    """torch's DataParallel puts `module.` before every name; the numbers are the same."""
    expected = BlenderbotSmallForConditionalGeneration.from_pretrained(folder).state_dict()
    path = folder / "model.safetensors"
    save_file({f"module.{name}": array for name, array in load_file(path).items()}, path)
    found = BlenderbotSmallForConditionalGeneration.from_pretrained(folder).state_dict()
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    assert canonical_name("module.model.encoder.layers.0.fc1.weight") == "encoder.layers.0.fc1.weight"
    assert canonical_name("module.lm_head.weight") == "shared.weight"


def test_a_line_separator_in_merges_is_named(folder: Path) -> None:
    path = folder / "merges.txt"
    path.write_text(path.read_text() + "a\u2028b c</w>\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"line \d+: 'a\\u2028b c</w>' is not two symbols"):
        BlenderbotSmallTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("cls", [BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer])
def test_options_of_parlai_that_say_nothing(tmp_path: Path, cls: Any) -> None:
    """Model and tokenizer of a folder of ParlAI read its options first, and name what these lack."""
    for name in ("model", "model.opt", "model.dict", "model.dict.codecs"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(ValueError, match=r"model\.opt lacks variant, .*dict_tokenizer, .* ParlAI writes for every"):
        cls.from_pretrained(tmp_path)
