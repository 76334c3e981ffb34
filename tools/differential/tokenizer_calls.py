"""Seeded random calls of transformers' methods, with the options that both sides honour.

Left out is what npblender refuses and transformers ignores or answers with something no caller can use: see the list
in docs/tokenizer.md. It does NOT make the calls.
"""

from __future__ import annotations

import random
from typing import Any

Call = dict[str, Any]

_TEXTS = [
    "",
    "hi",
    "Hello, World!",
    "it's\nme",
    "a b c d e f g",
    "one two three four five six seven eight",
    "__start__x __end__",
]


def _call(method: str, *args: Any, **kwargs: Any) -> Call:
    return {"method": method, "args": list(args), "kwargs": kwargs}


def random_calls(count: int, seed: int, size: int) -> list[Call]:
    """Calls on batches, pairs, words and ids, and of the methods on single sequences; `size` is the vocabulary's.

    >>> random_calls(2, seed=1, size=10) == random_calls(2, seed=1, size=10)
    True
    """
    draw = random.Random(seed)
    makers = (_encode_one, _encode_batch, _encode_batch, _encode_batch, _encode, _pad, _single, _single)
    return [draw.choice(makers)(draw, size) for _ in range(count)]


def _options(draw: random.Random, *, batch: bool, empty: bool = False) -> dict[str, Any]:
    options: dict[str, Any] = {}
    lengths = draw.choice((None, 3, 4, 8, 16))
    if lengths is not None:
        options["max_length"] = lengths
        options["truncation"] = draw.choice((True, "longest_first", None))
        if options["truncation"] is None:
            del options["truncation"]
    # One empty text that stands alone is not padded by transformers; ours pads it.
    padding = draw.choice((False, True, "longest", "max_length"))
    if padding and not (empty and not batch) and (lengths is None or "truncation" in options):
        if padding == "max_length" and lengths is None:
            options["max_length"] = 24
            options["truncation"] = draw.choice((True, False))
        options["padding"] = padding
        if draw.random() < 0.4:
            options["padding_side"] = draw.choice(("left", "right"))
        if draw.random() < 0.3 and (not options.get("truncation") or options.get("max_length", 8) % 4 == 0):
            options["pad_to_multiple_of"] = 4
    for name in ("return_token_type_ids", "return_special_tokens_mask"):
        if draw.random() < 0.2:
            options[name] = True
    if draw.random() < 0.15:
        options["return_attention_mask"] = draw.choice((True, False))
    if draw.random() < 0.1:
        options["add_special_tokens"] = draw.choice((True, False))
    if options.get("add_special_tokens") is False:
        options.pop("return_token_type_ids", None)  # transformers 4 refuses the two together, 5 gives zeros
    if draw.random() < 0.2 and not (options.get("padding") and not batch):
        options["return_length"] = True
    if options.get("padding") in (True, "longest", "max_length") or not batch:
        ragged = options.get("padding") == "max_length" and not options.get("truncation")
        if draw.random() < 0.3 and not (ragged and batch):
            options["return_tensors"] = "np"
    return options


def _encode_one(draw: random.Random, size: int) -> Call:
    text = draw.choice(_TEXTS)
    arguments: list[Any] = [text]
    if draw.random() < 0.3:
        arguments.append(draw.choice(_TEXTS))
    options = _options(draw, batch=False, empty=not any(arguments))
    return _call("__call__", *arguments, **options)


def _encode_batch(draw: random.Random, size: int) -> Call:
    count = draw.randint(1, 4)
    texts = [draw.choice(_TEXTS) for _ in range(count)]
    kind = draw.choice(("plain", "plain", "pairs", "second", "words", "ids"))
    options = _options(draw, batch=True)
    if kind == "pairs":
        return _call("__call__", [[text, draw.choice(_TEXTS)] for text in texts], **options)
    if kind == "second":
        return _call("__call__", texts, [draw.choice(_TEXTS) for _ in texts], **options)
    if kind == "words":
        words = [[draw.choice(_TEXTS[1:]) for _ in range(draw.randint(1, 3))] for _ in texts]
        return _call("__call__", words, is_split_into_words=True, **options)
    return _call("__call__", texts, **options)


def _encode(draw: random.Random, size: int) -> Call:
    options = _options(draw, batch=False)
    kept = ("max_length", "truncation", "padding", "padding_side", "return_tensors")
    text = draw.choice([draw.choice(_TEXTS[1:]), [draw.randrange(size) for _ in range(5)]])
    return _call("encode", text, **{name: options[name] for name in kept if name in options})


def _pad(draw: random.Random, size: int) -> Call:
    rows = [[draw.randrange(size) for _ in range(draw.randint(1, 6))] for _ in range(draw.randint(1, 4))]
    shape = draw.choice(("list", "mapping", "one"))
    given: Any = [{"input_ids": row} for row in rows] if shape == "list" else {"input_ids": rows}
    given = {"input_ids": rows[0]} if shape == "one" else given
    options: dict[str, Any] = draw.choice(({}, {"padding": "max_length", "max_length": 8}, {"pad_to_multiple_of": 4}))
    return _call("pad", given, **options)


def _single(draw: random.Random, size: int) -> Call:
    ids = [
        draw.choice((draw.randrange(5), draw.randrange(size), draw.randrange(size))) for _ in range(draw.randint(0, 9))
    ]
    more = [draw.randrange(size) for _ in range(draw.randint(0, 4))]
    skip, clean = draw.choice((True, False)), draw.choice((True, False, None))
    cut = draw.choice(("longest_first", "only_first"))
    texts = [draw.choice(_TEXTS) for _ in range(3)]
    calls = [
        _call("decode", ids, skip_special_tokens=skip, clean_up_tokenization_spaces=clean),
        _call("decode", draw.randrange(size)),
        _call("batch_decode", [ids, more], skip_special_tokens=skip, clean_up_tokenization_spaces=clean),
        _call("convert_ids_to_tokens", ids, skip_special_tokens=skip),
        _call("convert_ids_to_tokens", draw.randrange(size)),
        _call("convert_tokens_to_ids", draw.choice(["hello", "HELLO", "__start__", "no such token", "@@"])),
        _call("convert_tokens_to_ids", ["the", "The", "__unk__", "__NULL__", "th@@"]),
        _call("convert_tokens_to_string", ["th@@", "e", "@@", "x@@"]),
        _call("tokenize", draw.choice(texts)),
        _call("bpe", draw.choice(["hello", "it's", "wow!!to", "hi\n"])),
        _call("build_inputs_with_special_tokens", ids, more),
        _call("create_token_type_ids_from_sequences", ids, more),
        _call("get_special_tokens_mask", ids, more),
        _call("get_special_tokens_mask", ids, already_has_special_tokens=True),
        _call("num_special_tokens_to_add", pair=True),
        _call("truncate_sequences", [1, 2, 3, 4, 5], num_tokens_to_remove=2, truncation_strategy=cut, stride=1),
        _call("truncate_sequences", [1, 2, 3, 4, 5], [6, 7, 8], num_tokens_to_remove=draw.randint(1, 6)),
        _call("prepare_for_model", ids, more, max_length=6, truncation=True),
        _call("clean_up_tokenization", "hi , i ' m here ! are n't you ? we 've"),
        _call("__len__"),
        _call("get_added_vocab"),
    ]
    return draw.choice(calls)
