"""Text to ids and back: thousands of texts, both ways of cutting, every option, two vocabularies."""

from __future__ import annotations

# ruff: noqa: B023  (what `attempt` is given it calls at once)
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from npblender import BlenderbotSmallTokenizer

from ..book import Book, digest
from ..frozen.lines import OWN, lines, shared
from ..places import find
from . import Place
from .packs import files

TEXTS, JUNK, EXPLAINED = 2500, 900, 250
ALPHABET = (
    "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789 \t\n\r.,!?;:'\"()[]{}<>@#$%&*-_/\\|~^`+="
    "äöüßéèñçøåłżИЖя中文字日本語한국어🙂👍🏽‍\u200b\u00a0\u2028\u202e\u0301\ufeff\x00\x07\x1b\x85İıſK№…–—“”’"
)
PIECES = ("__start__", "__end__", "__null__", "__unk__", "__newln__", "@@", "</w>", "n't", "'s", " . ", "...", "</s>")


def texts() -> list[str]:
    """What people said, and what nobody says."""
    rng = np.random.default_rng(51)
    letters = list(ALPHABET)
    junk = []
    for _ in range(JUNK):
        parts = []
        for _ in range(int(rng.integers(1, 7))):
            if rng.random() < 0.2:
                parts.append(PIECES[int(rng.integers(len(PIECES)))])
            else:
                parts.append("".join(rng.choice(letters, int(rng.integers(0, 12)))))
        junk.append("".join(parts))
    words = ("a" * 300, "ab" * 100, "x" * 31 + "!", "", " ", "\n", "hello\n\nworld\n", "é", "e\u0301", "ﬁ", "ẞ")
    return [*lines(TEXTS, seed=2), *junk, *words]


def tokenizers() -> Iterator[tuple[str, Any]]:
    """Each folder's tokenizer in each dialect that cuts in another way."""
    real = shared("checkpoint/blenderbot_small-90M")
    for name, folder in (("demo", None), ("real", real)):
        if name == "demo" or (folder is not None and folder.is_dir()):
            for dialect in ("parlai", "transformers-4", "transformers-5"):
                yield f"{name}/{dialect}", BlenderbotSmallTokenizer.from_pretrained(folder, dialect=dialect)


def one_text(tokenizer: Any, text: str, explain: bool) -> Any:
    """Ids as they are, and a digest of everything else that is made of them."""
    ids = tokenizer.encode(text)
    typed = tokenizer.encode(text, split_special_tokens=True)
    tokens = tokenizer.tokenize(text)
    decoded = [
        tokenizer.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=clean)
        for skip, clean in itertools.product((False, True), repeat=2)
    ]
    rest: dict[str, Any] = {
        "tokens": tokens,
        "typed": [typed, tokenizer.tokenize(text, split_special_tokens=True), tokenizer.decode(typed)],
        "decoded": decoded,
        "joined": tokenizer.convert_tokens_to_string(tokens),
        "there and back": [tokenizer.convert_tokens_to_ids(tokens), tokenizer.convert_ids_to_tokens(ids)],
        "call": {name: list(value) for name, value in tokenizer(text).items()},
    }
    if explain:
        steps = list(tokenizer.explain(text))
        rest["explained"] = [
            [step.piece, step.word, list(step.tokens), list(step.ids), [vars_of(merge) for merge in step.merges]]
            for step in steps
        ]
        rest["merges"] = [[vars_of(merge) for merge in tokenizer.merges(word)] for word in text.lower().split()[:4]]
    return [ids, {name: digest(repr(value).encode("utf-8", "backslashreplace")) for name, value in rest.items()}]


def vars_of(merge: Any) -> list[Any]:
    """The fields of a merge."""
    return [merge.rank, merge.left, merge.right, list(merge.symbols)]


OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"padding": True},
    {"padding": "max_length", "max_length": 12},
    {"padding": True, "padding_side": "left", "return_tensors": "np"},
    {"padding": True, "pad_to_multiple_of": 8, "return_tensors": "np"},
    {"truncation": True, "max_length": 6},
    {"truncation": True, "max_length": 6, "padding": "max_length", "return_tensors": "np"},
    {"truncation": "longest_first", "max_length": 7, "return_overflowing_tokens": True},
    {"truncation": True, "max_length": 7, "stride": 2, "return_overflowing_tokens": True},
    {"return_token_type_ids": True, "return_special_tokens_mask": True, "return_length": True},
    {"return_attention_mask": False},
    {"add_special_tokens": False, "split_special_tokens": True},
)
PAIRED: tuple[dict[str, Any], ...] = (
    {},
    {"truncation": "only_first", "max_length": 9},
    {"truncation": "only_second", "max_length": 9, "return_overflowing_tokens": True},
    {"truncation": "longest_first", "max_length": 9, "return_token_type_ids": True, "padding": True},
)
BAD: tuple[dict[str, Any], ...] = (
    {"padding": "left"},
    {"truncation": "middle", "max_length": 3},
    {"truncation": True, "max_length": 0},
    {"truncation": True, "max_length": -1},
    {"truncation": True, "max_length": 2.5},
    {"max_length": "5", "truncation": True},
    {"stride": -1},
    {"stride": 3},
    {"stride": 9, "truncation": True, "max_length": 4, "return_overflowing_tokens": True},
    {"pad_to_multiple_of": 0, "padding": True},
    {"padding_side": "up", "padding": True},
    {"return_tensors": "pt"},
    {"return_tensors": "np"},
    {"return_offsets_mapping": True},
    {"text_pair_target": ["x"]},
    {"is_split_into_words": "yes"},
    {"split_special_tokens": 1},
    {"text_pair": ["only one"]},
)
NO_TEXTS: tuple[Any, ...] = (
    None,
    5,
    5.0,
    b"bytes",
    [5, "a"],
    [None],
    {"a": 1},
    [["a", 5]],
    [[]],
    "\ud800",
    [],
    object(),
)


def batches(book: Book, name: str, tokenizer: Any, some: list[str]) -> None:
    """Options one by one, on batches, pairs, targets and words; then what is refused."""
    for number, options in enumerate(OPTIONS):
        book.attempt(f"{name}/options {number}", lambda: dict(tokenizer(some, **options)))
        book.attempt(f"{name}/options {number} of one", lambda: dict(tokenizer(some[0], **options)))
        words = [text.split() for text in some[:6]]
        book.attempt(
            f"{name}/options {number} of words",
            lambda: dict(tokenizer(words, is_split_into_words=True, **options)),
        )
        keep = {key: value for key, value in options.items() if not key.startswith("return_") or "tensors" in key}
        keep.pop("stride", None)
        book.attempt(f"{name}/encode {number}", lambda: tokenizer.encode(some[1], **keep))
    for number, options in enumerate(PAIRED):
        book.attempt(f"{name}/pairs {number}", lambda: dict(tokenizer(some[:9], some[9:18], **options)))
        book.attempt(f"{name}/targets {number}", lambda: dict(tokenizer(some[:5], text_target=some[5:10])))
        book.attempt(f"{name}/one pair {number}", lambda: dict(tokenizer(some[0], some[1], **options)))
    ids = [tokenizer.encode(text) for text in some[:6]]
    for number, padding in enumerate((True, "longest", "max_length", False)):
        call = lambda: dict(tokenizer.pad({"input_ids": ids}, padding=padding, max_length=40))  # noqa: E731
        book.attempt(f"{name}/pad {number}", call)
    book.attempt(
        f"{name}/prepared", lambda: dict(tokenizer.prepare_for_model(ids[0], ids[1], truncation=True, max_length=9))
    )
    book.attempt(f"{name}/truncated", lambda: tokenizer.truncate_sequences(list(ids[0]), list(ids[1]), 3))
    book.attempt(f"{name}/batch_decode", lambda: tokenizer.batch_decode(ids))
    for number, bad in enumerate(BAD):
        book.attempt(f"{name}/refused {number}", lambda: dict(tokenizer(some[:3], **bad)))
    for number, text in enumerate(NO_TEXTS):
        for method in (
            "__call__",
            "encode",
            "tokenize",
            "decode",
            "convert_tokens_to_ids",
            "convert_ids_to_tokens",
            "bpe",
        ):
            book.attempt(f"{name}/no text {number}/{method}", lambda: getattr(tokenizer, method)(text))
    for number in (-1, len(tokenizer), 10**9):
        book.attempt(f"{name}/no id {number}", lambda: tokenizer.decode([number]))


def about(book: Book, name: str, tokenizer: Any, place: Place) -> None:
    """Names, special tokens, files, and tokens that are added."""
    names: tuple[str, ...] = (
        "vocab_size",
        "special_tokens_map",
        "all_special_tokens",
        "all_special_ids",
        "model_max_length",
    )
    names += ("added_tokens_encoder", "padding_side", "truncation_side", "model_input_names", "name_or_path")
    names += ("pad_token_id", "eos_token_id", "bos_token", "unk_token", "pad_token_type_id", "extra_special_tokens")
    for each in names:
        book.attempt(f"{name}/{each}", lambda: getattr(tokenizer, each))
    book.put(f"{name}/vocabulary", digest(repr(sorted(tokenizer.get_vocab().items())).encode()))
    book.put(f"{name}/repr", repr(tokenizer))
    folder = place.work / name.replace("/", " ")
    book.attempt(f"{name}/save", lambda: tokenizer.save_pretrained(folder))
    files(book, f"{name}/saved", folder)
    token = find("AddedToken")
    book.attempt(f"{name}/added", lambda: tokenizer.add_tokens(["newword", token("<b>", lstrip=True, special=True)]))
    book.attempt(f"{name}/special", lambda: tokenizer.add_special_tokens({"extra_special_tokens": ["<x>", "<y>"]}))
    for text in ("a newword here", "a <b> c<b>d", "<x><y> z", "newwords"):
        book.attempt(f"{name}/added in {text}", lambda: [tokenizer.encode(text), tokenizer.tokenize(text)])
    again = place.work / f"{name.replace('/', ' ')} again"
    book.attempt(f"{name}/saved with more", lambda: tokenizer.save_pretrained(again))
    files(book, f"{name}/files with more", again)
    load = lambda: BlenderbotSmallTokenizer.from_pretrained(again).encode("a <b> newword <y>")  # noqa: E731
    book.attempt(f"{name}/loaded with more", load)


def broken(book: Book, folder: Path, good: Any) -> None:
    """Folders and vocabularies that are refused."""
    load = lambda: BlenderbotSmallTokenizer.from_pretrained(folder)  # noqa: E731
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"):
        for number, text in enumerate(
            ("", "{", "[]", "{}", "5", '{"a": 1}', "#version: 0.2\na b c\n", "a b\n", "\xff")
        ):
            good.save_pretrained(folder)
            (folder / name).write_text(text, encoding="latin-1")
            book.attempt(f"broken/{name} {number}", load)
            (folder / name).unlink()
        good.save_pretrained(folder)
        (folder / name).unlink(missing_ok=True)
        book.attempt(f"broken/without {name}", load)
    vocabularies: tuple[Any, ...] = (
        *({}, [], {"a": "0"}, {"a": True}, {"a": 1}, {"a": 0, "b": 0}, {"Ġlow": 0, "er": 1}, {"low": 0, "low</w>": 1}),
    )
    for number, vocabulary in enumerate(vocabularies):
        book.attempt(f"broken/vocabulary {number}", lambda: BlenderbotSmallTokenizer(vocabulary, []))
    vocabulary = good.get_vocab()
    merges: tuple[Any, ...] = (
        *([["l", "o"]], [("l", 5)], [("l", "o", "w")], [("l", "")], [("l", "</w>")], [("l</w>", "o")], [("lo", "w")]),
        *([("w", "lo</w>"), ("l", "o</w>")], [("l", "o"), ("h", "e"), ("l", "o")], [("qx", "yz")], 5, None),
    )
    for number, each in enumerate(merges):
        book.attempt(f"broken/merges {number}", lambda: BlenderbotSmallTokenizer(vocabulary, each))
    options: tuple[dict[str, Any], ...] = (
        *(
            {"padding_side": "up"},
            {"model_max_length": 0},
            {"unk_token": None},
            {"pad_token": "<gone>"},
            {"dialect": "x"},
        ),
        *(
            {"cache_size": -1},
            {"model_input_names": ["x"]},
            {"split_special_tokens": 1},
            {"nothing": 1},
            {"eos_token": 5},
        ),
    )
    good.save_pretrained(folder)
    for number, option in enumerate(options):
        call = lambda: BlenderbotSmallTokenizer.from_pretrained(folder, **option)  # noqa: E731
        book.attempt(f"broken/option {number}", call)


def record(book: Book, place: Place) -> None:
    """Every text with every tokenizer; the slow looks at some of them."""
    every = texts()
    for name, tokenizer in tokenizers():
        for number, text in enumerate(every):
            explain = number % (len(every) // EXPLAINED) == 0
            book.attempt(f"{name}/text {number}", lambda: one_text(tokenizer, text, explain))
        batches(book, name, tokenizer, [*OWN[:20], *every[-60:-50], ""])
        about(book, name, tokenizer, place)
    broken(book, place.work / "broken", BlenderbotSmallTokenizer.from_pretrained())
