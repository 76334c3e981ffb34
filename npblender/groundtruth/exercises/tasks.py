"""The ten tasks: for each a function's name, the cases it is given, what is right, and usual mistakes.

What is right is computed by the package in float64; the tests hold it to independent definitions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender import ops
from npblender.common.array_types import Array
from npblender.groundtruth.exercises import mistakes
from npblender.groundtruth.exercises.encoder_pass import encoder_of_the_demo, encoder_with
from npblender.groundtruth.exercises.mistakes import Mistakes, NextLogits, Ranks
from npblender.tokenizer.bpe import BytePairEncoding, symbols_of_word
from npblender.transformer.attention import split_heads


@dataclass(frozen=True)
class Case:
    """One call: what it is about, and its arguments."""

    says: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Task:
    """One task of the exercises.

    `right` makes the right answer to the arguments of a case. The file's is what the one function of `needs` gives, or
    what `answer` makes of its functions. `parts` names what a result of several parts consists of.
    """

    number: int
    title: str
    needs: tuple[str, ...]  # the functions of the skeleton that the answer is made of
    cases: tuple[Case, ...]
    right: Callable[..., Any]
    mistakes: Mistakes = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    answer: Callable[..., Any] | None = None

    def compute(self, functions: Mapping[str, Callable[..., Any]], *arguments: Any) -> Any:
        """Make the answer of a file's functions, by name."""
        return self.answer(functions, *arguments) if self.answer else functions[self.needs[0]](*arguments)


def _numbers(*shape: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal(shape)


# --- What is right.


def merged(word: str, ranks: Ranks) -> list[str]:
    """The symbols of a word after its last merge.

    >>> merged("low", {("l", "o"): 0})
    ['lo', 'w</w>']
    """
    rounds = list(BytePairEncoding(sorted(ranks, key=ranks.__getitem__)).merges(word))
    return list(rounds[-1].symbols) if rounds else symbols_of_word(word)


# --- Cases.

RANKS: Ranks = {("l", "o"): 0, ("lo", "w"): 1, ("e", "r</w>"): 2, ("w", "e"): 3, ("a", "a"): 4}


def table_of(logits: Array) -> NextLogits:
    """Logits [calls, V] that depend on how many ids there are: row n for n + 1 ids; the last one from there on."""
    return lambda ids: logits[min(len(ids), len(logits)) - 1]


REPLY = np.array([[0.0, 2.0, 1.0, 0.5], [0.1, 0.2, 3.0, 3.0], [1.0, 0.0, 0.0, 5.0]])
ENDLESS = np.array([[0.0, 0.0, 1.0, -1.0]])
LOG_PROBS = np.log(np.array([[0.7, 0.2, 0.1], [0.05, 0.9, 0.05]]))
CAUSAL = np.tri(3, dtype=np.bool_)
EVERYTHING = np.ones((3, 4), np.bool_)

TASKS: tuple[Task, ...] = (
    Task(
        1,
        "merge the letters of a word",
        ("merge_word",),
        (
            Case("'lower', with three merges", ("lower", RANKS)),
            Case("'wer', where two pairs share the e", ("wer", RANKS)),
            Case("'aaax', whose pair overlaps itself", ("aaax", RANKS)),
            Case("'x', which has no pair", ("x", RANKS)),
            Case("'lowlow', where a merge has two places", ("lowlow", RANKS)),
        ),
        merged,
        mistakes.MERGES,
    ),
    Task(
        2,
        "softmax",
        ("softmax",),
        (
            Case("two rows of three numbers", (np.array([[0.0, 1.0, 2.0], [3.0, -1.0, 0.5]]),)),
            Case("numbers around 1000", (np.array([1000.0, 1001.0, 998.0]),)),
            Case("[2, 2, 4] numbers", (_numbers(2, 2, 4),)),
        ),
        ops.softmax,
        mistakes.SOFTMAX,
    ),
    Task(
        3,
        "LayerNorm",
        ("layer_norm",),
        (
            Case("two rows of four numbers", (_numbers(2, 4), np.ones(4), np.zeros(4))),
            Case("a scale and a shift", (_numbers(3, 5, seed=1), _numbers(5, seed=2), _numbers(5, seed=3))),
            Case("small numbers, where 1e-5 counts", (0.001 * _numbers(2, 6, seed=4), np.ones(6), np.zeros(6))),
        ),
        ops.layer_norm,
        mistakes.LAYER_NORM,
    ),
    Task(
        4,
        "GELU",
        ("gelu",),
        (
            Case("seven numbers from -3 to 3", (np.linspace(-3, 3, 7),)),
            Case("[2, 3] numbers", (_numbers(2, 3, seed=5),)),
        ),
        ops.gelu,
        mistakes.GELU,
    ),
    Task(
        5,
        "cut a state into heads",
        ("split_heads",),
        (
            Case("[3, 4] into two heads", (np.arange(12.0).reshape(3, 4), 2)),
            Case("[3, 12] into four heads", (_numbers(3, 12, seed=6), 4)),
        ),
        lambda x, heads: split_heads(x[None], heads)[0],  # [T, D] -> [H, T, K]
        mistakes.SPLIT_HEADS,
    ),
    Task(
        6,
        "attention to everything",
        ("attention",),
        (
            Case(
                "two heads, three queries, four keys",
                (_numbers(2, 3, 4, seed=7), _numbers(2, 4, 4, seed=8), _numbers(2, 4, 4, seed=9), EVERYTHING),
            ),
        ),
        mistakes.attended,
        mistakes.ATTENTION,
    ),
    Task(
        7,
        "attention with a mask",
        ("attention",),
        (
            Case("three tokens, causal", (*(_numbers(2, 3, 4, seed=seed) for seed in (10, 11, 12)), CAUSAL)),
            Case(
                "one new token, five keys, the first a pad",
                (*(_numbers(1, n, 8, seed=seed) for n, seed in ((1, 13), (5, 14), (5, 15))), np.arange(5)[None] > 0),
            ),
        ),
        mistakes.attended,
        mistakes.ATTENTION,
    ),
    Task(
        8,
        "the demo's encoder with your functions",
        ("layer_norm", "split_heads", "attention", "gelu"),
        (Case("'do you have any pets ?', every point", ("do you have any pets ?",)),),
        encoder_of_the_demo,
        answer=encoder_with,
    ),
    Task(
        9,
        "greedy search",
        ("greedy_reply",),
        (
            Case("a reply of three tokens, with a tie", (table_of(REPLY), 0, 3, 10)),
            Case("no end before the limit", (table_of(ENDLESS), 0, 3, 5)),
        ),
        mistakes.replied,
        mistakes.GREEDY,
    ),
    Task(
        10,
        "one step of a beam search",
        ("beam_step",),
        (
            Case("two beams, three tokens", (LOG_PROBS, np.array([-0.5, -1.2]), 3)),
            Case("the first step, one beam", (LOG_PROBS[:1], np.zeros(1), 2)),
            Case("four beams, nine tokens", (_numbers(4, 9, seed=16), _numbers(4, seed=17), 4)),
        ),
        mistakes.stepped,
        mistakes.BEAM_STEP,
        parts=("beams", "tokens", "sums"),
    ),
)


def by_number(number: int) -> Task:
    """The task of a number, from 1 to 10.

    >>> by_number(3).title
    'LayerNorm'
    """
    if not 1 <= number <= len(TASKS):
        raise ValueError(f"there is no task {number}; the tasks are numbered from 1 to {len(TASKS)}")
    return TASKS[number - 1]
