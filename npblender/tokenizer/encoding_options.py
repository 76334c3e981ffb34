"""The options of one call: their meaning resolved and everything that can not be meant refused, in one place.

Options and their defaults are transformers' (`PreTrainedTokenizerBase.__call__`, 5.23). Where that class ignores an
option without a word, this one says so and stops.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal, NamedTuple, get_args

from npblender.common.field_checks import check_switch, check_whole

Side = Literal["left", "right"]
Truncation = Literal["longest_first", "only_first", "only_second", "do_not_truncate"]


def check_tensor_type(return_tensors: Any) -> None:
    """Refuse every kind of tensor but NumPy's.

    >>> check_tensor_type("pt")
    Traceback (most recent call last):
    ValueError: return_tensors 'pt' is not available: npblender makes NumPy arrays ('np') or lists (None)
    """
    if return_tensors not in (None, "np"):
        raise ValueError(
            f"return_tensors {return_tensors!r} is not available: npblender makes NumPy arrays ('np') or lists (None)"
        )


UNBOUNDED = int(1e30)
"""`model_max_length` where no file says one: transformers' number for it."""

Padding = Literal["longest", "max_length", "do_not_pad"]


class OwnSettings(NamedTuple):
    """What a tokenizer brings to every call."""

    padding_side: str
    truncation_side: str
    model_max_length: int
    model_input_names: tuple[str, ...]
    split_special_tokens: bool


@dataclass(frozen=True)
class EncodingOptions:
    """What a call asked for, without contradictions."""

    padding: Padding
    truncation: Truncation
    max_length: int | None
    stride: int
    is_split_into_words: bool
    pad_to_multiple_of: int | None
    padding_side: Side
    truncation_side: Side
    return_tensors: Literal["np"] | None
    return_token_type_ids: bool
    return_attention_mask: bool
    return_overflowing_tokens: bool
    return_special_tokens_mask: bool
    return_length: bool
    split_special_tokens: bool

    @cached_property
    def is_plain(self) -> bool:
        """Whether a string becomes its ids with a mask of ones, and that is all."""
        return (
            (self.padding, self.truncation, self.return_tensors) == ("do_not_pad", "do_not_truncate", None)
            and self.return_attention_mask
            and not (self.return_token_type_ids or self.return_overflowing_tokens)
            and not (self.return_special_tokens_mask or self.return_length)
        )


def check_side(name: str, value: Any) -> None:
    """Left or right.

    >>> check_side("padding_side", "top")
    Traceback (most recent call last):
    ValueError: padding_side must be 'left' or 'right', not 'top'
    """
    if value not in ("left", "right"):
        raise ValueError(f"{name} must be 'left' or 'right', not {value!r}")


def _choice(name: str, value: Any, kind: Any, when_true: str, when_false: str) -> Any:
    choices = get_args(kind)
    if value is None or value is False:
        return when_false
    if value is True:
        return when_true
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be True, False or one of {', '.join(map(repr, choices))}, not {value!r}")
    return value


def resolve_options(
    own: OwnSettings,
    padding: bool | str | None = False,
    truncation: bool | str | None = None,
    max_length: int | None = None,
    stride: int = 0,
    is_split_into_words: bool = False,
    pad_to_multiple_of: int | None = None,
    padding_side: str | None = None,
    return_tensors: str | None = None,
    return_token_type_ids: bool | None = None,
    return_attention_mask: bool | None = None,
    return_overflowing_tokens: bool = False,
    return_special_tokens_mask: bool = False,
    return_length: bool = False,
    split_special_tokens: bool | None = None,
) -> EncodingOptions:
    """The options of a call as they are meant; where the call says nothing, the tokenizer's own settings.

    `max_length` alone truncates. With `padding="max_length"` or truncation and no `max_length`, the tokenizer's
    `model_max_length` is taken.

    Raises:
        TypeError, ValueError: an option of a wrong type or value, or one that would have no effect.
    """
    truncation_side, model_max_length = own.truncation_side, own.model_max_length
    if padding_side is None:
        padding_side = own.padding_side
    if split_special_tokens is None:
        split_special_tokens = own.split_special_tokens
    if return_attention_mask is None:
        return_attention_mask = "attention_mask" in own.model_input_names
    if return_token_type_ids is None:
        return_token_type_ids = "token_type_ids" in own.model_input_names
    switches = {
        "is_split_into_words": is_split_into_words,
        "return_token_type_ids": return_token_type_ids,
        "return_attention_mask": return_attention_mask,
        "return_overflowing_tokens": return_overflowing_tokens,
        "return_special_tokens_mask": return_special_tokens_mask,
        "return_length": return_length,
        "split_special_tokens": split_special_tokens,
    }
    for name, value in switches.items():
        check_switch(name, value)
    check_tensor_type(return_tensors)
    check_side("padding_side", padding_side)
    check_side("truncation_side", truncation_side)
    check_whole("stride", stride, at_least=0)
    for name, size in (("max_length", max_length), ("pad_to_multiple_of", pad_to_multiple_of)):
        if size is not None:
            check_whole(name, size, at_least=1)
    if max_length is not None and padding in (None, False) and truncation is None:
        truncation = True
    pad: Padding = _choice("padding", padding, Padding, "longest", "do_not_pad")
    cut: Truncation = _choice("truncation", truncation, Truncation, "longest_first", "do_not_truncate")

    if max_length is not None and pad != "max_length" and cut == "do_not_truncate":
        raise ValueError(
            f"max_length={max_length} would have no effect: add truncation=True to shorten texts to it, or "
            f"padding='max_length' to fill them up to it"
        )
    if max_length is None and (pad == "max_length" or cut != "do_not_truncate"):
        if model_max_length >= UNBOUNDED:
            asked = "padding='max_length'" if pad == "max_length" else f"truncation={cut!r}"
            raise ValueError(f"{asked} needs max_length: this tokenizer has no model_max_length to fall back on")
        max_length = model_max_length
    if pad_to_multiple_of is not None:
        if pad == "do_not_pad":
            raise ValueError("pad_to_multiple_of would have no effect: add padding=True")
        if cut != "do_not_truncate" and max_length is not None and max_length % pad_to_multiple_of:
            raise ValueError(
                f"max_length {max_length} is not a multiple of pad_to_multiple_of {pad_to_multiple_of}, so truncation "
                f"and padding can not both be kept; change one of them"
            )
    if return_overflowing_tokens and return_tensors is not None:
        raise ValueError("return_overflowing_tokens makes lists of unequal length; take it without return_tensors")
    if stride and not (return_overflowing_tokens and cut != "do_not_truncate"):
        raise ValueError("stride would have no effect: it needs return_overflowing_tokens=True and truncation")
    return EncodingOptions(
        padding=pad,
        truncation=cut,
        max_length=max_length,
        stride=stride,
        pad_to_multiple_of=pad_to_multiple_of,
        padding_side="left" if padding_side == "left" else "right",
        truncation_side="left" if truncation_side == "left" else "right",
        return_tensors="np" if return_tensors == "np" else None,
        **switches,
    )


_remembered = lru_cache(maxsize=256, typed=True)(resolve_options)


def remembered_options(own: OwnSettings, *given: Any) -> EncodingOptions:
    """`resolve_options`, worked out once for each set of options, since calls mostly repeat one.

    >>> own = OwnSettings("right", "right", 512, ("input_ids", "attention_mask"), False)
    >>> remembered_options(own, True) is remembered_options(own, True)
    True
    """
    try:
        return _remembered(own, *given)
    except TypeError:  # a wrong type, or one that can not be remembered: refused by name either way
        return resolve_options(own, *given)
