"""Writes the tables of docs/points.md: every named point, its shape in letters and numbers, its names elsewhere.

    python -m tools points                 # print them
    python -m tools points --write-docs    # put them into the page
    python -m tools points --check         # exit 1 where the page says anything else

Points and their meanings are those of `npblender.groundtruth.tracing.points`, names those of
`npblender.groundtruth.comparison.point_names`. Nothing is run. Needs npblender only.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from npblender import BlenderbotSmallConfig
from npblender.groundtruth.comparison.point_names import names_of
from npblender.groundtruth.tracing.points import Point, decoder_points, encoder_points, head_points, start_points
from tools import ROOT
from tools.docs.tables import between_markers, markdown, run_tables

PAGE, MARKED = ROOT / "docs" / "points.md", "points"
CONFIG = BlenderbotSmallConfig(
    vocab_size=54944
)  # facebook/blenderbot_small-90M: the sizes of the class, this vocabulary
PREFILL = {"B": 2, "S": 24, "T": 8, "L": 8}
STEP = {"B": 2, "S": 24, "T": 1, "L": 9}

LAYERS = 18  # enough for a layer whose number occurs nowhere else in a name
SAMPLE = LAYERS - 1
_LAYER = re.compile(rf"(?<=\.){SAMPLE}(?=\.|$)")
_NEXT = re.compile(rf"(?<=\.){SAMPLE + 1}(?=\.|$)")


@dataclass(frozen=True)
class Section:
    """Points that belong together, of one layer where they are of layers."""

    title: str
    says: str
    points: tuple[Point, ...]
    once: bool  # computed once a source: a step computes none of them


def any_layer(name: str) -> str:
    """A name of the sample layer as that of layer n.

    >>> any_layer("decoder.layers.17.ffn.sum"), any_layer("encoder_hidden_states.18")
    ('decoder.layers.{n}.ffn.sum', 'encoder_hidden_states.{n+1}')
    """
    return _NEXT.sub("{n+1}", _LAYER.sub("{n}", name))


def sections() -> Iterator[Section]:
    """All points in causal order, each layer's once."""

    def of(points: Iterable[Point], wanted: Callable[[str], bool]) -> tuple[Point, ...]:
        return tuple(point for point in points if wanted(point.name))

    def in_layer(name: str) -> bool:
        return f".layers.{SAMPLE}." in name

    def embedding(name: str) -> bool:
        return ".embed." in name

    def last(name: str) -> bool:
        return name.endswith(".states")

    encoder, decoder = list(encoder_points(LAYERS)), list(decoder_points(LAYERS))
    yield Section(
        "Encoder: embeddings",
        "The norm comes after the positions.",
        of(encoder, embedding),
        True,
    )
    yield Section("Encoder: layer n", "n counts from 0.", of(encoder, in_layer), True)
    yield Section("Encoder: result", "", of(encoder, last), True)
    yield Section(
        "Decoder: keys and values of the source",
        "Projected from the encoder's states once a source, before the first target token. No step repeats it.",
        of(start_points(LAYERS), in_layer),
        True,
    )
    yield Section(
        "Decoder: embeddings",
        "The norm comes before the positions: ParlAI's `xlm` variant, with which the model was trained.",
        of(decoder, embedding),
        False,
    )
    yield Section("Decoder: layer n", "", of(decoder, in_layer), False)
    yield Section("Decoder: result", "", of(decoder, last), False)
    yield Section(
        "Head",
        "The loss is there where labels are given; with steps there is none.",
        tuple(head_points(labels=True)),
        False,
    )


def sizes(name: str, lengths: dict[str, int]) -> dict[str, int]:
    """The numbers behind the letters, for a point of the 90M model."""
    side = "encoder" if name.startswith("encoder.") else "decoder"
    heads = getattr(CONFIG, f"{side}_attention_heads")
    d, f, v = CONFIG.d_model, getattr(CONFIG, f"{side}_ffn_dim"), CONFIG.vocab_size
    return {"D": d, "H": heads, "K": d // heads, "F": f, "V": v, **lengths}


def shape(values: Sequence[object]) -> str:
    """A shape as it is printed.

    >>> shape((2, 32)), shape("BS"), shape(())
    ('[2, 32]', '[B, S]', '[]')
    """
    return f"[{', '.join(map(str, values))}]"


def names(called: Sequence[str]) -> str:
    """Names in a cell of a table; a dash where there are none."""
    return ", ".join(f"`{any_layer(name)}`" for name in called) if called else "-"


def tables() -> str:
    """The page's generated part."""
    parts = []
    for section in sections():
        shapes, others = [], []
        for point in section.points:
            here = f"`{any_layer(point.name)}`"
            axes = point.axes.split()
            step = "-" if section.once or point.name == "loss" else shape(point.shape(sizes(point.name, STEP)))
            prefill = shape(point.shape(sizes(point.name, PREFILL)))
            shapes.append([here, shape(axes), prefill, step, point.meaning])
            called = names_of(point.name)
            others.append([here, names(called.transformers), names(called.parlai)])
        head = [f"### {section.title}", *([section.says] if section.says else [])]
        parts.append("\n\n".join(head))
        parts.append(markdown(["point", "shape", "90M, prefill", "90M, a step", "what it is"], shapes).rstrip())
        parts.append(markdown(["point", "in transformers", "in ParlAI"], others).rstrip())
    return "\n" + "\n\n".join(parts) + "\n\n"


def written() -> str:
    """The generated part as it stands in the page.

    Raises ValueError where the page lacks its markers.
    """
    return between_markers(PAGE, MARKED)


def main() -> int:
    return run_tables(__doc__ or "", PAGE, {MARKED: tables}, "points")


if __name__ == "__main__":
    sys.exit(main())
