"""A model folder to time: random weights of the wanted sizes, and a tokenizer that every peer can read.

It lies in `~/.cache/npblender/bench` (or where NPBLENDER_BENCH says) and is made once. The tokenizer is that of
`tokenizer`, or else the demo's; a vocabulary that is smaller than the model's is filled up with entries that no text
reaches. Peers keep what they convert beside it, in folders of their own.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from npblender import BlenderbotSmallForConditionalGeneration, demo
from npblender.config import BlenderbotSmallConfig, GenerationConfig
from npblender.transformer.parameters import random_weights
from tools.bench.works import CONFIGS

PLACE_VARIABLE = "NPBLENDER_BENCH"
SEED = 0
SPECIAL = {"bos_token_id": 1, "decoder_start_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
TOKENIZER_FILES = ("merges.txt", "tokenizer_config.json", "special_tokens_map.json")


def cache_folder() -> Path:
    """Where the folders lie; it need not exist yet."""
    place = os.environ.get(PLACE_VARIABLE)
    return Path(place).expanduser() if place else Path.home() / ".cache" / "npblender" / "bench"


def config_of(sizes: str) -> BlenderbotSmallConfig:
    """The configuration of a name in `works.CONFIGS`."""
    return BlenderbotSmallConfig(**CONFIGS[sizes])


def filled(vocabulary: dict[str, int], size: int) -> dict[str, int]:
    """A vocabulary with entries added up to `size`.

    >>> filled({"a": 0, "b": 1}, 4)
    {'a': 0, 'b': 1, '__filler_2__': 2, '__filler_3__': 3}
    """
    if len(vocabulary) > size:
        raise ValueError(f"a vocabulary of {len(vocabulary)} does not fit a model of {size}")
    return {**vocabulary, **{f"__filler_{n}__": n for n in range(len(vocabulary), size)}}


def model_folder(sizes: str, tokenizer: Path | None = None) -> Path:
    """The folder for these sizes and this tokenizer, made if it is not there."""
    source = demo.folder() if tokenizer is None else tokenizer
    source = Path(str(source))
    vocabulary = json.loads((source / "vocab.json").read_text(encoding="utf-8"))
    config = config_of(sizes)
    recipe: list[Any] = [CONFIGS[sizes], SEED, vocabulary, (source / "merges.txt").read_text(encoding="utf-8")]
    name = f"{sizes}-{hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]}"
    folder = cache_folder() / name
    if (folder / "complete").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model = BlenderbotSmallForConditionalGeneration(
        config, random_weights(config, SEED), generation_config=GenerationConfig.from_dict(dict(SPECIAL))
    )
    model.save_pretrained(folder)
    for file in TOKENIZER_FILES:
        shutil.copyfile(source / file, folder / file)
    (folder / "vocab.json").write_text(json.dumps(filled(vocabulary, config.vocab_size)), encoding="utf-8")
    (folder / "complete").write_text("")
    return folder
