"""The engines: which adapter runs each, in which environment, and what it can do.

An adapter is a module with a class `Engine(folder, threads, variant)`. Its methods are the kinds of work; each takes
what it needs and gives back a dictionary with `seconds`, a list with one entry a timed call, and what it computed
(`ids`, `sample`), so that a run can say which engines agree.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from tools.originals.environments import oracle_python


@dataclass(frozen=True)
class Peer:
    """One engine."""

    about: str
    adapter: str
    variant: str
    environment: str | None  # of tools/originals; None: this very Python
    kinds: tuple[str, ...]
    same_model: bool = True  # whether it computes this very model, so that its answers can be compared

    def python(self) -> Path:
        """The interpreter. FileNotFoundError where the environment is not made."""
        return Path(sys.executable) if self.environment is None else oracle_python(self.environment)


PRODUCTS = "products"
"""Not an engine: the least that any NumPy program takes. What a tiny model takes is in its answers, too."""

PEERS = {
    "npblender": Peer(
        "npblender, dialect transformers-5",
        "with_npblender",
        "transformers-5",
        None,
        ("generate", "encode", "load", "start", "tokenize", "steps"),
    ),
    "npblender-parlai": Peer(
        "npblender, dialect parlai",
        "with_npblender",
        "parlai",
        None,
        ("generate", "tokenize"),
        same_model=False,  # the embeddings' scale, and the search's own bookkeeping
    ),
    "transformers": Peer(
        "transformers, torch",
        "with_transformers",
        "",
        "transformers-5",
        ("generate", "encode", "load", "start", "tokenize", "steps"),
    ),
    "ctranslate2": Peer(
        "CTranslate2 float32",
        "with_ctranslate2",
        "float32",
        "ctranslate2",
        ("generate",),
        same_model=False,
    ),
    "ctranslate2-int8": Peer(
        "CTranslate2 int8", "with_ctranslate2", "int8", "ctranslate2", ("generate",), same_model=False
    ),
    "onnxruntime": Peer(
        "ONNX Runtime float32", "with_onnxruntime", "", "onnxruntime", ("generate", "encode", "load", "steps")
    ),
    PRODUCTS: Peer(
        "the products alone, and a tiny model",
        "with_products",
        "",
        None,
        ("generate", "encode", "start"),
        same_model=False,
    ),
    "tokenizers": Peer("tokenizers (Rust), a text a call", "with_tokenizers", "plain", "transformers-5", ("tokenize",)),
    "tokenizers-fast": Peer(
        "the same without offsets", "with_tokenizers", "no offsets", "transformers-5", ("tokenize",)
    ),
}
