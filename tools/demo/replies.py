"""What an exported demo answers: npblender's own `Conversation` speaks, with the settings of the folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tools.demo.pieces import Cutter
from tools.demo.samples import pad

AT_ONCE = 64  # replies that are searched for together


class Speaker:
    """A model folder that answers; every reply is kept, since searches are not cheap."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        from npblender.chat import Conversation

        self._talk = Conversation.from_pretrained(folder, **settings)
        self._known: dict[tuple[tuple[str, ...], tuple[str, ...]], str] = {}

    @property
    def model(self) -> Any:
        return self._talk.model

    def __call__(self, persona: Sequence[str], turns: Sequence[str]) -> str:
        """The reply to the last of `turns`, which user and model said in turn, by the lines of `persona`."""
        key = (tuple(persona), tuple(turns))
        if key not in self._known:
            self._talk.reset()
            self._talk.persona = key[0]
            for place, turn in enumerate(key[1][:-1]):
                self._talk.add_turn(turn, "model" if (len(key[1]) - place) % 2 == 0 else "user")
            self._known[key] = self._talk.reply(key[1][-1]).text
        return self._known[key]


def generated(contexts: Sequence[list[int]], model: Any, cut: Cutter, **settings: Any) -> list[str]:
    """The model's replies to contexts of ids, by its own settings but for those named, in batches of like length."""
    out = [""] * len(contexts)
    order = sorted(range(len(contexts)), key=lambda i: len(contexts[i]))
    for first in range(0, len(order), AT_ONCE):
        part = order[first : first + AT_ONCE]
        source = pad([contexts[i] for i in part])
        ids = model.generate(source, attention_mask=(source != 0).astype(np.int64), **settings)
        for i, row in zip(part, np.asarray(ids).tolist(), strict=True):
            out[i] = cut.text(row).strip()
    return out
