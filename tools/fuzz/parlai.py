"""A folder of ParlAI for the fuzzer: options, dictionary, merges and model, one of them damaged.

A mutated file is a byte that says which of the four it stands for, and its content.
"""

from __future__ import annotations

import atexit
import difflib  # noqa: F401  which errors import
import json
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from npblender import BlenderbotSmallConfig, BlenderbotSmallTokenizer
from npblender.checkpoint.folder import find_tensors
from npblender.config.generation_config import GenerationConfig
from reference_tests.support import torch_files as torch
from tools.fuzz.watching import check_places, guarded, place

NAMES = ("model", "model.opt", "model.dict", "model.dict.codecs")
OPTIONS: dict[str, Any] = {
    **{"model": "transformer/generator", "variant": "xlm", "learn_positional_embeddings": True, "dict_lower": True},
    **{"dict_tokenizer": "bpe", "embedding_size": 8, "n_heads": 2, "n_layers": 1, "ffn_size": 8, "n_positions": 16},
    **{"text_truncate": 16, "label_truncate": 8, "inference": "beam", "beam_size": 2, "fp16": False},
}
DICTIONARY = b"__null__\t9\n__start__\t9\n__end__\t9\n__unk__\t9\nhi\t3\nhe@@\t2\nllo\t1\n"
CODECS = b"#version: 0.2\nh i</w>\nh e\nl l\nll o</w>\n"
REFUSALS = (ValueError, TypeError, OSError)
WORDS = (
    *(b'"', b"{", b"}", b"[", b"null", b"true", b"-1", b"1e999", b"9" * 40, b'"model"', b'"n_heads"', b"[" * 64),
    *(b"\t", b"\n", b"@@", b"</w>", b"\xff", b"\\n", b"#version: 0.2\n", b"PK\1\2", b"PK\3\4", b"data.pkl"),
)


def contents() -> tuple[bytes, ...]:
    """The good files, in the order of `NAMES`."""
    state = torch.dictionary({"embeddings.weight": torch.tensor("FloatStorage", "0", (7, 8))})
    program = torch.pickled(torch.dictionary({"model": state, "step": b"K\1"}))
    model = torch.torch_zip(program, {"0": bytes(224)})
    return model, json.dumps(OPTIONS).encode(), DICTIONARY, CODECS


def seeds() -> list[bytes]:
    return [bytes([number]) + content for number, content in enumerate(contents())]


@cache
def folder() -> Path:
    """The folder with good files; every way to read it has been gone once, since modules are imported on the way."""
    path = Path(tempfile.mkdtemp(prefix="fuzzed-", dir=place().parent))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    for name, content in zip(NAMES, contents(), strict=True):
        (path / name).write_bytes(content)
    for read in READS:
        read(path)
    return path


def execute(data: bytes) -> None:
    which = (data[0] if data else 0) % len(NAMES)
    path = folder() / NAMES[which]
    good = path.read_bytes()
    path.write_bytes(data[1:])
    try:
        for read in READS[:1] if which == 0 else READS[1:]:
            found = guarded(lambda read=read: read(path.parent), REFUSALS)  # type: ignore[misc]
            if which == 0:
                check_places(found, len(data) - 1)
    finally:
        path.write_bytes(good)


READS: tuple[Callable[[Path], Any], ...] = (
    lambda path: find_tensors(path, allow_pickle=True),
    BlenderbotSmallConfig.from_pretrained,
    GenerationConfig.from_pretrained,
    BlenderbotSmallTokenizer.from_pretrained,
)
