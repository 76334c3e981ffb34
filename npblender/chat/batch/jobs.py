"""What a run over many inputs is told, and what is read of a model's folder before its weights are.

What it does not do: it loads no weights and searches nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from npblender import demo
from npblender.chat.batch.requests import Request
from npblender.chat.history import FittedSource, Profile, make_source, resolve_profile
from npblender.chat.settings import Settings, make_settings
from npblender.common import json_files
from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import Dialect, describe_dialect, resolve_dialect
from npblender.config.generation_config import GenerationConfig
from npblender.tokenizer import BlenderbotSmallTokenizer


@dataclass(frozen=True)
class BatchJob:
    """How a batch is to be answered: all that a worker is told besides the ids."""

    folder: str | None = None
    """The model's folder as the worker sees it; None stands for the demo of the package installed there."""
    dialect: str | Dialect | None = None
    dtype: str = "float32"
    profile: str = "parlai"
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Settings of the search, as `generate` takes them."""
    block: tuple[str, ...] = ()
    """Words and phrases that are never to be said."""
    seed: int | None = None
    n_best: int = 0
    """How many runners-up to report."""


@dataclass(frozen=True)
class PreparedJob:
    """What makes requests into sources, and what a search will do with them: all but the weights."""

    tokenizer: BlenderbotSmallTokenizer
    profile: Profile
    folder: Path
    config: BlenderbotSmallConfig
    dialect: Dialect
    generation_config: GenerationConfig

    def source(self, request: Request) -> FittedSource:
        """A request as ids that fit the model."""
        limit = self.config.max_position_embeddings
        return make_source(self.tokenizer, self.profile, request.persona, request.turns, limit)

    def settings(self, call: Mapping[str, Any]) -> Settings:
        """The settings that will count, refused here and not in a worker."""
        return make_settings(self.profile, self, call)


def prepare(job: BatchJob) -> PreparedJob:
    """Read what is needed of a model's folder to prepare its batches; the weights stay where they are.

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
    prepared.settings(job.settings)
    return prepared


def told(job: BatchJob, prepared: PreparedJob) -> dict[str, Any]:
    """What decides a run's replies, as JSON has it: two runs that were told the same may go on with each other's work.

    The model is known by its files' sizes and the ends of their contents, wherever the folder lies.
    """
    files = {key: value for key, value in prepared.generation_config.extra.items() if key != "_from_model_config"}
    return {
        "model": {path.name: _fingerprint(path) for path in sorted(prepared.folder.iterdir()) if _counts(path)},
        "dialect": describe_dialect(prepared.dialect),
        "dtype": job.dtype,
        "profile": job.profile,
        "settings": {**files, **prepared.settings(job.settings).plan.settings.to_dict()},
        "block": list(job.block),
        "seed": job.seed,
        "n_best": job.n_best,
    }


def _counts(path: Path) -> bool:
    return path.suffix in (".safetensors", ".json", ".txt") and path.is_file()


def _fingerprint(path: Path) -> str:
    """Size and ends of a file: enough to tell checkpoints of one training run apart, without reading all of them."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        ends = file.read(1 << 16)
        file.seek(max(0, size - (1 << 16)))
        ends += file.read()
    return f"{size} bytes, {hashlib.sha256(ends).hexdigest()[:16]}"
