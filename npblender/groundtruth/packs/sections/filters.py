"""Logits processors in a pack: rows of scores before and after each, with the tokens so far.

The truth is `truth.filters`. One name may stand for a processor of transformers, which blocks with -inf, and for
ParlAI's block of the same kind, which writes -1e20; the parameter `hopeless` distinguishes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from npblender.common.array_types import Array
from npblender.generation.logits import processors, warpers
from npblender.generation.search import parlai
from npblender.groundtruth.noise.units import Noise
from npblender.groundtruth.packs.files import PackCase, PackFile, case_file, read_cases
from npblender.groundtruth.packs.truth import filters
from npblender.groundtruth.packs.verdict import Subject, Tally, Verdict

Filter = Callable[[Array, Array, dict[str, Any]], Array]
KIND = "filters"
PATH = "generation/filters.safetensors"
V = 17
IDS = [[1, 5, 6, 7, 5, 6], [1, 8, 8, 8, 8, 8], [1, 9, 2, 11, 12, 9]]
SOURCES = [[6, 13, 5, 6, 14], [8, 8, 3, 0, 0], [4, 9, 2, 9, 10]]
ROUNDED = Noise(0.0, 0.0)
"""The result of a filter is a float32 number or rounded to one, so its noise is half an ulp."""


def cases_of(rng: np.random.Generator) -> Iterator[tuple[str, str, Array, Mapping[str, Any]]]:
    """Yield filter, reason, scores and parameters of every case; the targets are `IDS`, six ids each."""

    def scores() -> Array:
        return (rng.standard_normal((3, V)) * 2).astype(np.float32)

    def case(name: str, why: str, **parameters: Any) -> tuple[str, str, Array, Mapping[str, Any]]:
        return name, why, scores(), parameters

    eos = [2]
    yield case("min_length", "the target, its start included, is shorter", shortest=7, eos=eos)
    yield case("min_length", "it is long enough", shortest=6, eos=eos)
    yield case("forced_bos", "only after a lone start token", token=4)
    yield case("forced_eos", "the last token before the limit", longest=7, tokens=eos)
    yield case("forced_eos", "there is room for more", longest=8, tokens=eos)
    yield case("suppress", "tokens never said", tokens=[3, 8])
    yield case("begin_suppress", "tokens not said at first", first=6, tokens=[3, 8])
    yield case("repetition_penalty", "what was said, each once", penalty=1.3)
    yield case("repetition_penalty", "a reward", penalty=0.7)
    for size in (1, 2, 3):
        yield case("no_repeat_ngram", f"n-grams of {size} of the target", size=size)
    yield case("no_repeat_ngram", "n-grams of the source", size=2, sources=SOURCES)
    yield case("no_repeat_ngram", "ParlAI's block of the target", size=2, hopeless=-1e20)
    yield case("no_repeat_ngram", "ParlAI's block of the context", size=2, sources=SOURCES, hopeless=-1e20)
    yield case("bad_words", "a word, a phrase begun, a phrase not begun", phrases=[[4], [5, 6, 7], [13, 14]])
    yield case("bad_words", "ParlAI's block list", phrases=[[4], [5, 6, 7], [13, 14]], hopeless=-1e20)
    yield case("sequence_bias", "for a word and after a beginning", biases=[[[4], 1.5], [[12, 9, 3], -2.25]])
    yield case("exponential_decay", "an end grows likelier", start=4, factor=1.5, eos=eos)
    yield case("allowed_tokens", "only these", allowed=[2, 4, 9])
    name, why, given, parameters = case("remove_invalid", "NaN and infinities")
    given[0, 1], given[0, 2], given[1, 3] = np.nan, np.inf, -np.inf
    yield name, why, given, parameters
    yield case("temperature", "sharper", value=0.7)
    yield case("top_k", "the five best", k=5)
    yield case("top_p", "the fewest that make up this share", p=0.8)
    yield case("min_p", "at least this share of the best one's probability", share=0.1)
    yield case("typical", "information near the entropy", mass=0.7)
    yield case("epsilon", "at least this probability", cutoff=0.05)
    yield case("eta", "a threshold that falls with the entropy", cutoff=0.05)


def make(seed: int, stored: str) -> PackFile:
    """Make the file."""
    cases = []
    for number, (name, why, scores, parameters) in enumerate(cases_of(np.random.default_rng([seed, 30]))):
        truth = filters.apply(name, scores.astype(np.float64).tolist(), IDS, parameters)
        inputs = {"ids": np.array(IDS), "scores": scores}
        outputs = {"scores": np.array(truth)}
        label = f"{number:02}-{name}"
        cases.append(PackCase(label, why, inputs, outputs, {"filter": name, **parameters}, {"scores": ROUNDED}))
    return case_file(PATH, KIND, "what each filter of generation makes of scores", cases, stored)


def _ngram(scores: Array, ids: Array, p: dict[str, Any]) -> Array:
    sources = np.array(p.get("sources", ids))
    if "hopeless" not in p:
        return processors.no_repeat_ngram(scores, ids, sources, p["size"])
    blocked = scores.copy()
    parlai.block_ngrams(blocked, ids, sources, p["size"])
    return blocked


def _bad_words(scores: Array, ids: Array, p: dict[str, Any]) -> Array:
    phrases = [tuple(phrase) for phrase in p["phrases"]]
    if "hopeless" not in p:
        return processors.sequence_bias(scores, ids, [(phrase, -np.inf) for phrase in phrases], beyond_start=False)
    blocked = scores.copy()
    parlai.block_phrases(blocked, ids, phrases)
    return blocked


def _biases(scores: Array, ids: Array, p: dict[str, Any]) -> Array:
    biases = [(tuple(phrase), bias) for phrase, bias in p["biases"]]
    return processors.sequence_bias(scores, ids, biases, beyond_start=False)


def _named(module: ModuleType, name: str, *, ids: bool = True) -> Filter:
    """Make the filter of a function of the package whose parameters have the same names in a pack."""
    return lambda scores, seen, p: np.asarray(getattr(module, name)(scores, *([seen] if ids else []), **p))


OF_IDS = ("min_length", "forced_bos", "forced_eos", "begin_suppress", "repetition_penalty", "exponential_decay")
WARPERS = ("temperature", "top_k", "top_p", "min_p", "typical", "epsilon", "eta")
OWN: Mapping[str, Filter] = {
    **{name: _named(processors, name) for name in OF_IDS},
    **{name: _named(warpers, name, ids=False) for name in WARPERS},
    "suppress": lambda scores, ids, p: processors.block(scores, p["tokens"]),
    "remove_invalid": _named(processors, "remove_invalid", ids=False),
    "no_repeat_ngram": _ngram,
    "bad_words": _bad_words,
    "sequence_bias": _biases,
    "allowed_tokens": lambda scores, ids, p: processors.allowed_tokens(
        scores, ids, lambda source, target: list(p["allowed"]), 1, rescue=False
    ),
}
"""The package's filter of each name. Searches filter in float32 in whatever dtype the model computes."""


def check(path: Path, subject: Subject) -> Verdict:
    """Compare the package's filters with the file; the model does not matter."""
    tally = Tally()
    for case in read_cases(path):
        parameters = dict(case.parameters)
        name = parameters.pop("filter")
        with np.errstate(all="ignore"):  # as `chain.apply` runs them
            mine = OWN[name](case.inputs["scores"].astype(np.float32), case.inputs["ids"], parameters)
        tally.compare(case.name, case.outputs["scores"], mine, case.noise["scores"])
        finite, hidden = np.isfinite(case.outputs["scores"]), np.isfinite(mine)
        tally.equal(f"{case.name}: which are possible", finite.tolist(), hidden.tolist())
    return tally.verdict("comparisons")
