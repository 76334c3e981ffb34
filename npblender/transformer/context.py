"""What every part of one forward pass shares: sizes, dialect, who listens, and whether it is training.

Kept in one record so that a layer's arguments are its weights and its arrays. It holds no arrays itself.

Every intermediate of the model has a name; a tap hears each of them as it is computed.

The forward pass is one piece of code, traced or not: it tells its `Tap` every named array, and a tap without a sink
drops them. This module also holds the catalogue: all the names with their shapes, in the order in which they are
computed. It computes none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender import ops
from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import Dialect

Sink = Callable[[str, NDArray[Any]], None]


@dataclass(frozen=True)
class Tap:
    """Tells `sink(name, array)` what is computed under `path`. The sink gets a view that it can not write to.

    >>> import numpy as np
    >>> heard = []
    >>> tap = Tap(lambda name, array: heard.append((name, array.shape)))
    >>> tap.at("encoder").at("embed")("norm", np.zeros((1, 2)))
    >>> heard
    [('encoder.embed.norm', (1, 2))]
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
        """Whether anybody listens: what is computed only to be heard asks this first."""
        return self.sink is not None


SILENT = Tap()


@dataclass(frozen=True)
class Context:
    """One call's configuration, dialect, listener and noise, and what the result is to carry."""

    config: BlenderbotSmallConfig
    dialect: Dialect
    tap: Tap = SILENT
    rng: np.random.Generator | None = None  # the noise of training; None when not training
    collect_states: bool = False  # whether the result carries every layer's hidden states
    collect_attentions: bool = False  # whether the result carries every attention's weights

    @property
    def can_fuse(self) -> bool:
        """Whether nobody listens and there is no noise: then work may be put together as is fastest.

        >>> from npblender.config.dialect import PARLAI
        >>> Context(BlenderbotSmallConfig(), PARLAI).can_fuse
        True
        """
        return not self.tap and self.rng is None

    def at(self, name: str) -> Context:
        """The same pass, heard one level further in.

        >>> from npblender.config.dialect import PARLAI
        >>> Context(BlenderbotSmallConfig(), PARLAI, Tap(print)).at("encoder").tap.path
        'encoder.'
        """
        return replace(self, tap=self.tap.at(name)) if self.tap else self

    def dropout(self, x: NDArray[Any], p: float) -> NDArray[Any]:
        """Dropout while training, nothing otherwise.

        >>> from npblender.config.dialect import PARLAI
        >>> Context(BlenderbotSmallConfig(), PARLAI).dropout(np.ones(3), 0.5)
        array([1., 1., 1.])
        >>> Context(BlenderbotSmallConfig(), PARLAI, rng=np.random.default_rng(0)).dropout(np.ones(3), 0.5)
        array([2., 0., 0.])
        """
        return x if self.rng is None else ops.dropout(x, p, self.rng)

    def skips_layer(self, p: float) -> bool:
        """Whether LayerDrop (Fan et al. 2019) leaves the next layer out: one draw a layer, only while training.

        >>> from npblender.config.dialect import PARLAI
        >>> Context(BlenderbotSmallConfig(), PARLAI).skips_layer(1.0)
        False
        """
        return self.rng is not None and p > 0.0 and bool(self.rng.random() < p)
