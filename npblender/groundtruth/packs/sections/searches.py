"""Whole searches in a pack: the call, the result, and at every step the candidates and the gaps between them.

The model computes in float64; a search filters, adds and chooses in float32, as in the originals. Where two
continuations lie closer than `search_steps.NEAR_TIE`, another program may choose the other one: such steps are
flagged, and a search is compared only up to the first of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from npblender.common.printable import cut, shown
from npblender.config.dialect import Dialect
from npblender.groundtruth.packs.files import PackFile, json_file, read_json, short
from npblender.groundtruth.packs.truth.search_steps import Step, retrace_beams, retrace_parlai_beams, retrace_rows
from npblender.groundtruth.packs.verdict import Subject, Tally, Verdict

KIND = "searches"
PATH = "generation/searches.json"


@dataclass(frozen=True)
class Search:
    """One call of `generate`."""

    name: str
    input_ids: list[list[int]]
    options: Mapping[str, Any]
    attention_mask: list[list[int]] | None = None
    decoder_input_ids: list[list[int]] | None = None
    seed: int | None = None

    def call(self) -> dict[str, Any]:
        """The arguments of `generate` for this case."""
        given = {name: getattr(self, name) for name in ("attention_mask", "decoder_input_ids", "seed")}
        return {"input_ids": self.input_ids, **{k: v for k, v in given.items() if v is not None}}


def searches_for(dialect: Dialect, source: list[int], pad: int, start: int, longest: int) -> Iterator[Search]:
    """Yield the searches of a pack over one source's ids; `longest` limits the reply's tokens."""
    ids, limit = [source], {"max_length": longest}
    padded = [[*source, pad, pad]]
    mask = [[1] * len(source) + [0, 0]]
    prompt = [[start, source[0], source[-1]]]
    beams = {"num_beams": 4, "min_length": 3, "length_penalty": 0.65, **limit}
    yield Search("greedy", ids, {"num_beams": 1, "min_length": 3, **limit})
    yield Search("beams", ids, beams)
    yield Search("beams-pads", padded, beams, mask)
    yield Search("beams-blocks", ids, {**beams, "no_repeat_ngram_size": 2, "encoder_no_repeat_ngram_size": 2})
    yield Search("beams-prompt", ids, beams, decoder_input_ids=prompt)
    yield Search("beams-many", ids, {**beams, "num_beams": 10, "num_return_sequences": 10})
    yield Search("beams-bad-words", ids, {**beams, "bad_words_ids": [[source[0]], [source[-1], source[0]]]})
    sampled = {"do_sample": True, "num_beams": 1, "temperature": 0.8, **limit}
    if dialect.search == "parlai":
        yield Search("top-k", ids, {**sampled, "top_k": 8}, seed=1)
        yield Search("nucleus", ids, {**sampled, "top_p": 0.8}, seed=2)
        return
    yield Search("sampled", ids, {**sampled, "top_k": 12, "top_p": 0.9}, seed=1)
    yield Search(
        "greedy-penalties", ids, {"num_beams": 1, "repetition_penalty": 1.4, "no_repeat_ngram_size": 2, **limit}
    )
    yield Search("beams-early", ids, {**beams, "early_stopping": True, "forced_eos_token_id": 2})


def answer(subject: Subject, search: Search) -> dict[str, Any]:
    """Run a search and convert its result for JSON, with the steps that led there.

    Raises:
        ValueError: the recorded scores do not lead to the steps of the search.
    """
    own = subject.model
    model = type(own)(own.config, own.weights, dialect=own.dialect)  # without the settings of the folder
    record = model.generate(
        **search.call(),
        **search.options,
        return_dict_in_generate=True,
        output_scores=True,
        output_logits=True,
    )
    assert not isinstance(record, np.ndarray)
    assert record.scores is not None
    found: dict[str, Any] = {"sequences": record.sequences.tolist()}
    beams = search.options.get("num_beams", 1)
    indices = getattr(record, "beam_indices", None)
    total = getattr(record, "sequences_scores", None)
    if total is not None:
        found["sequences_scores"] = [None if np.isinf(value) else short(value) for value in total]
    if indices is not None:
        found["beam_indices"] = indices.tolist()
    n_best = getattr(record, "n_best", None)
    if n_best is not None:
        found["n_best"] = [[{"ids": list(each.ids), "score": short(each.score)} for each in row] for row in n_best]
    if search.options.get("do_sample"):
        found["uniforms"] = np.random.default_rng(search.seed).random(len(record.scores)).tolist()
    prompt = 1 if search.decoder_input_ids is None else len(search.decoder_input_ids[0])
    found["steps"] = [step.to_json() for step in _steps(subject, search, record, beams, prompt)]
    return found


def _steps(subject: Subject, search: Search, record: Any, beams: int, prompt: int) -> list[Step]:
    eos = subject.model.config.eos_token_id
    assert isinstance(eos, int)
    if beams == 1 and (search.options.get("do_sample") or subject.model.dialect.search != "parlai"):
        return retrace_rows(record.scores, drawn=bool(search.options.get("do_sample")))
    if subject.model.dialect.search == "parlai":
        steps, chosen = retrace_parlai_beams(record.scores, eos)
        first = 1  # the tokens of a prompt are steps, too
    else:
        steps, chosen = retrace_beams(record.scores, beams, [eos])
        first = prompt
    for sequence, rows in zip(record.sequences, record.beam_indices, strict=True):
        for n, row in enumerate(rows):
            if row < 0:
                break
            last = n == len(chosen) - 1
            pairs = list(zip(*chosen[n], strict=True))
            if (int(row), int(sequence[first + n])) not in pairs and not last:  # the last may be replaced by the eos
                raise ValueError(f"search {shown(search.name)}: step {n} of its scores does not lead to its beams")
    return steps


def make(subject: Subject, searches: list[Search]) -> PackFile:
    """Make the file; `subject` computes in float64."""
    found = []
    for each in searches:
        asked = {**each.call(), "options": dict(each.options)}
        found.append({"name": each.name, "asked": asked, "found": answer(subject, each)})
    return json_file(PATH, KIND, "whole searches with every step's candidates, gaps and near ties", found)


def read(path: Path) -> Iterator[tuple[Search, dict[str, Any]]]:
    """Yield the searches of a file and their results."""
    content = read_json(path)
    if not isinstance(content, list):
        raise ValueError(f"{path} must hold a list of searches")
    for each in content:
        try:
            asked = dict(each["asked"])
            search, found = Search(each["name"], asked.pop("input_ids"), asked.pop("options"), **asked), each["found"]
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise ValueError(f"{path} holds an entry that is no search: {cut(repr(error))}") from error
        yield search, found


def check(path: Path, subject: Subject) -> Verdict:
    """Run the searches and compare them with the file."""
    tally, ties = Tally(), 0
    for search, expected in read(path):
        try:
            mine = answer(subject, search)
        except ValueError as error:  # its scores do not lead to its steps, or it is refused
            tally.problems.append(f"{search.name}: {error}")
            continue
        tied = [step["near_tie"] for step in expected["steps"]]
        until = tied.index(True) if True in tied else len(tied)
        ties += True in tied
        _check_steps(tally, search.name, expected["steps"][:until], mine["steps"][:until])
        if True in tied:
            continue
        for key in ("sequences", "beam_indices"):
            tally.equal(f"{search.name}.{key}", expected.get(key), mine.get(key))
        totals = (found.get("sequences_scores") for found in (expected, mine))
        tally.scores(f"{search.name}.sequences_scores", *totals)
        for theirs, ours in zip(expected.get("n_best", []), mine.get("n_best", []), strict=True):
            tally.equal(f"{search.name}.n_best", [each["ids"] for each in theirs], [each["ids"] for each in ours])
            tally.scores(f"{search.name}.n_best", [each["score"] for each in theirs], [each["score"] for each in ours])
    verdict = tally.verdict("comparisons of searches")
    tied_text = f"; {ties} with a near tie, compared up to it" if ties else ""
    return Verdict(verdict.good, verdict.summary + tied_text, verdict.problems)


def _check_steps(tally: Tally, name: str, expected: list[Any], mine: list[Any]) -> None:
    for n, theirs in enumerate(expected):
        if n >= len(mine):
            tally.problems.append(f"{name}: it ended after {n} steps, and the pack has more")
            return
        ours = mine[n]
        for key in ("rows", "tokens"):
            tally.equal(f"{name}.step {n}.{key}", theirs[key], ours[key])
        tally.scores(f"{name}.step {n}", theirs["scores"], ours["scores"])
