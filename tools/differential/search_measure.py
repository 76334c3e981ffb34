"""npblender's answers to drawn searches, and how far they lie from the originals'.

Ids must be equal; scores may differ by rounding, for both sides search in float32. Where candidates are exactly equal
(tokens that are blocked, beams that nothing fills), which of them comes first is left open by torch's `topk`: npblender
takes the lowest index, and a call in which that decided something is compared by its sequences and their scores only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np

from npblender.config.generation_config import GenerationConfig
from npblender.generation.logits.top_k import top_k, top_k_of_sums
from npblender.generation.search import beam, beam_hypotheses, constrained_beam, contrastive
from reference_tests.support.tolerances import TOLERANCES
from tools.differential.ours import build
from tools.originals.exchange import Case, flatten
from tools.originals.toys import allowed_tokens, favour, stop_after

SEQ2SEQ = "BlenderbotSmallForConditionalGeneration"
SCORE_BOUND = TOLERANCES["search against transformers"].value
FLOAT32_SCORE_BOUND = TOLERANCES["float32 search against transformers"].value
STATE_BOUND = {
    "float64": TOLERANCES["float64 against transformers"].value,
    "float32": TOLERANCES["float32 against transformers"].value,
}
PARLAI_BOUND = TOLERANCES["search against ParlAI"].value
HOPELESS = -1e15  # a score at or below this is that of a path on which something blocked was said
UNFILLED = -1e8  # a score at or below this belongs to a place that no hypothesis has filled
BY_GROUP = ("beam_indices", "transition_scores/False", "transition_scores/True")
"""What 4.52.4 numbers by group, or leaves out where the best hypothesis did not meet its constraint."""


@dataclass
class Tally:
    """What was compared of one kind of search, and what was found."""

    calls: int = 0
    among_equals: int = 0
    rows: int = 0
    score: float = 0.0  # the largest difference of a score, over max(1, |score|)
    state: float = 0.0  # the largest difference of logits, states or attentions, over the tensor's largest entry
    failures: list[str] = field(default_factory=list)


class Ties:
    """Watches the choices of a search for candidates of exactly equal score."""

    def __init__(self) -> None:
        self.seen = False

    def notice(self, best: np.ndarray) -> None:
        """Remember whether any of these, which are sorted, are equal."""
        self.seen |= bool((best[1:] == best[:-1]).any())

    def top_k(self, values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        self.notice(top_k(values, min(count + 1, len(values)))[0])
        return top_k(values, count)

    def top_k_of_sums(
        self, values: np.ndarray, offsets: np.ndarray, count: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self.notice(top_k_of_sums(values, offsets, min(count + 1, values.size))[0])
        return top_k_of_sums(values, offsets, count)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        best_of_beams = beam.Beams.best

        def best(own: beam.Beams, count: int) -> beam.Beams:
            ranked = -np.sort(-own.scores, axis=1)[:, : count + 1]
            self.seen |= bool((ranked[:, 1:] == ranked[:, :-1]).any())
            return best_of_beams(own, count)

        ranked_of_constrained = constrained_beam.descending

        def ranked(ranking: np.ndarray) -> np.ndarray:
            self.seen |= len(np.unique(ranking)) < len(ranking)
            return ranked_of_constrained(ranking)

        with (
            mock.patch.object(beam.Beams, "best", best),
            mock.patch.object(constrained_beam, "descending", ranked),
            mock.patch.object(beam_hypotheses, "top_k_of_sums", self.top_k_of_sums),
            mock.patch.object(contrastive, "top_k", self.top_k),
        ):
            yield


def model_of(case: Case, dialect: str, dtype: str, own: dict[str, Any] | None = None) -> Any:
    """The public model of a case, with its own generation settings."""
    model = build(case, SEQ2SEQ, dialect, dtype)
    if own is not None:
        model.generation_config = GenerationConfig(**own)
    return model


def answer(case: Case, call: dict[str, Any], dialect: str) -> tuple[dict[str, np.ndarray], bool]:
    """What npblender generates, array by array, and whether equal candidates were met."""
    model = model_of(case, dialect, call["dtype"], call["own"])
    arguments: dict[str, Any] = {name: case.inputs[stored] for name, stored in call["arguments"].items()}
    toys, options, ties = call["toys"], call["options"], Ties()
    if "allowed" in toys:
        arguments["prefix_allowed_tokens_fn"] = allowed_tokens(case.config["vocab_size"], toys["allowed"])
    if "stop" in toys:
        arguments["stopping_criteria"] = [stop_after(toys["stop"])]
    if "favour" in toys:
        arguments["logits_processor"] = [favour(toys["favour"], 1.5)]
    if options.get("do_sample"):
        arguments["seed"] = call["seed"]
    with ties.watching():
        output = model.generate(**arguments, **options)
    if isinstance(output, np.ndarray):
        return {"sequences": output}, ties.seen
    found: dict[str, np.ndarray] = {}
    for name, value in output.items():
        if name != "past_key_values":
            found.update(flatten(name, value, np.asarray))
    if output.scores is not None:
        for normalised in (False, True):
            found[f"transition_scores/{normalised}"] = model.compute_transition_scores(
                output.sequences, output.scores, output.get("beam_indices"), normalised
            )
    return found, ties.seen


def compare_call(
    tally: Tally,
    place: str,
    call: dict[str, Any],
    found: dict[str, np.ndarray],
    wanted: dict[str, np.ndarray],
    tied: bool,
) -> None:
    """Add one call to the tally."""
    tally.calls += 1
    tally.rows += len(found["sequences"])
    if call["way"] in ("group beam", "constrained beam"):
        left_out = set(BY_GROUP) - (wanted.keys() if call["way"] == "constrained beam" else set())
        found = {name: value for name, value in found.items() if name not in left_out}
        wanted = {name: value for name, value in wanted.items() if name not in left_out}
    complaint = _first_difference(tally, call, found, wanted)
    if complaint is not None and tied:
        tally.among_equals += 1
        names = [name for name in ("sequences", "sequences_scores") if name in wanted]
        filled: Any = slice(None)
        if "sequences_scores" in wanted:
            filled = np.flatnonzero(wanted["sequences_scores"] > UNFILLED)
        complaint = _first_difference(
            tally, call, {n: found[n][filled] for n in names}, {n: wanted[n][filled] for n in names}
        )
    if complaint is not None:
        tally.failures.append(f"{place}: {complaint}; options {call['options']}")


def _first_difference(
    tally: Tally, call: dict[str, Any], found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]
) -> str | None:
    if found.keys() != wanted.keys():
        return f"{sorted(found.keys() ^ wanted.keys())} are on one side only"
    score = state = 0.0
    for name, theirs in wanted.items():
        ours, kind = found[name], name.split("/")[0]
        if ours.shape != theirs.shape:
            return f"{name} has shape {ours.shape}, not {theirs.shape}"
        if kind in ("sequences", "beam_indices"):
            if not np.array_equal(ours, theirs):
                return f"{name} is {ours.tolist()}, not {theirs.tolist()}"
        elif kind in ("scores", "sequences_scores", "transition_scores"):
            difference = score_difference(ours, theirs)
            # A float32 model's own rounding comes on top of that of the search, and so does a second log-softmax.
            bound = SCORE_BOUND * (4 if name == "transition_scores/True" else 1)
            if not difference <= (FLOAT32_SCORE_BOUND if call["dtype"] == "float32" else bound):
                return f"{name} differs by {difference:.2g}"
            score = max(score, difference)
        else:
            difference = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
            narrow = kind == "logits" and call["dtype"] == "float64"  # a search casts them to float32
            if not difference <= (SCORE_BOUND if narrow else STATE_BOUND[call["dtype"]]):
                return f"{name} differs by {difference:.2g} of its largest entry"
            state = max(state, difference if call["dtype"] == "float64" and kind != "logits" else 0.0)
    tally.score, tally.state = max(tally.score, score), max(tally.state, state)
    return None


def score_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest |ours - theirs| / max(1, |theirs|); infinite if infinities or NaN stand in other places.

    >>> score_difference(np.array([1.0, -np.inf, -20.0]), np.array([1.5, -np.inf, -22.0]))
    0.5
    """
    with np.errstate(invalid="ignore"):
        difference = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
        scaled = difference / np.maximum(1, np.abs(theirs.astype(np.float64)))
    scaled[(ours == theirs) | (np.isnan(ours) & np.isnan(theirs))] = 0
    return float(np.where(np.isnan(scaled), np.inf, scaled).max(initial=0))


@dataclass
class ParlaiTally:
    """What was compared of one kind of ParlAI-style search."""

    calls: int = 0
    contexts: int = 0
    hypotheses: int = 0
    closed: int = 0  # contexts whose search ParlAI closed, because nothing had ended
    hopeless: int = 0  # contexts in which every path was blocked: which of them is closed means nothing
    score: float = 0.0
    failures: list[str] = field(default_factory=list)


def compare_parlai_call(
    tally: ParlaiTally,
    place: str,
    model: Any,
    inputs: Mapping[str, np.ndarray],
    call: dict[str, Any],
    wanted: dict[str, np.ndarray],
) -> None:
    """Add one call, all finished hypotheses of all its contexts, to the tally."""
    arguments: dict[str, Any] = {}
    rows = inputs[call["rows"]]
    if call.get("full") is not None and call["options"]["beam_block_full_context"]:
        arguments["full_input_ids"] = inputs[call["full"]]
    if call["prefix"] is not None:
        arguments["decoder_input_ids"] = np.tile([model.config.bos_token_id, *call["prefix"]], (len(rows), 1))
    if "do_sample" in call["options"] or "beam_delay" in call["options"]:
        arguments["seed"] = call["seed"]
    record = model.generate(rows, return_dict_in_generate=True, **arguments, **call["options"])
    tally.calls += 1
    for n, found in enumerate(record.n_best):
        ids, scores = wanted[f"{n}/ids"], wanted[f"{n}/scores"]
        theirs = [tuple(int(token) for token in row if token >= 0) for row in ids]
        tally.contexts += 1
        tally.hypotheses += len(theirs)
        limit = call["options"]["max_length"] + 1
        tally.closed += len(theirs) == 1 and len(theirs[0]) == limit
        if scores.max() < HOPELESS and found[0].score < HOPELESS and len(found) == 1:
            tally.hopeless += 1
            continue
        if [each.ids for each in found] != theirs:
            tally.failures.append(f"{place}, context {n}: other hypotheses; options {call['options']}")
            continue
        difference = max(abs(each.score - float(score)) for each, score in zip(found, scores, strict=True))
        tally.score = max(tally.score, difference)
        if difference > PARLAI_BOUND:
            tally.failures.append(f"{place}, context {n}: a score differs by {difference:.2g}")
