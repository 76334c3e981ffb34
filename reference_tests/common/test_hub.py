"""Models by name: the cache without `huggingface_hub`, and what `from_pretrained` takes to find them."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from npblender import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BlenderbotSmallConfig,
    BlenderbotSmallForConditionalGeneration,
    BlenderbotSmallTokenizer,
    Conversation,
    GenerationConfig,
)
from npblender.cli.main import main
from npblender.common import hub
from npblender.models.keras_flax import FlaxBlenderbotSmallModel, TFBlenderbotSmallModel
from reference_tests.support.hub_look_alike import COMMIT, NAME

HUB_SETTINGS = (
    *("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"),
    *("HF_TOKEN", "XDG_CACHE_HOME"),
)

READERS: dict[str, Any] = {
    reader.__qualname__: reader
    for reader in (
        BlenderbotSmallForConditionalGeneration.from_pretrained,
        BlenderbotSmallTokenizer.from_pretrained,
        BlenderbotSmallConfig.from_pretrained,
        GenerationConfig.from_pretrained,
        Conversation.from_pretrained,
        AutoConfig.from_pretrained,
        AutoTokenizer.from_pretrained,
        AutoModelForSeq2SeqLM.from_pretrained,
        FlaxBlenderbotSmallModel.from_pretrained,
        TFBlenderbotSmallModel.from_pretrained,
    )
}
"""Everything that is loaded by a model's name."""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache that the environment names, and no huggingface_hub."""
    for name in HUB_SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub, "find_spec", lambda _name: None)
    return tmp_path / "hub"


def fill(cache: Path, folder: Path, name: str = NAME, subfolder: str = "", links: bool = True) -> Path:
    """Store a folder as the Hub's cache does: blobs, and links to them in a snapshot."""
    place = cache / f"models--{name.replace('/', '--')}"
    snapshot = place / "snapshots" / COMMIT / subfolder
    snapshot.mkdir(parents=True)
    (place / "blobs").mkdir()
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(COMMIT)
    for path in folder.iterdir():
        blob = place / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        blob.write_bytes(path.read_bytes())
        if links:
            (snapshot / path.name).symlink_to(Path(*[".."] * (2 + bool(subfolder)), "blobs", blob.name))
        else:
            blob.rename(snapshot / path.name)  # as on Windows
    return snapshot


@pytest.mark.parametrize("links", [True, False])
def test_what_is_cached_is_read_without_the_extra(
    cache: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str], links: bool
) -> None:
    snapshot = fill(cache, tiny_folder, links=links)
    assert hub.fetch(NAME) == hub.fetch(NAME, hub.Place(revision=COMMIT)) == snapshot
    assert hub.fetch(NAME, hub.Place(cache_dir=cache)) == snapshot
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(NAME)
    tokenizer = BlenderbotSmallTokenizer.from_pretrained(NAME)
    assert model.config.vocab_size == len(tokenizer)
    assert model.name_or_path == tokenizer.name_or_path == NAME, "the name that was given, as in transformers"
    assert main(["fetch", NAME]) == 0
    assert capsys.readouterr().out == f"{snapshot}\n"
    assert main(["chat", "--model", NAME, "--say", "hello", "--greedy"]) == 0


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"HF_HUB_CACHE": "a"}, "a"),
        ({"HUGGINGFACE_HUB_CACHE": "a"}, "a"),
        ({"HF_HOME": "a"}, "a/hub"),
        ({"HF_HOME": "b", "HF_HUB_CACHE": "a"}, "a"),
        ({"XDG_CACHE_HOME": "a"}, "a/huggingface/hub"),
        ({"HOME": "a"}, "a/.cache/huggingface/hub"),
    ],
)
def test_the_cache_is_where_the_environment_says(
    cache: Path,
    tmp_path: Path,
    tiny_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    place: str,
) -> None:
    monkeypatch.delenv("HF_HUB_CACHE")
    for name, value in variables.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    snapshot = fill(tmp_path / place, tiny_folder)
    assert hub.fetch(NAME) == snapshot
    assert BlenderbotSmallConfig.from_pretrained(NAME).d_model == 12


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_takes_what_finds_a_name(cache: Path, tiny_folder: Path, tmp_path: Path, reader: str) -> None:
    """Each option is passed on: the right value finds the model, another one does not."""
    read, elsewhere = READERS[reader], tmp_path / "elsewhere"
    fill(elsewhere, tiny_folder, subfolder="inside")
    given = {"cache_dir": elsewhere, "subfolder": "inside"}
    read(NAME, **given)
    read(NAME, **given, revision=COMMIT, local_files_only=True, token="hf_secret", force_download=False)
    for other in ({"cache_dir": cache}, {"subfolder": ""}, {"revision": "v1"}, {"revision": "f" * 40}):
        with pytest.raises(FileNotFoundError, match="no model of this name"):
            read(NAME, **(given | other))
    with pytest.raises(FileNotFoundError, match="as force_download=True asks: pip install"):
        read(NAME, **given, force_download=True)
    with pytest.raises(ValueError, match="contradict"):
        read(NAME, **given, force_download=True, local_files_only=True)
    with pytest.raises(TypeError, match="token"):
        read(NAME, **given, token=3)
    with pytest.raises(TypeError, match="revison"):
        read(NAME, **given, revison="main")


@pytest.mark.parametrize("reader", READERS)
def test_of_a_folder_there_is_one_revision(cache: Path, tiny_folder: Path, tmp_path: Path, reader: str) -> None:
    """Scripts pass these always; the ones that say how to download mean nothing where nothing is downloaded."""
    read = READERS[reader]
    read(tiny_folder, revision="main", cache_dir=tmp_path, token=True, local_files_only=True)
    with pytest.raises(ValueError, match=r"revision 'v1' is of a model on the Hub, and '.*' is a folder"):
        read(tiny_folder, revision="v1")
    with pytest.raises(FileNotFoundError, match="inside"):
        read(tiny_folder, subfolder="inside")
    with pytest.raises(ValueError, match="subfolder"):
        read(tiny_folder, subfolder="../other")


def test_a_tokenizer_needs_no_weights(cache: Path, tiny_folder: Path) -> None:
    snapshot = fill(cache, tiny_folder)
    (snapshot / "model.safetensors").unlink()
    assert len(BlenderbotSmallTokenizer.from_pretrained(NAME)) > 100
    assert BlenderbotSmallConfig.from_pretrained(NAME).d_model == 12
    with pytest.raises(FileNotFoundError, match="no model of this name"):
        BlenderbotSmallForConditionalGeneration.from_pretrained(NAME)
    (snapshot / "vocab.json").unlink()
    with pytest.raises(FileNotFoundError, match="no model of this name"):
        hub.fetch(NAME, need="tokenizer")


def test_what_is_not_there_is_said_with_the_command(
    cache: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FileNotFoundError, match=r"pip install 'npblender\[hub\]'"):
        BlenderbotSmallTokenizer.from_pretrained(NAME)
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.setenv(variable, "1")
        with pytest.raises(FileNotFoundError, match="HF_HUB_OFFLINE"):
            hub.fetch(NAME)
        monkeypatch.delenv(variable)
    snapshot = fill(cache, tiny_folder)
    weights = next(path for path in snapshot.iterdir() if path.suffix == ".safetensors")
    weights.resolve().unlink()  # a download that was cut off
    with pytest.raises(FileNotFoundError, match="no model of this name"):
        hub.fetch(NAME)
    assert main(["fetch", "no name"]) == 2
    assert "give owner/name" in capsys.readouterr().err
    with pytest.raises(ValueError, match="no name of a branch"):
        hub.Place(revision="../..")


def test_a_name_that_is_a_folder_is_the_folder(
    cache: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(cache, tiny_folder)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "facebook").mkdir()
    BlenderbotSmallConfig(d_model=32).save_pretrained(tmp_path / NAME)
    assert BlenderbotSmallConfig.from_pretrained(NAME).d_model == 32, "and not 12, which is in the cache"
    with pytest.raises(FileNotFoundError, match="90M holds no vocab"):
        BlenderbotSmallTokenizer.from_pretrained(NAME)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        BlenderbotSmallTokenizer.from_pretrained(tiny_folder).save_vocabulary("someone/new")


def test_of_several_formats_one_is_taken() -> None:
    tokenizer = ["config.json", "vocab.json", "merges.txt"]
    weights = ["model.safetensors", "flax_model.msgpack", "tf_model.h5", "pytorch_model.bin", "model"]
    for number, best in enumerate(weights):
        assert hub.wanted_files([*tokenizer, *weights[number:], "README.md"]) == [*tokenizer, best]
    assert hub.wanted_files([*tokenizer, *weights], weights=False) == tokenizer
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]
    assert hub.wanted_files([*shards, "pytorch_model.bin"]) == shards
    parlai = ["model.opt", "model.dict", "model.dict.codecs", "model"]
    assert hub.wanted_files([*parlai, "model.trainstats"]) == parlai
