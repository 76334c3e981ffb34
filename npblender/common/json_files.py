"""Finds and makes a model's folder, and reads and writes texts and JSON in it, with errors that name the file."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from npblender.common.mistaken_files import refuse_file, refuse_mistaken_file
from npblender.common.printable import shown
from npblender.common.replacing import JOURNAL_NAME, finish_replacing, replacing

JSON_LIMIT = 1 << 28
"""The most bytes of a JSON file that are read: 256 MiB, a hundred times the largest, a vocabulary of 50,000 entries."""


DOWNLOAD = ("revision", "cache_dir", "local_files_only", "token", "force_download", "subfolder")
"""What every `from_pretrained` takes to find a model by its name on the Hub: see `Place` in hub.py."""


def taken_out(options: dict[str, Any]) -> dict[str, Any]:
    """Take those of `DOWNLOAD` out of a method's options and return them.

    >>> options = {"revision": "main", "d_model": 4}
    >>> taken_out(options), options
    ({'revision': 'main'}, {'d_model': 4})
    """
    return {name: options.pop(name) for name in DOWNLOAD if name in options}


def model_folder(folder: str | os.PathLike[str], *, by_name: bool = True, need: str = "model", **where: Any) -> Path:
    """Return the folder as a path, after making sure that it exists.

    A string such as "owner/name" that is no folder is, unless `by_name` is False, a model on the Hub (see hub.py): its
    folder in the Hub's cache, with what `need` names, "config", "tokenizer" or "model". `where` are the options that
    `DOWNLOAD` lists; a folder on this machine needs none of them but `subfolder`, and has no other revision.

    Raises:
        TypeError: `folder` is neither a string nor a path.
        FileNotFoundError: there is nothing of that name.
        ValueError: it is a file, not a folder, or a save into it was interrupted and cannot be finished; or an option
            does not fit.

    >>> model_folder("no/such/folder")
    Traceback (most recent call last):
    FileNotFoundError: there is no folder 'no/such/folder'; give a folder on this machine that holds \
config.json and the weights, or the name of a model on the Hub
    """
    path, there, is_folder = _look_at(folder, "the model's folder")
    if any(where.values()) or (not there and by_name and isinstance(folder, str) and folder.count("/") == 1):
        from npblender.common import hub

        place = hub.Place(**where)
        if not there and by_name and hub.is_name(folder):
            return hub.folder_of(str(folder), place, need)
        if place.revision not in (None, "main"):
            raise ValueError(
                f"revision {shown(place.revision)} is of a model on the Hub, and {str(folder)!r} is "
                f"{'a folder on this machine' if there else 'no name of one'}"
            )
        if is_folder and place.subfolder:
            return model_folder(path / place.subfolder, by_name=False)
    if not there:
        raise FileNotFoundError(
            f"there is no folder {str(folder)!r}; give a folder on this machine that holds config.json and "
            f"the weights, or the name of a model on the Hub"
        )
    if not is_folder:
        raise ValueError(f"{str(folder)!r} is a file; give the folder that holds config.json and the weights")
    with contextlib.suppress(OSError):  # a folder whose names cannot be listed
        if any(map(JOURNAL_NAME.fullmatch, os.listdir(path))):
            finish_replacing(path)
    return path


def new_folder(folder: str | os.PathLike[str]) -> Path:
    """Return the folder as a path, made with its parents if it does not exist.

    Raises:
        TypeError: `folder` is neither a string nor a path.
        ValueError: there is a file of that name, or no folder can be made there.
    """
    if not isinstance(folder, str | os.PathLike):
        raise TypeError(f"the folder to save to must be a string or a path, not {type(folder).__name__}")
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise ValueError(f"no folder can be made at {str(folder)!r}: {error}") from error
    return path


def existing_folder(folder: str | os.PathLike[str]) -> Path:
    """Return a folder to save to as a path, where it must be there already.

    Raises:
        TypeError: `folder` is neither a string nor a path.
        FileNotFoundError: there is nothing of that name.
        ValueError: it is a file, or no name of a folder.

    >>> existing_folder("no/such/folder")
    Traceback (most recent call last):
    FileNotFoundError: there is no folder 'no/such/folder' to save to; make it first, or call save_pretrained(folder), \
which makes it and writes every file
    """
    path, there, is_folder = _look_at(folder, "the folder to save to")
    if not there:
        raise FileNotFoundError(
            f"there is no folder {str(folder)!r} to save to; make it first, or call save_pretrained(folder), "
            "which makes it and writes every file"
        )
    if not is_folder:
        raise ValueError(f"{str(folder)!r} is a file, not a folder to save to")
    return path


def _look_at(folder: str | os.PathLike[str], called: str) -> tuple[Path, bool, bool]:
    """The folder as a path, whether there is anything of that name, and whether it is a folder."""
    if not isinstance(folder, str | os.PathLike):
        raise TypeError(f"{called} must be a string or a path, not {type(folder).__name__}")
    path = Path(folder)
    try:
        return path, path.exists(), path.is_dir()
    except (OSError, ValueError) as error:  # a name too long for the system, or with a zero byte in it
        raise ValueError(f"{str(folder)!r} is no name of a folder: {error}") from error


def read_text(path: Path, needed_by: str, encoding: str = "utf-8") -> str:
    """Read a file of UTF-8 text.

    Raises:
        FileNotFoundError: there is no such file; the message says what needs it.
        ValueError: it is something else; the message says what, where that is known.
    """
    if path.is_dir():
        refuse_mistaken_file(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent} holds no {path.name}; {needed_by} needs one")
    try:
        return path.read_bytes().decode(encoding)
    except UnicodeDecodeError as error:
        refuse_file(path, f"is not UTF-8 text: {error}")


@contextlib.contextmanager
def naming(name: str | os.PathLike[str]) -> Iterator[None]:
    """Put the name of a file, or of an option, before what is said of its content."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from error


def read_object(path: Path, encoding: str = "utf-8") -> dict[str, Any]:
    """Read the object (a dict) that a JSON file holds.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not UTF-8, not JSON, cut short, or holds something other than one object.
    """
    if path.is_file() and path.stat().st_size > JSON_LIMIT:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes; a JSON file of a model has {JSON_LIMIT:,} at most")
    text = read_text(path, "a model's folder", encoding)
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        refuse_file(path, f"is not JSON, or was cut short: {error}")
    except ValueError as error:  # a whole number of thousands of digits
        raise ValueError(f"{path} holds what cannot be read: {error}") from error
    except RecursionError as error:
        raise ValueError(f"{path} is nested too deeply to be a configuration") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} must hold one JSON object, not a {type(found).__name__}")
    return found


def write_object(path: Path, content: Mapping[str, Any]) -> None:
    """Write one JSON object to a file, as `object_bytes` makes it, completely or not at all.

    Raises:
        TypeError: a value has no form in JSON; the message names its key.
        ValueError: the system refuses to write there.
    """
    data = object_bytes(path.name, content)
    with replacing(path) as unfinished:
        unfinished.write_bytes(data)


def object_bytes(name: str, content: Mapping[str, Any]) -> bytes:
    r"""Encode one JSON object, keys sorted, indented by two: the same content gives the same bytes.

    Raises:
        TypeError: a value has no form in JSON; the message names its key and `name`, the file it was meant for.

    >>> object_bytes("config.json", {"d_model": 4})
    b'{\n  "d_model": 4\n}\n'
    """
    for key, value in content.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{shown(key)} cannot be written to {name}: {error}") from error
    return (json.dumps(dict(content), indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode("utf-8")
