"""`explain`: a model, a tokenizer and a text -> an `Explanation`, which writes itself as one page."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from npblender.chat.explanation.pieces import in_dialect, pieces_of
from npblender.chat.explanation.runs import Refusal, Run, explain_run
from npblender.chat.explanation.searching import Asked
from npblender.common.checks import as_plain
from npblender.common.printable import shown
from npblender.common.replacing import replacing
from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import DIALECTS, Dialect, resolve_dialect
from npblender.config.generation_options import OPTIONS
from npblender.generation.generate import Seed
from npblender.generation.planning import check_options, make_plan
from npblender.models import BlenderbotSmallForConditionalGeneration
from npblender.tokenizer import BlenderbotSmallTokenizer

MOST_BYTES = 1_500_000  # how large a page may become. What does not fit is left out, and the page says so


@dataclass(frozen=True)
class PointCompared:
    """One point of a second trace, compared with the first one's."""

    name: str
    status: str  # "ok", "borderline", "diverged", "missing"
    units: float | None  # rms of the error in units of float32 noise
    worst: float | None  # its largest part
    remark: str = ""


@dataclass(frozen=True)
class PointsCompared:
    """A second trace beside the first: where it parts."""

    verdict: str
    first: str | None  # the first point that diverged
    points: tuple[PointCompared, ...]
    causes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """How a reply came about. In a notebook it shows itself.

    >>> found = explain(model, tokenizer, "hello", num_beams=2, max_length=5, min_length=2)
    >>> found.runs[0].name, found.runs[0].target, found.runs[0].chosen
    ('parlai', (1, 5, 9, 9, 9), (5, 9, 9, 9, 2))
    """

    said: str  # what was said; empty for a trace of ids
    runs: tuple[Run | Refusal, ...]
    """The model's own dialect first, or the reference; then those that it is compared with."""
    config: BlenderbotSmallConfig | None  # the model's; None for a trace that does not say
    compared: PointsCompared | None = None

    def to_html(self, most_bytes: int = MOST_BYTES) -> str:
        """Write the page as a text: one file, no network, no other file.

        Args:
            most_bytes: how large it may become; what is left out for that is named on the page.

        Raises:
            ValueError: even the words alone do not fit.
        """
        from npblender.chat.explanation.as_page import as_page

        return as_page(self, most_bytes)

    def save(self, path: str | os.PathLike[str], most_bytes: int = MOST_BYTES) -> None:
        """Write the page to a file, which is replaced when the new one is complete.

        Raises:
            ValueError: the system refuses to write there.
        """
        page = self.to_html(most_bytes)
        with replacing(Path(path)) as unfinished:
            unfinished.write_text(page, encoding="utf-8", newline="\n")

    def _repr_html_(self) -> str:
        """How a notebook shows it: the page in a frame of its own, which can run nothing outside it."""
        page = escape(self.to_html(), quote=True)
        return (
            f'<iframe title="How the reply came about" sandbox="allow-scripts" width="100%" height="760" '
            f'srcdoc="{page}"></iframe>'
        )

    def __repr__(self) -> str:
        names = ", ".join(run.name for run in self.runs)
        return f"Explanation({shown(self.said)}, runs: {names}; save(path) writes the page)"


def explain(
    model: BlenderbotSmallForConditionalGeneration,
    tokenizer: BlenderbotSmallTokenizer,
    text: str,
    *,
    dialects: Sequence[str | Dialect] | str | None = None,
    seed: Seed = None,
    **settings: Any,
) -> Explanation:
    """Explain the reply to a text: every merge, attention, probability and beam, under every dialect.

    The reply is that of `model.generate(**tokenizer([text], return_tensors="np"), **settings)`;
    `Conversation.explain` explains one of a conversation.

    Args:
        text: what is said to the model.
        dialects: which originals the model's own dialect is compared with; None for all of them, () for none.
        seed: for a search that draws. The same one is used under every dialect.
        settings: settings of the search, as for `generate`.

    Raises:
        TypeError: a text that is none, or a model or tokenizer of another kind.
        ValueError: a text that becomes no token or too many, a setting that does not fit. A setting that another
            dialect refuses is no error: the page says what it said.

    >>> found = explain(model, tokenizer, "hello, lower!", max_length=6, min_length=2)
    >>> [run.name for run in found.runs]
    ['parlai', 'transformers-4', 'transformers-5']
    >>> [piece.tokens for piece in found.runs[0].pieces]
    [('hello',), (',',), ('low@@', 'er'), ('!',)]
    """
    if not isinstance(model, BlenderbotSmallForConditionalGeneration):
        raise TypeError(f"model must be a BlenderbotSmallForConditionalGeneration, not {type(model).__name__}")
    if not isinstance(tokenizer, BlenderbotSmallTokenizer):
        raise TypeError(f"tokenizer must be a BlenderbotSmallTokenizer, not {type(tokenizer).__name__}")
    if not isinstance(text, str):
        raise TypeError(f"text must be a string, not {type(text).__name__}; explain takes one text")
    options = as_plain(settings)
    for name in options:
        if name in OPTIONS and OPTIONS[name].shapes_record:
            raise ValueError(
                f"{name} has no place in an explanation: it holds all that the search and the pass computed"
            )

    def ask(here: BlenderbotSmallForConditionalGeneration, cut: BlenderbotSmallTokenizer) -> Asked:
        plan = make_plan(here.dialect, here.config, here.generation_config.set_values, options)
        return Asked(here, cut, pieces_of(cut, text), plan, check_options(options), seed=seed)

    return in_dialects(text, model, tokenizer, dialects, ask)


def in_dialects(
    said: str,
    model: BlenderbotSmallForConditionalGeneration,
    tokenizer: BlenderbotSmallTokenizer,
    dialects: Sequence[str | Dialect] | str | None,
    ask: Callable[[BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer], Asked],
) -> Explanation:
    """Explain what `ask` says for the model's own dialect, and then for each that it is compared with.

    What another dialect refuses becomes a line on the page.
    """
    runs: list[Run | Refusal] = [explain_run(ask(model, tokenizer))]
    if isinstance(dialects, str):
        raise TypeError(f"dialects is a list of dialects, such as [{shown(dialects)}]")
    for dialect in map(resolve_dialect, DIALECTS if dialects is None else dialects):
        if dialect != model.dialect:
            other = copy.copy(model)
            other.dialect = dialect
            try:
                runs.append(explain_run(ask(other, in_dialect(tokenizer, dialect))))
            except (ValueError, TypeError) as error:
                runs.append(Refusal(dialect.name, str(error)))
    return Explanation(said, tuple(runs), model.config)
