"""The model, drawn from the catalogue of points: every box is a point, in the order in which it is computed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from npblender.groundtruth.tracing.points import Point, decoder_points, encoder_points, head_points, start_points
from tools.pictures.svg import WIDTH, Picture

ROW, BOX = 21, 17
COLUMN = 180
TITLES = {
    "embed": "embedding",
    "self_attn": "self-attention",
    "encoder_attn": "attention to the source",
    "ffn": "feed-forward",
}


@dataclass(frozen=True)
class Group:
    """Points that belong together: an embedding, an attention, a feed-forward block, what a stack ends with."""

    title: str
    points: tuple[Point, ...]
    residual: bool  # whether its input is added to its output


def groups(points: Iterable[Point], layer: int = 0) -> list[Group]:
    """Group the points of a stack of one layer by what they are part of."""
    found: dict[str, list[Point]] = {}
    for point in points:
        parts = point.name.split(".")  # such as decoder.layers.0.self_attn.q
        key = parts[-2] if len(parts) > 1 and parts[-2] in TITLES else "end"
        found.setdefault(key, []).append(point)
    return [
        Group(TITLES.get(key, ""), tuple(each), any(point.name.endswith(".sum") for point in each) and key != "embed")
        for key, each in found.items()
    ]


def own_name(point: Point) -> str:
    """What a point is called inside its group.

    >>> own_name(Point("decoder.layers.0.self_attn.q", "", "")), own_name(Point("decoder.states", "", ""))
    ('q', 'states')
    """
    return point.name.split(".")[-1]


def draw_stack(
    picture: Picture, left: float, top: float, title: str, stack: Sequence[Group], layers: str
) -> dict[str, float]:
    """Draw one stack downwards; return the height of the middle of every box by the name of its point."""
    picture.text(left + 4, top, title, "bold")
    y, middles = top + 14, {}
    in_layer = [group for group in stack if group.points[0].name.split(".")[1:2] == ["layers"]]
    for group in stack:
        if in_layer and group is in_layer[0]:
            rows = sum(len(each.points) for each in in_layer) + sum(1 for each in in_layer if each.title)
            picture.box(left - 3, y - 3, COLUMN + 6, rows * ROW + 4, "group", stroke_dasharray="4 3")
            picture.text(left + COLUMN - 4, y + 10, layers, "soft small end")
        if group.title:
            picture.text(left + 4, y + 11, group.title, "soft small")
            y += ROW
        first = y
        for point in group.points:
            picture.box(left, y, COLUMN - 10, BOX)
            strong = " bold" if own_name(point) == "norm" else ""
            picture.text(left + 5, y + 12.5, own_name(point), f"code small{strong}")
            picture.text(left + COLUMN - 15, y + 12.5, f"[{', '.join(point.axes.split())}]", "code small soft end")
            middles[point.name] = y + BOX / 2
            if own_name(point) == "sum" and group.residual:
                edge = left + COLUMN - 10
                picture.path(f"M{edge} {first - 4}h7V{y + BOX / 2}h-6", "blue", arrow=True)
            y += ROW
    return middles


def draw_model() -> str:
    """Both stacks with every point of one layer, the shared matrix above them, and what crosses over."""
    picture = Picture(
        "The model",
        "Encoder and decoder side by side. Each box is a named point with its shape. The encoder normalises after it "
        "adds positions, the decoder before. The decoder's second attention takes its keys and values from the "
        "encoder's states. One matrix embeds the ids of both stacks and makes the logits.",
    )
    encoder = groups(encoder_points(1))
    decoder = groups([*decoder_points(1), *head_points()])
    left, right = 8.0, WIDTH - COLUMN - 14.0
    picture.box(left, 8, WIDTH - 26, 20)
    picture.text(WIDTH / 2, 22, "shared matrix [V, D], one for all three", "middle bold")
    first = draw_stack(picture, left, 52, "Encoder", encoder, "N layers")
    second = draw_stack(picture, right, 52, "Decoder", decoder, "N layers")
    for column, name, middles in ((left, "encoder", first), (right, "decoder", second)):
        picture.path(f"M{column + 120} 28V{middles[f'{name}.embed.tokens'] - BOX / 2 - 1}", "blue", arrow=True)
    # the source's keys and values
    start = first["encoder.states"]
    keys = next(iter(start_points(1)))
    into = second["decoder.layers.0.encoder_attn.q"]
    gap = (left + COLUMN + right) / 2 - 4
    picture.path(f"M{left + COLUMN - 10} {start}H{gap}V{into + ROW}H{right - 1}", "otherline", arrow=True)
    bottom = max(second.values()) + 22
    picture.path(f"M{WIDTH - 18} 18h13V{second['logits']}H{right + COLUMN - 8}", "blue", arrow=True)
    y = max(start, 0) + 26
    for line in (
        f"k, v [{', '.join(keys.axes.split())}] of the source:",
        "once a source, for every step",
        "",
        "blue at a group: its input,",
        "added where it says sum",
        "",
        "norm: LayerNorm, always",
        "behind the sum",
        "",
        "B rows, S source tokens,",
        "T new tokens, L tokens so far,",
        "D width, H heads of K,",
        "F inner width, V vocabulary",
    ):
        picture.text(left + 4, y, line, "soft small" if not line.startswith("k, v") else "other small")
        y += 14
    return picture.finished(max(bottom, y))
