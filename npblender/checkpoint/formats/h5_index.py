"""The process that lists the datasets of an HDF5 file for keras_h5.py.

    python -m npblender.checkpoint.formats.h5_index FILE

It prints one JSON object: {"datasets": [[path, dtype, shape, start], ...]}, or {"unsafe": why}, or {"damaged": why}.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

from npblender.checkpoint.formats.errors import UnsafeFileError
from npblender.checkpoint.formats.keras_h5 import DEEPEST, MOST_MEMORY, MOST_OBJECTS
from npblender.common.printable import shown


def main() -> int:
    """Print what is in the file that the first argument names."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    try:
        answer: dict[str, Any] = {"datasets": datasets(sys.argv[1])}
    except UnsafeFileError as error:
        answer = {"unsafe": str(error)}
    except Exception as error:  # whatever the library says of a file that it does not understand
        answer = {"damaged": f"{type(error).__name__}: {error}"[:300]}
    print(json.dumps(answer))
    return 0


def datasets(path: str) -> list[list[Any]]:
    """Every dataset: its path, the name of its dtype in safetensors' naming, its shape, where its numbers begin."""
    import h5py

    floats = {"<f2": "F16", "<f4": "F32", "<f8": "F64", "<i4": "I32", "<i8": "I64"}
    found: list[list[Any]] = []
    seen: set[Any] = set()

    def check(name: str, dataset: Any) -> None:
        plan = dataset.id.get_create_plist()
        if plan.get_external_count():
            raise UnsafeFileError(f"keeps {shown(name)} in other files")
        if plan.get_layout() != h5py.h5d.CONTIGUOUS:
            raise UnsafeFileError(f"does not keep {shown(name)} in one piece (chunks, or views of other datasets)")
        if plan.get_nfilters():
            raise UnsafeFileError(f"keeps {shown(name)} behind a filter")
        kind = dataset.id.get_type()
        if not isinstance(kind, h5py.h5t.TypeFloatID | h5py.h5t.TypeIntegerID):
            raise UnsafeFileError(f"keeps something other than numbers in {shown(name)} ({type(kind).__name__})")
        if dataset.dtype.str not in floats:
            raise UnsafeFileError(f"keeps {shown(name)} as {dataset.dtype.str}; {', '.join(floats)} are read")
        found.append([name, floats[dataset.dtype.str], list(dataset.shape), dataset.id.get_offset()])

    def walk(group: Any, above: str, depth: int) -> None:
        if depth > DEEPEST:
            raise UnsafeFileError(f"is nested more than {DEEPEST} groups deep")
        for key in group:
            name = f"{above}/{key}"
            link = group.get(key, getlink=True)
            if type(link) is not h5py.HardLink:
                raise UnsafeFileError(f"has a link {shown(name)} to another place or file")
            if len(seen) >= MOST_OBJECTS:
                raise UnsafeFileError(f"has more than {MOST_OBJECTS:,} objects")
            item = group[key]
            place = h5py.h5o.get_info(item.id).addr
            if place in seen:
                raise UnsafeFileError(f"has one object under two names, the second {shown(name)}")
            seen.add(place)
            if isinstance(item, h5py.Group):
                walk(item, name, depth + 1)
            elif isinstance(item, h5py.Dataset):
                check(name.lstrip("/"), item)
            else:
                raise UnsafeFileError(f"has a named type {shown(name)}")

    with h5py.File(path, "r", locking=False) as file:
        walk(file, "", 0)
    return found


if __name__ == "__main__":
    sys.exit(main())
