"""An explanation as plain values that JSON can hold, within a limit of bytes: what the page is made of.

Arrays stand in a list of their own, each once, and everything else names them by their number: under two dialects many
of them are the same. If all of it is too large, arrays are left out in the order of `LEVELS`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import accumulate
from typing import Any

from npblender.chat.explanation.blocking import BlockedHere
from npblender.chat.explanation.differences import differences, first_parting
from npblender.chat.explanation.explanation import Explanation
from npblender.chat.explanation.next_tokens import NextToken
from npblender.chat.explanation.packed import pack
from npblender.chat.explanation.passes import Pass
from npblender.chat.explanation.runs import Refusal, Run
from npblender.chat.explanation.search_tree import SearchTree
from npblender.common.array_types import Array
from npblender.common.printable import printable
from npblender.common.version import __version__

FORMAT = "npblender-explanation 1"


@dataclass(frozen=True)
class Level:
    """Which arrays are kept."""

    others: bool = True  # those of the runs behind the first
    vectors: bool = True  # the numbers of the embeddings; else only how long each vector is
    heads: bool = True  # every head's attention; else its average over the heads of a layer
    attention: bool = True
    other_searches: bool = True  # the logit lens and the tree of the runs behind the first
    left_out: str = ""


VECTORS, ARRAYS = "the numbers of the embeddings", "all arrays"
OTHERS = f"{VECTORS}, and attention under other dialects"
HEADS = (
    f"{VECTORS}, attention under other dialects, and single heads: attention is the average over the heads of a layer"
)
_STEPS: tuple[dict[str, Any], ...] = (
    {"vectors": False, "left_out": VECTORS},
    {"others": False, "left_out": OTHERS},
    {"heads": False, "left_out": HEADS},
    {"attention": False, "left_out": ARRAYS},
    {"other_searches": False, "left_out": f"{ARRAYS}, and layers and beams under other dialects"},
)
LEVELS = tuple(accumulate(_STEPS, lambda level, less: replace(level, **less), initial=Level()))
"""From everything to the words alone."""


@dataclass
class Arrays:
    """The arrays of one page, packed, each once."""

    packed: list[dict[str, Any]] = field(default_factory=list)
    numbers: dict[tuple[Any, ...], int] = field(default_factory=dict)

    def add(self, array: Array) -> int:
        """Packs an array unless an equal one is there, and returns its number.

        >>> import numpy as np
        >>> arrays = Arrays()
        >>> arrays.add(np.ones(2)), arrays.add(np.zeros(2)), arrays.add(np.ones(2))
        (0, 1, 0)
        """
        packed = pack(array)
        key = (*packed["shape"], packed["digits"], packed["data"])
        if key not in self.numbers:
            self.numbers[key] = len(self.packed)
            self.packed.append(packed)
        return self.numbers[key]


def as_json(explanation: Explanation, most_bytes: int) -> str:
    """The data of the page as JSON in ASCII, with no `<` in it, at the first level that fits into `most_bytes`.

    Raises:
        ValueError: even without arrays it does not fit.
    """
    text = ""
    for level in LEVELS:
        text = json.dumps(as_data(explanation, level), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
        text = text.replace("<", "\\u003c").replace("&", "\\u0026")
        if len(text) <= most_bytes:
            return text
    raise ValueError(f"the page would hold {len(text):,} bytes without its arrays; {most_bytes:,} are allowed")


def as_data(explanation: Explanation, level: Level = LEVELS[0]) -> dict[str, Any]:
    """The whole explanation as mappings, lists, texts and numbers; what is not finite is a text."""
    arrays = Arrays()
    first = explanation.runs[0]
    runs = [
        {"name": run.name, "refused": run.message}
        if isinstance(run, Refusal)
        else _run(run, first, arrays, level, main=number == 0)
        for number, run in enumerate(explanation.runs)
    ]
    config = explanation.config
    return {
        "format": FORMAT,
        "version": __version__,
        "said": plain(explanation.said),
        "left_out": level.left_out,
        "model": None
        if config is None
        else {
            "D": config.d_model,
            "V": config.vocab_size,
            "encoder_layers": config.encoder_layers,
            "decoder_layers": config.decoder_layers,
            "encoder_heads": config.encoder_attention_heads,
            "decoder_heads": config.decoder_attention_heads,
        },
        "runs": plain(runs),
        "compared": plain(None if explanation.compared is None else asdict(explanation.compared)),
        "arrays": arrays.packed,
    }


def _run(run: Run, first: Run | Refusal, arrays: Arrays, level: Level, *, main: bool) -> dict[str, Any]:
    keeps, searches = level.attention and (main or level.others), main or level.other_searches
    other = None
    if not main and isinstance(first, Run):
        other = {
            "lines": [asdict(line) for line in differences(first, run)],
            "parts_at": first_parting(first, run),
        }
    return {
        "name": run.name,
        "tokens": {str(index): token for index, token in run.tokens.items()},
        "pieces": [
            {
                **{name: getattr(piece, name) for name in ("piece", "word", "tokens", "ids")},
                "merges": [(merge.rank, merge.left, merge.right, merge.symbols) for merge in piece.merges],
            }
            for piece in run.pieces
        ],
        **{name: getattr(run, name) for name in ("source", "target", "chosen", "reply", "score", "search", "settings")},
        "embedded": _embedded(run.passed, arrays, level, keeps),
        "attention": _attention(run.passed, arrays, level) if keeps else {},
        "steps": [_step(step) for step in run.steps],
        "blocked": [_blocked(here) for here in run.blocked],
        "lens": [[_step(step) for step in layer] for layer in run.lens] if searches else [],
        "tree": None if run.tree is None or not searches else _tree(run.tree, run.tree_blocked),
        "notes": run.notes,
        "differences": other,
    }


def _embedded(passed: Pass, arrays: Arrays, level: Level, keeps: bool) -> list[dict[str, Any]]:
    return [
        {
            "point": each.point,
            "lengths": arrays.add(each.lengths),
            "rows": arrays.add(each.rows) if keeps and level.vectors else None,
        }
        for each in passed.embedded
    ]


def _attention(passed: Pass, arrays: Arrays, level: Level) -> dict[str, Any]:
    found = {}
    for kind, weights in (passed.attentions or {}).items():  # [N, H, T, L]
        average = weights.astype("float64").mean(axis=1)
        found[kind] = {
            "heads": arrays.add(weights) if level.heads else None,
            "average": arrays.add(average),
        }
    return found


def _step(step: NextToken) -> dict[str, Any]:
    return {"best": step.best, "chosen": step.chosen, "p": step.probability, "rank": step.rank}


def _blocked(here: BlockedHere) -> dict[str, Any]:
    return {
        "count": here.count,
        "tokens": [(each.token, each.probability, each.reason, each.ngram) for each in here.tokens],
    }


def _tree(tree: SearchTree, blocked: Sequence[BlockedHere]) -> dict[str, Any]:
    """The tree without nodes whose scores are hopeless: they fill places only."""
    shown = [number for number, node in enumerate(tree.nodes) if node.total > -1e8]
    place = {number: at for at, number in enumerate(shown)}
    distinct: dict[int, int] = {}
    records: list[dict[str, Any]] = []
    for number in shown:
        if id(blocked[number]) not in distinct:
            distinct[id(blocked[number])] = len(records)
            records.append(_blocked(blocked[number]))
    nodes = [tree.nodes[number] for number in shown]
    return {
        "search": tree.search,
        "length_penalty": tree.length_penalty,
        "nodes": [
            {
                "step": node.step,
                "parent": None if node.parent is None else place[node.parent],
                "row": node.row,
                "token": node.token,
                "log_prob": node.log_prob,
                "total": node.total,
                "fate": node.fate,
                "blocked": distinct[id(blocked[number])],
            }
            for number, node in zip(shown, nodes, strict=True)
        ],
        "blocked": records,
        "finished": [{**asdict(each), "node": place[each.node]} for each in tree.finished],
    }


def plain(value: Any) -> Any:
    """Turn a value into one that JSON can hold: nine digits, which are all of a float32's; infinity and NaN as texts.

    >>> plain((1 / 3, float("nan"), float("-inf"), None))
    [0.333333333, 'nan', '-inf', None]
    """
    if isinstance(value, float):
        return float(f"{value:.9g}") if float("-inf") < value < float("inf") else str(value)
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return printable(value) if isinstance(value, str) else value
