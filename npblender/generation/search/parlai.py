"""ParlAI's searches: one tree of hypotheses for each source (TreeSearch of ParlAI's torch_generator_agent).

    log-probabilities -> blocks -> select paths -> collect what ended, until the best path has ended once and as many
    have ended as there are beams; then every finished hypothesis is rescored by its length

A path that has ended keeps its place with a hopeless score instead of making room, the finished list may be longer or
shorter than the beam, and a search that meets its limit with nothing finished has its best path closed by an eos in
place of the last token. Steps, lengths and scores are counted as ParlAI counts them; arithmetic is float32. W is the
number of paths of a source.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from npblender.common.array_types import Array, Ids
from npblender.config.searches import PARLAI_BEAM, PARLAI_DELAYED
from npblender.generation.decoder_state import DecoderState
from npblender.generation.logits.chain import Processor, apply, probabilities, to_float32
from npblender.generation.logits.processors import completions
from npblender.generation.logits.sampling import draw
from npblender.generation.logits.top_k import top_k, top_k_of_sums
from npblender.generation.outputs import GenerateBeamEncoderDecoderOutput, Hypothesis, StepRecord
from npblender.generation.plan import Plan
from npblender.ops import unchecked as ops
from npblender.transformer.execution import NO_LIMIT, run

HOPELESS = np.float32(-1e20)
"""ParlAI's minus infinity in float32: what a blocked token scores, and a path that has ended."""

Select: TypeAlias = Callable[[Array, Array, int], tuple[Ids, Ids, Array]]
"""Log-probabilities [W, V], scores so far [W] or [1], tokens so far -> paths [W], tokens [W] and new scores [W]."""


# --- How paths go on: log-probabilities [W, V] and the scores so far to the next paths, tokens and scores, [W] each.


def beam_paths(log_probs: Array, scores: Array, length: int) -> tuple[Ids, Ids, Array]:
    """Choose the W best continuations of all paths together; of the first path alone while there is only one score.

    >>> beam_paths(np.log(np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])), np.array([0.0, -9.0]), 1)[:2]
    (array([0, 0]), array([0, 1]))
    """
    best, rows, tokens = top_k_of_sums(log_probs[: len(scores)], scores, len(log_probs))
    return rows, tokens, best


def top_k_paths(k: int, rng: np.random.Generator) -> Select:
    """Make a choice in which every path draws one of its own k most probable tokens (Fan et al. 2018)."""

    def select(log_probs: Array, scores: Array, length: int) -> tuple[Ids, Ids, Array]:
        paths = np.arange(len(log_probs))
        candidates = [top_k(row, min(k, len(row))) for row in log_probs]
        values = np.stack([value for value, _ in candidates])  # [W, k]
        tokens = np.stack([token for _, token in candidates])
        choices = draw(probabilities(values), rng)
        return paths, tokens[paths, choices], scores + values[paths, choices]

    return select


def nucleus_paths(p: float, rng: np.random.Generator) -> Select:
    """Make a choice in which every path draws one of its most probable tokens that make up p (Holtzman et al. 2020).

    The path's score grows by the logarithm of the probability after truncation, as in ParlAI.
    """

    def select(log_probs: Array, scores: Array, length: int) -> tuple[Ids, Ids, Array]:
        paths = np.arange(len(log_probs))
        shares = probabilities(log_probs)
        order = np.argsort(-shares, axis=1, kind="stable")
        ordered = np.take_along_axis(shares, order, axis=1)
        before = np.cumsum(ordered, axis=1, dtype=np.float64).astype(np.float32) - ordered
        kept = np.where(before >= np.float32(p), np.float32(0), ordered)
        kept /= kept.sum(axis=1, keepdims=True)
        choices = draw(kept, rng)
        return paths, order[paths, choices], scores + np.log(kept[paths, choices])

    return select


def select_of(plan: Plan, rng: np.random.Generator | None) -> Select:
    """Return how the paths of the planned search go on; `rng` is for the searches that draw."""
    if plan.search == PARLAI_BEAM:
        return beam_paths
    assert rng is not None
    p, k = plan.settings.top_p, plan.settings.top_k
    sampled = top_k_paths(k, rng) if p is None and k else nucleus_paths(1.0 if p is None else p, rng)
    if plan.search != PARLAI_DELAYED:
        return sampled
    delay = plan.settings.beam_delay or 0  # Massarelli et al. 2019: the first tokens are drawn, the others searched for
    return lambda log_probs, scores, length: (sampled if length < delay else beam_paths)(log_probs, scores, length)


# --- The hypotheses of one source.


@dataclass(frozen=True)
class Rules:
    """The parameters of one search: ParlAI's options by our names."""

    beams: int
    eos: int
    min_length: int  # no eos while the target, its start included, is shorter
    length_penalty: float
    block_ngram: int  # 0 = repeat freely
    context_block_ngram: int  # 0 = quote freely
    block_list: tuple[tuple[int, ...], ...]  # phrases never said
    select: Select
    only_allowed: bool = False  # prefix_allowed_tokens_fn, which ParlAI lacks: what it leaves out is never said


def rules_of(plan: Plan, rng: np.random.Generator | None, only_allowed: bool = False) -> Rules:
    """Return the parameters of a plan's search."""
    settings = plan.settings
    assert settings.length_penalty is not None
    return Rules(
        beams=plan.width,
        eos=plan.eos[0],
        min_length=plan.min_length,
        length_penalty=settings.length_penalty,
        block_ngram=settings.no_repeat_ngram_size or 0,
        context_block_ngram=settings.encoder_no_repeat_ngram_size or 0,
        block_list=settings.bad_words_ids or (),
        select=select_of(plan, rng),
        only_allowed=only_allowed,
    )


@dataclass
class Tree:
    """The hypotheses of one source.

    The tokens of `prefix`, ParlAI's prefix tokens, come first: each is the only one possible in its place. Their
    log-probabilities count in the scores, and they count in every length.
    """

    rules: Rules
    context: Ids  # [S]: the source's ids
    paths: Ids  # [W, L]: the ids so far; at first the start token in every row
    prefix: Ids  # [P]
    scores: Array = field(default_factory=lambda: np.zeros(1, np.float32))  # one path is expanded at first; then [W]
    finished: list[tuple[np.float32, int, int]] = field(default_factory=list)  # score, length, row at that length
    top_has_ended: bool = False
    histories: list[tuple[Ids, Ids, Array]] = field(default_factory=list)  # a step: parents, tokens, scores

    @property
    def is_done(self) -> bool:
        """Whether the best path has ended in some step, and as many have as there are beams."""
        return self.top_has_ended and len(self.finished) >= self.rules.beams

    def block(self, log_probs: Array) -> None:
        """Make hopeless what may not come next: an early eos, repeated and quoted n-grams, listed phrases. In place.

        log_probs [W, V]. A token of the prefix is never blocked, and in its place no other is possible.
        """
        rules, length = self.rules, self.paths.shape[1]
        if length <= len(self.prefix):
            token = self.prefix[length - 1]
            log_probs[:, :token] = log_probs[:, token + 1 :] = HOPELESS
            return
        if length < rules.min_length:
            log_probs[:, rules.eos] = HOPELESS
        if rules.block_ngram:
            block_ngrams(log_probs, self.paths, self.paths, rules.block_ngram)
        block_phrases(log_probs, self.paths, rules.block_list)
        if rules.context_block_ngram:
            sources = np.broadcast_to(self.context, (len(self.paths), len(self.context)))
            block_ngrams(log_probs, self.paths, sources, rules.context_block_ngram)

    def give_up_dead_ends(self, log_probs: Array) -> None:
        """Make the score of every path hopeless that nothing possible can follow. In place.

        Raises:
            ValueError: it is all of them, and none has ended.
        """
        possible = (log_probs[: len(self.scores)] > HOPELESS).any(axis=1)
        if not self.finished and not (possible & (self.scores > HOPELESS)).any():
            raise ValueError(
                f"prefix_allowed_tokens_fn allows only what is blocked after {self.paths[0].tolist()}: by "
                "bad_words_ids, no_repeat_ngram_size, encoder_no_repeat_ngram_size or min_length; allow more, or "
                "switch one off, as no_repeat_ngram_size=None does"
            )
        log_probs[: len(self.scores)][~possible] = HOPELESS
        self.scores = np.where(possible, self.scores, HOPELESS)

    def advance(self, log_probs: Array) -> None:
        """Go on by one token. Its log-probabilities [W, V] are changed in place."""
        rules, length = self.rules, self.paths.shape[1]
        self.scores = np.where(self.paths[: len(self.scores), -1] == rules.eos, HOPELESS, self.scores)
        self.block(log_probs)
        if rules.only_allowed:
            self.give_up_dead_ends(log_probs)
        rows, tokens, self.scores = rules.select(log_probs, self.scores, length - 1)
        self.paths = np.concatenate([self.paths[rows], tokens[:, None]], axis=1)
        self.histories.append((rows, tokens, self.scores))
        for row in np.flatnonzero(tokens == rules.eos):
            if self.scores[row] > HOPELESS:
                self.finished.append((self.scores[row], length + 1, int(row)))
        self.top_has_ended |= bool(tokens[0] == rules.eos)

    def n_best(self) -> tuple[list[Hypothesis], list[list[int]]]:
        """Return every finished hypothesis, best first, and for each the row that every token of it was chosen in."""
        rules = self.rules
        closed = not self.finished
        best = int(np.argmax(self.scores > HOPELESS)) if rules.only_allowed else 0  # drawn paths are in no order
        finished = self.finished or [(self.scores[best], self.paths.shape[1], best)]
        scored = [(score / np.float32(((1 + n) / 6) ** rules.length_penalty), n, row) for score, n, row in finished]
        scored.sort(key=lambda each: each[0], reverse=True)  # stable: equals stay in the order in which they ended
        hypotheses, origins = [], []
        for score, length, row in scored:
            tokens, rows = [], []
            for step in range(length - 2, -1, -1):
                came_from, chosen, _ = self.histories[step]
                tokens.append(int(chosen[row]))
                row = int(came_from[row])
                rows.append(row)
            ids = [int(self.paths[0, 0]), *reversed(tokens)]
            if closed:
                ids[-1] = rules.eos
            hypotheses.append(Hypothesis(tuple(ids), float(score)))
            origins.append(rows[::-1])
        return hypotheses, origins


def block_ngrams(log_probs: Array, paths: Ids, sources: Ids, size: int) -> None:
    """Make every token hopeless that would complete an n-gram of its row's source; in place.

    log_probs [W, V], paths [W, L], sources [W, M]: the paths themselves, or the context.

    >>> log_probs = np.zeros((1, 10))
    >>> block_ngrams(log_probs, np.array([[1, 7, 8, 9, 7]]), np.array([[1, 7, 8, 9, 7]]), 2)
    >>> np.flatnonzero(log_probs)
    array([8])
    """
    rows, tokens = completions(paths, sources, size)
    log_probs[rows, tokens] = HOPELESS


def block_phrases(log_probs: Array, paths: Ids, phrases: Sequence[tuple[int, ...]]) -> None:
    """Make every token hopeless that would complete one of the phrases; in place.

    >>> log_probs = np.zeros((1, 4))
    >>> block_phrases(log_probs, np.array([[1, 2]]), [(2, 3), (1, 0)])
    >>> np.flatnonzero(log_probs)
    array([3])
    """
    length, newest = paths.shape[1], set(paths[:, -1].tolist())
    for phrase in phrases:
        *begin, token = phrase
        # Of many phrases few have begun in any path; the paths' last ids rule out most of them.
        if not begin or (begin[-1] in newest and len(begin) <= length):
            rows = (paths[:, length - len(begin) :] == begin).all(axis=1)
            log_probs[rows, token] = HOPELESS


# --- The search over all sources.


def search_parlai(
    plan: Plan,
    decoder: DecoderState,
    chain: list[Processor],
    rng: np.random.Generator | None,
    *,
    only_allowed: bool = False,
) -> Generator[Ids, None, GenerateBeamEncoderDecoderOutput]:
    """Search with one decoder call a step for all sources and beams, then one step of every tree.

    Yields each step's tokens if there is one beam, nothing otherwise; returns the record of all sources.

    With `only_allowed` it is an error if nothing has ended and nothing is possible; without, ParlAI goes on hopelessly.

    A token is yielded one step late, since the last one before the limit may be replaced by the eos.
    """
    beams = plan.width
    trees = _trees(plan, decoder, rules_of(plan, rng, only_allowed))
    ids = decoder.prompts()[:, :1]
    record = StepRecord(plan, decoder)
    deadline = plan.deadline()
    waiting: Ids | None = None
    while True:
        logits = decoder.logits(ids)[:, 0]
        log_probs = apply(chain, ids, log_probabilities(logits, plan.settings.temperature or 1.0), owned=True)
        by_tree = log_probs.reshape(len(trees), beams, -1)  # [B * W, V] -> [B, W, V]
        rows = np.arange(len(ids)).reshape(len(trees), beams)
        tokens = np.full((len(trees), beams), plan.pad, np.int64)
        for n, tree in enumerate(trees):
            if not tree.is_done:
                tree.advance(by_tree[n])
                rows[n] = n * beams + tree.histories[-1][0]
                tokens[n] = tree.histories[-1][1]
        record.step(logits, log_probs)
        if beams == 1:
            if waiting is not None:
                yield waiting
            waiting = tokens[:, 0]
        late = deadline is not None and time.monotonic() > deadline
        ids = np.concatenate([ids[rows.reshape(-1)], tokens.reshape(-1, 1)], axis=1)
        if late or ids.shape[1] == plan.max_length or all(tree.is_done for tree in trees):
            break
        decoder.keep(rows.reshape(-1))
    results = [tree.n_best() for tree in trees]
    if waiting is not None:
        ended = [len(tree.histories) < ids.shape[1] - 1 for tree in trees]
        closing = [hypotheses[0].ids[-1] for hypotheses, _ in results]
        yield np.where(ended, waiting, np.array(closing))
    return _record(plan, record, results)


def log_probabilities(logits: Array, temperature: float) -> Array:
    """Return the log-softmax, in float32 whatever the model computes in: ParlAI's `_generation_activation`."""
    scaled = logits if temperature == 1 else logits / logits.dtype.type(temperature)
    return run(NO_LIMIT, ops.log_softmax, to_float32(scaled))


def _trees(plan: Plan, decoder: DecoderState, rules: Rules) -> list[Tree]:
    """Make a tree for each source. To the context block, what a mask hides is a pad, as everywhere in ParlAI.

    With `beam_block_full_context` the context is what the source was cut from, where the caller gives it.
    """
    encoded = decoder.encoded
    prompt, context = encoded.prompt, encoded.source_ids
    if encoded.full_source_ids is not None:
        context = encoded.full_source_ids
    elif context is None:
        context = np.empty((len(prompt), 0), np.int64)
    elif encoded.attention_mask is not None and plan.pad is not None:
        context = np.where(encoded.attention_mask, context, plan.pad)
    return [
        Tree(rules, source, np.full((plan.width, 1), plan.start), given[1:])
        for source, given in zip(context, prompt, strict=True)
    ]


def _record(
    plan: Plan, record: StepRecord, results: list[tuple[list[Hypothesis], list[list[int]]]]
) -> GenerateBeamEncoderDecoderOutput:
    """Record the best replies of every source as padded rows; a missing one is all pads and scores -inf."""
    count, beams = plan.num_return_sequences, plan.width
    longest = max(len(each.ids) for hypotheses, _ in results for each in hypotheses[:count])
    sequences = np.full((len(results) * count, longest), plan.pad, np.int64)
    scores = np.full(len(sequences), -np.inf, np.float32)
    indices = np.full((len(sequences), longest - 1), -1, np.int64)
    for n, (hypotheses, origins) in enumerate(results):
        for rank, (hypothesis, rows) in enumerate(zip(hypotheses[:count], origins, strict=False)):
            row = n * count + rank
            sequences[row, : len(hypothesis.ids)] = hypothesis.ids
            scores[row] = hypothesis.score
            indices[row, : len(rows)] = np.array(rows) + n * beams
    n_best = tuple(tuple(hypotheses) for hypotheses, _ in results)
    return record.of_beams(sequences, scores, indices, n_best)
