"""How a batch of inputs is replied to: the job, what is prepared for it without the weights, and its fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from npblender import demo
from npblender.chat.batch.requests import Request
from npblender.chat.history import FittedSource, Profile, make_source, resolve_profile
from npblender.chat.replies import make_settings
from npblender.common import json_files
from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import Dialect, describe_dialect, resolve_dialect
from npblender.config.generation_config import GenerationConfig
from npblender.models.convert import sha256
from npblender.tokenizer import BlenderbotSmallTokenizer


@dataclass(frozen=True)
class BatchJob:
    """How a batch is to be replied to: everything that a worker needs besides the ids."""

    folder: str | None = None
    """The model's folder as the worker sees it; None stands for the demo of the package installed there."""
    dialect: str | Dialect | None = None
    dtype: str = "float32"
    profile: str = "parlai"
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Settings of the search, as `generate` takes them."""
    block: tuple[str, ...] = ()  # words and phrases that are never generated
    seed: int | None = None
    n_best: int = 0  # how many of the best replies to report
    allow_pickle: bool = False  # whether the weights may be read from a pickle, as in `from_pretrained`


@dataclass(frozen=True)
class PreparedJob:
    """What turns requests into sources, and the settings of their search: everything but the weights."""

    tokenizer: BlenderbotSmallTokenizer
    profile: Profile
    folder: Path
    config: BlenderbotSmallConfig
    dialect: Dialect
    generation_config: GenerationConfig

    def source(self, request: Request) -> FittedSource:
        """Encode a request as ids that fit the model."""
        limit = self.config.max_position_embeddings
        return make_source(self.tokenizer, self.profile, request.persona, request.turns, limit)


def prepare(job: BatchJob) -> PreparedJob:
    """Read everything in a model's folder but the weights.

    Raises:
        FileNotFoundError, ValueError, TypeError: the folder's files or the job's settings do not fit.
    """
    folder = json_files.model_folder(demo.folder() if job.folder is None else job.folder)
    config = BlenderbotSmallConfig.from_pretrained(folder)
    dialect = resolve_dialect(job.dialect or config.npblender_dialect or "parlai")
    prepared = PreparedJob(
        tokenizer=BlenderbotSmallTokenizer.from_pretrained(folder, dialect=dialect),
        profile=resolve_profile(job.profile),
        folder=folder,
        config=config,
        dialect=dialect,
        generation_config=GenerationConfig.from_pretrained(folder),
    )
    make_settings(prepared.profile, prepared, job.settings)  # unfit ones are refused here and not in a worker
    return prepared


def run_fingerprint(job: BatchJob, prepared: PreparedJob) -> dict[str, Any]:
    """Everything that decides a run's replies, as JSON: runs with equal fingerprints may resume each other's output.

    The model is identified by the sizes and contents of its files, all of each, wherever the folder is.
    """
    settings = make_settings(prepared.profile, prepared, job.settings).plan.settings
    files = {key: value for key, value in prepared.generation_config.extra.items() if key != "_from_model_config"}
    return {
        "model": {
            path.name: f"{path.stat().st_size} bytes, {sha256(path)[:16]}"
            for path in sorted(prepared.folder.iterdir())
            if _counts(path)
        },
        "dialect": describe_dialect(prepared.dialect),
        "dtype": job.dtype,
        "profile": job.profile,
        "settings": {**files, **settings.to_dict()},
        "block": list(job.block),
        "seed": job.seed,
        "n_best": job.n_best,
        **({"allow_pickle": True} if job.allow_pickle else {}),  # it decides which of several files is read
    }


_SUFFIXES = (".safetensors", ".json", ".txt", ".bin", ".h5", ".msgpack", ".opt", ".dict", ".codecs")


def _counts(path: Path) -> bool:
    """Whether a file is one of a model's, in any of the formats that are read."""
    return (path.suffix in _SUFFIXES or path.name in ("model", "model.checkpoint")) and path.is_file()
