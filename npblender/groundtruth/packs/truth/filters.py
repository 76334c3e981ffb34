"""Defines the logits processors row by row and token by token, in Python's float64: the truth of packs.

They are plain loops over lists that share no code with `npblender.generation`. A filter takes one row of scores, the
row's ids so far and the parameters, and returns the row's new scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

Row: TypeAlias = list[float]
Ids: TypeAlias = Sequence[int]
NEVER = -math.inf


def _blocked(scores: Row, tokens: Sequence[int], score: float = NEVER) -> Row:
    return [score if token in tokens else value for token, value in enumerate(scores)]


def _forced(scores: Row, tokens: Sequence[int]) -> Row:
    return [0.0 if token in tokens else NEVER for token in range(len(scores))]


def _probabilities(scores: Row) -> Row:
    largest = max(scores)
    powers = [math.exp(value - largest) for value in scores]
    total = math.fsum(powers)
    return [power / total for power in powers]


def _kept(scores: Row, keep: set[int]) -> Row:
    return [value if token in keep else NEVER for token, value in enumerate(scores)]


def _best_first(values: Row) -> list[int]:
    return sorted(range(len(values)), key=lambda token: -values[token])


def _until(scores: Row, order: Sequence[int], probabilities: Row, mass: float) -> Row:
    """Keep tokens in an order until they have a probability together."""
    keep, total = set(), 0.0
    for token in order:
        keep.add(token)
        total += probabilities[token]
        if total >= mass:
            break
    return _kept(scores, keep)


def _entropy(probabilities: Row) -> float:
    return -math.fsum(p * math.log(p) for p in probabilities)


def min_length(scores: Row, ids: Ids, *, shortest: int, eos: Ids) -> Row:
    """Block the end while the target, its start included, is shorter."""
    return _blocked(scores, eos) if len(ids) < shortest else scores


def forced_bos(scores: Row, ids: Ids, *, token: int) -> Row:
    """Allow only this token after a lone start."""
    return _forced(scores, [token]) if len(ids) == 1 else scores


def forced_eos(scores: Row, ids: Ids, *, longest: int, tokens: Ids) -> Row:
    """Allow only an end as the last token before the limit."""
    return _forced(scores, tokens) if len(ids) == longest - 1 else scores


def suppress(scores: Row, ids: Ids, *, tokens: Ids) -> Row:
    """Block these tokens."""
    return _blocked(scores, tokens)


def begin_suppress(scores: Row, ids: Ids, *, first: int, tokens: Ids) -> Row:
    """Block these tokens at one place of the target."""
    return _blocked(scores, tokens) if len(ids) == first else scores


def repetition_penalty(scores: Row, ids: Ids, *, penalty: float) -> Row:
    """Lower the scores of tokens that have been said (Keskar et al. 2019)."""
    return [
        (value * penalty if value < 0 else value / penalty) if token in ids else value
        for token, value in enumerate(scores)
    ]


def no_repeat_ngram(scores: Row, ids: Ids, *, size: int, source: Ids | None = None, hopeless: float = NEVER) -> Row:
    """Block tokens that complete an n-gram of the target, or of the source, again."""
    read = ids if source is None else source
    ending = list(ids[len(ids) - size + 1 :]) if size > 1 else []
    if len(ids) < size - 1:
        return scores
    banned = [read[n + size - 1] for n in range(len(read) - size + 1) if list(read[n : n + size - 1]) == ending]
    return _blocked(scores, banned, hopeless)


def bad_words(scores: Row, ids: Ids, *, phrases: Sequence[Ids], hopeless: float = NEVER) -> Row:
    """Block the last token of a phrase after its others."""
    banned = [p[-1] for p in phrases if len(p) == 1 or list(ids[-(len(p) - 1) :]) == list(p[:-1])]
    return _blocked(scores, banned, hopeless)


def sequence_bias(scores: Row, ids: Ids, *, biases: Sequence[tuple[Ids, float]]) -> Row:
    """Add a bias to the last token of a phrase after its others."""
    biased = list(scores)
    for phrase, bias in biases:
        if len(phrase) == 1 or list(ids[-(len(phrase) - 1) :]) == list(phrase[:-1]):
            biased[phrase[-1]] += bias
    return biased


def exponential_decay(scores: Row, ids: Ids, *, start: int, factor: float, eos: Ids) -> Row:
    """Raise the score of the end with every token beyond a length."""
    if len(ids) <= start:
        return scores
    gain = factor ** (len(ids) - start) - 1
    return [value + abs(value) * gain if token in eos else value for token, value in enumerate(scores)]


def allowed_tokens(scores: Row, ids: Ids, *, allowed: Ids) -> Row:
    """Allow only these tokens."""
    return _kept(scores, set(allowed))


def remove_invalid(scores: Row, ids: Ids) -> Row:
    """Replace NaN by 0 and infinities by float32's largest numbers."""
    largest = 3.4028234663852886e38
    return [0.0 if math.isnan(value) else min(max(value, -largest), largest) for value in scores]


def temperature(scores: Row, ids: Ids, *, value: float) -> Row:
    """Divide scores by a number."""
    return [score / value for score in scores]


def top_k(scores: Row, ids: Ids, *, k: int) -> Row:
    """Keep the k best (Fan et al. 2018)."""
    least = sorted(scores, reverse=True)[min(k, len(scores)) - 1]
    return [value if value >= least else NEVER for value in scores]


def top_p(scores: Row, ids: Ids, *, p: float) -> Row:
    """Keep the fewest best that reach probability p together (Holtzman et al. 2020)."""
    return _until(scores, _best_first(scores), _probabilities(scores), p)


def min_p(scores: Row, ids: Ids, *, share: float) -> Row:
    """Keep tokens of at least a share of the best one's probability (Nguyen et al. 2024)."""
    probabilities = _probabilities(scores)
    least = share * max(probabilities)
    return _kept(scores, {token for token, p in enumerate(probabilities) if p >= least})


def typical(scores: Row, ids: Ids, *, mass: float) -> Row:
    """Keep those whose information is nearest to the entropy, until they reach a mass (Meister et al. 2023)."""
    probabilities = _probabilities(scores)
    entropy = _entropy(probabilities)
    order = sorted(range(len(scores)), key=lambda token: abs(-math.log(probabilities[token]) - entropy))
    return _until(scores, order, probabilities, mass)


def epsilon(scores: Row, ids: Ids, *, cutoff: float) -> Row:
    """Keep tokens of at least this probability (Hewitt et al. 2022)."""
    probabilities = _probabilities(scores)
    best = _best_first(scores)[0]
    return _kept(scores, {best, *(token for token, p in enumerate(probabilities) if p >= cutoff)})


def eta(scores: Row, ids: Ids, *, cutoff: float) -> Row:
    """Keep tokens above a threshold that falls with the entropy (Hewitt et al. 2022)."""
    return epsilon(scores, ids, cutoff=min(cutoff, math.sqrt(cutoff) * math.exp(-_entropy(_probabilities(scores)))))


FILTERS: Mapping[str, Callable[..., Row]] = {
    each.__name__: each
    for each in (
        *(min_length, forced_bos, forced_eos, suppress, begin_suppress, repetition_penalty, no_repeat_ngram),
        *(bad_words, sequence_bias, exponential_decay, allowed_tokens, remove_invalid),
        *(temperature, top_k, top_p, min_p, typical, epsilon, eta),
    )
}


def apply(name: str, scores: list[Row], ids: list[list[int]], parameters: Mapping[str, Any]) -> list[Row]:
    """Apply a filter to every row; `sources` among the parameters gives each row its own `source`.

    >>> apply("top_k", [[1.0, 3.0, 2.0]], [[1]], {"k": 2})
    [[-inf, 3.0, 2.0]]
    """
    given = dict(parameters)
    sources = given.pop("sources", None)
    own: list[dict[str, Any]] = [{} if sources is None else {"source": each} for each in sources or scores]
    return [FILTERS[name](row, target, **given, **extra) for row, target, extra in zip(scores, ids, own, strict=True)]
