"""Replies of the demo to three hundred lines, with every search, through `generate` and through `reply_to_all`."""

from __future__ import annotations

# ruff: noqa: B023  (what `attempt` is given it calls at once)
from collections.abc import Sequence
from typing import Any

from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer

from ..book import Book
from ..frozen.lines import lines
from ..places import find
from . import Place

LINES = 300
SCORES: dict[str, Any] = {"return_dict_in_generate": True, "output_scores": True}
EVERYTHING = {**SCORES, "output_logits": True, "output_attentions": True, "output_hidden_states": True}
ONE = {"num_beams": 1, "do_sample": False}
DRAWN = {"num_beams": 1, "do_sample": True}
FREE = {"encoder_no_repeat_ngram_size": 0, "min_length": 0}

TRANSFORMERS: dict[str, tuple[int, dict[str, Any]]] = {  # how many lines, and what is asked of `generate`
    "greedy": (300, {**ONE, **SCORES}),
    "sampling": (300, {**DRAWN, "seed": 7, "top_k": 40, "top_p": 0.95, "temperature": 0.8, **SCORES}),
    "sampling by shape": (60, {**DRAWN, "seed": 8, "typical_p": 0.9, "min_p": 0.02, "eta_cutoff": 2e-3}),
    "several samples": (40, {**DRAWN, "seed": 9, "num_return_sequences": 3, "epsilon_cutoff": 1e-3}),
    "beam": (300, {"num_beams": 4, "num_return_sequences": 2, **SCORES}),
    "beam of ten": (60, {"num_beams": 10, "early_stopping": True, "length_penalty": 0.65, "min_length": 20}),
    "beam sampling": (60, {"num_beams": 3, "do_sample": True, "seed": 3, "top_k": 30, **SCORES}),
    "group beam": (30, {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.7, **SCORES}),
    "constrained beam": (30, {"num_beams": 4, "force_words_ids": [[40], [50, 60]], **FREE, **SCORES}),
    "contrastive": (30, {"num_beams": 1, "penalty_alpha": 0.6, "top_k": 4, **SCORES}),
    "penalties": (
        40,
        {**ONE, "repetition_penalty": 1.3, "encoder_repetition_penalty": 1.1, "renormalize_logits": True},
    ),
    "bias": (40, {**ONE, "sequence_bias": [[[40], 2.0], [[50, 60], -3.0]], "suppress_tokens": [45, 46]}),
    "bad words": (
        40,
        {"num_beams": 3, "bad_words_ids": [[40], [41, 42]], "exponential_decay_length_penalty": (8, 1.1)},
    ),
    "everything": (20, {**ONE, **EVERYTHING}),
    "everything of beams": (20, {"num_beams": 3, **EVERYTHING}),
}
PARLAI: dict[str, tuple[int, dict[str, Any]]] = {
    "beam": (300, {**SCORES}),
    "greedy": (300, {"num_beams": 1, **SCORES}),
    "beam of ten": (60, {"num_beams": 10, "min_length": 20, "length_penalty": 0.65}),
    "delayed beam": (60, {"beam_delay": 4, "top_k": 10, "seed": 5}),
    "delayed beam by mass": (40, {"beam_delay": 3, "top_p": 0.6, "seed": 5}),
    "sampling": (300, {"do_sample": True, "top_k": 10, "seed": 6, **SCORES}),
    "nucleus": (60, {"do_sample": True, "top_p": 0.5, "seed": 6, "temperature": 0.7}),
    "bad words": (40, {"num_beams": 4, "bad_words_ids": [[40], [41, 42]], "no_repeat_ngram_size": 2}),
    "everything": (20, {"num_beams": 3, **EVERYTHING}),
}
BATCH = 20


def of_generate(book: Book, name: str, model: Any, tokenizer: Any, texts: Sequence[str], given: dict[str, Any]) -> None:
    """Replies to texts in batches, and what they spell."""
    for at in range(0, len(texts), BATCH):
        inputs = tokenizer(list(texts[at : at + BATCH]), padding=True, truncation=True, max_length=100)
        book.attempt(f"{name}/{at}", lambda: model.generate(**inputs, **given), samples=False)
        found = book.last
        if found is None:
            continue
        rows = getattr(found, "sequences", found)
        book.put(f"{name}/{at}/ids", [row.tolist() for row in rows])
        book.put(f"{name}/{at}/texts", tokenizer.batch_decode(rows, skip_special_tokens=True))
        scores = getattr(found, "sequences_scores", None)
        if scores is not None:
            book.put(f"{name}/{at}/scores", scores)
        if getattr(found, "scores", None) and hasattr(found, "beam_indices"):
            book.attempt(
                f"{name}/{at}/transitions",
                lambda: model.compute_transition_scores(found.sequences, found.scores, found.beam_indices),
            )


def one_by_one(book: Book, name: str, model: Any, tokenizer: Any, texts: Sequence[str]) -> None:
    """Sources of one row: prompt lookup, streams of ids and of text."""
    for number, text in enumerate(texts):
        inputs = tokenizer([text], truncation=True, max_length=100, return_tensors="np")
        if not inputs["input_ids"].size:
            continue
        if model.dialect.name != "parlai":
            lookup = {"prompt_lookup_num_tokens": 3, "max_matching_ngram_size": 2, **ONE, **FREE}
            book.attempt(f"{name}/lookup/{number}", lambda: model.generate(**inputs, **lookup))
        given = {"num_beams": 1}
        book.attempt(f"{name}/one/{number}", lambda: model.generate(**inputs, **given))
        book.attempt(f"{name}/tokens/{number}", lambda: list(model.stream(**inputs, **given)))
        for clean in (False, True):
            more = {**given, "tokenizer": tokenizer, "clean_up_tokenization_spaces": clean}
            book.attempt(f"{name}/pieces {clean}/{number}", lambda: list(model.stream(**inputs, **more)))


def of_batches(book: Book, name: str, texts: Sequence[str], **options: Any) -> None:
    """The records of `reply_to_all`."""
    for at, reply in enumerate(find("reply_to_all")(texts, **options)):
        book.put(f"{name}/{at}", reply)


def record(book: Book, place: Place) -> None:
    """All searches, then batches."""
    texts = [text for text in lines(LINES) if text.strip()]
    book.put("lines", texts)
    for dialect in ("parlai", "transformers-4", "transformers-5"):
        model = BlenderbotSmallForConditionalGeneration.from_pretrained(dialect=dialect)
        tokenizer = BlenderbotSmallTokenizer.from_pretrained(dialect=dialect)
        for name, (count, given) in (PARLAI if dialect == "parlai" else TRANSFORMERS).items():
            if dialect == "transformers-4" and count > 60:
                count = 100  # the other two dialects have all of them
            of_generate(book, f"{dialect}/{name}", model, tokenizer, texts[:count], given)
        one_by_one(book, dialect, model, tokenizer, texts[:24])
    of_batches(book, "all/beam", texts, n_best=3)
    of_batches(book, "all/greedy", texts, num_beams=1, batch_size=7)
    of_batches(book, "all/sampling", texts[:60], do_sample=True, num_beams=1, seed=4, top_k=20)
    of_batches(book, "all/blocked", texts[:60], block=["dog", "video games", "yes"], n_best=2)
    of_batches(book, "all/transformers", texts[:60], dialect="transformers-5", profile="transformers-documentation")
    objects: list[Any] = [
        *({"text": text, "persona": ["i have two cats."], "id": n} for n, text in enumerate(texts[:20])),
        *({"turns": texts[n : n + 5], "tag": "ä"} for n in range(20, 60, 5)),
        *({"text": "", "id": 1}, {"txt": 1}, {"turns": []}, 5, "", {"text": "hi", "turns": ["hi"]}, {"text": 7}),
        *({"text": "hi", "persona": "one string"}, {"text": "hi", "line": 3}, {"turns": ["a " * 300, "b"]}),
    ]
    of_batches(book, "all/objects", objects)
