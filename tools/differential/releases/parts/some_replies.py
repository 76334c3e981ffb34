"""A few searches of the demo under another layout or number of threads, and with weights in sixteen bits."""

from __future__ import annotations

import os
from typing import Any

from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer

from ..book import Book
from ..frozen.lines import lines
from . import Place
from .replies import PARLAI, TRANSFORMERS, of_batches, of_generate

LINES = 40


def record(book: Book, place: Place) -> None:
    """Each search on as many lines as it is given elsewhere, at most `LINES`."""
    texts = [text for text in lines(LINES, seed=1) if text.strip()]
    halves = os.environ.get("NPBLENDER_LAYOUT") == "by-use" and os.environ.get("NPBLENDER_NUM_THREADS") == "1"
    for dtype in ("float32", "float64", "bfloat16", "float16") if halves else ("float32",):
        for dialect in ("parlai", "transformers-5"):
            model = BlenderbotSmallForConditionalGeneration.from_pretrained(dialect=dialect, dtype=dtype)
            tokenizer = BlenderbotSmallTokenizer.from_pretrained(dialect=dialect)
            searches: dict[str, tuple[int, dict[str, Any]]] = PARLAI if dialect == "parlai" else TRANSFORMERS
            for name, (count, given) in searches.items():
                if dtype == "float32" or name in ("greedy", "beam", "contrastive", "delayed beam"):
                    few = texts[: min(count, LINES if dtype == "float32" else BATCH_OF_HALVES)]
                    of_generate(book, f"{dtype}/{dialect}/{name}", model, tokenizer, few, given)
    of_batches(book, "all/beam", texts, n_best=3)
    of_batches(book, "all/one at a time", texts[:10], batch_size=1, num_beams=1)
    if halves:
        of_batches(book, "all/bfloat16", texts[:20], dtype="bfloat16", n_best=1)


BATCH_OF_HALVES = 20
