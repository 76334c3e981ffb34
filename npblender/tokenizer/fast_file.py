r"""The file tokenizer.json, with which the Rust library `tokenizers` (and its JavaScript relative) encodes as here.

That library calls the steps normalizer, pre-tokenizer, model and decoder, and one file describes them. A symbol of the
merges is an entry there: `low</w>` where our vocabulary has `low`, `low` where it has `low@@`; the ids are the same.

The library writes the number of a symbol itself as its id, so a symbol that merges go through needs a number of its own
even where the vocabulary has no entry for it. Such symbols take the numbers behind the vocabulary, and a text that ends
up with one of them has an id that is too large: the only ids that differ on plain text. Read each of them as the
unknown token (`stands_for`); `BlenderbotSmallTokenizerFast` does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from npblender.common import json_files
from npblender.common.printable import shown
from npblender.config.dialect import Family
from npblender.tokenizer.bpe import CONTINUED, WORD_END, spell_symbol
from npblender.tokenizer.codec import TextCodec
from npblender.tokenizer.pretokenize import MARKS, NEWLINE, SPACE

FILE = "tokenizer.json"

_PYTHON_SPACE = SPACE + "\x1c-\x1f"
_ACCENTS = 6  # most characters such as accents between a letter and a final sigma: a look-behind needs a longest length


@dataclass(frozen=True)
class FastFile:
    """What a tokenizer.json holds, and what its numbers behind the vocabulary stand for."""

    content: Mapping[str, Any]
    stands_for: Mapping[int, int]
    """From a number behind the vocabulary to the id that our tokenizer gives, mostly that of the unknown token."""

    def encoded(self) -> bytes:
        """The file's bytes."""
        return json_files.object_bytes(FILE, dict(self.content))


def fast_file(codec: TextCodec) -> FastFile:
    """Make the tokenizer.json of a tokenizer, in its dialect's way of cutting text.

    Raises:
        ValueError: what the library cannot do: a symbol that several merges make, or an added token with a continued
            namesake.

    >>> from npblender.tokenizer.example import example_tokenizer
    >>> file = fast_file(example_tokenizer().codec)
    >>> file.content["model"]["vocab"]["low</w>"], file.content["model"]["vocab"]["low"]
    (6, 7)
    """
    table, cuts = codec.bpe.table, codec.dialect.cut_special_tokens
    for rank, product in enumerate(table.products):
        if table.made_by.get(product) != rank:
            raise ValueError(
                f"{shown(product)} is made by more than one merge; the tokenizers library may merge in another "
                f"order then, so no {FILE} can be written"
            )
    numbers = {_symbol(token): number for token, number in codec.ids.items()}
    if cuts:  # the library finds an added token in a text by the spelling of its entry
        for number, token in codec.added.items():
            if token.content in numbers:
                both = f"{shown(token.content + CONTINUED)} beside the added token {shown(token.content)}"
                raise ValueError(f"the vocabulary has {both}; {FILE} would spell both alike")
            del numbers[_symbol(token.content)]
            numbers[token.content] = number
    spelling = {number: symbol for symbol, number in numbers.items()}
    stands_for: dict[int, int] = {}
    for symbol in (*table.unmade, *table.products):
        if symbol not in numbers:
            number = len(codec.ids) + len(stands_for)
            numbers[symbol], stands_for[number] = number, codec.id_of(spell_symbol(symbol))
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": spelling[codec.ids[codec.unknown]],
        "continuing_subword_prefix": None,
        "end_of_word_suffix": WORD_END,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": dict(sorted(numbers.items(), key=lambda entry: entry[1])),
        "merges": [list(pair) for pair in table.pairs],
    }
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {**asdict(token), "id": number, "content": spelling[number], "normalized": False}
            for number, token in sorted(codec.added.items())
        ],
        "normalizer": {"type": "Sequence", "normalizers": _normalizers(codec.dialect.pretokenizer)},
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": _PIECES[codec.dialect.pretokenizer]},
            "behavior": "Removed",
            "invert": True,
        },
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": _decoders(codec)},
        "model": model,
    }
    return FastFile(content, stands_for)


_PIECES: dict[Family, str] = {
    "parlai": rf"[\p{{L}}\p{{N}}_]+|[^{_PYTHON_SPACE}]",
    "transformers": f"'|[{MARKS}][^{SPACE}{MARKS}']*|[^{SPACE}{MARKS}']+",
}


def _symbol(token: str) -> str:
    """The symbol that an entry of the vocabulary spells."""
    return token.removesuffix(CONTINUED) if token.endswith(CONTINUED) and token != CONTINUED else token + WORD_END


def _replace(pattern: str, content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}


def _normalizers(family: Family) -> list[dict[str, Any]]:
    """Line breaks as words, a sigma that ends a word, lower case: what is done before a text is cut."""
    if family == "parlai":
        line_break, ignorable = "\n", r"\p{Case_Ignorable}"
    else:  # where a piece begins at a full stop and at an apostrophe, which elsewhere are passed over
        line_break, ignorable = f"(?<=[^{SPACE}'])\n", r"[^\P{Case_Ignorable}.']"
    cased = r"[^\P{Cased}\p{Case_Ignorable}]"
    before = "|".join(cased + ignorable * count for count in range(_ACCENTS + 1))
    return [
        _replace(line_break, f" {NEWLINE} "),
        _replace(f"(?<={before})Σ(?!{ignorable}*{cased})", "ς"),
        _replace("Σ", "σ"),
        {"type": "Lowercase"},
    ]


def _decoders(codec: TextCodec) -> list[dict[str, Any]]:
    """Token by token: an added token ends a word too; `</w>` is a space; ParlAI's line break is one."""
    decoders = []
    if codec.dialect.cut_special_tokens:
        decoders += [_replace(_escaped(each.content) + "$", each.content + WORD_END) for each in codec.added.values()]
    decoders.append({"type": "BPEDecoder", "suffix": WORD_END})
    if codec.dialect.pretokenizer == "parlai":
        decoders += [{"type": "Fuse"}, _replace(NEWLINE, "\n")]  # in the whole text, as ParlAI does
    return decoders


def _escaped(content: str) -> str:
    """A pattern that is the text itself, in Oniguruma's words and in JavaScript's."""
    return re.sub(r"[\\^$.*+?()\[\]{}|/]", lambda found: "\\" + found[0], content)
