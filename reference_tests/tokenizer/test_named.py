"""Special tokens by name and id, and what files of transformers say of them; the right values are the originals'."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from npblender import BlenderbotSmallTokenizer, demo
from npblender.tokenizer import AddedToken
from npblender.tokenizer.example import example_tokenizer
from npblender.tokenizer.named_tokens import SPECIAL_TOKEN_NAMES


@pytest.mark.parametrize("dialect", ["parlai", "transformers-4", "transformers-5"])
@pytest.mark.parametrize("name", SPECIAL_TOKEN_NAMES)
def test_setting_an_id_sets_the_token(dialect: str, name: str) -> None:
    """transformers 4.52.4 and 5.23.0: `tokenizer.pad_token_id = 5` makes `pad_token` the entry of that id."""
    tokenizer = example_tokenizer(dialect)
    setattr(tokenizer, f"{name}_id", 5)
    assert (getattr(tokenizer, name), getattr(tokenizer, f"{name}_id")) == ("hello", 5)
    assert "hello" in tokenizer.all_special_tokens
    for wrong in (-1, 48, "5", 1.0):
        with pytest.raises((TypeError, ValueError), match=f"{name}_id must be"):
            setattr(tokenizer, f"{name}_id", wrong)
    assert getattr(tokenizer, f"{name}_id") == 5


def test_the_pad_token_that_was_set_by_id_pads() -> None:
    tokenizer = example_tokenizer("transformers-5")
    tokenizer.pad_token_id = 2
    assert tokenizer(["low", "low low"], padding=True)["input_ids"] == [[6, 2], [6, 6]]


def test_an_added_token_is_not_special_unless_it_says_so() -> None:
    """transformers 4.52.4 and 5.23.0: decode(skip_special_tokens=True) keeps it."""
    tokenizer = example_tokenizer("transformers-5")
    tokenizer.add_tokens([AddedToken("<l>")])
    ids = tokenizer("low <l> low")["input_ids"]
    assert ids == [6, 48, 6]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "low <l> low"
    assert "<l>" not in tokenizer.all_special_tokens
    tokenizer.add_tokens([AddedToken("<m>")], special_tokens=True)
    assert "<m>" in tokenizer.all_special_tokens
    tokenizer.add_special_tokens({"sep_token": AddedToken("<n>")})
    assert tokenizer.added_tokens_decoder[50].special


@pytest.mark.parametrize("dialect", ["transformers-4", "transformers-5"])
@pytest.mark.parametrize("with_decoder", [True, False])
def test_extra_tokens_that_transformers_4_saved_beside_an_empty_key(
    tmp_path: Path, dialect: str, with_decoder: bool
) -> None:
    """4.52.4 writes additional_special_tokens and an empty extra_special_tokens; both originals keep it special."""
    example_tokenizer().save_pretrained(tmp_path)
    saved: dict[str, object] = {"additional_special_tokens": ["<speaker1>"], "extra_special_tokens": {}}
    if with_decoder:
        record = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True}
        special = ["__null__", "__start__", "__end__", "__unk__"]
        tokens = {**{str(at): token for at, token in enumerate(special)}, "48": "<speaker1>"}
        saved["added_tokens_decoder"] = {at: {"content": token, **record} for at, token in tokens.items()}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(saved))
    tokenizer = BlenderbotSmallTokenizer.from_pretrained(tmp_path, dialect=dialect)
    assert "<speaker1>" in tokenizer.all_special_tokens
    assert len(tokenizer) == 49
    assert tokenizer.tokenize("low <speaker1>low") == ["low", "<speaker1>", "low"]
    assert tokenizer.decode([48, 6], skip_special_tokens=True) == "low"


def test_one_token_where_a_list_is_meant_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"extra_special_tokens must be a list of tokens, not one"):
        BlenderbotSmallTokenizer.from_pretrained(dialect="transformers-5", extra_special_tokens="<a>")


def test_a_save_leaves_nothing_of_an_earlier_one(tmp_path: Path) -> None:
    """Tokens that an earlier tokenizer added are not read with a later one that was saved to the same folder."""
    first = example_tokenizer("transformers-5")
    first.add_tokens(["<a>"])
    first.save_pretrained(tmp_path)
    assert len(BlenderbotSmallTokenizer.from_pretrained(tmp_path)) == 49
    example_tokenizer("transformers-5").save_pretrained(tmp_path)
    assert len(BlenderbotSmallTokenizer.from_pretrained(tmp_path)) == 48
    fresh = tmp_path / "fresh"
    example_tokenizer("transformers-5").save_pretrained(fresh)
    for path in fresh.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    shutil.rmtree(fresh)


def test_a_cut_merges_file_is_refused_wherever_a_line_is_cut(tmp_path: Path) -> None:
    example_tokenizer().save_pretrained(tmp_path)
    merges = tmp_path / "merges.txt"
    whole = merges.read_bytes()
    for end in range(20, len(whole)):
        if whole[end - 1 : end] != b"\n":
            merges.write_bytes(whole[:end])
            with pytest.raises(ValueError, match=r"merges\.txt|merge|belong together"):
                BlenderbotSmallTokenizer.from_pretrained(tmp_path)


@pytest.mark.skipif("NPBLENDER_SHARED" not in os.environ, reason="needs the published files")
def test_the_published_merges_cut_behind_any_line_are_refused(tmp_path: Path) -> None:
    published = Path(os.environ["NPBLENDER_SHARED"]) / "checkpoint" / "blenderbot_small-90M"
    shutil.copy(published / "vocab.json", tmp_path)
    lines = (published / "merges.txt").read_bytes().splitlines(keepends=True)
    for count in (30_000, 29_999, 29_000, 20_000):
        (tmp_path / "merges.txt").write_bytes(b"".join(lines[: count + 1]))
        if count == 30_000:
            assert len(BlenderbotSmallTokenizer.from_pretrained(tmp_path)) == 54_944
            continue
        with pytest.raises(ValueError, match=f"cut short: {count:,} are there, and 30,000 belong"):
            BlenderbotSmallTokenizer.from_pretrained(tmp_path)


def test_the_merges_of_any_vocabulary_cut_behind_a_line_are_refused_where_its_entries_show_it(tmp_path: Path) -> None:
    """The demo's 12,148 merges make its entries of several letters but four: a tenth of them must be missing."""
    shutil.copy(demo.folder() / "vocab.json", tmp_path)
    lines = (demo.folder() / "merges.txt").read_bytes().splitlines(keepends=True)
    assert len(lines) == 12149
    for count in (12148, 11000, 10957, 10956, 10000, 2000, 100, 0):
        (tmp_path / "merges.txt").write_bytes(b"".join(lines[: count + 1]))
        if count > 10956:
            assert len(BlenderbotSmallTokenizer.from_pretrained(tmp_path)) == 12288
            continue
        with pytest.raises(ValueError, match=f"cut short, or belong to another vocabulary: {count:,} are there"):
            BlenderbotSmallTokenizer.from_pretrained(tmp_path)
