"""Seeded mutations of files: bits, bytes, numbers at their limits, words of the format, pieces moved about."""

from __future__ import annotations

import random
from collections.abc import Sequence

LIMITS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**62, 2**63, 2**64 - 1)


def mutated(source: random.Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """One seed, changed one to eight times."""
    data = bytearray(source.choice(seeds))
    for _ in range(1 << source.randrange(4)):
        _change(source, data, seeds, words)
    return bytes(data)


def _change(source: random.Random, data: bytearray, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    at = source.randrange(len(data) + 1)
    kind = source.randrange(9)
    if kind == 0 and data:
        data[at % len(data)] ^= 1 << source.randrange(8)
    elif kind == 1 and data:
        data[at % len(data)] = source.randrange(256)
    elif kind == 2:
        data[at:at] = source.randbytes(source.randrange(1, 9))
    elif kind == 3:
        del data[at : at + source.randrange(1, 17)]
    elif kind == 4:
        size = source.choice((1, 2, 4, 8))
        order: str = source.choice(("little", "big"))
        number = source.choice(LIMITS) & ((1 << 8 * size) - 1)
        data[at : at + size] = number.to_bytes(size, "little" if order == "little" else "big")
    elif kind == 5 and words:
        word = source.choice(words)
        data[at : at + (len(word) if source.random() < 0.5 else 0)] = word
    elif kind == 6:
        other = source.choice(seeds)
        start = source.randrange(len(other) + 1)
        data[at : at + source.randrange(64)] = other[start : start + source.randrange(64)]
    elif kind == 7:
        piece = data[at : at + source.randrange(1, 65)]
        where = source.randrange(len(data) + 1)
        data[where:where] = piece * source.choice((1, 1, 1, 2, 16))
    elif source.random() < 0.3:
        del data[at:]
