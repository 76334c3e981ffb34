"""The tree of a beam search: which path went on with which token, what ended, and what every reply scores.

It is built again from what the search saw: each step's scores are given to the functions that the search itself chooses
by, and what they choose must be what the search went on with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from npblender.chat.explanation.searching import Watched, until_end
from npblender.common.array_types import Array, Ids
from npblender.config.searches import BEAM, GREEDY, PARLAI_BEAM, SAMPLE
from npblender.generation.logits.top_k import top_k_of_sums
from npblender.generation.search.beam import NOT_YET
from npblender.generation.search.parlai import HOPELESS, beam_paths
from npblender.ops import log_softmax

Fate = Literal["goes on", "dropped", "ended"]


@dataclass(frozen=True)
class Node:
    """One token of one path: the step that chose it, and what it cost."""

    step: int  # from 0
    parent: int | None  # the number of the node before it; None behind the start
    row: int  # of [R, V]: the row of scores that it was chosen from
    token: int
    log_prob: float  # after the blocks, float32 as the search has it
    total: float  # of the whole path
    fate: Fate


@dataclass(frozen=True)
class FinishedReply:
    """A reply that the search finished."""

    node: int  # its last token's
    ids: tuple[int, ...]  # start and end included
    total: float  # the sum of its log-probabilities
    parlai: float  # the sum by ParlAI's length penalty
    transformers: float  # the same sum by transformers'
    rank: int | None  # in what the search returned, from 1; None where it did not keep it
    score: float | None  # what the search returned with it


@dataclass(frozen=True)
class SearchTree:
    """All nodes, in the order of steps and, within one, best first; and all replies that ended, by rank."""

    search: str
    length_penalty: float | None
    nodes: tuple[Node, ...]
    finished: tuple[FinishedReply, ...]

    def path(self, node: int) -> tuple[int, ...]:
        """The numbers of the nodes from the first token to this one."""
        numbers: list[int] = []
        at: int | None = node
        while at is not None:
            numbers.append(at)
            at = self.nodes[at].parent
        return tuple(reversed(numbers))


def parlai_score(total: float, length: int, penalty: float) -> float:
    """The sum of log-probabilities by ParlAI's length penalty, that of Wu et al. 2016; start and end count as tokens.

    >>> round(parlai_score(-3.0, 5, 0.65), 6), parlai_score(-3.0, 11, 1.0)
    (-3.0, -1.5)
    """
    return float(np.float32(total) / np.float32(((1 + length) / 6) ** penalty))


def transformers_score(total: float, generated: int, penalty: float) -> float:
    """The sum of log-probabilities by transformers' length penalty; the end counts as a token, the start does not.

    >>> transformers_score(-3.0, 4, 0.5), transformers_score(-3.0, 4, 0.0)
    (-1.5, -3.0)
    """
    return float(np.float32(total) / np.float32(generated**penalty))


def why_no_tree(watched: Watched) -> str:
    """Say why a search has no tree; an empty text where it has one.

    Paths that are drawn, kept in groups or made to hold words are chosen by more than the scores of a step.
    """
    plan = watched.plan
    if plan.search in (BEAM, PARLAI_BEAM):
        if plan.settings.max_time is None and not plan.settings.stop_strings:
            return ""
        return "a search that ends by the clock or by a text is not drawn as a tree"
    if plan.search in (GREEDY, SAMPLE) and plan.width == 1:
        return ""
    return f"{plan.search} is not drawn as a tree; greedy search, sampling with one path and beam searches are"


def search_tree(watched: Watched) -> SearchTree:
    """Build the tree of a search that `why_no_tree` has nothing to say about."""
    plan = watched.plan
    penalty = plan.settings.length_penalty if plan.search in (BEAM, PARLAI_BEAM) else None
    steps = {BEAM: _beam_steps, PARLAI_BEAM: _parlai_steps}.get(plan.search, _path_steps)
    nodes: list[Node] = []
    live: list[int | None] = [None] * len(watched.ids[0])
    for step, choices in enumerate(steps(watched)):
        following: list[int | None] = []
        for choice in choices:
            nodes.append(replace(choice, step=step, parent=live[choice.row]))
            if choice.fate != "ended" or plan.search != BEAM:  # an ended path of ParlAI keeps its place
                following.append(len(nodes) - 1)
        live = following
    marked = _with_fates(nodes)
    tree = SearchTree(plan.search, penalty, tuple(marked), ())
    return replace(tree, finished=tuple(_finished(watched, tree)))


def _with_fates(nodes: list[Node]) -> list[Node]:
    """Mark the nodes that no later node goes on from as dropped, unless they ended or are of the last step."""
    parents = {node.parent for node in nodes}
    last = nodes[-1].step
    return [
        replace(node, fate="dropped")
        if node.fate == "goes on" and number not in parents and (node.step < last or node.total <= HOPELESS / 2)
        else node
        for number, node in enumerate(nodes)
    ]


def _choices(
    log_probs: Array, rows: Iterable[int], tokens: Iterable[int], totals: Iterable[float], ended: Iterable[bool]
) -> list[Node]:
    """Make the nodes of one step; which step, and what they come from, is filled in later."""
    return [
        Node(0, None, int(row), int(token), float(log_probs[row, token]), float(total), "ended" if end else "goes on")
        for row, token, total, end in zip(rows, tokens, totals, ended, strict=True)
    ]


def _parlai_steps(watched: Watched) -> Iterator[list[Node]]:
    eos, running = watched.plan.eos[0], np.zeros(1, np.float32)
    for step, (ids, log_probs) in enumerate(zip(watched.ids, watched.scores, strict=True)):
        running = np.where(ids[: len(running), -1] == eos, HOPELESS, running)
        rows, tokens, running = beam_paths(log_probs, running, step)
        _agree(watched, step, ids[rows], tokens)
        yield _choices(log_probs, rows, tokens, running, (tokens == eos) & (running > HOPELESS))


def _beam_steps(watched: Watched) -> Iterator[list[Node]]:
    """A step's running paths first, so that they are the next step's rows; then those that ended among the best W."""
    plan, beams = watched.plan, watched.plan.num_beams
    running = np.full(beams, NOT_YET)
    running[0] = 0
    for step, (ids, log_probs) in enumerate(zip(watched.ids, watched.scores, strict=True)):
        totals, rows, tokens = top_k_of_sums(log_probs, running, max(2, 1 + len(plan.eos)) * beams)
        ended = np.isin(tokens, plan.eos) | (ids.shape[1] + 1 == plan.max_length)
        order = np.argsort(-(totals + ended * NOT_YET), kind="stable")[:beams]
        running = (totals + ended * NOT_YET)[order]
        _agree(watched, step, ids[rows[order]], tokens[order])
        going = order[~ended[order]]
        over = np.flatnonzero(ended[:beams])
        yield [
            *_choices(log_probs, rows[going], tokens[going], totals[going], ended[going]),
            *_choices(log_probs, rows[over], tokens[over], totals[over], ended[over]),
        ]


def _path_steps(watched: Watched) -> Iterator[list[Node]]:
    total = 0.0
    for step, (ids, scores) in enumerate(zip(watched.ids, watched.scores, strict=True)):
        token = int(watched.record.sequences[0, ids.shape[1]])
        log_probs = log_softmax(scores)
        total += float(log_probs[0, token])
        last = step == len(watched.ids) - 1
        yield _choices(log_probs, [0], [token], [total], [last and token in watched.plan.eos])


def _agree(watched: Watched, step: int, before: Ids, tokens: Ids) -> None:
    """Our own invariant: what is chosen here is what the search went on with."""
    if step + 1 < len(watched.ids):
        assert np.array_equal(watched.ids[step + 1], np.concatenate([before, tokens[:, None]], axis=1))


def _finished(watched: Watched, tree: SearchTree) -> Iterator[FinishedReply]:
    """Yield the finished replies, those that the search returned first, by rank; then the others, best first."""
    if tree.length_penalty is None:
        return
    plan, penalty = watched.plan, tree.length_penalty
    ends = [n for n, node in enumerate(tree.nodes) if node.fate == "ended" and node.total > NOT_YET / 2]
    closed = not ends and plan.search == PARLAI_BEAM  # its best path is closed by an end in place of its last token
    if closed:
        ends = [next(n for n, node in enumerate(tree.nodes) if node.step == tree.nodes[-1].step)]
    returned = _returned(watched)
    found = []
    for number in ends:
        tokens = [tree.nodes[each].token for each in tree.path(number)]
        ids = (plan.start, *tokens[:-1], plan.eos[0] if closed else tokens[-1])
        total, length = tree.nodes[number].total, len(ids)
        rank, score = returned.get(ids, (None, None))
        parlai, other = parlai_score(total, length, penalty), transformers_score(total, length - 1, penalty)
        found.append(FinishedReply(number, ids, total, parlai, other, rank, score))
    own = "parlai" if plan.search == PARLAI_BEAM else "transformers"
    yield from sorted(found, key=lambda each: (each.rank or len(found) + 1, -getattr(each, own)))


def _returned(watched: Watched) -> dict[tuple[int, ...], tuple[int, float]]:
    """The replies that the search returned, each with its rank, from 1, and its score."""
    record, plan = watched.record, watched.plan
    n_best = getattr(record, "n_best", None)
    if n_best is not None:
        return {each.ids: (rank, each.score) for rank, each in reversed(list(enumerate(n_best[0], start=1)))}
    found: dict[tuple[int, ...], tuple[int, float]] = {}
    scores: Array = getattr(record, "sequences_scores")  # noqa: B009  the record of beams has them
    for rank, (row, score) in enumerate(zip(record.sequences, scores, strict=True), start=1):
        if score > NOT_YET / 2:
            found.setdefault(until_end(row, plan), (rank, float(score)))
    return found
