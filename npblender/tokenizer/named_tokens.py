"""A tokenizer's special tokens by name (`bos_token`, `eos_token_id`, ...), and tokens that are added to it.

Names and meaning are transformers'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

from npblender.common.checks import check_whole, switch_or_default
from npblender.common.printable import shown
from npblender.tokenizer.codec import TextCodec
from npblender.tokenizer.pretokenize import SPECIAL_TOKEN_NAMES, AddedToken, as_added_token

_EXTRA = ("extra_special_tokens", "additional_special_tokens")  # transformers 5's name and 4's


class _NamedToken:
    """The content of one named special token, or None; setting it makes an entry of the vocabulary this token."""

    def __init__(self, doc: str) -> None:
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, tokenizer: None, owner: type) -> _NamedToken: ...
    @overload
    def __get__(self, tokenizer: NamedTokens, owner: type) -> str | None: ...
    def __get__(self, tokenizer: NamedTokens | None, owner: type) -> _NamedToken | str | None:
        return self if tokenizer is None else tokenizer._named[self._name]

    def __set__(self, tokenizer: NamedTokens, value: str | AddedToken | None) -> None:
        tokenizer._name_token(self._name, value)


def _id_of(name: str) -> Any:
    def get(tokenizer: NamedTokens) -> int | None:
        content = tokenizer._named[name]
        return None if content is None else tokenizer.codec.ids[content]

    def name_entry(tokenizer: NamedTokens, value: int | None) -> None:
        if value is not None:
            value = check_whole(f"{name}_id", value, at_most=len(tokenizer.codec.ids) - 1)
        tokenizer._name_token(name, None if value is None else list(tokenizer.codec.ids)[value])

    doc = "The id of one named special token, or None; setting it names the entry of that id, as transformers does."
    return property(get, name_entry, doc=doc)


class NamedTokens:
    """The part of `BlenderbotSmallTokenizer` that names and adds tokens. It holds the codec."""

    codec: TextCodec
    _named: dict[str, str | None]
    _extra: list[str]

    bos_token = _NamedToken("Begins a sequence; the decoder starts with it.")
    eos_token = _NamedToken("Ends a sequence.")
    unk_token = _NamedToken("Stands for what the vocabulary lacks.")
    sep_token = _NamedToken("Separates sequences; the published model has none.")
    pad_token = _NamedToken("Fills rows up.")
    cls_token = _NamedToken("Stands for a whole sequence; the published model has none.")
    mask_token = _NamedToken("Stands for a hidden token; the published model has none.")
    bos_token_id: int | None = _id_of("bos_token")
    eos_token_id: int | None = _id_of("eos_token")
    unk_token_id: int | None = _id_of("unk_token")
    sep_token_id: int | None = _id_of("sep_token")
    pad_token_id: int | None = _id_of("pad_token")
    cls_token_id: int | None = _id_of("cls_token")
    mask_token_id: int | None = _id_of("mask_token")

    def _name_tokens(self, named: Mapping[str, AddedToken], extra: Sequence[str | AddedToken]) -> None:
        """Name the special tokens; those that are no entries yet are added in transformers' order."""
        self._named = dict.fromkeys(SPECIAL_TOKEN_NAMES)
        self._extra = []
        for name in SPECIAL_TOKEN_NAMES:
            if name in named:
                self.add_special_tokens({name: named[name]})
        self.add_tokens(list(extra), special_tokens=True)

    @property
    def extra_special_tokens(self) -> list[str]:
        """Special tokens without a name."""
        return list(self._extra)

    additional_special_tokens = extra_special_tokens  # transformers 4's name

    @property
    def extra_special_tokens_ids(self) -> list[int]:
        """The ids of `extra_special_tokens`."""
        return [self.codec.ids[token] for token in self._extra]

    additional_special_tokens_ids = extra_special_tokens_ids  # transformers 4's name

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """The named special tokens that exist.

        >>> tokenizer.special_tokens_map
        {'bos_token': '__start__', 'eos_token': '__end__', 'unk_token': '__unk__', 'pad_token': '__null__'}
        """
        return {name: content for name, content in self._named.items() if content is not None}

    @property
    def all_special_tokens(self) -> list[str]:
        """Every special token once, named ones first."""
        return list(dict.fromkeys([*self.special_tokens_map.values(), *self._extra]))

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of `all_special_tokens`."""
        return [self.codec.ids[token] for token in self.all_special_tokens]

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """Tokens that are cut out of a text whole, by id: the special ones, and those that were added."""
        return dict(sorted(self.codec.added.items()))

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        """The same, from content to id."""
        return {token.content: index for index, token in self.added_tokens_decoder.items()}

    def get_added_vocab(self) -> dict[str, int]:
        """The same as `added_tokens_encoder`: transformers' other name for it."""
        return self.added_tokens_encoder

    def add_tokens(
        self, new_tokens: str | AddedToken | Sequence[str | AddedToken], special_tokens: bool = False
    ) -> int:
        """Add tokens that are never cut apart; those that are no entries yet get the next ids. Return how many did.

        A model must grow with it: `model.resize_token_embeddings(len(tokenizer))`.

        Raises:
            ValueError: a new token in a dialect that cuts no tokens out of a text (ParlAI's).

        >>> from npblender.tokenizer.example import example_tokenizer
        >>> tokenizer = example_tokenizer("transformers-5")
        >>> tokenizer.add_tokens(["<turn>"]), tokenizer.tokenize("low<turn>low"), len(tokenizer)
        (1, ['low', '<turn>', 'low'], 49)
        """
        listed = [new_tokens] if isinstance(new_tokens, str | AddedToken) else list(new_tokens)
        ids = self.codec.ids
        before = len(ids)
        known = self.added_tokens_encoder
        for at, value in enumerate(listed):
            token = as_added_token(f"new_tokens[{at}]", value)
            if isinstance(value, str):
                token = AddedToken(value, special=special_tokens, normalized=not special_tokens)
            elif special_tokens and not token.special:
                token = replace(token, special=True)
            if token.content not in known:
                self.codec.register({ids.get(token.content, len(ids)): token})
            if token.special and token.content not in self.all_special_tokens:
                self._extra.append(token.content)
        self.codec.prepare()
        return len(ids) - before

    def add_special_tokens(
        self,
        special_tokens_dict: Mapping[str, Any],
        replace_extra_special_tokens: bool = True,
        *,
        replace_additional_special_tokens: bool | None = None,
    ) -> int:
        """Name special tokens, or list some without a name, and add those that are no entries. Return how many.

        Args:
            special_tokens_dict: from "bos_token" and the like to a token, or from "extra_special_tokens" to a list.
            replace_extra_special_tokens: whether such a list replaces the one there is or continues it; transformers 4
                says `replace_additional_special_tokens`.

        >>> from npblender.tokenizer.example import example_tokenizer
        >>> tokenizer = example_tokenizer("transformers-5")
        >>> tokenizer.add_special_tokens({"sep_token": "<sep>"}), tokenizer.sep_token_id
        (1, 48)
        """
        wrong = [key for key in special_tokens_dict if key not in (*SPECIAL_TOKEN_NAMES, *_EXTRA)]
        if wrong:
            raise ValueError(
                f"{shown(wrong[0])} is no special token; there are {', '.join((*SPECIAL_TOKEN_NAMES, _EXTRA[0]))}"
            )
        replaces = switch_or_default(
            "replace_additional_special_tokens", replace_additional_special_tokens, replace_extra_special_tokens
        )
        added = 0
        for key, value in special_tokens_dict.items():
            if key in _EXTRA:
                if isinstance(value, str | AddedToken):
                    raise TypeError(f"{key} must be a list of tokens, not {shown(value)}")
                if replaces:
                    self._extra = []
                added += self.add_tokens(list(value), special_tokens=True)
            else:
                token = replace(as_added_token(key, value), special=True)
                added += self.add_tokens([token])
                self._name_token(key, token)
        return added

    def _name_token(self, name: str, value: str | AddedToken | None) -> None:
        if value is None:
            if name == "unk_token":
                raise ValueError("unk_token cannot be None: something must stand for what the vocabulary lacks")
            self._named[name] = None
            return
        token = as_added_token(name, value)
        if token.content not in self.codec.ids:
            raise ValueError(
                f"{name} {shown(token.content)} is no entry of the vocabulary; "
                f"add_special_tokens({{{shown(name)}: {shown(token.content)}}}) adds one"
            )
        self._named[name] = token.content
        self.codec.added.setdefault(self.codec.ids[token.content], token)
        if token.content in self._extra:
            self._extra.remove(token.content)
        if name == "unk_token":
            self.codec.unknown = token.content
        self.codec.prepare()
