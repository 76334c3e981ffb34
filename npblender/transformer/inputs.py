"""The checked arrays that the encoder and the decoder read: `Source` and `Target`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from npblender.common.array_types import Array, Ids, Mask


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
