"""Lists usual causes of a first divergence, by the point at which it shows.

These are guesses from experience with ports; facts about the arrays themselves are in `diagnose`.
"""

from __future__ import annotations

from collections.abc import Mapping

from npblender.groundtruth.comparison.diagnose import is_telling
from npblender.groundtruth.comparison.findings import PointReport
from npblender.groundtruth.comparison.hypotheses import EXPLAINS
from npblender.groundtruth.tracing.points import pattern_of

_PROJECTION = "the weight taken as [in, out] where the file has [out, in]; its bias left out; another layer's weights"

_CAUSES: Mapping[str, tuple[str, ...]] = {
    "encoder.embed.tokens": ("other ids, or rows of another matrix",),
    "encoder.embed.scaled": ("the factor sqrt(d_model) of scale_embedding left out",),
    "encoder.embed.positions": (
        "positions off by one, or counted from 2 as BART does",
        "left padding: ParlAI counts the tokens that are not pads, transformers counts columns",
    ),
    "encoder.embed.norm": (
        "eps outside the root, or not 1e-5; variance divided by n - 1",
        "the norm taken before the positions are added: that is the decoder's order, not the encoder's",
    ),
    "encoder.embed.sum": ("the norm taken before the positions are added: that is the decoder's order",),
    "encoder.embed.output": ("states of pads: ParlAI sets them to zero, transformers does not",),
    "decoder.embed.tokens": ("the target not shifted right; a decoder that starts with another token than 1",),
    "decoder.embed.scaled": (
        "the decoder's factor sqrt(d_model): transformers lost it in 4.53, ParlAI and earlier versions have it",
    ),
    "decoder.embed.norm": (
        "the norm taken after the positions are added: here the decoder's comes before them",
        "eps outside the root, or not 1e-5; variance divided by n - 1",
    ),
    "decoder.embed.positions": ("positions that start again at 0 in every cached step, or are off by one",),
    "q": (
        "queries divided by sqrt(K) twice, or never: once is right, here or in the scores",
        _PROJECTION,
        "off by some thousands of units throughout: products in half precision, bfloat16 or TF32",
    ),
    "encoder_attn.k": ("keys made from the decoder's states: they come from the encoder's last ones", _PROJECTION),
    "encoder_attn.v": (
        "values made from the decoder's states: they come from the encoder's last ones",
        _PROJECTION,
    ),
    "k": (_PROJECTION, "queries and keys exchanged"),
    "v": (_PROJECTION, "values transposed when they were put into a cache"),
    "scores": (
        "scaled twice, here and in the queries, or nowhere",
        "heads cut the wrong way: head h has columns h*K to (h+1)*K",
        "keys of the cache in another order, or without the new ones",
    ),
    "masked_scores": (
        "the causal mask off by one, or counted from the wrong corner where there is a cache",
        "pads attended to, or a mask turned round",
        "hidden by a number as small as -1e4, which leaks",
    ),
    "weights": (
        "a softmax over another axis, or without its maximum taken off",
        "a row in which every key is hidden: its weights are uniform, not NaN and not 0",
    ),
    "context": (
        "heads put together in the wrong order: transpose to [B, T, H, K] before they are merged",
        "values transposed",
    ),
    "output": (_PROJECTION,),
    "sum": ("the residual of another place: it is what went into the block", "dropout left on"),
    "norm": (
        "pre-norm: this model's norm comes after the sum",
        "eps outside the root, or not 1e-5; variance divided by n - 1",
    ),
    "hidden": (_PROJECTION,),
    "activation": ("the tanh form of GELU: this model has the exact one, with erf",),
    "encoder.layers.0.output": ("states of pads: ParlAI sets them to zero after every layer",),
    "encoder.states": ("a norm after the last layer: larger relatives of this model have one, it has none",),
    "decoder.layers.0.encoder_attn.norm": (
        "norms exchanged: ParlAI's norm2 is this one in the decoder, but the feed-forward's in the encoder",
        "pre-norm: this model's norm comes after the sum",
    ),
    "logits": (
        "final_logits_bias left out; an output matrix that is not the embedding's",
        "the logit of the start token: ParlAI sets it to -1e20, transformers leaves it",
    ),
    "loss": ("labels of -100 counted; labels shifted a second time",),
}


def likely_causes(point: PointReport | None) -> tuple[str, ...]:
    """Return the usual causes of a divergence, unless it is too small or a mistake was found that explains it."""
    if point is None or not is_telling(point.score) or any(EXPLAINS in remark for remark in point.remarks):
        return ()
    return usual_causes(point.name)


def usual_causes(name: str) -> tuple[str, ...]:
    """Return what usually goes wrong at a point, the most specific entry for its name; nothing for other names.

    >>> usual_causes("encoder.layers.3.ffn.activation")
    ('the tanh form of GELU: this model has the exact one, with erf',)
    >>> usual_causes("step1.decoder.embed.positions")
    ('positions that start again at 0 in every cached step, or are off by one',)
    """
    parts = pattern_of(name).split(".")
    for start in range(len(parts)):
        found = _CAUSES.get(".".join(parts[start:]))
        if found is not None:
            return found
    return ()
