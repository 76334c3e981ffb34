"""The manifest of a golden pack: its files, what each holds, and the programs and model that they were made with.

It is one JSON file, written with sorted keys and without times, so that the same pack gives the same bytes. `damage`
names every file that is missing, surplus or changed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from npblender.common import json_files
from npblender.common.printable import cut, shown
from npblender.common.replacing import replacing, replacing_folder

FORMAT, SCHEMA, MANIFEST = "npblender-golden-pack", 1, "manifest.json"
KEYS = ("name", "dialect", "seed", "stored", "truth", "producer", "model", "cross_checks")


@dataclass(frozen=True)
class FileRecord:
    """One file of a pack; `tensors` says dtype, shape and noise of each array in it."""

    kind: str  # decides which check `verify_pack` runs
    about: str
    sha256: str
    bytes: int
    tensors: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """The description of a pack as a whole."""

    name: str
    dialect: Any  # as `describe_dialect` writes it
    seed: int
    stored: str  # how float64 truths are stored: "float64" or "float32"
    truth: Mapping[str, Any]  # for each kind of file, what its answers were computed with
    producer: Mapping[str, Any]  # names and versions
    model: Mapping[str, Any]  # its configuration, where its weights lie, their sha256
    cross_checks: tuple[Mapping[str, Any], ...] = ()  # other programs that were run, and how far their answers lay off
    files: Mapping[str, FileRecord] = field(default_factory=dict)  # by path, with forward slashes

    def to_json(self) -> dict[str, Any]:
        """Convert the manifest to the content of its file."""
        files = {path: vars(record) for path, record in self.files.items()}
        said = {"format": FORMAT, "schema": SCHEMA} | vars(self)
        return said | {"cross_checks": list(self.cross_checks), "files": files}


def sha256(content: bytes) -> str:
    """Hash bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def write_pack(folder: str | os.PathLike[str], manifest: Manifest, contents: Mapping[str, bytes]) -> None:
    """Write a pack into a folder that is new or empty, or that holds a pack, which is replaced.

    Raises:
        ValueError: the folder is a link, or holds anything but a whole pack, or the system refuses to write there.
    """
    place = Path(os.path.abspath(folder))
    check_replaceable(place)
    json_files.new_folder(place.parent)
    with replacing_folder(place) as unfinished:
        for path, content in contents.items():
            target = unfinished / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        (unfinished / MANIFEST).write_bytes(_manifest_bytes(manifest))


def check_replaceable(place: Path) -> None:
    """Make sure that a pack at `place` would replace nothing, or another pack and nothing else.

    A manifest may list any file. So each file must be as the manifest of the folder describes it, to the byte.

    Raises:
        ValueError: there is something else, or a pack that was changed; nothing is removed.
    """
    if place.is_symlink() or (place.exists() and not place.is_dir()):
        raise ValueError(f"{str(place)!r} is {'a link' if place.is_symlink() else 'a file'}; name a folder itself")
    if not place.exists() or not any(place.iterdir()):
        return
    if place.samefile("."):
        raise ValueError(f"{str(place)!r} is the working folder, which cannot be replaced; go elsewhere and name it")
    if not (place / MANIFEST).is_file():
        raise ValueError(f"{str(place)!r} is not empty and holds no pack; name a new folder")
    for path, what in damage(place, read_manifest(place)).items():
        raise ValueError(
            f"{str(place)!r} is not the pack that its {MANIFEST} describes, and so it is not replaced: {path} {what}; "
            f"name a new folder, or remove this one"
        )


def write_manifest(place: Path, manifest: Manifest) -> None:
    """Write the manifest alone; the files that it lists must be in place."""
    with replacing(place / MANIFEST) as unfinished:
        unfinished.write_bytes(_manifest_bytes(manifest))


def _manifest_bytes(manifest: Manifest) -> bytes:
    content = manifest.to_json()
    files = [f"{_compact(path)}: {_compact(record)}" for path, record in sorted(content.pop("files").items())]
    head = [f"{_compact(key)}: {_compact(value)}" for key, value in sorted(content.items())]
    listed = '"files": {\n  ' + ",\n  ".join(files) + "\n }"  # a line a file
    return ("{\n " + ",\n ".join([*head, listed]) + "\n}\n").encode("utf-8")


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def read_manifest(folder: str | os.PathLike[str]) -> Manifest:
    """Read a pack's manifest.

    Raises:
        FileNotFoundError: there is no such folder, or no manifest in it.
        ValueError: it is not a manifest, has another schema, or lacks something.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"{str(folder)!r} is no golden pack: it holds no {MANIFEST}")
    content = json_files.read_object(path)
    if content.pop("format", None) != FORMAT:
        raise ValueError(f'{path} is no manifest of a golden pack: its "format" is not "{FORMAT}"')
    schema = content.pop("schema", None)
    if schema != SCHEMA:
        raise ValueError(f"{path} has schema version {shown(schema)}; this program reads version {SCHEMA}")
    wrong = sorted(set(content) ^ {*KEYS, "files"})
    if wrong:
        raise ValueError(f"{path} lacks, or has besides what a manifest has: {cut(', '.join(wrong))}")
    objects = ("files", "model", "truth", "producer")
    for key, kind, name in (*((key, dict, "an object") for key in objects), ("cross_checks", list, "a list")):
        if not isinstance(content[key], kind):
            raise ValueError(f"{path}: its {key} must be {name}")
    records = {name: _record(path, name, record) for name, record in content.pop("files").items()}
    model = content["model"]
    if not {"folder", "config", "weights_sha256"} <= set(model):
        raise ValueError(f"{path}: its model must be an object with folder, config and weights_sha256")
    if model["folder"] is not None:
        path_within(path.parent, model["folder"], path)
    return Manifest(**content | {"cross_checks": tuple(content["cross_checks"])}, files=records)


def path_within(folder: Path, name: Any, said: Path) -> Path:
    """Return the path of a file that `said`, a file of a pack, names within the pack's folder.

    Raises:
        ValueError: it is no plain path below the folder, or a link leads out of it.
    """
    pure = PurePosixPath(name) if isinstance(name, str) else PurePosixPath()
    if pure.is_absolute() or ".." in pure.parts or not pure.parts or set("\\:\0") & set(name):
        raise ValueError(f"{said}: {shown(name)} is no path of a file in the pack")
    path: Path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{said}: {shown(name)} leads out of the pack by a link")
    return path


def _record(manifest: Path, name: str, content: Any) -> FileRecord:
    path_within(manifest.parent, name, manifest)
    wanted = set(FileRecord.__dataclass_fields__)
    if not isinstance(content, dict) or set(content) != wanted:
        raise ValueError(f"{manifest}: the record of {shown(name)} must have {', '.join(sorted(wanted))}")
    if not isinstance(content["tensors"], dict) or not isinstance(content["kind"], str):
        raise ValueError(f"{manifest}: the record of {shown(name)} needs a text as its kind and an object of tensors")
    return FileRecord(**content)


def damage(folder: str | os.PathLike[str], manifest: Manifest) -> dict[str, str]:
    """List the files that are missing, surplus or changed, by path, with a description; empty for a whole pack."""
    place = Path(folder)
    found = {}
    for path, record in manifest.files.items():
        file = place / path
        if not file.is_file():
            found[path] = "is missing"
            continue
        if any(part.is_symlink() for part in (file, *file.parents) if part != place and place in part.parents):
            found[path] = "is a link, or lies behind one"
            continue
        content = file.read_bytes()
        if len(content) != record.bytes:
            found[path] = f"has {len(content)} bytes, and the manifest says {record.bytes}"
        elif sha256(content) != record.sha256:
            found[path] = "has another sha256 than the manifest says"
    there = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_symlink() or not path.is_dir()}
    for path in sorted(there - set(manifest.files) - {MANIFEST}):
        found[path] = "is surplus: the manifest does not know it"
    return found
