"""Weights in shards: an index and files that fit each other, or are refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from npblender.checkpoint import load
from reference_tests.support.stored import TINY, split, tensors_of, write


def edit_index(folder: Path, change: Any) -> None:
    path = folder / "model.safetensors.index.json"
    content = json.loads(path.read_text())
    change(content["weight_map"])
    path.write_text(json.dumps(content))


def test_an_index_that_does_not_fit_its_files(tmp_path: Path):
    _, stored = tensors_of(TINY, "full")
    one, two = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    in_one, in_two, *_ = stored

    def refused(change: Any, kind: type[Exception], *words: str) -> None:
        split(tmp_path, stored, 2)
        edit_index(tmp_path, change)
        with pytest.raises(kind) as error:
            load(tmp_path, TINY)
        for word in ("model.safetensors.index.json", *words):
            assert word in str(error.value)

    refused(lambda m: m.update({in_one: two}), ValueError, f"{in_one} should be in {two} but is in {one}")
    refused(lambda m: m.update(ghost=one), ValueError, f"ghost should be in {one} but is in none of the files")
    refused(lambda m: m.pop(in_two), ValueError, f"{in_two} is in {two} but not in the index")
    refused(lambda m: m.update({in_one: "absent.safetensors"}), FileNotFoundError, "absent.safetensors")
    refused(lambda m: m.update({in_one: "../" + one}), ValueError, "outside its folder", "../" + one)
    refused(lambda m: m.update({in_one: "..\\" + one}), ValueError, "outside its folder")
    refused(lambda m: m.update({in_one: str(tmp_path / one)}), ValueError, "outside its folder")
    refused(lambda m: m.update({in_one: ".."}), ValueError, "outside its folder")
    refused(lambda m: m.update({in_one: "."}), ValueError, "outside its folder")
    refused(lambda m: m.update({in_one: ""}), ValueError, "outside its folder")
    refused(lambda m: m.update({in_one: "x" * 5000}), ValueError, "outside its folder")
    refused(lambda m: m.update({in_one: "a\0b"}), ValueError, "outside its folder")
    refused(lambda m: m.update({in_one: 3}), ValueError, "weight_map")
    split(tmp_path, stored, 2)
    write(tmp_path / two, {**{n: stored[n] for n in list(stored)[1::2]}, in_one: stored[in_one]})
    with pytest.raises(ValueError, match="is in several files"):
        load(tmp_path, TINY)


def test_a_shard_that_is_not_there_or_cut(tmp_path: Path):
    _, stored = tensors_of(TINY, "full")
    split(tmp_path, stored, 3)
    second = tmp_path / "model-00002-of-00003.safetensors"
    whole = second.read_bytes()
    second.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=rf"{second.name} was cut short"):
        load(tmp_path, TINY)
    second.unlink()
    with pytest.raises(FileNotFoundError, match=second.name):
        load(tmp_path, TINY)


@pytest.mark.parametrize("text", ["{}", '{"weight_map": []}', '{"weight_map": null}', "[]", "", '{"weight_map": {'])
def test_an_index_that_is_none(text: str, tmp_path: Path):
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(ValueError, match=r"index\.json"):
        load(tmp_path, TINY)


def test_an_index_of_nothing_lacks_everything(tmp_path: Path):
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {}}')
    with pytest.raises(ValueError, match=r"missing: shared\.weight"):
        load(tmp_path, TINY)
