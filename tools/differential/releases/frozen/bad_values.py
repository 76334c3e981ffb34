"""What can be wrong with one value: ids, masks, embeddings, head masks and positions, with what must be said of each.

Every function takes the argument's name and a way to make the call with that argument changed, and gives the cases. The
good value is two rows; the model computes in float64.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

TEXT = [["hi", "there"]]
Make = Callable[..., Callable[[], Any]]


@dataclass(frozen=True)
class Bad:
    """A call that must fail, how, and words that its message must hold."""

    call: Callable[[], Any]
    error: type[Exception]
    words: str


class Stubborn:
    """An array of another library that does not want to be one."""

    def __array__(self, *args: Any, **options: Any) -> np.ndarray:
        raise RuntimeError("call detach() first")


def endless() -> list[Any]:
    rows: list[Any] = []
    rows.append(rows)
    return rows


def of_ids(name: str, make: Make, vocabulary: int) -> dict[str, Bad]:
    """What is wrong with ids anywhere."""

    def bad(value: Any, error: type[Exception], words: str) -> Bad:
        return Bad(make(**{name: value}), error, f"{name} {words}")

    return {
        f"{name}: one above the vocabulary": bad(
            [[3, vocabulary]], ValueError, f"{vocabulary} at [0, 1] 0 to {vocabulary - 1}"
        ),
        f"{name}: negative": bad([[3, 4], [-1, 4]], ValueError, "-1 at [1, 0]"),
        f"{name}: whole floats": bad([[3.0, 4.0]], TypeError, "whole numbers float64 astype"),
        f"{name}: NaN": bad([[np.nan]], TypeError, "whole numbers float64"),
        f"{name}: bools": bad([[True, False]], TypeError, "whole numbers bool"),
        f"{name}: complex": bad([[1 + 2j]], TypeError, "whole or real complex128"),
        f"{name}: dates": bad(np.array([["2020-01-01"]], "M8[D]"), TypeError, "datetime64"),
        f"{name}: ragged": bad([[3, 4], [5]], ValueError, "unequal length pad attention mask"),
        f"{name}: one row without a batch": bad([3, 4], ValueError, f"[batch, length] (2,) [{name}]"),
        f"{name}: a number": bad(3, ValueError, "[batch, length] ()"),
        f"{name}: a NumPy scalar": bad(np.int64(3), ValueError, "[batch, length] ()"),
        f"{name}: three axes": bad([[[3, 4]]], ValueError, "[batch, length] (1, 1, 2)"),
        f"{name}: no rows": bad([], ValueError, "empty (0,)"),
        f"{name}: empty rows": bad([[], []], ValueError, "empty (2, 0)"),
        f"{name}: an empty batch": bad(np.zeros((0, 3), int), ValueError, "empty (0, 3)"),
        f"{name}: a text": bad("hello", TypeError, "text tokenizer"),
        f"{name}: texts": bad(TEXT, TypeError, "text tokenizer"),
        f"{name}: bytes": bad(b"hello", TypeError, "text tokenizer"),
        f"{name}: objects": bad(np.array([[object()]]), TypeError, "numbers object"),
        f"{name}: None inside": bad([[3, None]], TypeError, "numbers NoneType"),
        f"{name}: a mapping": bad([{"a": 1}], TypeError, "numbers dict"),
        f"{name}: a generator": bad((x for x in [[3]]), TypeError, "numbers generator"),
        f"{name}: more than 64 bits": bad([[2**70]], ValueError, "64 bits"),
        f"{name}: 64 bits": bad([[2**63]], ValueError, "9223372036854775808"),
        f"{name}: a masked array": bad(np.ma.masked_equal([[3, 4]], 4), TypeError, "masked filled"),
        f"{name}: inside itself": bad(endless(), ValueError, "unequal length"),
        f"{name}: another library's": bad(Stubborn(), TypeError, "call detach() first"),
        f"{name}: a record": bad(np.zeros((1, 2), [("a", int)]), TypeError, "whole or real"),
    }


def of_masks(name: str, make: Make, shape: tuple[int, int], where: str = "") -> dict[str, Bad]:
    """What is wrong with masks anywhere."""

    def bad(value: Any, error: type[Exception], words: str) -> Bad:
        return Bad(make(**{name: value}), error, f"{name} {words}")

    two, nan, part = np.ones(shape), np.ones(shape), np.ones(shape)
    two[0, 0], nan[0, 0], part[0, 0] = 2, np.nan, 0.5
    return {
        f"{name}{where}: too wide": bad(np.ones((shape[0], shape[1] + 1)), ValueError, f"shape {shape}"),
        f"{name}{where}: too many rows": bad(np.ones((shape[0] + 1, shape[1])), ValueError, f"shape {shape}"),
        f"{name}{where}: one row": bad([1] * shape[1], ValueError, f"shape {shape}"),
        f"{name}{where}: four axes": bad(np.ones((shape[0], 1, *shape)), ValueError, f"shape {shape}"),
        f"{name}{where}: a number": bad(1, ValueError, f"shape {shape}"),
        f"{name}{where}: two": bad(two, ValueError, "2.0 1 0 pads"),
        f"{name}{where}: a half": bad(part, ValueError, "0.5"),
        f"{name}{where}: minus infinity": bad(np.where(two == 2, -np.inf, 0), ValueError, "-inf"),
        f"{name}{where}: NaN": bad(nan, ValueError, "nan"),
        f"{name}{where}: complex": bad(two * 1j, TypeError, "complex128"),
        f"{name}{where}: texts": bad([["1"] * shape[1]] * shape[0], TypeError, "text"),
        f"{name}{where}: ragged": bad([[1], [1, 1]], ValueError, "unequal length"),
        f"{name}{where}: masked": bad(np.ma.ones(shape), TypeError, "masked"),
        f"{name}{where}: True": bad(True, ValueError, f"shape {shape}"),
    }


def of_floats(name: str, make: Make, length: int, d: int) -> dict[str, Bad]:
    """What is wrong with embeddings and states anywhere. The model computes in float64."""

    def bad(value: Any, error: type[Exception], words: str) -> Bad:
        return Bad(make(**{name: value}), error, f"{name} {words}")

    good = np.ones((2, length, d))
    nan, infinite = good.copy(), good.copy()
    nan[1, 0, 0], infinite[0, 0, 1] = np.nan, -np.inf
    return {
        f"{name}: another width": bad(good[..., 1:], ValueError, f"[batch, length, {d}] {d - 1}"),
        f"{name}: two axes": bad(good[0], ValueError, f"[batch, length, {d}]"),
        f"{name}: ids": bad(good.astype(int), TypeError, "floating point int64"),
        f"{name}: NaN": bad(nan, ValueError, "nan finite"),
        f"{name}: infinite": bad(infinite, ValueError, "-inf finite"),
        f"{name}: too large": bad(good * 1e300, ValueError, "1e+300 too large"),
        f"{name}: empty": bad(good[:, :0], ValueError, "empty"),
        f"{name}: an empty batch": bad(good[:0], ValueError, "empty"),
        f"{name}: complex": bad(good * 1j, TypeError, "complex"),
        f"{name}: objects": bad(good.astype(object), TypeError, "numbers"),
        f"{name}: a text": bad("hello", TypeError, "text"),
    }


def of_head_masks(name: str, make: Make, heads: int, where: str = "") -> dict[str, Bad]:
    def bad(value: Any, error: type[Exception], words: str) -> Bad:
        return Bad(make(**{name: value}), error, f"{name} {words}")

    good = np.ones((2, heads))
    return {
        f"{name}{where}: one layer's": bad(np.ones(heads), ValueError, f"shape {(2, heads)} layers heads"),
        f"{name}{where}: of another model": bad(np.ones((2, heads + 1)), ValueError, f"shape {(2, heads)}"),
        f"{name}{where}: above one": bad(good * 1.5, ValueError, "0 to 1 1.5"),
        f"{name}{where}: below zero": bad(good * -1, ValueError, "0 to 1 -1.0"),
        f"{name}{where}: NaN": bad(good * np.nan, ValueError, "0 to 1 nan"),
        f"{name}{where}: texts": bad([["1"] * heads] * 2, TypeError, "text"),
        f"{name}{where}: complex": bad(good * 1j, TypeError, "complex"),
    }


def of_positions(name: str, make: Make, length: int) -> dict[str, Bad]:
    def bad(value: Any, error: type[Exception], words: str) -> Bad:
        return Bad(make(**{name: value}), error, f"{name} {words}")

    return {
        f"{name}: past the last": bad([9] * length, ValueError, "9 positions 0 to 8"),
        f"{name}: negative": bad([-1] * length, ValueError, "-1 positions 0 to 8"),
        f"{name}: floats": bad([0.0] * length, TypeError, "whole numbers"),
        f"{name}: bools": bad([True] * length, TypeError, "whole numbers"),
        f"{name}: too few": bad([0] * (length - 1), ValueError, f"shape (2, {length})"),
        f"{name}: a number": bad(0, ValueError, f"shape (2, {length})"),
        f"{name}: a text": bad("0", TypeError, "text"),
    }
