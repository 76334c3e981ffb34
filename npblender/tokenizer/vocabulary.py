"""Vocabulary, merges and settings of a tokenizer: what they must be, and their files, read and written.

A wrong pair of files does not crash: it gives unknown tokens, and the model gives nonsense. So the formats that are
mistaken for this one are refused by name: byte-level vocabularies (GPT-2, the larger Blenderbot), those that write
`</w>` (GPT-1, CLIP), and a vocabulary beside the merges of another model. Two things are accepted, since the published
files do them: a merge whose product is no entry (1,123 of 30,000), and an entry that no merge makes (3,583 of 54,944).

The files are those of the published checkpoint, which transformers 4 and 5 read and write: vocab.json, merges.txt and
the small ones beside them. A tokenizer.json (the format of transformers' fast classes) is not read.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from npblender.common import json_files
from npblender.common.mistaken_files import refuse_file
from npblender.common.printable import shown
from npblender.tokenizer.bpe import CONTINUED, WORD_END, MergeTable, spell_symbol
from npblender.tokenizer.pretokenize import SPECIAL_TOKEN_NAMES, AddedToken, as_added_token

_BYTE_LEVEL_SPACES = ("Ġ", "Ċ")  # how byte-level vocabularies spell a space and a line break


def check_vocabulary(vocab: Mapping[str, int]) -> dict[str, int]:
    """Check that entries are strings, ids are 0 to V - 1, and the format is this one. Return a copy, ids ascending.

    Raises:
        TypeError: `vocab` is no mapping from strings to whole numbers.
        ValueError: ids with gaps or repetitions, no entries, or a vocabulary of another format.

    >>> check_vocabulary({"Ġhello": 0, "hello": 1})
    Traceback (most recent call last):
    ValueError: the vocabulary is byte-level: 1 of its 2 entries begin with 'Ġ' or 'Ċ', such as 'Ġhello' \
(GPT-2 and the larger Blenderbot are so). BlenderbotSmall needs one whose unfinished pieces end in '@@'
    """
    if not isinstance(vocab, Mapping):
        raise TypeError(f"the vocabulary must map each token to its id, not be a {type(vocab).__name__}")
    if not vocab:
        raise ValueError("the vocabulary is empty")
    if not set(map(type, vocab.values())) <= {int} or not set(map(type, vocab)) <= {str}:
        key, value = next(item for item in vocab.items() if type(item[0]) is not str or type(item[1]) is not int)
        raise TypeError(f"the vocabulary must map strings to whole numbers; it maps {shown(key)} to {shown(value)}")
    ordered, ids, size = dict(vocab), list(vocab.values()), len(vocab)
    if ids != list(range(size)):  # mostly they are
        if set(ids) != set(range(size)):
            fault = _id_fault(vocab)
            raise ValueError(f"the vocabulary has {size} entries, so its ids must be 0 to {size - 1}, {fault}")
        ordered = dict(sorted(vocab.items(), key=itemgetter(1)))
    # One search in the joined text, and a look at each entry only if it finds something.
    joined = "\n".join(["", *vocab, ""])
    if any(space in joined and "\n" + space in joined for space in _BYTE_LEVEL_SPACES) or WORD_END + "\n" in joined:
        _refuse_other_formats(vocab)
    return ordered


def _refuse_other_formats(vocab: Mapping[str, int]) -> None:
    byte_level = [token for token in vocab if token.startswith(_BYTE_LEVEL_SPACES)]
    if byte_level:
        raise ValueError(
            f"the vocabulary is byte-level: {len(byte_level)} of its {len(vocab)} entries begin with 'Ġ' or 'Ċ', "
            f"such as {shown(byte_level[0])} (GPT-2 and the larger Blenderbot are so). BlenderbotSmall needs one whose "
            f"unfinished pieces end in {CONTINUED!r}"
        )
    closed = [token for token in vocab if token.endswith(WORD_END) and token != WORD_END]
    if closed:
        raise ValueError(
            f"the vocabulary writes word ends as {WORD_END!r}, such as {shown(closed[0])} (GPT-1 and CLIP do so). "
            f"BlenderbotSmall needs one whose unfinished pieces end in {CONTINUED!r} and whose word ends are bare"
        )


def _id_fault(vocab: Mapping[str, int]) -> str:
    first_with: dict[int, str] = {}
    for token, index in vocab.items():
        if not 0 <= index < len(vocab):
            return f"but {shown(token)} has {index}"
        if index in first_with:
            return f"each once, but {shown(first_with[index])} and {shown(token)} both have {index}"
        first_with[index] = token
    raise AssertionError("ids that are 0 to V - 1, each once, have no fault")


def check_pairs(merges: Sequence[tuple[str, str]]) -> None:
    """Check that each merge is a pair of strings.

    Raises:
        TypeError, ValueError: the first that is not; merges count from 1, as in what `check_merges` raises.

    >>> check_pairs([("l", "o"), ["l", "ow"]])
    Traceback (most recent call last):
    TypeError: merge 2 must be a tuple of two strings, not ['l', 'ow']
    """
    if not set(map(type, merges)) <= {tuple} or not set(map(type, chain.from_iterable(merges))) <= {str}:
        number, wrong = next(
            (at, pair)
            for at, pair in enumerate(merges, start=1)
            if type(pair) is not tuple or not set(map(type, pair)) <= {str}
        )
        raise TypeError(f"merge {number} must be a tuple of two strings, not {shown(wrong)}")
    if set(map(len, merges)) - {2}:
        number, wrong = next((at, pair) for at, pair in enumerate(merges, start=1) if len(pair) != 2)
        raise ValueError(f"merge {number} must join two symbols, not {len(wrong)}: {shown(wrong)}")


def check_merges(table: MergeTable) -> None:
    """Check that each merge joins two symbols that exist by then: single characters, or products of earlier merges.

    Raises:
        ValueError: an empty symbol, a repeated merge, `</w>` elsewhere than at the right end, or a symbol that
            nothing makes. The message counts merges from 1, as the lines of merges.txt stand below its first.

    >>> check_merges(MergeTable(["l", "low"], ["o", "er</w>"]))
    Traceback (most recent call last):
    ValueError: merge 2 ('low' + 'er</w>'): no earlier merge makes 'low'; the merges are out of order or incomplete
    """
    if len(table.ranks) != len(table.products):
        pair = next(pair for pair, times in Counter(table.pairs).items() if times > 1)
        raise ValueError(f"the merge {shown(pair)} stands there twice; the originals disagree which of the two counts")
    if not _plainly_in_order(table):
        _check_order(table.pairs)


def _plainly_in_order(table: MergeTable) -> bool:
    """Whether array operations prove the order; if not, the merges may be in order all the same."""
    ranks = np.arange(len(table.products))
    return (
        bool((table.left < ranks).all() and (table.right < ranks).all())
        and all(len(symbol.removesuffix(WORD_END)) == 1 for symbol in table.unmade)
        and WORD_END + "\n" not in "\n".join([*map(itemgetter(0), table.ranks), ""])
    )


def _check_order(merges: Sequence[tuple[str, str]]) -> None:
    made: set[str] = set()  # products so far that can be continued
    closed: set[str] = set()  # and those that end a word
    for number, (left, right) in enumerate(merges, start=1):
        ends = right.endswith(WORD_END)
        bare = right[: -len(WORD_END)] if ends else right
        if (left in made or len(left) == 1) and (right in (closed if ends else made) or len(bare) == 1):
            (closed if ends else made).add(left + right)
        else:
            where = f"merge {number} ({shown(left)} + {shown(right)})"
            if not left or not bare:
                raise ValueError(f"{where}: a symbol is empty")
            if left.endswith(WORD_END):
                raise ValueError(f"{where}: {WORD_END!r} closes a word, so it can stand at the right end only")
            nowhere = right if left in made or len(left) == 1 else left
            raise ValueError(
                f"{where}: no earlier merge makes {shown(nowhere)}; the merges are out of order or incomplete"
            )


_PUBLISHED_ENTRIES, _PUBLISHED_MERGES = 54_944, 30_000
_FEW_ENTRIES, _MOST_ENTRIES_A_MERGE = 100, 1.1
"""A merge makes one entry of several letters, so there are about as many entries as merges: 1.00 to one in the
published files and in the demo. A hundred more may be entries that are cut out whole, or put in by hand."""


def check_fit(vocab: Mapping[str, int], table: MergeTable, special_tokens: Iterable[str]) -> None:
    """Check that the files belong together: special tokens are entries, and at least half of the merges' products.

    Raises:
        ValueError: one that is missing, or merges whose symbols the vocabulary lacks.

    >>> check_fit({"__unk__": 0, "lo": 1}, MergeTable(["l"], ["o"]), ["__unk__"])
    Traceback (most recent call last):
    ValueError: vocabulary and merges do not belong together: of the 1 tokens that the merges make, 1 are no entries, \
such as 'lo@@' (4 % of the published files' are none)
    """
    missing = [token for token in special_tokens if token not in vocab]
    if missing:
        raise ValueError(
            f"the vocabulary lacks the special token {' and '.join(map(shown, missing))}; pass the names it uses as "
            f"bos_token, eos_token, unk_token and pad_token"
        )
    count = len(table.products)
    if len(vocab) == _PUBLISHED_ENTRIES and vocab.get("silhouette") == 24408:
        if count < _PUBLISHED_MERGES:
            raise ValueError(
                f"the merges were cut short: {count:,} are there, and {_PUBLISHED_MERGES:,} belong to the published "
                f"vocabulary, which this is; get merges.txt again"
            )
    elif len(vocab) > _FEW_ENTRIES + _MOST_ENTRIES_A_MERGE * count:
        _refuse_cut_merges(vocab, table)
    # Mostly the first six tenths will do, spelt together as `spell_symbol` does one by one.
    first = "\n".join([*table.products[: 6 * count // 10], ""]).replace("\n", CONTINUED + "\n")
    spelt = first.replace(WORD_END + CONTINUED + "\n", "\n").split("\n")
    if len(spelt) == 6 * count // 10 + 1 and 2 * sum(map(vocab.__contains__, spelt[:-1])) >= count:
        return
    stray = [token for token in map(spell_symbol, table.products) if token not in vocab]
    if 2 * len(stray) > count:
        raise ValueError(
            f"vocabulary and merges do not belong together: of the {len(table.products)} tokens that the merges make, "
            f"{len(stray)} are no entries, such as {shown(stray[0])} (4 % of the published files' are none)"
        )


def _refuse_cut_merges(vocab: Mapping[str, int], table: MergeTable) -> None:
    """Raise if the vocabulary has many more entries of several letters than there are merges to make them."""
    long = [token for token in vocab if len(token.removesuffix(CONTINUED)) > 1]
    if len(long) <= _FEW_ENTRIES + _MOST_ENTRIES_A_MERGE * len(table.products):
        return
    made = set(map(spell_symbol, table.products))
    lost = [token for token in long if token not in made]
    raise ValueError(
        f"the merges were cut short, or belong to another vocabulary: {len(table.products):,} are there, which do not "
        f"make {len(lost):,} of its {len(long):,} entries of several letters, such as {shown(lost[-1])}; texts would "
        f"get other ids"
    )


DIALECT_KEY = "npblender_dialect"
"""Where tokenizer_config.json, and config.json, keep the dialect; transformers leaves the key alone."""

_MERGES_HEADER = "#version: 0.2"
_CLASSES = ("BlenderbotSmallTokenizer", "BlenderbotSmallTokenizerFast")
# Keys that say where a folder came from, or that transformers takes out itself before it uses the rest.
_ORIGINS = ("special_tokens_map_file", "tokenizer_file", "name_or_path", "tokenizer_class", "files_loaded")
# transformers 4 called them so.
_OLD_NAMES = {"additional_special_tokens": "extra_special_tokens", "max_len": "model_max_length"}


def read_vocabulary(path: Path) -> dict[str, Any]:
    """Read the entries of a vocab.json, in the file's order."""
    if not path.is_file() and (path.parent / "tokenizer.json").is_file():
        raise FileNotFoundError(
            f"{path.parent} holds no {path.name}; its tokenizer.json is of transformers' fast classes, which is not "
            f"read: save the tokenizer with the slow class (BlenderbotSmallTokenizer) for vocab.json and merges.txt"
        )
    return json_files.read_object(path)


def vocabulary_bytes(vocab: Mapping[str, int]) -> bytes:
    """Encode a vocab.json: one line, in id order, as the published file has it."""
    ordered = dict(sorted(vocab.items(), key=lambda item: item[1]))
    return json.dumps(ordered, ensure_ascii=False).encode("utf-8")


def read_merges(path: Path) -> MergeTable:
    """Read the merges of a merges.txt, a codes file of subword-nmt 0.2, in order.

    A last line without a line break is refused: the file was cut, or the originals read it differently.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no `#version: 0.2` on the first line, or a line that is not two symbols with a space between.
    """
    text = json_files.read_text(path, "a tokenizer's folder")
    if text.strip("\r\n") and not text.endswith("\n"):
        last = shown(text[-60:].splitlines()[-1])
        refuse_file(
            path,
            f"was cut short: its last line, {last}, has no end. If it is whole, end it with a line break; "
            f"transformers leaves out such a line, and ParlAI reads it",
        )
    header, _, body = text.replace("\r\n", "\n").rstrip("\n").partition("\n")
    if header.strip() != _MERGES_HEADER:
        refuse_file(path, f"begins with {shown(header[:40])}, not with {_MERGES_HEADER!r}: no codes of subword-nmt 0.2")
    words = body.split()
    even = len(words) // 2 * 2
    lefts, rights = words[0:even:2], words[1:even:2]
    if _lines(lefts, rights) != body:  # symbols hold no white space, so some line is malformed
        for number, line in enumerate(body.split("\n"), start=2):
            if len(line.split()) != 2 or line.split() != line.split(" "):
                raise ValueError(f"{path}, line {number}: {shown(line)} is not two symbols with one space between them")
    return MergeTable(lefts, rights)


def _lines(lefts: Sequence[str], rights: Sequence[str]) -> str:
    """The pairs as merges.txt has them, a line each; the line break of the last one is left out.

    >>> _lines(["l", "lo"], ["o", "w</w>"])
    'l o\\nlo w</w>'
    """
    parts = [" ", " ", " ", "\n"] * len(lefts)
    parts[0::4], parts[2::4] = lefts, rights
    return "".join(parts[:-1])


def merges_bytes(merges: Iterable[tuple[str, str]]) -> bytes:
    """Encode a merges.txt as subword-nmt writes its codes: a header, then a line a merge, in their order."""
    lines = [_MERGES_HEADER, *(f"{left} {right}" for left, right in merges)]
    return ("\n".join(lines) + "\n").encode("utf-8")


def read_settings(folder: Path) -> dict[str, Any]:
    """Read the small files of a folder, under the names of the tokenizer's options; all of them may be absent.

    tokenizer_config.json first; special_tokens_map.json unless that one lists added tokens; added_tokens.json. Keys
    that are no options are left for the caller. The dialect is looked for in config.json too.

    Raises:
        ValueError: a file that is no JSON object, or is of another tokenizer class.
    """
    settings: dict[str, Any] = _read_if_there(folder / "tokenizer_config.json")
    class_name = settings.get("tokenizer_class")
    if class_name is not None and class_name not in _CLASSES:
        raise ValueError(f"{folder} is of the tokenizer class {shown(class_name)}, and only {_CLASSES[0]} is covered")
    for key in _ORIGINS:
        settings.pop(key, None)
    _take_new_names(settings)
    added = dict(settings.pop("added_tokens_decoder", None) or {})
    if not added:  # transformers too reads this file only then, and it overrides the other
        also = _read_if_there(folder / "special_tokens_map.json")
        _take_new_names(also)
        extra = [*settings.get("extra_special_tokens", ()), *also.get("extra_special_tokens", ())]
        settings.update(also)
        settings["extra_special_tokens"] = [token for at, token in enumerate(extra) if token not in extra[:at]]
    special = {_content(settings.get(name)) for name in SPECIAL_TOKEN_NAMES}
    special |= {_content(token) for token in settings["extra_special_tokens"]}
    for token, index in _read_if_there(folder / "added_tokens.json").items():
        added.setdefault(str(index), {"content": token, "special": token in special})
    settings["added_tokens"] = {
        int(index): as_added_token(f"added_tokens_decoder[{index}]", token) for index, token in added.items()
    }
    if DIALECT_KEY not in settings and DIALECT_KEY in (model := _read_if_there(folder / "config.json")):
        settings[DIALECT_KEY] = model[DIALECT_KEY]
    return settings


def _take_new_names(settings: dict[str, Any]) -> None:
    """Rename transformers 4's keys to 5's, in place, and make a list of the extra special tokens."""
    for old, new in _OLD_NAMES.items():
        if old in settings:
            value = settings.pop(old)
            if not settings.get(new):  # 4.52.4 writes both, the new one empty
                settings[new] = value
    extra = settings.get("extra_special_tokens", [])
    if not isinstance(extra, list) and extra:  # both versions write {} where there are none
        raise ValueError(f"extra_special_tokens must be a list of tokens; own names are not covered: {shown(extra)}")
    settings["extra_special_tokens"] = extra or []


def _read_if_there(path: Path) -> dict[str, Any]:
    return json_files.read_object(path) if path.exists() else {}


def _content(token: Any) -> Any:
    return token["content"] if isinstance(token, Mapping) and "content" in token else token


def settings_bytes(
    settings: Mapping[str, Any], added: Mapping[int, AddedToken], vocab_size: int, *, with_added_tokens: bool
) -> dict[str, bytes]:
    """Encode tokenizer_config.json, special_tokens_map.json and, if tokens were added or asked, added_tokens.json."""
    config = {
        **settings,
        "added_tokens_decoder": {str(index): asdict(token) for index, token in sorted(added.items())},
        "tokenizer_class": _CLASSES[0],
    }
    names = [*SPECIAL_TOKEN_NAMES, "additional_special_tokens"]
    files: dict[str, dict[str, Any]] = {
        "tokenizer_config.json": config,
        "special_tokens_map.json": {name: settings[name] for name in names if settings.get(name)},
    }
    beyond = {token.content: index for index, token in added.items() if index >= vocab_size}
    if beyond or with_added_tokens:
        files["added_tokens.json"] = beyond
    return {name: json_files.object_bytes(name, content) for name, content in files.items()}
