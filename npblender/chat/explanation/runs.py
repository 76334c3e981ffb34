"""One source under one dialect: its pieces, the search for a reply, and one pass over both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from npblender.chat.explanation.blocking import BlockedHere, blocked_at
from npblender.chat.explanation.lens import logit_lens
from npblender.chat.explanation.next_tokens import NextToken, next_tokens
from npblender.chat.explanation.passes import Pass, run_pass
from npblender.chat.explanation.pieces import Piece, tokens_of
from npblender.chat.explanation.search_tree import SearchTree, search_tree, why_no_tree
from npblender.chat.explanation.searching import Asked, watch_search
from npblender.tokenizer import BlenderbotSmallTokenizer


@dataclass(frozen=True)
class Run:
    """All that is shown of one run. S source tokens, T tokens that the decoder read, its start token first."""

    name: str
    source: tuple[int, ...]  # [S]
    target: tuple[int, ...]  # [T]
    chosen: tuple[int | None, ...]  # [T]: the token that followed each of them
    tokens: Mapping[int, str]  # what each id that occurs is called
    passed: Pass
    pieces: tuple[Piece, ...] = ()
    reply: str = ""
    score: float | None = None
    search: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[NextToken, ...] = ()  # [T]
    blocked: tuple[BlockedHere, ...] = ()  # [T]; empty where the search did not follow this reply
    lens: tuple[tuple[NextToken, ...], ...] = ()  # N + 1 of [T]
    tree: SearchTree | None = None
    tree_blocked: tuple[BlockedHere, ...] = ()  # by node: what was blocked when it was chosen
    notes: tuple[str, ...] = ()

    def word(self, index: int) -> str:
        """What an id is called; its number where no tokenizer says.

        >>> Run("a", (5,), (1,), (6,), {6: "low"}, Pass()).word(6), Run("a", (5,), (1,), (6,), {}, Pass()).word(6)
        ('low', '#6')
        """
        return self.tokens.get(index, f"#{index}")


@dataclass(frozen=True)
class Refusal:
    """A dialect that cannot run this, and why."""

    name: str
    message: str


def explain_run(asked: Asked) -> Run:
    """Search for the reply, and looks at one pass over source and reply.

    Raises:
        ValueError: a source without tokens or too long, or a search that cannot be carried out.
    """
    model, source = asked.model, asked.source
    if not source:
        raise ValueError("the text becomes no token; say something with letters in it")
    watched = watch_search(asked)
    reply = watched.reply if asked.reply is None else asked.reply
    target, chosen = reply[:-1], reply[1:]
    if not target:
        raise ValueError("the reply has no token")
    passed = run_pass(model, source, target)
    assert passed.logits is not None
    notes = [no_tree] if (no_tree := why_no_tree(watched)) else []
    if reply != watched.reply:
        notes.append("The search, run again, finds another reply than the one that is explained here.")
    tree = None if no_tree else search_tree(watched)
    nodes = () if tree is None else tree.nodes
    places = sorted({(node.step, node.row) for node in nodes})
    found = {place: blocked_at(watched, *place) for place in places}  # nodes of one row share one record
    every = tuple(found[node.step, node.row] for node in nodes)
    values = watched.plan.settings.set_values
    hidden = {"return_dict_in_generate", "num_return_sequences", "use_cache"}  # of its output, not of the search
    run = Run(
        name=model.dialect.name,
        source=source,
        target=target,
        chosen=chosen,
        tokens={},
        passed=passed,
        pieces=asked.pieces,
        reply=asked.tokenizer.decode(list(reply), skip_special_tokens=True, clean_up_tokenization_spaces=True),
        score=watched.score if reply == watched.reply else None,
        search=watched.plan.search,
        settings={n: v for n, v in values.items() if n not in hidden and not n.startswith("output_")},
        steps=next_tokens(passed.logits, chosen),
        blocked=blocked_on_the_way(tree, every, reply),
        lens=logit_lens(model, passed.states, chosen),
        tree=tree,
        tree_blocked=every,
        notes=tuple(notes),
    )
    return with_tokens(run, asked.tokenizer)


def blocked_on_the_way(
    tree: SearchTree | None, blocked: Sequence[BlockedHere], reply: Sequence[int]
) -> tuple[BlockedHere, ...]:
    """Find what was blocked at each step of one reply; nothing where the tree does not hold it."""
    if tree is None:
        return ()
    children: dict[tuple[int | None, int], int] = {}
    for number, node in enumerate(tree.nodes):
        children.setdefault((node.parent, node.token), number)
    at: int | None = None
    found = []
    for place, token in enumerate(reply[1:]):
        following = children.get((at, token))
        if following is None:
            closing = place == len(reply) - 2  # ParlAI puts an end in place of the last token at the limit
            following = next((n for n, node in enumerate(tree.nodes) if closing and node.parent == at), None)
        if following is None:
            return ()
        found.append(blocked[following])
        at = following
    return tuple(found)


def with_tokens(run: Run, tokenizer: BlenderbotSmallTokenizer) -> Run:
    """Add what every id that occurs in a run is called."""
    ids = {*run.source, *run.target, *(each for each in run.chosen if each is not None)}
    for steps in (run.steps, *run.lens):
        ids |= {index for step in steps for index, _ in step.best}
    if run.tree is not None:
        ids |= {node.token for node in run.tree.nodes} | {i for each in run.tree.finished for i in each.ids}
    for here in (*run.blocked, *run.tree_blocked):
        ids |= {i for each in here.tokens for i in (each.token, *each.ngram)}
    ordered = sorted(ids)
    named = dict(zip(ordered, tokens_of(tokenizer, ordered), strict=True))
    return replace(run, tokens=named)
