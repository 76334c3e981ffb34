"""A model by its name on the Hugging Face Hub: its folder in the Hub's own cache, downloaded first if need be.

`huggingface_hub` (extra `[hub]`) downloads, resumes, checks and stores, and honours HF_HOME, HF_HUB_CACHE,
HF_HUB_OFFLINE, HF_ENDPOINT and HF_TOKEN. Without it a model that is in the cache already is found all the same.
Only what is read here is downloaded: of the weights one format, safetensors before those that take longer to read.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

NAME = re.compile(r"[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*", re.ASCII)

SMALL_FILES = (
    *("config.json", "generation_config.json", "vocab.json", "merges.txt", "tokenizer_config.json"),
    *("special_tokens_map.json", "added_tokens.json"),
)
WEIGHTS = (
    ("model.safetensors", r"model\.safetensors|model-\d{5}-of-\d{5}\.safetensors|model\.safetensors\.index\.json"),
    ("flax_model.msgpack", r"flax_model\.msgpack"),
    ("tf_model.h5", r"tf_model\.h5"),
    ("pytorch_model.bin", r"pytorch_model\.bin|pytorch_model-\d{5}-of-\d{5}\.bin|pytorch_model\.bin\.index\.json"),
)
"""The formats of weights, the first that is there is taken: a name and a pattern of its files."""

INSTALL = "pip install 'npblender[hub]'"


def is_name(text: Any) -> bool:
    """Whether a text can be the name of a model on the Hub: an owner, a stroke, a name.

    >>> is_name("facebook/blenderbot_small-90M"), is_name("./model"), is_name("a/b/c")
    (True, False, False)
    """
    return isinstance(text, str) and NAME.fullmatch(text) is not None and ".." not in text and "--" not in text


def wanted_files(names: Iterable[str]) -> list[str]:
    """Chooses the files of a repository that are read here.

    >>> wanted_files(["README.md", "config.json", "flax_model.msgpack", "pytorch_model.bin", "merges.txt"])
    ['config.json', 'merges.txt', 'flax_model.msgpack']
    """
    there = list(names)
    chosen = [name for name in SMALL_FILES if name in there]
    for _, pattern in WEIGHTS:
        found = sorted(name for name in there if re.fullmatch(pattern, name))
        if found:
            return chosen + found
    return chosen


def cache_folder(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Where the Hub's files are kept: `cache_dir`, HF_HUB_CACHE, HF_HOME/hub, or ~/.cache/huggingface/hub."""
    if cache_dir is not None:
        return Path(cache_dir).expanduser()
    if place := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(place).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("HF_HOME") or Path(cache, "huggingface")).expanduser() / "hub"


def cached(name: str, *, revision: str | None = None, cache_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """Finds the folder of a model that is in the Hub's cache with its weights; None if it is not."""
    place = cache_folder(cache_dir) / f"models--{name.replace('/', '--')}"
    asked = revision or "main"
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)*", asked) or ".." in asked:
        raise ValueError(f"revision {asked!r} is no name of a branch, a tag or a commit")
    reference = place / "refs" / asked
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else asked
    folder = place / "snapshots" / commit
    if not re.fullmatch(r"[0-9a-f]{40}", commit) or not (folder / "config.json").is_file():
        return None
    # A link whose blob is gone, or a download that was cut off, is no file.
    weights = [path.name for path in folder.iterdir() if path.is_file()]
    return folder if wanted_files(weights)[-1] not in SMALL_FILES else None


def fetch(
    name: str,
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
) -> Path:
    """Returns the folder of a model on the Hub, downloaded to the Hub's cache unless it is there.

    Args:
        name: owner/name.
        revision: a branch, a tag or a commit; None is main.
        cache_dir: instead of the Hub's own.
        local_files_only: download nothing.
        token: for models that are not public; None takes HF_TOKEN or the one that `hf auth login` keeps.

    Raises:
        ValueError: no name of a model.
        FileNotFoundError: there is no such model, revision or permission; or it must be downloaded and cannot be.
    """
    if not is_name(name):
        raise ValueError(f"{name!r} is no name of a model on the Hub; give owner/name")
    found = cached(name, revision=revision, cache_dir=cache_dir)
    offline = local_files_only or os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    if offline or find_spec("huggingface_hub") is None:
        if found is not None:
            return found
        remedy = "allow downloads (HF_HUB_OFFLINE, local_files_only)" if offline else f"{INSTALL}, which downloads it"
        raise FileNotFoundError(
            f"there is no folder {name!r}, and no model of this name in {cache_folder(cache_dir)}: {remedy}"
        )
    return _download(name, revision, cache_dir, token, found)


def _download(
    name: str,
    revision: str | None,
    cache_dir: str | os.PathLike[str] | None,
    token: str | bool | None,
    found: Path | None,
) -> Path:
    from huggingface_hub import HfApi, errors, snapshot_download

    where = f"{name!r} (revision {revision or 'main'!r})"
    try:
        info = HfApi(token=token).model_info(name, revision=revision)
        files = wanted_files(sibling.rfilename for sibling in info.siblings or ())
        if "config.json" not in files or files[-1] in SMALL_FILES:
            raise FileNotFoundError(f"{where} on the Hub holds no config.json with weights that are read here")
        place = cache_folder(cache_dir)
        folder = snapshot_download(name, revision=revision, cache_dir=place, allow_patterns=files, token=token)
        if Path(folder) != found:
            _check_sums(Path(folder), files)
        return Path(folder)
    except errors.RevisionNotFoundError as error:
        raise FileNotFoundError(f"{where}: the Hub has the model, but no such revision") from error
    except errors.GatedRepoError as error:
        raise FileNotFoundError(f"{where}: its owner must admit you first, and the Hub needs HF_TOKEN") from error
    except errors.RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"there is no folder {name!r}, and no such model on the Hub, or it is not public and HF_TOKEN is missing"
        ) from error
    except FileNotFoundError:
        raise
    except Exception as error:  # of the library for HTTP, whichever huggingface_hub uses
        if found is not None and not isinstance(error, errors.HfHubHTTPError):
            return found  # no connection: what is there is taken, as transformers does
        raise FileNotFoundError(f"{where} could not be downloaded: {type(error).__name__}: {error}") from error


def _check_sums(folder: Path, names: Iterable[str]) -> None:
    """Compares large files with the sha256 that the Hub names them by; the library compares sizes only."""
    for name in names:
        blob = (folder / name).resolve()
        if re.fullmatch(r"[0-9a-f]{64}", blob.name):
            digest = hashlib.sha256()
            with blob.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
            if digest.hexdigest() != blob.name:
                blob.unlink()
                raise FileNotFoundError(
                    f"{name} was downloaded damaged: its sha256 is {digest.hexdigest()}, and the Hub says {blob.name}; "
                    f"it was removed, fetch it again"
                )


_RESOLVED: dict[tuple[str | None, ...], Path] = {}
_SETTINGS = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE", "XDG_CACHE_HOME")


def folder_of(name: str) -> Path:
    """Returns the folder of a model by its name as `fetch` does, and asks the Hub once a process."""
    key = (name, *map(os.environ.get, _SETTINGS))
    if key not in _RESOLVED or not _RESOLVED[key].is_dir():
        _RESOLVED[key] = fetch(name)
    return _RESOLVED[key]
