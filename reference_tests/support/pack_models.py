"""The model that a pass of a golden pack was traced with, as a folder that any port can read."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from npblender import BlenderbotSmallForConditionalGeneration, demo
from npblender.groundtruth.packs.manifest import read_manifest
from npblender.groundtruth.packs.sections.forward import OTHER_WEIGHTS, subject_of_path
from npblender.groundtruth.packs.verify import subject_of

PACKS = Path(__file__).resolve().parents[2] / "reference_tests" / "golden" / "packs"


def model_folder(pass_: Path, place: Path) -> Path:
    """The folder of a pass's model: the pack's own or the demo's; one of other parameters is written below `place`."""
    pack = pass_.parent.parent
    if pass_.stem not in OTHER_WEIGHTS:
        return pack / "model" if (pack / "model").is_dir() else demo.folder()
    folder = place / f"model of {pass_.stem}"
    subject_of_path(subject_of(pack, read_manifest(pack)), pass_.name).model.save_pretrained(folder)
    return folder


@cache
def load(folder: Path) -> BlenderbotSmallForConditionalGeneration:
    """The model in a folder, in the packs' dialect."""
    return BlenderbotSmallForConditionalGeneration.from_pretrained(folder, dialect="parlai")
