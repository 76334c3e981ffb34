"""Names of transformers' slow tokenizer class: each value was read off from 4.52.4 and 5.23.0 with the published files.

Where the published files are not at hand the same laws are tried with the demo's.
"""

import logging
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from npblender import (
    AutoTokenizer,
    BlenderbotSmallConfig,
    BlenderbotSmallTokenizer,
    Conversation,
    GenerationConfig,
)
from npblender.demo import FOLDER
from npblender.tokenizer.example import example_tokenizer

SHARED = os.environ.get("NPBLENDER_SHARED")
VOCAB, MERGES = str(Path(FOLDER) / "vocab.json"), str(Path(FOLDER) / "merges.txt")


def published(**options: Any) -> BlenderbotSmallTokenizer:
    if not SHARED:
        pytest.skip("NPBLENDER_SHARED does not name the folder with the published files")
    return BlenderbotSmallTokenizer.from_pretrained(Path(SHARED) / "checkpoint" / "blenderbot_small-90M", **options)


@pytest.mark.parametrize("dialect", ["transformers-4", "transformers-5"])
def test_as_the_originals_with_the_published_files(dialect: str) -> None:
    tokenizer = published(dialect=dialect)
    assert tokenizer.encode_plus("hi") == {"input_ids": [792], "attention_mask": [1]}
    pair = tokenizer.encode_plus("hi", "you", return_token_type_ids=True)
    assert dict(pair) == {"input_ids": [792, 15], "token_type_ids": [0, 1], "attention_mask": [1, 1]}
    several = tokenizer.batch_encode_plus(["hi", ("a", "b")])
    assert several == {"input_ids": [[792], [12, 354]], "attention_mask": [[1], [1, 1]]}
    assert tokenizer.batch_encode_plus(batch_text_or_text_pairs=["hi"])["input_ids"] == [[792]]
    assert tokenizer.batch_encode_plus(["hi", "you there"], padding=True)["input_ids"] == [[792, 0], [15, 60]]
    assert (tokenizer.encoder["hello"], len(tokenizer.encoder), tokenizer.decoder[5]) == (880, 54944, ".")
    assert tokenizer.additional_special_tokens_ids == []
    more = published(dialect=dialect, additional_special_tokens=["<a>"])
    assert (len(more), more.all_special_tokens[-1], more("hi <a>")["input_ids"]) == (54945, "<a>", [792, 54944])
    assert more.additional_special_tokens_ids == more.extra_special_tokens_ids == [54944]
    assert len(more.encoder) == 54944
    assert len(more.vocab) == 54945
    assert more.decode([792, 15], spaces_between_special_tokens=True) == "hi you"


def test_files_by_transformers_names() -> None:
    by_name = BlenderbotSmallTokenizer(vocab_file=VOCAB, merges_file=MERGES)
    assert by_name("hello there")["input_ids"] == BlenderbotSmallTokenizer(VOCAB, MERGES)("hello there")["input_ids"]
    with pytest.raises(TypeError, match="give merges, or merges_file"):
        BlenderbotSmallTokenizer(VOCAB)
    with pytest.raises(TypeError, match=r"give vocab, or vocab_file; from_pretrained\(folder\)"):
        BlenderbotSmallTokenizer(VOCAB, MERGES, vocab_file=VOCAB)


def test_special_tokens_are_a_list() -> None:
    tokenizer = example_tokenizer("transformers-5")
    assert tokenizer.add_special_tokens({"additional_special_tokens": ["<x>"]}) == 1
    again = tokenizer.add_special_tokens(
        {"additional_special_tokens": ["<y>"]}, replace_additional_special_tokens=False
    )
    assert (again, tokenizer.additional_special_tokens) == (1, ["<x>", "<y>"])
    for wrong in ("<a>", {"x_token": "<a>"}):
        with pytest.raises(TypeError, match="extra_special_tokens must be a list of tokens"):
            BlenderbotSmallTokenizer.from_pretrained(dialect="transformers-5", additional_special_tokens=wrong)
    with pytest.raises(TypeError, match="transformers 4's name for extra_special_tokens"):
        BlenderbotSmallTokenizer(VOCAB, MERGES, extra_special_tokens=["<a>"], additional_special_tokens=["<b>"])


def test_one_text_is_no_batch() -> None:
    tokenizer = example_tokenizer("transformers-5")
    with pytest.raises(TypeError, match="encode_plus takes one"):
        tokenizer.batch_encode_plus("low")
    with pytest.raises(ValueError, match="spaces_between_special_tokens=False is not covered"):
        tokenizer.decode([6], spaces_between_special_tokens=False)


def test_a_text_that_is_too_long_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """In transformers' words, through `logging`, the first time; never where the text is cut or `verbose` is false."""
    tokenizer = BlenderbotSmallTokenizer.from_pretrained(model_max_length=3)
    with caplog.at_level(logging.WARNING):
        tokenizer("hi hi hi")
        tokenizer("hi hi hi hi", truncation=True)
        tokenizer("hi hi hi hi", verbose=False)
        assert not caplog.records
        assert len(tokenizer(["hi", "hi hi hi hi"])["input_ids"][1]) == 4
        tokenizer("hi hi hi hi hi")
    assert [record.name for record in caplog.records] == ["npblender"]
    assert "longer than the specified maximum sequence length for this model (4 > 3)" in caplog.text
    caplog.clear()
    other = BlenderbotSmallTokenizer.from_pretrained(model_max_length=3)
    with caplog.at_level(logging.WARNING):
        other.encode("hi hi hi hi")
    assert len(caplog.records) == 1


def test_a_single_text_is_never_taken_as_its_letters() -> None:
    """Where a list of texts is meant: one text is one of them, or it is refused by name."""
    tokenizer = example_tokenizer()
    assert tokenizer.convert_tokens_to_string("lower") == tokenizer.convert_tokens_to_string(["lower"]) == "lower"
    with pytest.raises(ValueError, match="model_input_names is a list of"):
        tokenizer.model_input_names = "input_ids"
    with pytest.raises(ValueError, match="model_input_names is a list of"):
        BlenderbotSmallTokenizer.from_pretrained(model_input_names="input_ids")
    tokenizer.model_input_names = ["input_ids"]
    assert list(tokenizer("hello")) == ["input_ids"]
    with pytest.raises(TypeError, match="pad needs input_ids as a list of whole numbers, not '567'"):
        tokenizer.pad({"input_ids": "567"})
    with pytest.raises(TypeError, match="a list of tokens"):
        tokenizer.add_special_tokens({"additional_special_tokens": "<a>"})
    for wrong in ("12", b"12"):
        with pytest.raises(TypeError, match="whole numbers"):
            tokenizer.decode(wrong)


def test_a_subfolder(tmp_path: Path) -> None:
    """Where in a folder the files lie, by transformers' name, for whatever is read from it."""
    shutil.copytree(FOLDER, tmp_path / "inner")
    expected = BlenderbotSmallTokenizer.from_pretrained(tmp_path / "inner")("hello there")
    for cls in (BlenderbotSmallTokenizer, AutoTokenizer):
        assert cls.from_pretrained(tmp_path, subfolder="inner")("hello there") == expected
        with pytest.raises(FileNotFoundError, match=r"there is no folder .*elsewhere"):
            cls.from_pretrained(tmp_path, subfolder="elsewhere")
    assert BlenderbotSmallConfig.from_pretrained(tmp_path, subfolder="inner").d_model > 0
    assert GenerationConfig.from_pretrained(tmp_path, subfolder="inner").num_beams
    assert Conversation.from_pretrained(tmp_path, subfolder="inner").tokenizer("hello there") == expected
    with pytest.raises(FileNotFoundError, match=r"holds no vocab\.json"):
        BlenderbotSmallTokenizer.from_pretrained(tmp_path)
