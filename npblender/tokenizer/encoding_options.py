"""The options of one call: one row each, resolved together; what contradicts itself or has no effect is refused.

Options and their defaults are transformers' (`PreTrainedTokenizerBase.__call__`, 5.23). That class ignores some of them
silently; here they raise an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from operator import itemgetter
from typing import Any, Literal, NamedTuple, get_args

from npblender.common.checks import as_plain, check_switch, check_whole
from npblender.common.printable import shown
from npblender.tokenizer.shortcuts import remembered

Side = Literal["left", "right"]
Padding = Literal["longest", "max_length", "do_not_pad"]
Truncation = Literal["longest_first", "only_first", "only_second", "do_not_truncate"]

UNBOUNDED = int(1e30)  # `model_max_length` where no file says one: transformers' number for it


class OwnSettings(NamedTuple):
    """What a tokenizer brings to every call."""

    padding_side: str
    truncation_side: str
    model_max_length: int
    model_input_names: tuple[str, ...]
    split_special_tokens: bool


# The kinds of option: each checks a value and returns it as the record holds it.


def check_tensor_type(name: str, value: Any) -> Any:
    """Refuse every kind of tensor but NumPy's.

    >>> check_tensor_type("return_tensors", "pt")
    Traceback (most recent call last):
    ValueError: return_tensors 'pt' is not available: npblender makes NumPy arrays ('np') or lists (None)
    """
    if value not in (None, "np"):
        raise ValueError(f"{name} {shown(value)} is not available: npblender makes NumPy arrays ('np') or lists (None)")
    return value


_INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids")


def input_names(names: Any) -> list[str]:
    """Return the names of what a call returns as a list, if each is one that there is, and `input_ids` among them.

    >>> input_names(("input_ids", "attention_mask"))
    ['input_ids', 'attention_mask']
    """
    lists = isinstance(names, list | tuple)
    if not lists or "input_ids" not in names or not all(name in _INPUT_NAMES for name in names):
        known = ", ".join(_INPUT_NAMES)
        raise ValueError(f"model_input_names is a list of {known}, the first always there; not {shown(names)}")
    return list(names)


def check_side(name: str, value: Any) -> Any:
    """Refuse everything but left and right.

    >>> check_side("padding_side", "top")
    Traceback (most recent call last):
    ValueError: padding_side must be 'left' or 'right', not 'top'
    """
    if value not in ("left", "right"):
        raise ValueError(f"{name} must be 'left' or 'right', not {shown(value)}")
    return str(value)


def _size_or_none(name: str, value: Any) -> Any:
    return None if value is None else check_whole(name, value, at_least=1)


def _choice(kind: Any, when_true: str, when_false: str) -> Callable[[str, Any], Any]:
    known = get_args(kind)

    def check(name: str, value: Any) -> Any:
        value = as_plain(value)
        if value is None or value is False:
            return when_false
        if value is True:
            return when_true
        if not isinstance(value, str) or value not in known:
            raise ValueError(f"{name} must be True, False or one of {', '.join(map(repr, known))}, not {shown(value)}")
        return value

    return check


EVERY_METHOD = CALL, ENCODE, PREPARE, PAD = "__call__", "encode", "prepare_for_model", "pad"


def _row(
    kind: Callable[[str, Any], Any], default: Any, *read_by: str, own: Callable[[OwnSettings], Any] | None = None
) -> Any:
    """An option: its kind, its default, the methods that read it, and the tokenizer's own value, taken for None."""
    return field(metadata={"kind": kind, "default": default, "read_by": read_by, "own": own})


@dataclass(frozen=True)
class EncodingOptions:
    """What a call asks for, without contradictions. The table of all options, checked in this order."""

    is_split_into_words: bool = _row(check_switch, False, CALL, ENCODE)
    return_token_type_ids: bool = _row(
        check_switch, None, CALL, PREPARE, own=lambda own: "token_type_ids" in own.model_input_names
    )
    return_attention_mask: bool = _row(
        check_switch, None, CALL, PREPARE, PAD, own=lambda own: "attention_mask" in own.model_input_names
    )
    return_overflowing_tokens: bool = _row(check_switch, False, CALL, PREPARE)
    return_special_tokens_mask: bool = _row(check_switch, False, CALL, PREPARE)
    return_length: bool = _row(check_switch, False, CALL, PREPARE)
    return_offsets_mapping: bool = _row(check_switch, False, CALL)
    split_special_tokens: bool = _row(check_switch, None, CALL, ENCODE, own=lambda own: own.split_special_tokens)
    return_tensors: Literal["np"] | None = _row(check_tensor_type, None, *EVERY_METHOD)
    padding_side: Side = _row(check_side, None, *EVERY_METHOD, own=lambda own: own.padding_side)
    truncation_side: Side = _row(check_side, None, own=lambda own: own.truncation_side)
    stride: int = _row(check_whole, 0, *EVERY_METHOD[:3])
    max_length: int | None = _row(_size_or_none, None, *EVERY_METHOD)
    pad_to_multiple_of: int | None = _row(_size_or_none, None, *EVERY_METHOD)
    padding: Padding = _row(_choice(Padding, "longest", "do_not_pad"), False, *EVERY_METHOD)
    truncation: Truncation = _row(_choice(Truncation, "longest_first", "do_not_truncate"), None, *EVERY_METHOD[:3])

    @property
    def leaves_ids_alone(self) -> bool:
        """Whether a text's ids are the result as they are: not cut, not padded, and in a list."""
        return (self.padding, self.truncation, self.return_tensors) == ("do_not_pad", "do_not_truncate", None)

    @property
    def is_plain(self) -> bool:
        """Whether a string becomes its ids with a mask of ones, and nothing else."""
        return (
            self.leaves_ids_alone
            and self.return_attention_mask
            and not (self.return_token_type_ids or self.return_overflowing_tokens)
            and not (self.return_special_tokens_mask or self.return_length or self.return_offsets_mapping)
        )


TABLE: Mapping[str, Mapping[str, Any]] = {row.name: row.metadata for row in fields(EncodingOptions)}
"""The rows of `EncodingOptions` by name."""

ONLY_IDS: Mapping[str, bool] = {
    name: False for name, row in TABLE.items() if name.startswith("return_") and row["kind"] is check_switch
}
"""The options of a call whose result is ids and nothing beside them."""

_DEFAULTS = {name: row["default"] for name, row in TABLE.items() if row["read_by"]}
_VALUES = itemgetter(*_DEFAULTS)


def options_of(own: OwnSettings, given: Mapping[str, Any]) -> EncodingOptions:
    """Resolve the options of a call; for None the tokenizer's own settings are taken.

    `given` are a method's arguments by name, and those that are no options are passed over. `max_length` alone
    truncates. With `padding="max_length"` or truncation and no `max_length`, the tokenizer's `model_max_length` is
    taken.

    Raises:
        TypeError, ValueError: an option of a wrong type or value, or one that would have no effect.

    >>> own = OwnSettings("right", "right", 512, ("input_ids", "attention_mask"), False)
    >>> options = options_of(own, {"text": "hello", "truncation": True})
    >>> options.truncation, options.max_length, options.padding
    ('longest_first', 512, 'do_not_pad')
    """
    try:
        values = _VALUES(given)
    except KeyError:  # a method that does not read all of them
        values = _VALUES({**_DEFAULTS, **given})
    return _resolved(own, *values)


@remembered
def _resolved(own: OwnSettings, *values: Any) -> EncodingOptions:
    asked = dict.fromkeys(TABLE) | dict(zip(_DEFAULTS, values, strict=True))
    if asked["max_length"] is not None and asked["padding"] in (None, False) and asked["truncation"] is None:
        asked["truncation"] = True
    for name, row in TABLE.items():
        value = row["own"](own) if row["own"] is not None and asked[name] is None else asked[name]
        asked[name] = row["kind"](name, value)
    return EncodingOptions(**_fitting(own, asked))


def _fitting(own: OwnSettings, asked: dict[str, Any]) -> dict[str, Any]:
    """The options, each checked by itself, with the tokenizer's length filled in; refused if they contradict."""
    pads, cuts = asked["padding"] != "do_not_pad", asked["truncation"] != "do_not_truncate"
    to_max_length = asked["padding"] == "max_length"
    max_length, multiple = asked["max_length"], asked["pad_to_multiple_of"]
    if max_length is not None and not to_max_length and not cuts:
        raise ValueError(
            f"max_length={max_length} would have no effect: add truncation=True to shorten texts to it, or "
            f"padding='max_length' to fill them up to it"
        )
    if max_length is None and (to_max_length or cuts):
        if own.model_max_length >= UNBOUNDED:
            needing = "padding='max_length'" if to_max_length else f"truncation={shown(asked['truncation'])}"
            raise ValueError(f"{needing} needs max_length: this tokenizer has no model_max_length to fall back on")
        max_length = own.model_max_length
    if multiple is not None:
        if not pads:
            raise ValueError("pad_to_multiple_of would have no effect: add padding=True")
        if cuts and max_length is not None and max_length % multiple:
            raise ValueError(
                f"max_length {max_length} is not a multiple of pad_to_multiple_of {multiple}, so truncation "
                f"and padding cannot both be kept; change one of them"
            )
    if asked["return_overflowing_tokens"] and asked["return_tensors"] is not None:
        raise ValueError("return_overflowing_tokens makes lists of unequal length; take it without return_tensors")
    if asked["stride"] and not (asked["return_overflowing_tokens"] and cuts):
        raise ValueError("stride would have no effect: it needs return_overflowing_tokens=True and truncation")
    return {**asked, "max_length": max_length}
