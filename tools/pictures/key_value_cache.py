"""The cache of one layer before and after a step of the demo, with its own words and shapes."""

from __future__ import annotations

from collections.abc import Sequence

from tools.pictures.demo import Demo
from tools.pictures.svg import WIDTH, Picture

CELL, GAP = 34, 3


def row_of_tokens(picture: Picture, y: float, tokens: Sequence[str], kind: Sequence[str]) -> None:
    """Draw a column of the cache for each token, side by side."""
    for place, (token, each) in enumerate(zip(tokens, kind, strict=True)):
        x = 60 + place * (CELL + GAP)
        picture.box(x, y, CELL, 20, f"box{each}")
        picture.text(x + CELL / 2, y + 14, token if len(token) < 7 else "start", "code small middle")


def draw_cache(demo: Demo) -> str:
    """What the first layer keeps, before the step that reads the third token and after it."""
    picture = Picture(
        "The cache before and after a step",
        "Each layer keeps keys and values of the reply so far and of the source. A step reads one token, appends one "
        "column to the reply's keys and values, and leaves the source's as they are.",
    )
    encoded = demo.model.encode(input_ids=[demo.source])
    cache = demo.model.init_cache(1, 40, encoded)
    before = demo.model.decode([demo.reply[:2]], past_key_values=cache).past_key_values
    step = demo.model.decode([demo.reply[2:3]], past_key_values=before)
    after = step.past_key_values
    y = 20
    read = f"after it has read \u201c{demo.words(demo.reply[2:3])[0]}\u201d"
    for title, kept, count in (("before the step", before, 2), (read, after, 3)):
        keys, _, cross, _ = (array.shape for array in kept[0])
        picture.text(8, y, f"{title}: length {kept.length}", "bold")
        picture.text(8, y + 20, "the reply so far", "soft small")
        picture.text(WIDTH - 8, y + 20, f"{len(kept)} layers x key and value {list(keys)}", "code small soft end")
        new = [" new" if kept is after and place == count - 1 else "" for place in range(count)]
        row_of_tokens(picture, y + 28, demo.words(demo.reply[:count]), new)
        picture.text(8, y + 66, "the source", "soft small")
        picture.text(WIDTH - 8, y + 66, f"{len(kept)} layers x key and value {list(cross)}", "code small soft end")
        row_of_tokens(picture, y + 74, demo.words(demo.source), [""] * len(demo.source))
        y += 124
    expected = demo.words([int(step.logits[0, -1].argmax())])[0]
    picture.text(8, y, "Only the new token went through the decoder: its query met", "soft small")
    picture.text(8, y + 14, f"all the keys, and the step says what comes next: \u201c{expected}\u201d.", "soft small")
    return picture.finished(y + 26)
