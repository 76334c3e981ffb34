"""`BlenderbotSmallTokenizer`: the public class, with the names and defaults of transformers' class.

It holds a `TextCodec`, which turns text into ids and back, and adds transformers' methods to it by idea:

    named_tokens.py   special tokens by name, tokens that are added: `NamedTokens`
    conversion.py     one sequence at a time, `tokenize`, `decode`, `convert_*`: `TokenConverter`
    encoding.py       batches, `__call__`, `encode`, `pad`: `BatchEncoder`
    here              how one is made, read from a folder, and written to one

Text is cut in the dialect's way: ParlAI's by default, transformers' if asked. The class learns no merges, downloads
nothing, and renders no chat templates (see `npblender.Conversation` for chat).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from inspect import signature as inspect_signature
from pathlib import Path
from typing import Any

from npblender.common import json_files
from npblender.common.checks import check_switch, check_whole
from npblender.common.printable import shown
from npblender.common.replacing import replacing_files
from npblender.config.dialect import PARLAI, Dialect, describe_dialect, resolve_dialect
from npblender.config.parlai_folder import ParlaiFolder, find_parlai
from npblender.tokenizer.bpe import MergeTable
from npblender.tokenizer.codec import TextCodec
from npblender.tokenizer.encoding import BatchEncoder
from npblender.tokenizer.encoding_options import UNBOUNDED, check_side, input_names
from npblender.tokenizer.instead import Instead
from npblender.tokenizer.pretokenize import SPECIAL_TOKEN_NAMES, AddedToken, as_added_token
from npblender.tokenizer.vocabulary import (
    DIALECT_KEY,
    merges_bytes,
    read_merges,
    read_settings,
    read_vocabulary,
    settings_bytes,
    vocabulary_bytes,
)

_DEMO = Path(__file__).resolve().parents[1] / "demo"


class BlenderbotSmallTokenizer(BatchEncoder, Instead):
    """The tokenizer of BlenderbotSmall: lower-cased text, byte-pair encoding, `@@` behind unfinished pieces.

    `tokenizer(text)` gives `input_ids` and `attention_mask`; `tokenizer.decode(ids)` gives text.

    Args:
        vocab: token to id, or the path of a vocab.json. Ids are 0 to V - 1.
        merges: pairs of symbols in the order of learning, or the path of a merges.txt.
        bos_token, eos_token, unk_token, pad_token: their names in the vocabulary.
        sep_token, cls_token, mask_token, extra_special_tokens: further ones, added to the vocabulary if need be.
        dialect: "parlai", "transformers-4", "transformers-5", or a `Dialect` of your own.
        model_max_length: the length for truncation and padding where a call gives none; the published model takes 512.
        padding_side, truncation_side: "right" or "left".
        clean_up_tokenization_spaces: whether `decode` removes spaces before punctuation, unless a call says otherwise.
        split_special_tokens: whether text is encoded as typed by a user, unless a call says otherwise: see `__call__`.
        model_input_names: what a call returns.
        added_tokens: tokens that are cut out of a text whole, by id, as files keep them.
        extra: a file's other keys, which `save_pretrained` writes back.
        vocab_file, merges_file, additional_special_tokens: transformers' names for vocab, merges, extra_special_tokens.
        cache_size: how many distinct pieces are remembered, in each of two generations.

    Raises:
        TypeError, ValueError: a vocabulary of another format, merges that are malformed or belong to another
            vocabulary, a special token that is not there, or an option out of its range.

    >>> from npblender.tokenizer.example import EXAMPLE_MERGES, EXAMPLE_VOCABULARY
    >>> tokenizer = BlenderbotSmallTokenizer(EXAMPLE_VOCABULARY, EXAMPLE_MERGES)
    >>> tokenizer("Hello, lower!")
    {'input_ids': [5, 9, 7, 8, 10], 'attention_mask': [1, 1, 1, 1, 1]}
    """

    vocab_files_names = {"vocab_file": "vocab.json", "merges_file": "merges.txt"}  # noqa: RUF012  transformers' name
    is_fast = False
    codec_class = TextCodec

    def __init__(
        self,
        vocab: Mapping[str, int] | str | os.PathLike[str] | None = None,
        merges: Sequence[tuple[str, str]] | MergeTable | str | os.PathLike[str] | None = None,
        bos_token: str | AddedToken | None = "__start__",
        eos_token: str | AddedToken | None = "__end__",
        unk_token: str | AddedToken = "__unk__",
        pad_token: str | AddedToken | None = "__null__",
        *,
        sep_token: str | AddedToken | None = None,
        cls_token: str | AddedToken | None = None,
        mask_token: str | AddedToken | None = None,
        extra_special_tokens: Sequence[str | AddedToken] = (),
        dialect: str | Dialect | Mapping[str, Any] = PARLAI,
        model_max_length: int | None = None,
        padding_side: str = "right",
        truncation_side: str = "right",
        clean_up_tokenization_spaces: bool = False,
        split_special_tokens: bool = False,
        model_input_names: Sequence[str] = ("input_ids", "attention_mask"),
        added_tokens: Mapping[int, AddedToken] | None = None,
        extra: Mapping[str, Any] | None = None,
        cache_size: int = 1 << 15,
        vocab_file: str | os.PathLike[str] | None = None,
        merges_file: str | os.PathLike[str] | None = None,
        additional_special_tokens: Sequence[str | AddedToken] | None = None,
    ) -> None:
        given = locals()
        vocab = _one_of("vocab", vocab, "vocab_file", vocab_file)
        merges = _one_of("merges", merges, "merges_file", merges_file)
        if additional_special_tokens is not None:
            if extra_special_tokens:
                raise TypeError("additional_special_tokens is transformers 4's name for extra_special_tokens; give one")
            extra_special_tokens = additional_special_tokens
        if isinstance(extra_special_tokens, str | Mapping | AddedToken):
            kind = type(extra_special_tokens).__name__
            raise TypeError(f"extra_special_tokens must be a list of tokens, not one {kind}")
        self.clean_up_tokenization_spaces = check_switch("clean_up_tokenization_spaces", clean_up_tokenization_spaces)
        self.split_special_tokens = check_switch("split_special_tokens", split_special_tokens)
        self.padding_side = check_side("padding_side", padding_side)
        self.truncation_side = check_side("truncation_side", truncation_side)
        self.model_max_length = UNBOUNDED
        if model_max_length is not None:
            self.model_max_length = check_whole("model_max_length", model_max_length, at_least=1)
        named = {name: given[name] for name in SPECIAL_TOKEN_NAMES if given[name] is not None}
        tokens = {name: as_added_token(name, token) for name, token in named.items()}
        if "unk_token" not in tokens:
            raise ValueError("unk_token cannot be None: something must stand for what the vocabulary lacks")
        required = [tokens[name] for name in ("bos_token", "eos_token", "unk_token", "pad_token") if name in tokens]
        self.codec = self.codec_class(
            read_vocabulary(Path(vocab)) if isinstance(vocab, str | os.PathLike) else vocab,
            read_merges(Path(merges)) if isinstance(merges, str | os.PathLike) else merges,
            required=[token.content for token in required],
            unknown=tokens["unk_token"].content,
            added=added_tokens or {},
            dialect=resolve_dialect(dialect),
            cache_size=check_whole("cache_size", cache_size, at_least=1),
        )
        self._name_tokens(tokens, extra_special_tokens)
        self.model_input_names = input_names(model_input_names)
        self.name_or_path = ""
        self._extra_settings = dict(extra or {})

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str] | None = None,
        *,
        dialect: str | Dialect | Mapping[str, Any] | None = None,
        **options: Any,
    ) -> BlenderbotSmallTokenizer:
        """Read the tokenizer of a folder, or the demo's if no folder is given.

        Needs vocab.json and merges.txt, or ParlAI's dictionary and codecs. Reads tokenizer_config.json,
        special_tokens_map.json and added_tokens.json if they exist. Without `dialect` the folder's own is used
        (`save_pretrained` keeps it), else "parlai".

        Args:
            pretrained_model_name_or_path: a folder on this machine, or the name of a model on the Hub.
            dialect: as for the class.
            options: the class's options, which override the files; and what finds a name on the Hub, as for a model:
                revision, cache_dir, local_files_only, token, force_download, subfolder.

        Raises:
            FileNotFoundError: the folder, or one of the two files, is not there.
            ValueError: a file that is cut short, malformed, or of another kind of tokenizer.
            TypeError: an option that does not exist.
        """
        where = json_files.taken_out(options)
        unknown = sorted(set(options) - _OPTIONS)
        if unknown:
            known = ", ".join(sorted(_OPTIONS))
            raise TypeError(f"{cls.__name__} has no option {shown(unknown[0])}; there are {known}")
        given = _DEMO if pretrained_model_name_or_path is None else pretrained_model_name_or_path
        folder = json_files.model_folder(given, need="tokenizer", **where)
        parlai = None if (folder / "vocab.json").is_file() else find_parlai(folder)
        if parlai is None:
            vocab, merges = read_vocabulary(folder / "vocab.json"), read_merges(folder / "merges.txt")
        else:
            parlai.check()
            vocab, merges = {token: at for at, token in enumerate(parlai.tokens())}, read_merges(parlai.codecs())
        try:
            settings = read_settings(folder) if parlai is None else _settings_of(parlai)
            kept = settings.pop(DIALECT_KEY, PARLAI)
            extra = {key: settings.pop(key) for key in list(settings) if key not in _OPTIONS}
            if options.get("additional_special_tokens") is not None:  # they replace the file's
                settings.pop("extra_special_tokens", None)
            settings = {"dialect": kept if dialect is None else dialect, "extra": extra, **settings, **options}
            tokenizer = cls(vocab, merges, **settings)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{folder}: {error}") from error
        tokenizer.name_or_path = str(pretrained_model_name_or_path or folder)
        return tokenizer

    @property
    def dialect(self) -> Dialect:
        """The original whose way of cutting text this is."""
        return self.codec.dialect

    @property
    def max_len_single_sentence(self) -> int:
        """Most tokens of one text; none are added to it."""
        return self.model_max_length

    @property
    def max_len_sentences_pair(self) -> int:
        """Most tokens of a pair together."""
        return self.model_max_length

    def save_vocabulary(
        self, save_directory: str | os.PathLike[str], filename_prefix: str | None = None
    ) -> tuple[str, str]:
        """Write vocab.json and merges.txt into an existing folder. Return their paths.

        Raises:
            FileNotFoundError, ValueError: the folder is not there, or is a file.
        """
        folder = json_files.existing_folder(save_directory)
        vocab_file, merges_file = _write(folder, _prefix(filename_prefix), self._vocabulary_files())
        return vocab_file, merges_file

    def _vocabulary_files(self) -> dict[str, bytes]:
        entries = {token: at for token, at in self.codec.ids.items() if at < self.vocab_size}
        return {"vocab.json": vocabulary_bytes(entries), "merges.txt": merges_bytes(self.codec.bpe.table.pairs)}

    def save_pretrained(
        self, save_directory: str | os.PathLike[str], filename_prefix: str | None = None, *, fast: bool = False
    ) -> tuple[str, ...]:
        """Write every file of the tokenizer, and make the folder; transformers 4 and 5 and `from_pretrained` read it.

        With `fast` also tokenizer.json, for the Rust library `tokenizers` and for transformers.js; the pages describe
        the texts that it encodes otherwise. ValueError where the library cannot follow the merges.

        >>> import tempfile
        >>> from npblender.tokenizer.example import example_tokenizer
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     paths = example_tokenizer("transformers-5").save_pretrained(folder)
        ...     BlenderbotSmallTokenizer.from_pretrained(folder).dialect.name, len(paths)
        ('transformers-5', 4)
        """
        also = {}
        if check_switch("fast", fast):
            from npblender.tokenizer.fast_file import FILE, fast_file

            also[FILE] = fast_file(self.codec).encoded()
        folder = json_files.new_folder(save_directory)
        settings = {
            **self._extra_settings,
            **self.special_tokens_map,
            "model_max_length": self.model_max_length,
            "padding_side": self.padding_side,
            "truncation_side": self.truncation_side,
            "clean_up_tokenization_spaces": self.clean_up_tokenization_spaces,
            "split_special_tokens": self.split_special_tokens,
            "model_input_names": self.model_input_names,
            DIALECT_KEY: describe_dialect(self.dialect),
        }
        if self.extra_special_tokens:
            # Under transformers 4's name: 5 reads it too, and 4 means something else by the new one.
            settings["additional_special_tokens"] = self.extra_special_tokens
        prefix = _prefix(filename_prefix)
        # A file of added tokens that an earlier save left would be read with this one's.
        there = (folder / f"{prefix}added_tokens.json").exists()
        files = settings_bytes(settings, self.codec.added, self.vocab_size, with_added_tokens=there)
        return _write(folder, prefix, {**files, **self._vocabulary_files(), **also})

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(name_or_path={self.name_or_path!r}, vocab_size={self.vocab_size}, "
            f"dialect={self.dialect.name!r}, model_max_length={self.model_max_length}, "
            f"padding_side={self.padding_side!r}, truncation_side={self.truncation_side!r}, "
            f"special_tokens={self.special_tokens_map})"
        )


def _one_of(name: str, value: Any, file_name: str, file: Any) -> Any:
    if (value is None) == (file is None):
        raise TypeError(f"give {name}, or {file_name}; from_pretrained(folder) finds the files of a folder")
    return file if value is None else value


def _settings_of(parlai: ParlaiFolder) -> dict[str, Any]:
    names = zip(("pad_token", "bos_token", "eos_token", "unk_token"), parlai.special_tokens().values(), strict=True)
    return {**dict(names), "model_max_length": parlai.longest_text(), "truncation_side": "left"}


def _write(folder: Path, prefix: str, files: Mapping[str, bytes]) -> tuple[str, ...]:
    """Write files of one folder together, all or none of them; return their paths."""
    with replacing_files(folder) as together:
        for name, content in files.items():
            together.beside(prefix + name).write_bytes(content)
    return tuple(str(folder / (prefix + name)) for name in files)


def _prefix(filename_prefix: str | None) -> str:
    return f"{filename_prefix}-" if filename_prefix else ""


_OPTIONS = frozenset(inspect_signature(BlenderbotSmallTokenizer).parameters) - {
    *("vocab", "merges", "vocab_file", "merges_file", "dialect", "extra")
}
