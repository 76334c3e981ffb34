"""Tells what a model's folder holds, whether it is complete and sane, and whether it is the published model.

In the order in which a user asks: which files are there; do configuration, weights and dictionary fit one another; are
the numbers finite, tied and of the size that training leaves; are these the published sizes and the published
dictionary; and do the published replies come out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from npblender import checkpoint
from npblender.checkpoint.folder import find_tensors, weights_file
from npblender.common import json_files
from npblender.common.hub import hub_digests
from npblender.common.printable import shown
from npblender.config import BlenderbotSmallConfig
from npblender.config.generation_config import GenerationConfig
from npblender.groundtruth.published import BLENDERBOT_SMALL_90M, Published
from npblender.models import BlenderbotSmallForConditionalGeneration
from npblender.models.convert import parts_of, sha256, stored_as
from npblender.tokenizer import BlenderbotSmallTokenizer
from npblender.transformer.parameters import FULL_MODEL, Weights, parameter_count, parameters

LARGEST_RMS = 30.0
"""Root of the mean square of a parameter beyond which it is called implausible: a hundred times the largest matrix of
the demo (0.29)."""
SMALLEST_RMS = 1e-4
"""And below which a matrix or a norm's weight is: the smallest of the demo has 0.07, one before all training 0.02."""


@dataclass
class FolderReport:
    """What was found: files, remarks on them, and what is wrong."""

    folder: str
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    replies: list[dict[str, Any]] = field(default_factory=list)
    published: str | None = None

    @property
    def is_sound(self) -> bool:
        """Whether the folder is complete and sane."""
        return not self.problems

    def lines(self) -> list[str]:
        """The report for people."""
        out = [f"{self.folder}:"]
        out += [f"  {name}  {each['bytes']:,} bytes  sha256 {each['sha256']}" for name, each in self.files.items()]
        out += [f"{name}: {value}" for name, value in self.facts.items()]
        for reply in self.replies:
            mark = "as published" if reply["as published"] else "NOT as published"
            out.append(f"reply to {reply['text']!r}: {reply['reply']!r}, {mark} ({reply['source']})")
        if self.published is not None:
            out.append(f"published model: {self.published}")
        out += [f"problem: {problem}" for problem in self.problems]
        out.append("complete and sane" if self.is_sound else f"{len(self.problems)} problems")
        return out

    def to_json(self) -> dict[str, Any]:
        """The report for programs."""
        return {
            **{"folder": self.folder, "sound": self.is_sound, "files": self.files, "facts": self.facts},
            **{"problems": self.problems, "published": self.published, "replies": self.replies},
        }


def verify_folder(
    folder: str | os.PathLike[str],
    *,
    allow_pickle: bool = False,
    replies: bool = True,
    digests: Mapping[str, str] = MappingProxyType({}),
    published: Published = BLENDERBOT_SMALL_90M,
    say: Callable[[str], None] = lambda _line: None,
) -> FolderReport:
    """Look through a folder and, if it may be the published model and `replies` is True, have it reply.

    `digests` are sha256 that files must have, by their names; "" stands for the file that the weights are read from.
    A file in the Hub's cache is also compared with the sha256 that the Hub gave for it, its name there.
    What is wrong with the folder is in the report. `say` is called with a line for each thing that takes time.

    Raises:
        FileNotFoundError, ValueError: there is no such folder, or its weights are a pickle that was not allowed;
            a file of `digests` is not there.
    """
    place = json_files.model_folder(folder)
    report = FolderReport(str(place))
    file, _ = weights_file(place, allow_pickle)
    wanted = {name or file.name: digest.lower() for name, digest in digests.items()}
    absent = [name for name in wanted if not (place / name).is_file()]
    if absent:
        raise FileNotFoundError(f"{place} holds no {shown(absent[0])}, whose sha256 was given")
    for path in sorted(place.iterdir()):
        if path.is_file():
            report.files[path.name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    report.facts["weights"] = f"read from {file.name}"
    _compare_digests(report, "as you gave it", wanted)
    _compare_digests(report, "as the Hub gave it", hub_digests(place))
    try:
        config = BlenderbotSmallConfig.from_pretrained(place)
    except (ValueError, TypeError, FileNotFoundError) as error:
        report.problems.append(str(error))
        return report
    weights = _weights(report, place, config, allow_pickle, say)
    tokenizer = _tokenizer(report, place, config, published.dialect)
    _compare_with_published(report, config, published)
    may_be = report.published == published.name and not report.problems
    if may_be and replies and weights is not None and tokenizer is not None:
        _ask(report, config, weights, tokenizer, place, published, say)
    return report


def _compare_digests(report: FolderReport, whose: str, wanted: Mapping[str, str]) -> None:
    """Compare files with the sha256 that they should have."""
    for name, digest in wanted.items():
        if report.files[name]["sha256"] != digest:
            report.problems.append(f"{name} does not have the sha256 {whose}: {digest}")
    right = [name for name, digest in wanted.items() if report.files[name]["sha256"] == digest]
    if right:
        report.facts[f"sha256 {whose}"] = ", ".join(right)


def _weights(
    report: FolderReport, place: Path, config: BlenderbotSmallConfig, allow_pickle: bool, say: Callable[[str], None]
) -> Weights | None:
    """The weights, read with every check there is: complete, of the right shapes, finite, tied."""
    say("reads every number")
    try:
        tensors = find_tensors(place, allow_pickle)
        parts = parts_of(tensors)
        weights = checkpoint.load(place, config, parts, allow_pickle=allow_pickle)
    except (ValueError, FileNotFoundError, ImportError) as error:
        report.problems.append(str(error))
        return None
    report.facts["model"] = "with its head" if parts == FULL_MODEL else " and ".join(sorted(parts)) + ", without a head"
    report.facts["stored in"] = stored_as(tensors.values())
    report.facts["tensors"] = len(tensors)
    report.facts["parameters"] = f"{parameter_count(config):,}"
    report.facts["finite"] = "every number"
    report.facts["copies of the embedding"] = "equal where there are several"
    sizes: dict[str, float] = {}
    for name, matrix in parameters(weights).items():
        sizes[name] = _rms(matrix)
        is_small = sizes[name] < SMALLEST_RMS and name.endswith("weight")
        if sizes[name] > LARGEST_RMS or is_small:
            report.problems.append(f"implausible: {name} has a root mean square of {sizes[name]:.3g}")
    matrices = {name: size for name, size in sizes.items() if name.endswith("weight") and "norm" not in name}
    low, high = min(matrices, key=matrices.__getitem__), max(matrices, key=matrices.__getitem__)
    report.facts["root mean squares of matrices"] = f"{matrices[low]:.3g} ({low}) to {matrices[high]:.3g} ({high})"
    return weights if parts == FULL_MODEL else None


def _rms(matrix: Any) -> float:
    """Root of the mean square of all numbers, some rows at a time."""
    total, rows = 0.0, matrix.shape[0]
    for first in range(0, rows, 4096):
        some = np.asarray(matrix.take(np.arange(first, min(first + 4096, rows)), axis=0), np.float64)
        total += float(np.square(some).sum())
    return float((total / np.prod(matrix.shape, dtype=np.float64)) ** 0.5)


def _tokenizer(
    report: FolderReport, place: Path, config: BlenderbotSmallConfig, dialect: str
) -> BlenderbotSmallTokenizer | None:
    try:
        tokenizer = BlenderbotSmallTokenizer.from_pretrained(place, dialect=dialect)
    except FileNotFoundError as error:
        report.facts["tokenizer"] = f"none: {error}"
        return None
    except (ValueError, TypeError) as error:
        report.problems.append(str(error))
        return None
    report.facts["tokenizer"] = f"{len(tokenizer):,} tokens"
    if len(tokenizer) > config.vocab_size:
        report.problems.append(f"the tokenizer has {len(tokenizer)} tokens, the model {config.vocab_size}")
    return tokenizer


def _compare_with_published(report: FolderReport, config: BlenderbotSmallConfig, published: Published) -> None:
    """Say whether this may be the published model: its sizes, and its dictionary byte by byte."""
    others = [name for name, value in published.sizes.items() if getattr(config, name) != value]
    if others:
        named = ", ".join(f"{name} is {getattr(config, name)}, not {published.sizes[name]}" for name in others[:3])
        report.published = f"no, not {published.name}: {named}"
        return
    changed = [name for name, digest in published.sha256.items() if report.files.get(name, {}).get("sha256") != digest]
    if changed:
        report.published = f"of the sizes of {published.name}, but with another or no {' and '.join(changed)}"
        return
    report.published = published.name


def _ask(
    report: FolderReport,
    config: BlenderbotSmallConfig,
    weights: Weights,
    tokenizer: BlenderbotSmallTokenizer,
    place: Path,
    published: Published,
    say: Callable[[str], None],
) -> None:
    """Have the model reply to what others have asked the published one."""
    model = BlenderbotSmallForConditionalGeneration(
        config,
        weights,
        dialect=published.dialect,
        generation_config=GenerationConfig.from_pretrained(place),
    )
    for number, case in enumerate(published.replies, start=1):
        say(f"replies to {number} of {len(published.replies)} published texts")
        row = model.generate(**tokenizer([case.text], return_tensors="np"))[0]
        reply = tokenizer.decode(row, skip_special_tokens=True, clean_up_tokenization_spaces=True)
        right = reply in case.replies
        report.replies.append({"text": case.text, "reply": reply, "as published": right, "source": case.source})
    wrong = sum(not reply["as published"] for reply in report.replies)
    if wrong:
        report.problems.append(f"{wrong} of {len(report.replies)} published replies do not come out")
        report.published = f"of the sizes and with the dictionary of {published.name}, but it replies otherwise"
    else:
        report.published = f"{published.name}: its sizes, its dictionary, its replies"
