"""What a forward pass is given: the checked arrays of a `Source` or a `Target`, and the `Context` that its parts share.

A layer's arguments are its weights, its arrays and the context, which holds no arrays itself: configuration, dialect,
tap, dropout's generator, and what is collected.

Every intermediate of the model has a name, and the pass is one piece of code, traced or not: it hands each named array
to its `Tap`, and a tap without a sink drops them. All the names stand in `groundtruth.tracing.points`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array, Ids, Mask
from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import Dialect
from npblender.ops import unchecked as ops


@dataclass(frozen=True)
class Source:
    """What the encoder reads: ids or embeddings, and who may attend to what."""

    input_ids: Ids | None = None  # [B, S]
    inputs_embeds: Array | None = None  # [B, S, D]
    attention_mask: Mask | None = None  # [B, S]; None = everything
    head_mask: Array | None = None  # [layers, H]
    position_ids: Ids | None = None  # [B, S]; None = as the dialect counts

    @property
    def size(self) -> tuple[int, int]:
        """(B, S).

        >>> Source(np.array([[5, 6, 7]])).size
        (1, 3)
        """
        array = self.input_ids if self.input_ids is not None else self.inputs_embeds
        assert array is not None, "a source is ids or embeddings"
        return array.shape[0], array.shape[1]

    def rows(self, group: slice) -> Source:
        """Some of the rows.

        >>> Source(np.array([[5, 6, 7]]).repeat(4, axis=0)).rows(slice(1, 3)).size
        (2, 3)
        """
        return replace(self, **_some(self, ("input_ids", "inputs_embeds", "attention_mask", "position_ids"), group))


@dataclass(frozen=True)
class Target:
    """What the decoder reads: T new tokens over a cache of L - T, and over a source of S."""

    input_ids: Ids | None = None  # [B, T]
    inputs_embeds: Array | None = None  # [B, T, D]
    attention_mask: Mask | None = None  # [B, L]; None = everything; always causal, too
    encoder_attention_mask: Mask | None = None  # [B, S]; None = everything
    head_mask: Array | None = None  # [layers, H]
    cross_attn_head_mask: Array | None = None  # [layers, H]
    position_ids: Ids | None = None  # [B, T]; None = from the cache's length on

    @property
    def size(self) -> tuple[int, int]:
        """(B, T).

        >>> Target(np.array([[1, 9]])).size
        (1, 2)
        """
        array = self.input_ids if self.input_ids is not None else self.inputs_embeds
        assert array is not None, "a target is ids or embeddings"
        return array.shape[0], array.shape[1]

    def rows(self, group: slice) -> Target:
        """Some of the rows.

        >>> Target(np.array([[1, 9]]).repeat(4, axis=0)).rows(slice(1, 3)).size
        (2, 2)
        """
        names = ("input_ids", "inputs_embeds", "attention_mask", "encoder_attention_mask", "position_ids")
        return replace(self, **_some(self, names, group))


def _some(record: Any, names: tuple[str, ...], group: slice) -> dict[str, Array]:
    arrays = {name: getattr(record, name) for name in names}
    return {name: array[group] for name, array in arrays.items() if array is not None}


Sink = Callable[[str, NDArray[Any]], None]


@dataclass(frozen=True)
class Tap:
    """Calls `sink(path + name, array)` for every array that is computed. The sink gets a view that it cannot write to.

    >>> Tap(print).at("encoder").at("embed")("norm", np.zeros((1, 2)))
    encoder.embed.norm [[0. 0.]]
    """

    sink: Sink | None = None
    path: str = ""

    def __call__(self, name: str, array: NDArray[Any]) -> None:
        if self.sink is not None:
            view = array.view()
            view.flags.writeable = False
            self.sink(self.path + name, view)

    def at(self, name: str) -> Tap:
        """The same tap, one level further in.

        >>> Tap(print).at("encoder").at("embed").path
        'encoder.embed.'
        """
        return self if self.sink is None else Tap(self.sink, f"{self.path}{name}.")

    def __bool__(self) -> bool:
        """Whether there is a sink: what is computed only for it is skipped without one."""
        return self.sink is not None


SILENT = Tap()


def with_callers_warnings(sink: Sink) -> Sink:
    """The sink, called under NumPy's warnings as they are set now: a pass turns its own off, not those of a sink.

    >>> sink = with_callers_warnings(lambda name, array: print(name, np.geterr()["divide"]))
    >>> with np.errstate(all="ignore"):
    ...     sink("norm", np.zeros(2))
    norm warn
    """
    settings: Any = np.geterr()

    def call(name: str, array: NDArray[Any]) -> None:
        with np.errstate(**settings):
            sink(name, array)

    return call


@dataclass(frozen=True)
class Context:
    """One pass's configuration, dialect, tap and generator, and what its result carries besides the states."""

    config: BlenderbotSmallConfig
    dialect: Dialect
    tap: Tap = SILENT
    rng: np.random.Generator | None = None  # what dropout is drawn from; None when not training
    collect_states: bool = False  # whether the result carries every layer's hidden states
    collect_attentions: bool = False  # whether the result carries every attention's weights

    @property
    def can_fuse(self) -> bool:
        """True when no tap is installed and dropout is off, so operations may be fused.

        >>> context.can_fuse, replace(context, rng=np.random.default_rng(0)).can_fuse
        (True, False)
        """
        return self.tap.sink is None and self.rng is None

    def at(self, name: str) -> Context:
        """The same pass, its tap one level further in.

        >>> replace(context, tap=Tap(print)).at("encoder").tap.path
        'encoder.'
        """
        return self if self.tap.sink is None else replace(self, tap=self.tap.at(name))

    @property
    def between_maps(self) -> Callable[[str, NDArray[Any]], NDArray[Any]] | None:
        """What a feed-forward block does with its inner arrays: taps of both, and dropout. None where there is neither.

        >>> context.between_maps is None
        True
        >>> replace(context, tap=Tap(print)).between_maps("hidden", np.zeros((1, 2)))
        hidden [[0. 0.]]
        array([[0., 0.]])
        """
        return None if self.can_fuse else self._between_maps

    def _between_maps(self, name: str, inner: NDArray[Any]) -> NDArray[Any]:
        self.tap(name, inner)
        return self.dropout(inner, self.config.activation_dropout) if name == "activation" else inner

    def dropout(self, x: NDArray[Any], p: float) -> NDArray[Any]:
        """Dropout while training, nothing otherwise.

        >>> context.dropout(np.ones(3), 0.5)
        array([1., 1., 1.])
        >>> replace(context, rng=np.random.default_rng(0)).dropout(np.ones(3), 0.5)
        array([2., 0., 0.])
        """
        return x if self.rng is None else ops.dropout(x, p, self.rng)

    def skips_layer(self, p: float) -> bool:
        """Whether LayerDrop (Fan et al. 2019) leaves the next layer out: one draw a layer, only while training.

        >>> context.skips_layer(1.0)
        False
        """
        return self.rng is not None and p > 0.0 and bool(self.rng.random() < p)
