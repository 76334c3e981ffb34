"""tokenizer.json and `BlenderbotSmallTokenizerFast`, by the real `tokenizers`: ids and places equal the pure ones.

What the file cannot say is shown here too, exception by exception: docs/fast-tokenizer.md lists them.
"""

import gzip
import json
import os
import pickle
import shutil
import subprocess
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from npblender.tokenizer import AddedToken, BlenderbotSmallTokenizer
from npblender.tokenizer.example import EXAMPLE_MERGES, EXAMPLE_VOCABULARY, example_tokenizer
from npblender.tokenizer.fast import BlenderbotSmallTokenizerFast
from npblender.tokenizer.fast_file import fast_file
from reference_tests.support.text_strategies import FRAGMENTS, texts
from reference_tests.support.tiny_folder import make_tokenizer

tokenizers = pytest.importorskip("tokenizers", reason="needs the extra [fast]: pip install 'npblender[fast]'")

DIALECTS = ("parlai", "transformers-5")
SETS = {
    "example": example_tokenizer,
    "tiny": make_tokenizer,
    "demo": lambda dialect: BlenderbotSmallTokenizer.from_pretrained(dialect=dialect),
}
CASES = [(name, dialect) for name in SETS for dialect in DIALECTS]
PURE = {case: SETS[case[0]](case[1]) for case in CASES}
FILES = {case: fast_file(pure.codec) for case, pure in PURE.items()}
RUST = {case: tokenizers.Tokenizer.from_buffer(file.encoded()) for case, file in FILES.items()}
FAST = {
    case: BlenderbotSmallTokenizerFast(pure.get_vocab(), pure.codec.bpe.table.pairs, dialect=case[1])
    for case, pure in PURE.items()
}


def can_be_said(text: str) -> bool:
    """Whether the file is for such a text: no half pairs, no characters without a meaning yet, no `</w>` typed."""
    return "</w>" not in text and not any(unicodedata.category(character) in ("Cs", "Cn") for character in text)


@pytest.mark.parametrize("case", CASES, ids="-".join)
@given(text=texts())
@example(text="".join(fragment for fragment in FRAGMENTS if can_be_said(fragment)))
@example(text="ΑΣ.Α 'ΑΣ' ΑΣ\u0301\u0301Α ΑΣ\u0301. Σ Σ. .Σ .ΑΣ ΑΣ'Α")
def test_the_file_gives_the_same_ids_and_places(case, text):
    text = "".join(character for character in text if can_be_said(character)).replace("</w>", "")
    found = RUST[case].encode(text)
    stands_for = FILES[case].stands_for
    assert [stands_for.get(number, number) for number in found.ids] == PURE[case].encode(text)
    pure = PURE[case](text, return_offsets_mapping=True)
    assert found.offsets == pure["offset_mapping"]
    assert found.word_ids == pure.word_ids()


@pytest.mark.parametrize("case", CASES, ids="-".join)
@given(text=texts(), split=st.booleans())
@example(text="".join(FRAGMENTS), split=False)
@example(text="low__end__</w>__end__</w>", split=False)
def test_the_class_gives_the_same_on_any_text(case, text, split):
    fast = FAST[case](text, return_offsets_mapping=True, split_special_tokens=split)
    pure = PURE[case](text, return_offsets_mapping=True, split_special_tokens=split)
    assert fast == pure
    assert fast.word_ids() == pure.word_ids()
    assert FAST[case].encode(text) == PURE[case].encode(text)


@given(rows=st.lists(texts(), max_size=3), length=st.integers(1, 8), options=st.data())
def test_the_class_gives_the_same_batches(rows, length, options):
    case = ("demo", options.draw(st.sampled_from(DIALECTS)))
    asked = {
        "max_length": length,
        "truncation": options.draw(st.sampled_from([True, "only_first", False])),
        "padding": "max_length",
        "padding_side": options.draw(st.sampled_from(["left", "right"])),
        "return_length": options.draw(st.booleans()),
        "return_token_type_ids": options.draw(st.booleans()),
        "return_special_tokens_mask": options.draw(st.booleans()),
    }
    assert FAST[case](rows, **asked) == PURE[case](rows, **asked)


@pytest.mark.parametrize("case", CASES, ids="-".join)
@given(data=st.data())
def test_the_file_decodes(case, data):
    """Of ids of the vocabulary that end in a whole word; an open end is closed, where transformers keeps @@."""
    pure, rust = PURE[case], RUST[case]
    ids = data.draw(st.lists(st.integers(0, pure.vocab_size - 1), max_size=8))
    ids.append(pure.convert_tokens_to_ids("!"))
    assert rust.decode(ids, skip_special_tokens=False).strip(" ") == pure.decode(ids).strip(" ")


def test_a_symbol_without_a_number_of_its_own_merges_as_another():
    """Why ids behind the vocabulary cannot be the unknown token's in the file itself: merges go by number."""
    vocab = {"__unk__": 0, "x": 0, "y": 0, "z</w>": 1, "xz</w>": 2}
    model = tokenizers.models.BPE(vocab, [("x", "z</w>")], unk_token="__unk__", end_of_word_suffix="</w>")
    assert tokenizers.Tokenizer(model).encode("yz").ids == [2]  # where [0, 1] would be right


def test_two_spellings_of_one_number_do_not_survive_a_save():
    """Why not even symbols that nothing merges further may share the unknown token's number."""
    vocab = {"__unk__": 0, "x": 1, "z</w>": 2, "xz</w>": 0}
    model = tokenizers.models.BPE(vocab, [("x", "z</w>")], unk_token="__unk__", end_of_word_suffix="</w>")
    written = json.loads(tokenizers.Tokenizer(model).to_str())["model"]["vocab"]
    assert len(written) == len(vocab) - 1


def test_exceptions_of_the_file():
    """Each kind, by the example vocabulary: the id is too large, and `stands_for` has the right one."""
    case = ("example", "transformers-5")
    size = len(PURE[case])
    for text, right in (("lo", [3]), ("__END__", [2])):
        merges = [*EXAMPLE_MERGES, ("l", "o</w>")]
        pure = BlenderbotSmallTokenizer(EXAMPLE_VOCABULARY, merges, dialect="transformers-5")
        file = fast_file(pure.codec)
        (found,) = tokenizers.Tokenizer.from_buffer(file.encoded()).encode(text).ids
        assert found >= size
        assert [file.stands_for[found]] == pure.encode(text) == right
    assert RUST["example", "parlai"].encode("__end__</w>").ids != PURE["example", "parlai"].encode("__end__</w>")


def test_what_the_library_cannot_follow_is_refused():
    twice = [*EXAMPLE_MERGES, ("l", "ow")] if ("l", "ow") not in EXAMPLE_MERGES else []
    twice.insert(1, ("o", "w"))
    vocabulary = {**EXAMPLE_VOCABULARY, "ow@@": len(EXAMPLE_VOCABULARY)}
    pure = BlenderbotSmallTokenizer(vocabulary, twice)
    with pytest.raises(ValueError, match="'low' is made by more than one merge"):
        fast_file(pure.codec)
    with pytest.raises(ValueError, match="'low' is made by more than one merge"):
        BlenderbotSmallTokenizerFast(vocabulary, twice)
    namesake = {**EXAMPLE_VOCABULARY, "__end__@@": len(EXAMPLE_VOCABULARY)}
    pure = BlenderbotSmallTokenizer(namesake, EXAMPLE_MERGES, dialect="transformers-5")
    with pytest.raises(ValueError, match="would spell both alike"):
        fast_file(pure.codec)


def test_saved_loaded_added_and_copied(tmp_path):
    pure = example_tokenizer("transformers-5")
    pure.add_tokens(["<turn>", AddedToken("__END", special=False)])
    paths = pure.save_pretrained(tmp_path, fast=True)
    assert str(tmp_path / "tokenizer.json") in paths
    rust = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    fast = BlenderbotSmallTokenizerFast.from_pretrained(tmp_path, add_prefix_space=True)
    assert (fast.is_fast, fast.add_prefix_space, fast.trim_offsets, pure.is_fast) == (True, True, True, False)
    text = "low<turn>low __END__ __end__start__ __start__end__"
    assert rust.encode(text).ids == fast.encode(text) == pure.encode(text)
    again = tokenizers.Tokenizer.from_str(rust.to_str())
    assert again.encode(text).ids == pure.encode(text)
    fast.add_tokens(["<x>"])
    assert fast.tokenize("low<x>") == ["low", "<x>"]
    assert fast.encode("low<x>") == [*fast.encode("low"), len(fast) - 1]
    assert pickle.loads(pickle.dumps(fast)).encode("low<x>") == fast.encode("low<x>")
    assert fast.create_token_type_ids_from_sequences([5], [6]) == [0, 1]
    assert fast.backend_tokenizer.encode("low").ids == fast.encode("low")


def published(dialect):
    place = os.environ.get("NPBLENDER_SHARED")
    folder = Path(place or ".", "checkpoint", "blenderbot_small-90M")
    if not place or not folder.exists():
        pytest.skip("NPBLENDER_SHARED names no folder with the published tokenizer")
    return BlenderbotSmallTokenizer.from_pretrained(folder, dialect=dialect), Path(place, "dialogue")


def every_text(folder):
    """Each text of the dialogues once, those of personas too."""

    def strings(value):
        if isinstance(value, str):
            yield value
        elif isinstance(value, list | dict):
            for part in value.values() if isinstance(value, dict) else value:
                yield from strings(part)

    found = {}
    for path in sorted([*folder.glob("*.jsonl.gz"), *folder.glob("everyday/*.jsonl")]):
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            for line in file:
                found.update(dict.fromkeys(strings(json.loads(line))))
    return list(found)


EXCEPTIONS = {"parlai": 3453, "transformers-5": 3572}
"""Of all texts of the dialogues, how many have an id behind the vocabulary."""


@pytest.mark.slow
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_text_of_the_dialogues(dialect):
    """With the published tokenizer: the same ids, but for those behind the vocabulary that stand for the right ones."""
    pure, folder = published(dialect)
    file = fast_file(pure.codec)
    every = every_text(folder)
    found = tokenizers.Tokenizer.from_buffer(file.encoded()).encode_batch(every)
    beyond = 0
    for text, encoding in zip(every, found, strict=True):
        ids = [file.stands_for.get(number, number) for number in encoding.ids]
        assert ids == pure.encode(text), text
        beyond += ids != encoding.ids
    assert (len(every), beyond) == (611_500, EXCEPTIONS[dialect])


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.slow
def test_every_letter_of_unicode(dialect):
    """Each code point that this Python knows, beside letters: the library's classes are the same."""
    pure, rust, file = PURE["demo", dialect], RUST["demo", dialect], FILES["demo", dialect]
    points = (chr(code) for code in range(0x110000))
    every = [f"a{point}b" for point in points if unicodedata.category(point) not in ("Cs", "Cn", "Co")]
    assert len(every) > 140_000
    for text, encoding in zip(every, rust.encode_batch(every), strict=True):
        assert [file.stands_for.get(number, number) for number in encoding.ids] == pure.encode(text), text


JAVASCRIPT = """
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
const [modules, folder] = process.argv.slice(1);
const { Tokenizer } = createRequire(modules + "/")("@huggingface/tokenizers");
const read = (name) => JSON.parse(readFileSync(`${folder}/${name}`, "utf8"));
const tokenizer = new Tokenizer(read("tokenizer.json"), read("tokenizer_config.json"));
console.log(JSON.stringify(read("texts.json").map((text) => tokenizer.encode(text).ids)));
"""


@pytest.fixture
def javascript():
    """Node, and the folder that NPBLENDER_NODE_MODULES names, where `npm install @huggingface/tokenizers` ran."""
    modules, node = os.environ.get("NPBLENDER_NODE_MODULES"), shutil.which("node")
    if not modules or node is None:
        pytest.skip("NPBLENDER_NODE_MODULES names no folder with npm's @huggingface/tokenizers")
    return node, modules


def test_the_pages_javascript(javascript, tmp_path):
    """The lines of docs/fast-tokenizer.md as they stand there, on the published tokenizer."""
    node, modules = javascript
    page = (Path(__file__).resolve().parents[2] / "docs" / "fast-tokenizer.md").read_text(encoding="utf-8")
    code = page.split("```js\n")[1].split("```")[0]
    assert code.count('encode("Hello!")') == 1
    pure, _ = published("parlai")
    pure.save_pretrained(tmp_path / "NEW", fast=True)
    (tmp_path / "node_modules").symlink_to(Path(modules, "node_modules"))
    for text in ("Hello!", "You found an organic hound."):
        lines = code.replace('"Hello!"', json.dumps(text)) + "console.log(JSON.stringify(ids));\n"
        (tmp_path / "page.mjs").write_text(lines, encoding="utf-8")
        run = subprocess.run([node, "page.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
        assert json.loads(run.stdout) == pure.encode(text)


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_javascript(case, javascript, tmp_path):
    """Each vocabulary, in both ways of cutting text."""
    node, modules = javascript
    PURE[case].save_pretrained(tmp_path, fast=True)
    said = [text for text in FRAGMENTS if can_be_said(text) and text != "__START__"]  # which that library finds, alone
    said += [
        "Hello there, how are you?",
        "Don't (go)!!to\n3.14",
        "one \ntwo\n\nthree'\nfour",
        "".join(said),
        "ΑΣ.Α 'ΑΣ'",
    ]
    (tmp_path / "texts.json").write_text(json.dumps(said), encoding="utf-8")
    run = subprocess.run(
        [node, "--input-type=module", "-e", JAVASCRIPT, modules, str(tmp_path)],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    for text, ids in zip(said, json.loads(run.stdout), strict=True):
        assert [FILES[case].stands_for.get(number, number) for number in ids] == PURE[case].encode(text), text
