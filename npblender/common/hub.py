"""A model by its name on the Hugging Face Hub: its folder in the Hub's own cache, downloaded first if need be.

`huggingface_hub` (extra `[hub]`) downloads, resumes, checks and stores, and honours HF_HOME, HF_HUB_CACHE,
HF_HUB_OFFLINE, HF_ENDPOINT and HF_TOKEN. Without it a model that is in the cache already is found all the same.
Only what is asked for is downloaded: of a tokenizer no weights, of the weights one format, safetensors before those
that take longer to read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from npblender.common.checks import check_switch
from npblender.common.printable import shown

NAME = re.compile(r"[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*", re.ASCII)
REVISION = re.compile(r"[\w.-]+(/[\w.-]+)*")

SMALL_FILES = (
    *("config.json", "generation_config.json", "vocab.json", "merges.txt", "tokenizer_config.json"),
    *("special_tokens_map.json", "added_tokens.json"),
    *("model.opt", "model.dict", "model.dict.codecs"),  # ParlAI's
)
WEIGHTS = (
    ("model.safetensors", r"model\.safetensors|model-\d{5}-of-\d{5}\.safetensors|model\.safetensors\.index\.json"),
    ("flax_model.msgpack", r"flax_model\.msgpack"),
    ("tf_model.h5", r"tf_model\.h5"),
    ("pytorch_model.bin", r"pytorch_model\.bin|pytorch_model-\d{5}-of-\d{5}\.bin|pytorch_model\.bin\.index\.json"),
    ("model", "model"),  # ParlAI's
)
"""The formats of weights, the first that is there is taken: a name and a pattern of its files."""

NEEDS = {
    "config": ("config.json", "model.opt"),
    "tokenizer": ("vocab.json", "model.dict"),
    "model": ("config.json", "model.opt"),
}
"""What can be asked for, and the file without which it is not there: transformers' or ParlAI's."""

TRIES = 4  # how often a download begins or is resumed before its error is the caller's

INSTALL = "pip install 'npblender[hub]'"


@dataclass(frozen=True)
class Place:
    """Where a model is looked for, and how: what `from_pretrained` takes besides a name, as in transformers.

    Raises:
        TypeError, ValueError: a value of another kind, or two that contradict each other.
    """

    revision: str | None = None  # a branch, a tag or a commit; None is main
    cache_dir: str | os.PathLike[str] | None = None  # instead of the Hub's own cache
    local_files_only: bool = False  # download nothing
    token: str | bool | None = None  # for what is not public: None is HF_TOKEN or `hf auth login`'s, False none
    force_download: bool = False  # download what is in the cache, too
    subfolder: str = ""  # where in the repository the model lies

    def __post_init__(self) -> None:
        if not isinstance(self.revision, str | None):
            raise TypeError(f"revision must be a text, not {type(self.revision).__name__}")
        if self.revision is not None and (not REVISION.fullmatch(self.revision) or ".." in self.revision):
            raise ValueError(f"revision {shown(self.revision)} is no name of a branch, a tag or a commit")
        if not isinstance(self.cache_dir, str | os.PathLike | None):
            raise TypeError(f"cache_dir must be a path, not {type(self.cache_dir).__name__}")
        if not isinstance(self.token, str | bool | None):
            raise TypeError(f"token must be a text, True or False, not {type(self.token).__name__}")
        for name in ("local_files_only", "force_download"):
            object.__setattr__(self, name, check_switch(name, getattr(self, name)))
        if self.local_files_only and self.force_download:
            raise ValueError("local_files_only=True and force_download=True contradict each other; give one")
        inside = PurePosixPath(self.subfolder) if isinstance(self.subfolder, str) else None
        if inside is None or inside.is_absolute() or ".." in inside.parts:
            raise ValueError(f"subfolder {shown(self.subfolder)} is no path inside a repository")

    @property
    def cache(self) -> Path:
        """The cache's folder: `cache_dir`, HF_HUB_CACHE, HF_HOME/hub, or ~/.cache/huggingface/hub."""
        if self.cache_dir is not None:
            return Path(self.cache_dir).expanduser()
        if place := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
            return Path(place).expanduser()
        cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
        return Path(os.environ.get("HF_HOME") or Path(cache, "huggingface")).expanduser() / "hub"


ANYWHERE = Place()


def is_name(text: Any) -> bool:
    """Whether a text can be the name of a model on the Hub: an owner, a stroke, a name.

    >>> is_name("facebook/blenderbot_small-90M"), is_name("./model"), is_name("a/b/c")
    (True, False, False)
    """
    return isinstance(text, str) and NAME.fullmatch(text) is not None and ".." not in text and "--" not in text


def wanted_files(names: Iterable[str], weights: bool = True) -> list[str]:
    """Choose the files of a folder that are read here, with one format of weights, or without weights.

    >>> wanted_files(["README.md", "config.json", "flax_model.msgpack", "pytorch_model.bin", "merges.txt"])
    ['config.json', 'merges.txt', 'flax_model.msgpack']
    """
    there = list(names)
    chosen = [name for name in SMALL_FILES if name in there]
    for _, pattern in WEIGHTS if weights else ():
        found = sorted(name for name in there if re.fullmatch(pattern, name))
        if found:
            return chosen + found
    return chosen


def _has(names: Iterable[str], need: str) -> bool:
    """Whether the files of a folder are enough for what is asked for."""
    files = wanted_files(names)
    return any(name in files for name in NEEDS[need]) and (need != "model" or files[-1] not in SMALL_FILES)


def cached(name: str, place: Place = ANYWHERE, need: str = "model") -> Path | None:
    """Find the folder of a model that is in the Hub's cache with what is asked for; None if it is not."""
    repository = place.cache / f"models--{name.replace('/', '--')}"
    asked = place.revision or "main"
    reference = repository / "refs" / asked
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else asked
    folder = repository / "snapshots" / commit / place.subfolder
    if not re.fullmatch(r"[0-9a-f]{40}", commit) or not folder.is_dir():
        return None
    # A link whose blob is gone, or a download that was cut off, is no file.
    return folder if _has((path.name for path in folder.iterdir() if path.is_file()), need) else None


def hub_digests(folder: Path) -> dict[str, str]:
    """Find the sha256 that the Hub gave for the large files of a folder in its cache, by their names.

    There a file is a link to its content, whose name is that sha256. Small files have names of another kind.
    """
    found = {}
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            content = Path(os.readlink(path))
            if content.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", content.name):
                found[path.name] = content.name
    return found


def fetch(name: str, place: Place = ANYWHERE, need: str = "model") -> Path:
    """Return the folder of a model on the Hub, downloaded to the Hub's cache unless it is there.

    Args:
        name: owner/name.
        place: where and how to look for it.
        need: "config", "tokenizer" or "model"; only what that needs is downloaded.

    Raises:
        ValueError: no name of a model.
        FileNotFoundError: there is no such model, revision or permission; or it must be downloaded and cannot be.
    """
    if not is_name(name):
        raise ValueError(f"{shown(name)} is no name of a model on the Hub; give owner/name")
    found = cached(name, place, need)
    switches = [os.environ.get(variable, "").upper() for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")]
    offline = place.local_files_only or any(switch in ("1", "ON", "YES", "TRUE") for switch in switches)
    if offline or find_spec("huggingface_hub") is None:
        if found is not None and not place.force_download:
            return found
        remedy = "allow downloads (HF_HUB_OFFLINE, local_files_only)" if offline else f"{INSTALL}, which downloads it"
        if found is not None:
            raise FileNotFoundError(f"{shown(name)} cannot be downloaded as force_download=True asks: {remedy}")
        raise FileNotFoundError(
            f"there is no folder {shown(name)}, and no model of this name in {place.cache}: {remedy}"
        )
    return _download(name, place, need, found)


def _download(name: str, place: Place, need: str, found: Path | None) -> Path:
    from huggingface_hub import HfApi, errors

    where = f"{shown(name)} (revision {shown(place.revision or 'main')})"
    try:
        info = HfApi(token=place.token).model_info(name, revision=place.revision)
        prefix = f"{place.subfolder.strip('/')}/" if place.subfolder else ""
        every = [file.rfilename for file in info.siblings or () if file.rfilename.startswith(prefix)]
        files = wanted_files((file.removeprefix(prefix) for file in every), weights=need == "model")
        if not _has(files, need):
            lacks = " or ".join(NEEDS[need]) + (" with weights that are read here" if need == "model" else "")
            raise FileNotFoundError(f"{where} on the Hub holds no {prefix}{lacks}")
        folder = _snapshot(name, place, [prefix + file for file in files]) / place.subfolder
        if folder != found or place.force_download:
            _check_sums(folder, files)
        return folder
    except errors.RevisionNotFoundError as error:
        raise FileNotFoundError(f"{where}: the Hub has the model, but no such revision") from error
    except errors.GatedRepoError as error:
        raise FileNotFoundError(f"{where}: its owner must admit you first, and the Hub needs HF_TOKEN") from error
    except errors.RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"there is no folder {shown(name)}, and no such model on the Hub, or it is not public and HF_TOKEN "
            f"is missing"
        ) from error
    except FileNotFoundError:
        raise
    except Exception as error:  # of the library for HTTP, whichever huggingface_hub uses
        if found is not None and not place.force_download and not isinstance(error, errors.HfHubHTTPError):
            return found  # no connection: what is there is taken, as transformers does
        raise FileNotFoundError(f"{where} could not be downloaded: {type(error).__name__}: {error}") from error


def _snapshot(name: str, place: Place, files: list[str]) -> Path:
    """Download files; a connection that breaks is resumed where it broke, which not every version does by itself."""
    from huggingface_hub import errors, snapshot_download

    given = {"revision": place.revision, "cache_dir": place.cache, "token": place.token, "allow_patterns": files}
    options: dict[str, Any] = given  # whose types differ between versions of the library
    for left in reversed(range(TRIES)):
        try:
            return Path(str(snapshot_download(name, **options, force_download=place.force_download)))
        except (errors.HfHubHTTPError, FileNotFoundError, ValueError):
            raise
        except Exception:  # of the library for HTTP, whichever huggingface_hub uses
            if not left:
                raise
    raise AssertionError("the last try returns or raises")


def _check_sums(folder: Path, names: Iterable[str]) -> None:
    """Compare files with the checksums that the Hub names them by; the library compares sizes only.

    Large files are named by their sha256, the others as git names them, by the sha1 of their size and content.
    """
    import hashlib

    for name in names:
        blob = (folder / name).resolve()
        if re.fullmatch(r"[0-9a-f]{64}", blob.name):
            digest = hashlib.sha256()
        elif re.fullmatch(r"[0-9a-f]{40}", blob.name):
            digest = hashlib.sha1(f"blob {blob.stat().st_size}\0".encode(), usedforsecurity=False)
        else:
            continue
        with blob.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        if digest.hexdigest() != blob.name:
            blob.unlink()
            raise FileNotFoundError(
                f"{name} was downloaded damaged: its {digest.name} is {digest.hexdigest()}, and the Hub says "
                f"{blob.name}; it was removed, fetch it again"
            )


_RESOLVED: dict[tuple[Any, ...], Path] = {}
_SETTINGS = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE", "XDG_CACHE_HOME")


def folder_of(name: str, place: Place = ANYWHERE, need: str = "model") -> Path:
    """Return the folder of a model by its name as `fetch` does, and asks the Hub once a process."""
    asked = (name, place.revision, str(place.cache), place.subfolder, *map(os.environ.get, _SETTINGS))
    if not place.force_download:
        for had in (need, "model"):  # a folder with the weights has all the rest
            if (folder := _RESOLVED.get((had, *asked))) is not None and folder.is_dir():
                return folder
    folder = _RESOLVED[(need, *asked)] = fetch(name, place, need)
    return folder
