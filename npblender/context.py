"""What every part of one forward pass shares: sizes, dialect, who listens, and whether it is training.

Kept in one record so that a layer's arguments are its weights and its arrays. It holds no arrays itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender import ops
from npblender.config import BlenderbotSmallConfig
from npblender.dialects import Dialect
from npblender.taps import SILENT, Tap


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
    def is_plain(self) -> bool:
        """Whether nobody listens and there is no noise: then work may be put together as is fastest.

        >>> from npblender.dialects import PARLAI
        >>> Context(BlenderbotSmallConfig(), PARLAI).is_plain
        True
        """
        return not self.tap and self.rng is None

    def at(self, name: str) -> Context:
        """The same pass, heard one level further in.

        >>> from npblender.dialects import PARLAI
        >>> Context(BlenderbotSmallConfig(), PARLAI, Tap(print)).at("encoder").tap.path
        'encoder.'
        """
        return replace(self, tap=self.tap.at(name)) if self.tap else self

    def dropout(self, x: NDArray[Any], p: float) -> NDArray[Any]:
        """Dropout while training, nothing otherwise.

        >>> from npblender.dialects import PARLAI
        >>> Context(BlenderbotSmallConfig(), PARLAI).dropout(np.ones(3), 0.5)
        array([1., 1., 1.])
        >>> Context(BlenderbotSmallConfig(), PARLAI, rng=np.random.default_rng(0)).dropout(np.ones(3), 0.5)
        array([2., 0., 0.])
        """
        return x if self.rng is None else ops.dropout(x, p, self.rng)

    def drops_layer(self, p: float) -> bool:
        """Whether LayerDrop (Fan et al. 2019) leaves the next layer out: one draw a layer, only while training.

        >>> from npblender.dialects import PARLAI
        >>> Context(BlenderbotSmallConfig(), PARLAI).drops_layer(1.0)
        False
        """
        return self.rng is not None and p > 0.0 and bool(self.rng.random() < p)
