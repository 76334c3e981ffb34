"""A pickle of weights read as data: a short list of opcodes, a short list of names, and nothing else.

A pickle is a program for a small machine with a stack, and Python's own machine imports and calls whatever the program
names. This one has no way to import or to call: `torch.save` needs 31 of the 68 opcodes and a dozen names, each
of which stands below with what becomes of it. A global is looked up in a table of ours and becomes one of our own
marks; REDUCE makes a dictionary or a description of a tensor; BUILD takes a dictionary's notes off the stack. Any
other opcode and any other name is refused with its place. Python's `pickle` is not imported, and there is no way
around this reader.

What it does not do: it reads no numbers of tensors. These lie elsewhere in the file (see torch_zip and torch_legacy).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar, Final

from npblender.checkpoint.folder import view_end
from npblender.checkpoint.formats.errors import DamagedFileError, UnsafeFileError
from npblender.checkpoint.formats.opcodes import NAMES
from npblender.common.printable import shown

LONGEST_PICKLE: Final = 16 << 20
"""Bytes of a pickle without its tensors; torch writes 58 KB for the published sizes, 138 with Adam's state."""
MOST_OPCODES: Final = 1_000_000
"""A second of work; torch writes 12 thousand for the published sizes, 43 with Adam's state."""
MOST_MARKS: Final = 100  # nested lists, tuples and dictionaries that are open at a time; a state dict has 4
LONGEST_LINE: Final = 256  # bytes of a global's module or name
LONGEST_WHOLE: Final = 16  # bytes of a whole number: torch's own mark at the start of its old files has 10
MOST_AXES: Final = 64  # axes of a tensor, as many as NumPy has

STORAGES: Final[Mapping[str, str]] = {
    **{"HalfStorage": "F16", "BFloat16Storage": "BF16", "FloatStorage": "F32", "DoubleStorage": "F64"},
    **{"BoolStorage": "BOOL", "ByteStorage": "U8", "CharStorage": "I8", "ShortStorage": "I16"},
    **{"IntStorage": "I32", "LongStorage": "I64"},
}
"""torch's names of storages, and what their numbers are called in safetensors files."""


@dataclass(frozen=True)
class Storage:
    """A run of `count` numbers of one dtype that the file holds elsewhere under `key`."""

    dtype: str
    key: str
    count: int


@dataclass(frozen=True)
class TensorView:
    """A tensor as a pickle describes it: where it begins in a storage, and its shape and steps in numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class _Global:
    """A name of the table: what REDUCE makes with it, or the dtype of a storage."""

    name: str
    make: Callable[[Any], Any] | None = None
    dtype: str = ""


@dataclass(frozen=True)
class Unpickled:
    """What a pickle holds: its value, and every storage that it names, by key."""

    value: Any
    storages: Mapping[str, Storage]


class _Ordered(dict[Any, Any]):
    """An OrderedDict of a pickle."""


def read_pickle(file: BinaryIO, where: str, limit: int = LONGEST_PICKLE) -> Unpickled:
    """The data that the pickle at the file's position holds; the file is left just behind it.

    The value is made of dicts with keys of str or int, lists, tuples, str, int, float, bool, None, and `TensorView` and
    `Storage`. `where` begins every message.

    Raises:
        UnsafeFileError: an opcode or a name that weights do not need, or more of anything than weights have.
        DamagedFileError: the stream is cut short or malformed.

    >>> import io
    >>> read_pickle(io.BytesIO(b"\\x80\\x02}X\\x01\\x00\\x00\\x00aK\\x07s."), "a file").value
    {'a': 7}
    >>> read_pickle(io.BytesIO(b"\\x80\\x02cos\\nsystem\\n."), "a file")
    Traceback (most recent call last):
    npblender.checkpoint.formats.errors.UnsafeFileError: a file is refused at byte 2 of its pickle: the opcode GLOBAL \
names 'os.system', which no file of weights needs; nothing was run
    """
    machine = _Machine(file, where, limit)
    return Unpickled(machine.run(), machine.storages)


class _Machine:
    """One pickle being read."""

    def __init__(self, file: BinaryIO, where: str, limit: int) -> None:
        self.file, self.where, self.limit = file, where, limit
        self.at = 0  # bytes read
        self.begin = 0  # where the opcode at hand stands
        self.stack: list[Any] = []
        self.marks: list[int] = []  # heights of the stack
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}

    def run(self) -> Any:
        if self.take(2) != b"\x80\x02":
            raise self.unsafe("it does not begin as protocol 2, the one in which torch writes")
        for _ in range(MOST_OPCODES):
            self.begin = self.at
            code = self.take(1)[0]
            if code == ord("."):
                if len(self.stack) != 1 or self.marks:
                    raise self.damaged(f"it ends with {len(self.stack)} values on its stack instead of one")
                return self.stack[0]
            do = self.DO.get(code)
            if do is None:
                raise self.unsafe(f"the opcode {NAMES.get(code, hex(code))} is not needed for weights")
            do(self)
        raise self.unsafe(f"it has more than {MOST_OPCODES:,} opcodes")

    # what the stream holds

    def take(self, count: int) -> bytes:
        if self.at + count > self.limit:
            raise self.unsafe(f"it goes on beyond {self.limit:,} bytes")
        found = self.file.read(count)
        self.at += len(found)
        if len(found) != count:
            raise self.damaged("it was cut short")
        return found

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        found = bytearray()
        while (letter := self.take(1)) != b"\n":
            found += letter
            if len(found) > LONGEST_LINE:
                raise self.unsafe(f"a name is longer than {LONGEST_LINE} bytes")
        return self.text(bytes(found))

    def text(self, raw: bytes) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise self.damaged("a text is not UTF-8") from None

    # the stack

    def pop(self) -> Any:
        self.top(object)
        return self.stack.pop()

    def top(self, kind: type) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise self.damaged("an opcode finds too little on the stack")
        found = self.stack[-1]
        if not isinstance(found, kind):
            raise self.unsafe(f"an opcode for a {kind.__name__} meets a {_kind(found)}")
        return found

    def since_mark(self) -> list[Any]:
        if not self.marks:
            raise self.damaged("an opcode looks for a mark that is not there")
        mark = self.marks.pop()
        found = self.stack[mark:]
        del self.stack[mark:]
        return found

    # one method an opcode or a group of them

    def mark(self) -> None:
        if len(self.marks) >= MOST_MARKS:
            raise self.unsafe(f"more than {MOST_MARKS} collections are open at a time")
        self.marks.append(len(self.stack))

    def unicode(self) -> None:
        self.stack.append(self.text(self.take(self.number("<I"))))

    def long(self) -> None:
        size = self.number("<B")
        if size > LONGEST_WHOLE:
            raise self.unsafe(f"a whole number takes {size} bytes")
        self.stack.append(int.from_bytes(self.take(size), "little", signed=True))

    def put(self, form: str) -> None:
        index = self.number(form)
        if not self.stack:
            raise self.damaged("there is nothing to remember")
        self.memo[index] = self.stack[-1]

    def get(self, form: str) -> None:
        index = self.number(form)
        if index not in self.memo:
            raise self.damaged(f"nothing is remembered under {index}")
        self.stack.append(self.memo[index])

    def short_tuple(self, count: int) -> None:
        self.stack.append(tuple(reversed([self.pop() for _ in range(count)])))

    def append(self) -> None:
        item = self.pop()
        self.top(list).append(item)

    def appends(self) -> None:
        items = self.since_mark()
        self.top(list).extend(items)

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.fill(self.top(dict), [key, value])

    def set_items(self) -> None:
        items = self.since_mark()
        self.fill(self.top(dict), items)

    def fill(self, target: dict[Any, Any], items: list[Any]) -> None:
        if len(items) % 2:
            raise self.damaged("a key has no value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Larger numbers could be chosen to collide; tuples take time without end to hash.
            if not (type(key) is str or (type(key) is int and 0 <= key < 1 << 32)):
                raise self.unsafe(f"a {_kind(key)} is the key of a dictionary; texts and small whole numbers are read")
            if key in target:
                raise self.unsafe(f"the key {shown(key)} stands in a dictionary twice")
            target[key] = value

    def find_global(self) -> None:
        name = f"{self.line()}.{self.line()}"
        found = _GLOBALS.get(name)
        if found is None:
            raise self.unsafe(f"the opcode GLOBAL names {shown(name)}, which no file of weights needs")
        self.stack.append(found)

    def persistent(self) -> None:
        content = self.pop()
        if not (isinstance(content, tuple) and len(content) in (5, 6) and content[0] == "storage"):
            raise self.unsafe("the opcode BINPERSID refers to something other than a storage")
        kind, key, place, count = content[1:5]
        if not (isinstance(kind, _Global) and kind.dtype and isinstance(place, str)):
            raise self.unsafe("a storage has no type or no place")
        if not (isinstance(key, str) and len(key) < 256 and _is_count(count)):
            raise self.unsafe("a storage has no key or no size")
        if content[5:] not in ((), (None,)):
            raise self.unsafe("a storage is a view of another one, as torch wrote before 0.4")
        storage = Storage(kind.dtype, key, count)
        if self.storages.setdefault(key, storage) != storage:
            raise self.unsafe(f"the storage {shown(key, 80)} is described twice, and not alike")
        self.stack.append(storage)

    def reduce(self) -> None:
        arguments, called = self.pop(), self.pop()
        if not isinstance(called, _Global) or called.make is None:
            raise self.unsafe(f"the opcode REDUCE would call a {_kind(called)}")
        if not isinstance(arguments, tuple):
            raise self.unsafe("the opcode REDUCE has no tuple of arguments")
        try:
            made = called.make(arguments)
        except _NotSo as error:
            raise self.unsafe(f"{called.name} is given {error}") from None
        self.stack.append(made)

    def build(self) -> None:
        state = self.pop()
        self.top(_Ordered)
        if not (isinstance(state, dict) and set(state) <= {"_metadata"}):
            raise self.unsafe("the opcode BUILD sets more than the notes of a state dict (_metadata)")

    # refusals

    def unsafe(self, what: str) -> UnsafeFileError:
        return UnsafeFileError(f"{self._place()} {what}; nothing was run")

    def damaged(self, what: str) -> DamagedFileError:
        return DamagedFileError(f"{self._place()} {what}")

    def _place(self) -> str:
        return f"{self.where} is refused at byte {self.begin} of its pickle:"

    DO: ClassVar[Mapping[int, Callable[[_Machine], None]]] = {
        ord("("): mark,
        ord("N"): lambda self: self.stack.append(None),
        0x88: lambda self: self.stack.append(True),
        0x89: lambda self: self.stack.append(False),
        ord("J"): lambda self: self.stack.append(self.number("<i")),
        ord("K"): lambda self: self.stack.append(self.number("<B")),
        ord("M"): lambda self: self.stack.append(self.number("<H")),
        0x8A: long,
        ord("G"): lambda self: self.stack.append(self.number(">d")),
        ord("X"): unicode,
        ord("q"): lambda self: self.put("<B"),
        ord("r"): lambda self: self.put("<I"),
        ord("h"): lambda self: self.get("<B"),
        ord("j"): lambda self: self.get("<I"),
        ord(")"): lambda self: self.stack.append(()),
        0x85: lambda self: self.short_tuple(1),
        0x86: lambda self: self.short_tuple(2),
        0x87: lambda self: self.short_tuple(3),
        ord("t"): lambda self: self.stack.append(tuple(self.since_mark())),
        ord("]"): lambda self: self.stack.append([]),
        ord("a"): append,
        ord("e"): appends,
        ord("}"): lambda self: self.stack.append({}),
        ord("s"): set_item,
        ord("u"): set_items,
        ord("c"): find_global,
        ord("Q"): persistent,
        ord("R"): reduce,
        ord("b"): build,
    }


class _NotSo(Exception):
    """Arguments of a global that are not those of torch."""


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 48


def _kind(value: Any) -> str:
    """What a message calls a value; never the value itself, which may be nested without end."""
    if isinstance(value, _Global):
        return f"name ({value.name})"
    return type(value).__name__.lstrip("_")


def _ordered(arguments: tuple[Any, ...]) -> _Ordered:
    if arguments:
        raise _NotSo(f"{len(arguments)} arguments instead of none")
    return _Ordered()


def _size(arguments: tuple[Any, ...]) -> tuple[int, ...]:
    if len(arguments) != 1 or not isinstance(arguments[0], tuple) or not all(map(_is_count, arguments[0])):
        raise _NotSo("no tuple of sizes")
    return arguments[0]


def _tensor(arguments: tuple[Any, ...]) -> TensorView:
    """torch._utils._rebuild_tensor_v2: storage, offset, size, stride, requires_grad, hooks, and perhaps notes."""
    if not 4 <= len(arguments) <= 7:
        raise _NotSo(f"{len(arguments)} arguments")
    storage, offset, shape, strides = arguments[:4]
    if not isinstance(storage, Storage):
        raise _NotSo(f"a {_kind(storage)} instead of a storage")
    for steps in (shape, strides):
        if not (isinstance(steps, tuple) and len(steps) <= MOST_AXES and all(map(_is_count, steps))):
            raise _NotSo("a shape or strides that are no sizes")
    if len(shape) != len(strides) or not _is_count(offset):
        raise _NotSo("a shape and strides that do not belong together, or no offset")
    if len(arguments) > 4 and type(arguments[4]) is not bool:
        raise _NotSo("no switch for requires_grad")
    if any(type(extra) not in (_Ordered, dict, type(None)) or extra for extra in arguments[5:]):
        raise _NotSo("hooks, which are programs")
    if offset + view_end(shape, strides) > storage.count:
        raise _NotSo(f"a shape {shape} with strides {strides} that reaches beyond its storage of {storage.count}")
    return TensorView(storage, offset, shape, strides)


def _parameter(arguments: tuple[Any, ...]) -> TensorView:
    """torch._utils._rebuild_parameter: tensor, requires_grad, hooks."""
    if len(arguments) != 3 or not isinstance(arguments[0], TensorView) or type(arguments[1]) is not bool:
        raise _NotSo("no tensor and switch")
    if type(arguments[2]) is not _Ordered or arguments[2]:
        raise _NotSo("hooks, which are programs")
    return arguments[0]


_GLOBALS: Final[Mapping[str, _Global]] = {
    each.name: each
    for each in (
        _Global("collections.OrderedDict", make=_ordered),
        _Global("torch._utils._rebuild_tensor", make=_tensor),
        _Global("torch._utils._rebuild_tensor_v2", make=_tensor),
        _Global("torch._utils._rebuild_parameter", make=_parameter),
        _Global("torch.Size", make=_size),
        *(_Global(f"torch.{name}", dtype=dtype) for name, dtype in STORAGES.items()),
    )
}
