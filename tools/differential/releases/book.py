"""Values of any kind as text and digests, in files that are equal where the values are.

An array is its dtype, its shape and a digest of its bytes; a few numbers are kept beside it, so that a comparison can
say how far two arrays are apart. An error is its nearest built-in type, its own type and its message.
"""

from __future__ import annotations

import builtins
import dataclasses
import hashlib
import json
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

WHOLE = 64
"""Numbers up to which an array is kept whole beside its digest; of a larger one so many are kept, evenly spaced."""

RANDOM = (
    (re.compile(r"0x[0-9a-fA-F]{6,}"), "0x..."),
    (re.compile(r"(\.\w+?)[a-z0-9_]{8}(\.\w+)(?=')"), r"\1...\2"),  # a file that is to replace another
)
"""What no two runs have in common, and what stands for it."""


def digest(data: bytes) -> str:
    """Sixteen hexadecimal digits that stand for some bytes.

    >>> digest(b"")
    'e3b0c44298fc1c14'
    """
    return hashlib.sha256(data).hexdigest()[:16]


def as_text(array: Array) -> str:
    """An array as dtype, shape and digest.

    >>> as_text(np.zeros((2, 3), np.float32))
    'float32[2, 3] 9d908ecfb6b256de'
    """
    if array.dtype.kind == "O":
        return f"object{list(array.shape)} {digest(repr(array.tolist()).encode())}"
    return f"{array.dtype.name}{list(array.shape)} {digest(_bytes(array))}"


def _bytes(array: Array) -> bytes:
    if array.dtype.char == "g":  # longdouble has bytes that mean nothing
        with np.errstate(all="ignore"):
            high = array.astype(np.float64)
            return high.tobytes() + (array - high).astype(np.float64).tobytes()
    return np.ascontiguousarray(array).tobytes()


def some_of(array: Array) -> Array:
    """At most `WHOLE` numbers of an array, evenly spaced, as float64.

    >>> some_of(np.arange(2000)).size
    63
    """
    flat = array.reshape(-1)
    step = -(-flat.size // WHOLE) if flat.size else 1
    with np.errstate(all="ignore"):
        return flat[::step].astype(np.float64)


class Book:
    """Named values of one part, written to a folder when it is closed.

    Args:
        folder: where `values.json` and `samples.npz` go.
        paths: what stands for the folders of this run in texts, since two runs have others.
    """

    def __init__(self, folder: Path, paths: Mapping[str, str]) -> None:
        self._folder, self._paths = folder, dict(paths)
        self._values: dict[str, Any] = {}
        self._samples: dict[str, Array] = {}
        self.last: Any = None
        """What the last attempt returned; None where it failed."""

    def put(self, name: str, value: Any, *, samples: bool = True) -> None:
        """Keep a value; without `samples` an array is its digest alone."""
        assert name not in self._values, name
        self._values[name] = self._described(name, value, samples)

    def attempt(self, name: str, call: Callable[[], Any], *, samples: bool = True) -> None:
        """Keep what a call returns, or its error; a warning is an error."""
        assert name not in self._values, name
        self.last = None
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                value = call()
            except Exception as error:  # whatever it raises is what is recorded
                self._values[name] = self.error(error)
                return
        self.last = value
        self.put(name, value, samples=samples)

    def error(self, error: BaseException) -> dict[str, Any]:
        """An error: the nearest of Python's own types, its own type, its message."""
        own = next(kind for kind in type(error).__mro__ if getattr(builtins, kind.__name__, None) is kind)
        return {"error": own.__name__, "type": type(error).__name__, "message": self.text(str(error))}

    def points(self, name: str, points: Iterable[tuple[str, Array]]) -> None:
        """Keep the named arrays of a pass, in order, as one text each."""
        assert name not in self._values, name
        self._values[name] = {"points": [f"{point} {as_text(array)}" for point, array in points]}

    def text(self, text: str) -> str:
        """A text without this run's folders and addresses."""
        for path, name in self._paths.items():
            text = text.replace(path, name)
        for pattern, name in RANDOM:
            text = pattern.sub(name, text)
        return text

    def close(self) -> int:
        """Write the files; how many values there are."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "values.json").open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.write("{\n")
            lines = (f"{json.dumps(name)}: {json.dumps(value)}" for name, value in self._values.items())
            file.write(",\n".join(lines) + "\n}\n")
        np.savez_compressed(self._folder / "samples.npz", **self._samples)  # type: ignore[arg-type]
        return len(self._values)

    def _described(self, name: str, value: Any, samples: bool) -> Any:
        """A value as JSON has it; what is kept of its arrays goes to the samples."""

        def inner(key: Any, each: Any) -> Any:
            return self._described(f"{name}/{key}", each, samples)

        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, np.ndarray):
            if samples and value.dtype.kind in "fiub" and value.size:
                self._samples[name] = some_of(value)
            return {"array": as_text(value)}
        if isinstance(value, np.generic):
            return {"scalar": f"{value.dtype.name} {value!r}"}
        if isinstance(value, bytes):
            return {"bytes": f"{len(value)} {digest(value)}"}
        if isinstance(value, Path):
            return self.text(str(value))
        if hasattr(value, "get_seq_length"):  # a cache
            return {"cache": [inner(n, layer) for n, layer in enumerate(value)]}
        if hasattr(value, "cross_key"):  # a layer of one
            names = ("key", "value", "cross_key", "cross_value")
            return [inner(each, getattr(value, each)) for each in names]
        if isinstance(value, Mapping) or callable(getattr(value, "items", None)):
            found = {str(key): inner(key, each) for key, each in value.items()}
            return found if type(value) is dict else {"of": type(value).__name__, "items": found}
        if dataclasses.is_dataclass(value):
            fields = [each.name for each in dataclasses.fields(value)]
            return {each: inner(each, getattr(value, each)) for each in fields}
        if isinstance(value, set | frozenset):
            return sorted(map(repr, value))
        if isinstance(value, list | tuple):
            return [inner(n, each) for n, each in enumerate(value)]
        return self.text(repr(value))
