"""`npblender convert` and `npblender verify`, beside the originals' own files; what transformers loads of them is shown
by `python -m tools compare formats`."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from npblender import BlenderbotSmallConfig, BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer
from npblender.checkpoint import load
from npblender.cli.main import main
from npblender.groundtruth import folder_report
from npblender.groundtruth.published import BLENDERBOT_SMALL_90M, Published, PublishedReply
from npblender.models.convert import bytes_of, convert
from npblender.transformer.parameters import BASE_MODEL, CAUSAL_MODEL, FULL_MODEL, to_arrays
from reference_tests.support import tiny_folder
from reference_tests.support.stored import TINY, tensors_of, write

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "checkpoints"


def rounded(array: np.ndarray, dtype: str) -> np.ndarray:
    """Values as a file of `dtype` keeps them: to the nearest, ties to even; bfloat16 is float32's upper half."""
    if dtype == "bfloat16":
        bits = array.astype(np.float32).view(np.uint32)
        kept = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
        return kept.astype(np.uint32).view(np.float32)
    return array.astype(dtype).astype(array.dtype)


@pytest.mark.parametrize("name", ["pickled", "pickled-sharded", "base", "legacy", "half", "odd", "flax", "flax-base"])
def test_convert_writes_the_same_numbers(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = BASE_MODEL if name.endswith("base") else FULL_MODEL
    assert main(["convert", str(GOLDEN / name), str(tmp_path / "new"), "--allow-pickle", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["dtype"] == ("float16" if name == "half" else "float32")
    before = to_arrays(load(GOLDEN / name, TINY, parts, allow_pickle=True))
    after = to_arrays(load(tmp_path / "new", BlenderbotSmallConfig.from_pretrained(tmp_path / "new"), parts))
    for key, array in before.items():
        np.testing.assert_array_equal(after[key], array)
    for file, facts in report["files"].items():
        content = (tmp_path / "new" / file).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (facts["bytes"], facts["sha256"])
    assert sorted(report["files"]) == sorted(path.name for path in (tmp_path / "new").iterdir())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_convert_to_a_dtype(dtype: str, tmp_path: Path) -> None:
    done = convert(GOLDEN / "double", tmp_path / "new", dtype=dtype, allow_pickle=True)
    assert done.dtype == dtype
    wide = "float64" if dtype == "float64" else "float32"
    found = to_arrays(load(tmp_path / "new", TINY, dtype=wide))
    expected = to_arrays(load(GOLDEN / "double", TINY, dtype=wide, allow_pickle=True))
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key], rounded(array, dtype))


def test_convert_into_shards(tmp_path: Path) -> None:
    done = convert(GOLDEN / "pickled", tmp_path / "new", shard_size=bytes_of("2KB"), allow_pickle=True)
    shards = [name for name in done.files if name.startswith("model-")]
    assert len(shards) > 2
    assert "model.safetensors.index.json" in done.files
    index = json.loads((tmp_path / "new" / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == set(shards)
    whole = to_arrays(load(GOLDEN / "pickled", TINY, allow_pickle=True))
    for key, array in to_arrays(load(tmp_path / "new", TINY)).items():
        np.testing.assert_array_equal(array, whole[key])


def test_convert_a_causal_head(tmp_path: Path) -> None:
    TINY.save_pretrained(tmp_path / "old")
    write(tmp_path / "old" / "model.safetensors", tensors_of(TINY, "causal")[1])
    assert convert(tmp_path / "old", tmp_path / "new").parts == CAUSAL_MODEL


def test_convert_of_parlai_replies_as_before(tmp_path: Path) -> None:
    """Configuration, settings, dictionary and merges become the files that transformers reads."""
    convert(GOLDEN / "parlai", tmp_path / "new", allow_pickle=True)
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(tmp_path / "new")
    tokenizer = BlenderbotSmallTokenizer.from_pretrained(tmp_path / "new")
    for asked in json.loads((GOLDEN / "parlai" / "replies.json").read_text()):
        ids = tokenizer(asked["text"])["input_ids"]
        assert ids == asked["ids"]
        assert tokenizer.decode(model.generate([ids])[0], skip_special_tokens=True) == asked["reply"]


def test_convert_leaves_nothing_behind_when_it_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(GOLDEN / "pickled"), str(tmp_path / "new")]) == 2
    assert "--allow-pickle" in capsys.readouterr().err
    large = {name: array * 1e6 for name, array in tensors_of(TINY, "full")[1].items()}
    TINY.save_pretrained(tmp_path / "old")
    write(tmp_path / "old" / "model.safetensors", large)
    assert main(["convert", str(tmp_path / "old"), str(tmp_path / "new"), "--dtype", "float16"]) == 2
    assert "not finite as float16" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old"]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    assert main(["convert", str(tmp_path / "old"), str(tmp_path / "full")]) == 2
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "full" / "letter.txt").read_text() == "mine"


@pytest.mark.parametrize("size", ["", "MB", "5 XB", "-3", "1e3", "5.5GB"])
def test_no_size(size: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        bytes_of(size)


def test_verify_a_sound_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_folder.save_folder(tmp_path)
    assert main(["verify", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "complete and sane" in out
    assert hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest() in out
    assert main(["verify", str(GOLDEN / "parlai"), "--allow-pickle", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sound"] is True


def lose_a_tensor(folder: Path) -> None:
    config = BlenderbotSmallConfig.from_pretrained(folder)
    names = to_arrays(load(folder, config))
    kept = {f"model.{name}": array for name, array in names.items() if name != "decoder.layers.1.fc1.bias"}
    write(folder / "model.safetensors", kept)


def change(folder: Path, name: str, how: Callable[[np.ndarray], np.ndarray]) -> None:
    arrays = to_arrays(load(folder, BlenderbotSmallConfig.from_pretrained(folder)))
    bias = arrays.pop("final_logits_bias")
    arrays = {key: how(array) if key == name else array for key, array in arrays.items()}
    write(folder / "model.safetensors", {"final_logits_bias": bias, **{f"model.{k}": v for k, v in arrays.items()}})


FC1 = "encoder.layers.0.fc1.weight"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lose_a_tensor, "missing: decoder.layers.1.fc1.bias"),
        (lambda folder: change(folder, FC1, lambda array: array * np.nan), "not finite"),
        (lambda folder: change(folder, FC1, lambda array: array * 1e4), f"implausible: {FC1}"),
        (lambda folder: change(folder, FC1, lambda array: array * 0), f"implausible: {FC1}"),
        (lambda folder: (folder / "config.json").unlink(), "holds no config.json"),
        (lambda folder: (folder / "merges.txt").write_text("nonsense"), "merges.txt"),
        (lambda folder: (folder / "config.json").write_text("{"), "is not JSON"),
    ],
)
def test_verify_says_what_is_wrong(
    spoil: Callable[[Path], object], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_folder.save_folder(tmp_path)
    spoil(tmp_path)
    assert main(["verify", str(tmp_path)]) == 1
    assert words in capsys.readouterr().out


@pytest.mark.parametrize("right", [True, False])
def test_verify_has_the_published_model_reply(right: bool, tmp_path: Path) -> None:
    """A model that is made to be the published one here: its replies decide."""
    tiny_folder.save_folder(tmp_path)
    files = ("vocab.json", "merges.txt")
    sums = {name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in files}
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(tmp_path, dialect="transformers-4")
    words = BlenderbotSmallTokenizer.from_pretrained(tmp_path, dialect="transformers-4")
    row = model.generate(**words(["hello cats"], return_tensors="np"))[0]
    reply = words.decode(row, skip_special_tokens=True, clean_up_tokenization_spaces=True)
    asked = PublishedReply("hello cats", (reply if right else "no.",), "this test")
    known = Published("tiny", MappingProxyType({"d_model": 12}), MappingProxyType(sums), "transformers-4", (asked,))
    report = folder_report.verify_folder(tmp_path, published=known)
    assert report.is_sound == right
    assert report.replies[0]["as published"] == right
    assert report.published is not None
    assert ("its replies" in report.published) == right
    (tmp_path / "merges.txt").write_text((tmp_path / "merges.txt").read_text() + "\n")
    other = folder_report.verify_folder(tmp_path, published=known)
    assert not other.replies
    assert other.published == "of the sizes of tiny, but with another or no merges.txt"


def test_verify_compares_a_sha256_that_is_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_folder.save_folder(tmp_path)
    right = hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    merges = hashlib.sha256((tmp_path / "merges.txt").read_bytes()).hexdigest()
    given = ["--sha256", right.upper(), "--sha256", f"merges.txt={merges}"]
    assert main(["verify", str(tmp_path), *given]) == 0
    assert "sha256 as you gave it: model.safetensors, merges.txt" in capsys.readouterr().out
    assert main(["verify", str(tmp_path), "--sha256", merges, "--sha256", f"merges.txt={merges}"]) == 1
    out = capsys.readouterr().out
    assert f"problem: model.safetensors does not have the sha256 as you gave it: {merges}" in out
    assert "sha256 as you gave it: merges.txt" in out
    assert main(["verify", str(tmp_path), "--sha256", f"model.bin={right}"]) == 2
    assert "holds no 'model.bin', whose sha256 was given" in capsys.readouterr().err
    assert main(["verify", str(tmp_path), "--sha256", right[:-1]]) == 2
    assert "takes 64 hexadecimal digits" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="the Hub's cache has links where the system has them")
def test_verify_compares_the_sha256_of_the_hub(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the Hub's cache a large file is a link to one that is called by its sha256; a small one's has another name."""
    snapshot, blobs = tmp_path / "snapshots" / "main", tmp_path / "blobs"
    tiny_folder.save_folder(tmp_path / "made")
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for path in (tmp_path / "made").iterdir():
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        name = digest if path.name == "model.safetensors" else digest[:40]
        shutil.copy(path, blobs / name)
        (snapshot / path.name).symlink_to(Path("..", "..", "blobs", name))
    assert main(["verify", str(snapshot)]) == 0
    assert "sha256 as the Hub gave it: model.safetensors\n" in capsys.readouterr().out
    weights = (snapshot / "model.safetensors").resolve()
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1  # a bit of a number: the file is as good as before, and another
    weights.write_bytes(content)
    assert main(["verify", str(snapshot)]) == 1
    assert f"model.safetensors does not have the sha256 as the Hub gave it: {weights.name}" in capsys.readouterr().out


def test_the_published_model_is_not_everybody(tmp_path: Path) -> None:
    tiny_folder.save_folder(tmp_path)
    report = folder_report.verify_folder(tmp_path)
    assert report.published is not None
    assert report.published.startswith(f"no, not {BLENDERBOT_SMALL_90M.name}: vocab_size is 220, not 54944")


def test_a_pickle_is_not_verified_unless_allowed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(GOLDEN / "pickled", tmp_path, dirs_exist_ok=True)
    assert main(["verify", str(tmp_path)]) == 2
    assert "--allow-pickle" in capsys.readouterr().err


@pytest.mark.parametrize(("asked", "first"), [([], "\n"), (["transformers-5"], "(?<=")])
def test_convert_writes_a_tokenizer_json(tiny_folder: Path, tmp_path: Path, asked: list[str], first: str) -> None:
    """In the dialect that was asked for, else in the folder's; what it holds is compared in test_fast.py."""
    assert main(["convert", str(tiny_folder), str(tmp_path / "new"), "--tokenizer-json", *asked]) == 0
    content = json.loads((tmp_path / "new" / "tokenizer.json").read_text(encoding="utf-8"))
    assert content["normalizer"]["normalizers"][0]["pattern"]["Regex"].startswith(first)
    assert main(["convert", str(tiny_folder), str(tmp_path / "plain")]) == 0
    assert not (tmp_path / "plain" / "tokenizer.json").exists()
