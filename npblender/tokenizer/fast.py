"""`BlenderbotSmallTokenizerFast`: the same tokenizer with the Rust library `tokenizers` inside (extra `[fast]`).

It gives the ids, options and errors of `BlenderbotSmallTokenizer`, and every result knows where its tokens stand
(`word_ids`, `char_to_token` and so on). The library does what fast_file.py describes; what that cannot say is left to
the pure tokenizer: texts with `Σ`, half a surrogate pair or a character that this Python's Unicode has not yet, and
`split_special_tokens`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any
from unicodedata import category

from npblender.common import json_files
from npblender.common.checks import check_switch
from npblender.tokenizer.bpe import MergeTable
from npblender.tokenizer.codec import TextCodec
from npblender.tokenizer.fast_file import FILE, fast_file
from npblender.tokenizer.offsets import Place
from npblender.tokenizer.pretokenize import AddedToken
from npblender.tokenizer.tokenizer import BlenderbotSmallTokenizer


class FastCodec(TextCodec):
    """A `TextCodec` whose texts are encoded in Rust."""

    def prepare(self) -> None:
        """Derive what follows from vocabulary and added tokens; the library's tokenizer at its first use."""
        super().prepare()
        self._rust: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name not in ("_rust", "_stands_for")}

    def encode(self, text: str, split_special_tokens: bool) -> list[int]:
        """The ids of a text."""
        if split_special_tokens or _is_beyond(text):
            return super().encode(text, split_special_tokens)
        return self._ours(self._encoded(text).ids)

    def encode_with_places(self, text: str, split_special_tokens: bool) -> tuple[list[int], list[Place]]:
        """The ids of a text, and where each of its tokens stands in it."""
        if split_special_tokens or _is_beyond(text):
            return super().encode_with_places(text, split_special_tokens)
        found = self._encoded(text)
        spans = zip(found.offsets, found.word_ids, strict=True)
        return self._ours(found.ids), [Place(start, end, word) for (start, end), word in spans]

    def _ours(self, ids: list[int]) -> list[int]:
        if max(ids, default=0) < len(self.ids):
            return ids
        return [self._stands_for.get(number, number) for number in ids]

    def _encoded(self, text: str) -> Any:
        if self._rust is None:
            from tokenizers import Tokenizer

            file = fast_file(self)
            content = dict(file.content)
            if not self.dialect.cut_special_tokens:  # `__end__</w>` in a text is then a text like any other
                content["added_tokens"] = []
            self._stands_for = file.stands_for
            self._rust = Tokenizer.from_buffer(json_files.object_bytes(FILE, content))
        return self._rust.encode(text, add_special_tokens=False)


def _is_beyond(text: str) -> bool:
    """Whether a text has something that the file cannot say exactly, or that is no text in Rust."""
    if text.isascii():
        return False
    # Only what is not printable can be half a pair or unassigned.
    return "Σ" in text or (not text.isprintable() and any(category(character) in ("Cs", "Cn") for character in text))


class BlenderbotSmallTokenizerFast(BlenderbotSmallTokenizer):
    """The tokenizer of BlenderbotSmall on the Rust library `tokenizers`: same ids, with places in the text.

    Args:
        vocab_file, merges_file: paths, or a vocabulary and merges, as for `BlenderbotSmallTokenizer`.
        unk_token, bos_token, eos_token: their names in the vocabulary.
        add_prefix_space: kept for callers; a space in front changes no id of this model, whichever it is.
        trim_offsets: kept for callers; no span of this model holds white space, whichever it is.
        options: the other options of `BlenderbotSmallTokenizer`.

    Raises:
        ImportError: `tokenizers` is not installed.
        TypeError, ValueError: as for `BlenderbotSmallTokenizer`, and for merges that the library cannot follow.
    """

    vocab_files_names = {  # noqa: RUF012  transformers' name
        "vocab_file": "vocab.json",
        "merges_file": "merges.txt",
        "tokenizer_file": FILE,
    }
    is_fast = True
    codec_class = FastCodec

    def __init__(
        self,
        vocab_file: Mapping[str, int] | str | os.PathLike[str],
        merges_file: Sequence[tuple[str, str]] | MergeTable | str | os.PathLike[str],
        unk_token: str | AddedToken = "__unk__",
        bos_token: str | AddedToken | None = "__start__",
        eos_token: str | AddedToken | None = "__end__",
        add_prefix_space: bool = False,
        trim_offsets: bool = True,
        **options: Any,
    ) -> None:
        if find_spec("tokenizers") is None:
            raise ImportError(
                "BlenderbotSmallTokenizerFast needs the package tokenizers: pip install 'npblender[fast]'. "
                "BlenderbotSmallTokenizer gives the same ids without it"
            )
        self.add_prefix_space = check_switch("add_prefix_space", add_prefix_space)
        self.trim_offsets = check_switch("trim_offsets", trim_offsets)
        super().__init__(vocab_file, merges_file, bos_token, eos_token, unk_token, **options)
        fast_file(self.codec)  # refused here, not at the first text

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str] | None = None, **options: Any
    ) -> BlenderbotSmallTokenizerFast:
        """Read the tokenizer of a folder, or the demo's: vocab.json and merges.txt, as the pure class does."""
        names = [name for name in ("add_prefix_space", "trim_offsets") if name in options]
        own = {name: check_switch(name, options.pop(name)) for name in names}
        tokenizer = super().from_pretrained(pretrained_model_name_or_path, **options)
        assert isinstance(tokenizer, cls)
        for name, value in own.items():
            setattr(tokenizer, name, value)
        return tokenizer

    @property
    def backend_tokenizer(self) -> Any:
        """The library's tokenizer; its ids behind the vocabulary are the unknown token's (docs/fast-tokenizer.md)."""
        from tokenizers import Tokenizer

        return Tokenizer.from_buffer(fast_file(self.codec).encoded())
