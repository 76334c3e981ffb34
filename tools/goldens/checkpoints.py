"""Golden checkpoints: one tiny model in every file format that the originals write, and an agent saved by ParlAI.

The weights are drawn here and written by the originals; what ParlAI replies is ParlAI's. Nothing that npblender
computed is stored.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from npblender import GenerationConfig, checkpoint
from npblender.transformer.parameters import BASE_MODEL, FULL_MODEL, to_arrays
from reference_tests.support import stored, tiny_folder
from reference_tests.support.tolerances import TOLERANCES
from tools import ROOT
from tools.goldens.made import Made
from tools.originals import asking

FOLDER = ROOT / "reference_tests" / "golden" / "checkpoints"
SEED = 3

KEPT = {
    "transformers-4": ("pickled", "pickled-sharded", "base"),
    "transformers-5": ("legacy", "legacy-float16", "legacy-shared", "half", "brain", "double", "shared", "odd"),
    "keras-flax": ("keras", "flax", "flax-base"),
}
"""Which of the folders that an original saves are stored; the rest is made and compared by `compare formats`."""

PARLAI_OPTIONS: dict[str, Any] = {
    **{"inference": "beam", "beam_size": 3, "beam_min_length": 4, "beam_length_penalty": 0.65},
    **{"beam_block_ngram": 3, "beam_context_block_ngram": 3, "text_truncate": 64, "label_truncate": 16},
    **{"embedding_size": 12, "n_heads": 2, "ffn_size": 20, "n_layers": 2, "n_encoder_layers": 1, "n_decoder_layers": 2},
    **{"n_positions": 64, "activation": "gelu", "embeddings_scale": True, "variant": "xlm", "dropout": 0.0},
    **{"learn_positional_embeddings": True, "dict_tokenizer": "bpe", "dict_lower": True},
    **{"optimizer": "sgd", "lr_scheduler": "none"},
}
PARLAI_TEXTS = (
    "hello , how are you ?",
    "your persona: i like cats.\nHi! What's your name?",
    "i don't like the movie (it is bad)...",
    "tea & song 3.14 %",
)


def write_case(folder: Path, seed: int = SEED) -> None:
    """The model that transformers, Keras and Flax save."""
    folder.mkdir(parents=True, exist_ok=True)
    stored.TINY.save_pretrained(folder)
    GenerationConfig(num_beams=3).save_pretrained(folder)
    save_file(stored.tensors_of(stored.TINY, "full", seed)[1], folder / "weights.safetensors")


def write_parlai_case(folder: Path, seed: int = SEED, **options: Any) -> None:
    """The agent that ParlAI saves: a dictionary, its merges, and what to reply to."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tiny_folder.make_tokenizer()
    ids = tokenizer.get_vocab()
    words = sorted(ids, key=ids.__getitem__)
    (folder / "model.dict").write_text("".join(f"{word}\t{10**6 - at}\n" for at, word in enumerate(words)))
    tokenizer.save_vocabulary(folder)
    (folder / "merges.txt").rename(folder / "model.dict.codecs")
    asked = {"seed": seed, "options": {**PARLAI_OPTIONS, **options}, "texts": PARLAI_TEXTS}
    (folder / "options.json").write_text(json.dumps(asked))


def save_all(work: Path) -> None:
    """Have every original save its folders below WORK/ORIGINAL."""
    write_case(work / "case")
    write_parlai_case(work / "parlai-case")
    for original in KEPT:
        asking.run(original, "save_formats", work / "case", work / original)
    asking.run("parlai", "save_parlai", work / "parlai-case", work / "parlai")


def made() -> Iterator[Made]:
    """All of them as one golden."""
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        save_all(work)
        folders = {name: work / original / name for original, names in KEPT.items() for name in names}
        folders["parlai"] = work / "parlai"

        def write() -> None:
            shutil.rmtree(FOLDER, ignore_errors=True)
            for name, folder in folders.items():
                shutil.copytree(folder, FOLDER / name)
            for file in (work / "case").iterdir():
                shutil.copy(file, FOLDER / file.name)

        yield Made(FOLDER, "by torch, both transformers, Keras, Flax and ParlAI", write, lambda: differences(folders))


def differences(folders: dict[str, Path]) -> list[str]:
    """Where the files made now hold other numbers than the stored ones, a line each."""
    wrong = []
    for name, folder in folders.items():
        parts = BASE_MODEL if name.endswith("base") else FULL_MODEL
        arrays = [_arrays(place, parts) for place in (folder, FOLDER / name)]
        wrong += [f"{name}: {key} differs" for key in arrays[0] if not np.array_equal(arrays[0][key], arrays[1][key])]
    made_now, stored = (
        json.loads((place / "replies.json").read_text()) for place in (folders["parlai"], FOLDER / "parlai")
    )
    if not same_replies(made_now, stored):
        wrong.append("parlai: other replies")
    return wrong


def same_replies(made: list[dict[str, Any]], stored: list[dict[str, Any]]) -> bool:
    """Whether all is equal but the beams' scores, float32 sums whose last digits are the processor's.

    >>> same_replies([{"beams": [["hi", -21.526699]]}], [{"beams": [["hi", -21.526697]]}])
    True
    >>> same_replies([{"beams": [["hi", -21.5]]}], [{"beams": [["hi", -21.4]]}])
    False
    """
    words = [[{**each, "beams": [text for text, _ in each["beams"]]} for each in all_of] for all_of in (made, stored)]
    scores = [[score for each in all_of for _, score in each["beams"]] for all_of in (made, stored)]
    if words[0] != words[1]:
        return False
    now, before = map(np.array, scores)
    return bool((np.abs(now - before) <= TOLERANCES["float32 against ParlAI"].bound(before, np.float32)).all())


def _arrays(folder: Path, parts: Any) -> dict[str, np.ndarray]:
    config = stored.TINY.from_pretrained(folder)
    return to_arrays(checkpoint.load(folder, config, parts, "float64", allow_pickle=True))
