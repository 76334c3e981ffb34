"""Tokenizer folders: read, written, refused by name."""

import gc
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender.config.dialect import PARLAI, TRANSFORMERS_5
from npblender.tokenizer import AddedToken, BlenderbotSmallTokenizer
from npblender.tokenizer.example import EXAMPLE_MERGES, EXAMPLE_VOCABULARY, example_tokenizer
from npblender.tokenizer.vocabulary import merges_bytes, read_merges
from reference_tests.support.text_strategies import FRAGMENTS, characters

HEADER = "#version: 0.2\n"


@pytest.fixture
def folder(tmp_path):
    """A tokenizer's folder written by hand, in the published layout."""
    (tmp_path / "vocab.json").write_text(json.dumps(EXAMPLE_VOCABULARY))
    (tmp_path / "merges.txt").write_text(HEADER + "".join(f"{left} {right}\n" for left, right in EXAMPLE_MERGES))
    return tmp_path


def load(folder, **options):
    return BlenderbotSmallTokenizer.from_pretrained(folder, **options)


def same(one, other):
    texts = ["".join(FRAGMENTS), *FRAGMENTS]
    return (
        [one(text) for text in texts] == [other(text) for text in texts]
        and one.get_vocab() == other.get_vocab()
        and one.special_tokens_map == other.special_tokens_map
        and one.added_tokens_decoder == other.added_tokens_decoder
        and one.dialect == other.dialect
    )


def test_two_files_are_enough(folder):
    assert same(load(folder), example_tokenizer())
    assert same(load(str(folder), dialect="transformers-5"), example_tokenizer("transformers-5"))
    paths = folder / "vocab.json", str(folder / "merges.txt")
    assert same(BlenderbotSmallTokenizer(*paths), example_tokenizer())
    assert load(folder).name_or_path == str(folder)


def test_a_last_line_without_an_end_is_refused(folder):
    """transformers 4.52.4 drops it and ParlAI reads it, and a file that was cut ends so."""
    (folder / "merges.txt").write_text((folder / "merges.txt").read_text().rstrip("\n"))
    with pytest.raises(ValueError, match="was cut short: its last line, '__end __</w>', has no end"):
        load(folder)


@pytest.mark.parametrize("ends", ["\n", "\n\n"])
def test_the_last_merge_counts_however_the_file_ends(folder, ends):
    lines = (folder / "merges.txt").read_text().rstrip("\n")
    (folder / "merges.txt").write_bytes(lines.replace("\n", "\r\n").encode() + ends.encode())
    assert load(folder).codec.bpe.table.pairs == EXAMPLE_MERGES


def test_saved_and_loaded_again(tmp_path):
    tokenizer = example_tokenizer("transformers-4")
    tokenizer.add_tokens(["<turn>", AddedToken("<s>", lstrip=True, rstrip=True)])
    tokenizer.add_special_tokens({"sep_token": "<sep>", "extra_special_tokens": ["<x>"]})
    tokenizer.padding_side, tokenizer.model_max_length = "left", 128
    tokenizer.clean_up_tokenization_spaces = tokenizer.split_special_tokens = True
    paths = tokenizer.save_pretrained(tmp_path / "new" / "folder")
    names = ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt"]
    assert [Path(path).name for path in paths] == names
    assert json.loads(Path(paths[3]).read_text(encoding="utf-8")) == EXAMPLE_VOCABULARY
    again = load(tmp_path / "new" / "folder")
    assert same(tokenizer, again)
    assert again.extra_special_tokens == tokenizer.extra_special_tokens == ["<x>"]
    assert (again.padding_side, again.truncation_side, again.model_max_length) == ("left", "right", 128)
    assert again.clean_up_tokenization_spaces is again.split_special_tokens is True
    assert load(tmp_path / "new" / "folder", padding_side="right").padding_side == "right"


def test_files_keep_what_they_hold(folder, tmp_path):
    config = {"model_max_length": 9, "add_prefix_space": False, "chat_template": "{{ x }}", "pad_token": "__null__"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    load(folder).save_pretrained(tmp_path / "again")
    kept = json.loads((tmp_path / "again" / "tokenizer_config.json").read_text())
    assert {key: kept[key] for key in config} == config
    assert kept["npblender_dialect"] == "parlai"
    assert (tmp_path / "again" / "vocab.json").read_text() == json.dumps(EXAMPLE_VOCABULARY)
    assert (tmp_path / "again" / "merges.txt").read_bytes() == (folder / "merges.txt").read_bytes()


def test_save_vocabulary_with_a_prefix(tmp_path):
    vocab, merges = example_tokenizer().save_vocabulary(tmp_path, "mine")
    assert (Path(vocab).name, Path(merges).name) == ("mine-vocab.json", "mine-merges.txt")
    assert same(BlenderbotSmallTokenizer(vocab, merges), example_tokenizer())
    with pytest.raises(FileNotFoundError, match=r"no folder .*missing' to save to; make it first, or call save_pre"):
        example_tokenizer().save_vocabulary(tmp_path / "missing")
    with pytest.raises(ValueError, match="is a file, not a folder to save to"):
        example_tokenizer().save_vocabulary(vocab)
    with pytest.raises(TypeError, match="the folder to save to must be a string or a path, not int"):
        example_tokenizer().save_vocabulary(5)


def test_whose_dialect_counts(folder):
    assert load(folder).dialect == PARLAI
    (folder / "config.json").write_text(json.dumps({"npblender_dialect": "transformers-4"}))
    assert load(folder).dialect.name == "transformers-4"
    (folder / "tokenizer_config.json").write_text(json.dumps({"npblender_dialect": "transformers-5"}))
    assert load(folder).dialect == TRANSFORMERS_5
    assert load(folder, dialect="parlai").dialect == PARLAI
    with pytest.raises(ValueError, match="unknown dialect 'moses'"):
        load(folder, dialect="moses")


def test_the_small_files_of_transformers(folder):
    """Special tokens as records, added tokens in either file, as its versions write them."""
    record = {"content": "__end__", "lstrip": False, "rstrip": False, "single_word": False, "__type": "AddedToken"}
    added = {"0": {**record, "content": "__null__", "normalized": False, "special": True}}
    settings = {"eos_token": record, "extra_special_tokens": {}, "tokenizer_class": "BlenderbotSmallTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "added_tokens_decoder": added}))
    assert same(load(folder), example_tokenizer())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "special_tokens_map.json").write_text(
        json.dumps({"additional_special_tokens": ["<s>"], "eos_token": record})
    )
    (folder / "added_tokens.json").write_text(json.dumps({"<s>": 48, "<t>": 49}))
    tokenizer = load(folder, dialect="transformers-4")
    assert tokenizer.tokenize("low<s>low<t>") == ["low", "<s>", "low", "<t>"]
    assert (tokenizer.extra_special_tokens, len(tokenizer)) == (["<s>"], 50)
    assert [tokenizer.added_tokens_decoder[index].special for index in (48, 49)] == [True, False]
    with pytest.raises(ValueError, match="'parlai' cuts no tokens out"):
        load(folder)


FILE_FAULTS = [
    ("vocab.json", None, FileNotFoundError, "holds no vocab.json"),
    ("merges.txt", None, FileNotFoundError, "holds no merges.txt"),
    ("vocab.json", "{", ValueError, "not JSON, or was cut short"),
    ("vocab.json", "[]", ValueError, "must hold one JSON object"),
    ("merges.txt", "l o\n", ValueError, "begins with 'l o'"),
    ("merges.txt", "#version: 0.1\nl o\n", ValueError, "begins with '#version: 0.1'"),
    ("merges.txt", HEADER + "l o w\n", ValueError, r"line 2: 'l o w' is not two symbols"),
    ("merges.txt", HEADER + "l o\nlow\n", ValueError, r"line 3: 'low' is not two symbols"),
    ("merges.txt", HEADER + "l o\n\nh e\n", ValueError, r"line 3: '' is not two symbols"),
    ("merges.txt", HEADER + "l o\xa0w\n", ValueError, r"line 2: 'l o\\xa0w' is not two symbols"),
    ("tokenizer_config.json", '{"tokenizer_class": "GPT2Tokenizer"}', ValueError, "tokenizer class 'GPT2Tokenizer'"),
    ("tokenizer_config.json", '{"pad_token": 5}', ValueError, "pad_token must be a string"),
    ("tokenizer_config.json", '{"pad_token": "<pad>"}', ValueError, "lacks the special token '<pad>'"),
    ("tokenizer_config.json", '{"padding_side": "up"}', ValueError, "padding_side must be 'left' or 'right'"),
    ("tokenizer_config.json", '{"model_max_length": 0}', ValueError, "model_max_length must be at least 1"),
    (
        "tokenizer_config.json",
        '{"model_input_names": ["labels"]}',
        ValueError,
        "model_input_names is a list of input_ids",
    ),
    ("tokenizer_config.json", '{"extra_special_tokens": {"a": "b"}}', ValueError, "extra_special_tokens"),
    ("added_tokens.json", '{"<s>": 60}', ValueError, "'<s>' has id 60, but the next free id is 48"),
    ("added_tokens.json", '{"low": 7}', ValueError, "'low' has id 7, but the vocabulary gives it 6"),
]


@pytest.mark.parametrize(("name", "content", "error", "message"), FILE_FAULTS)
def test_faulty_files_are_named(folder, name, content, error, message):
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content, encoding="utf-8")
    with pytest.raises((error, TypeError) if "must be a" in message else error, match=message) as caught:
        load(folder, dialect="transformers-5")
    assert str(folder) in str(caught.value)


def test_a_folder_with_only_the_fast_format(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="save the tokenizer with the slow class"):
        load(tmp_path)


def test_what_is_no_folder_or_no_option(folder):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        load("facebook/blenderbot_small-90M")
    with pytest.raises(
        TypeError, match="no option 'use_fast'; there are added_tokens, additional_special_tokens, bos_token"
    ):
        load(folder, use_fast=False)


def test_a_repeated_line_is_a_repeated_merge(folder):
    with (folder / "merges.txt").open("a") as file:
        file.write("l o\n")
    with pytest.raises(ValueError, match=r"the merge \('l', 'o'\) stands there twice"):
        load(folder)


def test_ids_in_any_order(folder):
    (folder / "vocab.json").write_text(json.dumps(dict(reversed(EXAMPLE_VOCABULARY.items()))))
    tokenizer, other = load(folder), example_tokenizer()
    assert tokenizer.convert_ids_to_tokens(range(48)) == other.convert_ids_to_tokens(range(48))
    assert tokenizer("Hello, low lower!") == other("Hello, low lower!")


@pytest.mark.slow
def test_a_tokenizer_holds_no_long_lists():
    """The garbage collector would look through them again and again, and that while the first texts are tokenized."""
    BlenderbotSmallTokenizer.from_pretrained()
    before = {id(thing) for thing in gc.get_objects()}
    tokenizer = BlenderbotSmallTokenizer.from_pretrained()
    new = [thing for thing in gc.get_objects() if id(thing) not in before and thing is not before]
    merges = len(tokenizer.codec.bpe.table.products)
    assert [len(thing) for thing in new if isinstance(thing, list | set) and len(thing) >= merges] == []


@given(st.lists(st.text(alphabet=characters(), min_size=1, max_size=1).filter(str.strip), max_size=6, unique=True))
def test_merges_survive_the_file(tmp_path_factory, letters):
    merges = [
        (left, right + "</w>") for left in letters for right in letters if not {left, right} & set("\x1c\x1d\x1e\x1f")
    ]
    if any("\ud800" <= letter <= "\udfff" for letter in letters):
        return  # a file cannot hold a lone surrogate
    path = tmp_path_factory.mktemp("merges") / "merges.txt"
    path.write_bytes(merges_bytes(merges))
    assert read_merges(path).pairs == tuple(merges)


def test_a_special_token_that_is_not_there():
    with pytest.raises(ValueError, match="lacks the special token '<s>'; pass the names it uses"):
        BlenderbotSmallTokenizer(EXAMPLE_VOCABULARY, EXAMPLE_MERGES, bos_token="<s>")
    without = BlenderbotSmallTokenizer(EXAMPLE_VOCABULARY, EXAMPLE_MERGES, bos_token=None)
    assert (without.bos_token, without.bos_token_id) == (None, None)
    with pytest.raises(ValueError, match="unk_token cannot be None"):
        BlenderbotSmallTokenizer(EXAMPLE_VOCABULARY, EXAMPLE_MERGES, unk_token=None)


def test_repr_says_what_it_is():
    said = repr(example_tokenizer("transformers-5"))
    assert said.startswith("BlenderbotSmallTokenizer(name_or_path='', vocab_size=48, dialect='transformers-5'")
