"""Files of Keras for the fuzzer, small ones: the HDF5 library answers thousands a second, not thirty."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from npblender.checkpoint.formats.errors import DamagedFileError
from npblender.checkpoint.formats.h5_index import datasets
from npblender.checkpoint.formats.keras_h5 import placed
from tools.fuzz.watching import check_places, guarded, place

WORDS = (b"\x89HDF\r\n\x1a\n", b"TREE", b"SNOD", b"HEAP", b"OHDR", b"OCHK", b"GCOL", b"FRHP", b"BTHD", b"\xff" * 8)
OLD = ("earliest", "v108")  # what Keras writes


def seeds() -> list[bytes]:
    """Two good files, one in the form that Keras writes and one in the newest; and what is refused."""
    import h5py

    def made(libver: Any, more: Callable[[Any], object] = lambda _file: None, attributes: bool = False) -> bytes:
        buffer = io.BytesIO()
        with h5py.File(buffer, "w", libver=libver) as file:
            layer = file.create_group("model/fc1")
            layer.create_dataset("kernel:0", data=np.arange(6, dtype="f4").reshape(2, 3))
            layer.create_dataset("bias:0", data=np.arange(3, dtype="f4"))
            if attributes:
                file.attrs["layer_names"] = [b"model"]
                file["model"].attrs["weight_names"] = [b"fc1/kernel:0", b"fc1/bias:0"]
            more(file)
        return buffer.getvalue()

    layout = h5py.VirtualLayout(shape=(8,), dtype="f4")
    layout[:] = h5py.VirtualSource("elsewhere", "a", shape=(8,))
    refused: tuple[Callable[[Any], object], ...] = (
        lambda file: file.__setitem__("b", h5py.SoftLink("/model")),
        lambda file: file.__setitem__("b", h5py.ExternalLink("elsewhere", "/a")),
        lambda file: file.create_dataset("b", shape=(64,), dtype="f4", chunks=(8,), compression="gzip"),
        lambda file: file.create_dataset("b", shape=(8,), dtype="f4", external=[("elsewhere", 0, 32)]),
        lambda file: file.create_dataset("b", (1,), dtype=h5py.ref_dtype),
        lambda file: file.create_dataset("b", data=np.zeros(2, [("x", "f4"), ("y", "f4")])),
    )
    good = [made(OLD), made(OLD, attributes=True), made("latest"), made("latest", attributes=True)]
    virtual = made("latest", lambda file: file.create_virtual_dataset("b", layout))
    return [*good, *(made(OLD, more) for more in refused), virtual]


def execute(data: bytes) -> None:
    """In this process, so that it can be done often: what `keras_h5` does in another one. It may crash; see `run`."""
    import h5py  # noqa: F401  before anything is watched

    path = place()
    path.write_bytes(data)

    def index() -> list[list[Any]]:
        try:
            found = datasets(str(path))
        except Exception:
            return []
        return list(json.loads(json.dumps(found)))

    check_places(guarded(lambda: placed(path, index(), len(data)), (DamagedFileError,)), len(data))
