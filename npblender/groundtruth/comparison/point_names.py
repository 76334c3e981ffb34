"""Translates names of other programs to points: module paths of transformers and ParlAI, and a port's own names.

A module path names the module's output, as a forward hook receives it; a trailing `.input` names its first input,
`.output.1` the second of several outputs. A leading `model.` of transformers is optional. A trace in steps keeps its
`prefill.` or `step1.` in front of everything.

Two module outputs are not the point itself. `q_proj` (`q_lin` in ParlAI) is the query before its division by sqrt(K),
so it is divided when it is compared; `lm_head` is the output before the final bias is added, which equals the logits
only where that bias is zero, as it is in every published file. `shared` (`embeddings` in ParlAI) is called by both
stacks, so its output has no single point: a trace writes those calls as `encoder.embed_tokens` and
`decoder.embed_tokens`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from npblender.groundtruth.comparison.name_patterns import NameTable
from npblender.groundtruth.tracing.points import split_step


@dataclass(frozen=True)
class Meaning:
    """The point that a name stands for, the user's pattern that said so, and whether it is a query not yet scaled."""

    point: str
    pattern: str | None = None
    unscaled: bool = False


@dataclass(frozen=True)
class PointNames:
    """The names of a point in the originals, the most descriptive first; there may be none."""

    transformers: tuple[str, ...]
    parlai: tuple[str, ...]


_NORMED = {"encoder": "sum", "decoder": "scaled"}
"""What the norm of each stack's embedding is taken of."""


def _below(theirs: str, ours: str, names: str) -> Iterator[tuple[str, str]]:
    """(name, point) of each "name=point" in a text of several, below a module of theirs and a place of ours."""
    for name, point in (each.split("=") for each in names.split()):
        yield f"{theirs}.{name}", f"{ours}.{point}"


def _transformers() -> Iterator[tuple[str, str]]:
    """(name, point): modules of versions 4 and 5, then the fields of their outputs."""
    for stack, attentions in (("encoder", ("self_attn",)), ("decoder", ("self_attn", "encoder_attn"))):
        norm = f"layernorm_embedding.input={_NORMED[stack]} layernorm_embedding=norm"
        of_ids = f"embed_tokens=tokens embed_positions=positions {norm} layers.0.input=output"
        yield from _below(stack, f"{stack}.embed", of_ids)
        layer = f"{stack}.layers.{{n}}"
        for here in (f"{layer}.{attention}" for attention in attentions):
            projected = "out_proj.input=context out_proj=output"
            yield from _below(here, here, f"q_proj=q k_proj=k v_proj=v output.1=weights {projected}")
            yield here, f"{here}.output"
            yield f"{here}_layer_norm.input", f"{here}.sum"
            yield f"{here}_layer_norm", f"{here}.norm"
        activation = "activation_fn.input=hidden activation_fn=activation"
        norm = "final_layer_norm.input=sum final_layer_norm=norm"
        yield from _below(layer, f"{layer}.ffn", f"fc1=hidden {activation} fc2.input=activation fc2=output {norm}")
        yield layer, f"{layer}.output"
        yield stack, f"{stack}.states"
        yield f"{stack}_hidden_states.0", f"{stack}.embed.output"
        yield f"{stack}_hidden_states.{{n+1}}", f"{layer}.output"
        yield f"{stack}_attentions.{{n}}", f"{layer}.self_attn.weights"
    yield "cross_attentions.{n}", "decoder.layers.{n}.encoder_attn.weights"
    yield "past_key_values.{n}.2", "decoder.layers.{n}.encoder_attn.k"
    yield "past_key_values.{n}.3", "decoder.layers.{n}.encoder_attn.v"
    yield "encoder_last_hidden_state", "encoder.states"
    yield "lm_head.input", "decoder.states"
    yield "lm_head", "logits"


def _parlai() -> Iterator[tuple[str, str]]:
    """(name, point): modules of `TransformerGeneratorModel`. `.output.2` of an attention are its masked scores."""
    own, cross = ("self_attention", "self_attn", "norm1"), ("encoder_attention", "encoder_attn", "norm2")
    stacks = (("encoder", [("attention", "self_attn", "norm1")], "norm2"), ("decoder", [own, cross], "norm3"))
    for stack, attentions, last_norm in stacks:
        norm = f"norm_embeddings.input={_NORMED[stack]} norm_embeddings=norm"
        of_ids = f"embeddings=tokens position_embeddings=positions {norm} layers.0.input=output"
        yield from _below(stack, f"{stack}.embed", of_ids)
        layer = f"{stack}.layers.{{n}}"
        for theirs, ours, norm in attentions:
            here, point = f"{layer}.{theirs}", f"{layer}.{ours}"
            scores = "output.2=masked_scores attn_dropout=weights"
            projected = "out_lin.input=context out_lin=output"
            yield from _below(here, point, f"q_lin=q k_lin=k v_lin=v {scores} {projected}")
            yield here, f"{point}.output"
            yield from _below(layer, point, f"{norm}.input=sum {norm}=norm")
        blocks = "ffn.lin1=hidden ffn.lin2.input=activation ffn.lin2=output ffn=output"
        yield from _below(layer, f"{layer}.ffn", f"{blocks} {last_norm}.input=sum {last_norm}=norm")
        yield layer, f"{layer}.output"
        yield stack, f"{stack}.states"


TRANSFORMERS = NameTable.make(tuple(_transformers()), where="transformers' names")
PARLAI = NameTable.make(tuple(_parlai()), where="ParlAI's names")


def names_of(point: str) -> PointNames:
    """List the names of a point in transformers and in ParlAI.

    >>> names_of("encoder.layers.3.ffn.hidden")
    PointNames(transformers=('encoder.layers.3.fc1', 'encoder.layers.3.activation_fn.input'), \
parlai=('encoder.layers.3.ffn.lin1',))
    """
    return PointNames(tuple(TRANSFORMERS.spellings(point)), tuple(PARLAI.spellings(point)))


def _original(name: str) -> Meaning | None:
    """Translate a name of one of the originals."""
    bare = name.removeprefix("model.")
    for spelling in (bare, bare.removesuffix(".output")):
        for table in (TRANSFORMERS, PARLAI):
            found = table.translate(spelling)
            if found is not None:
                return Meaning(found[0], unscaled=spelling.endswith((".q_proj", ".q_lin")))
    return None


def meaning_of(name: str, points: Collection[str], table: NameTable | None = None) -> Meaning | None:
    """Find which of `points` a name stands for: through the user's table, literally, or as a name in an original.

    The table may translate to a point or to an original's name for one. The prefix of a step is kept unless the table
    names it. Returns None for an unknown name; the point of a `Meaning` need not be among `points`.

    Raises ValueError where two entries of the table disagree.

    >>> meaning_of("prefill.model.decoder.layers.0.self_attn.q_proj", ["prefill.decoder.layers.0.self_attn.q"])
    Meaning(point='prefill.decoder.layers.0.self_attn.q', pattern=None, unscaled=True)
    >>> meaning_of("enc.0.q", [], NameTable.make({"enc.{n}.q": "encoder.layers.{n}.self_attn.q"})).point
    'encoder.layers.0.self_attn.q'
    """
    step, bare = split_step(name)
    pattern = None
    if table is not None:
        found, before = table.translate(name), ""
        if found is None and step:
            found, before = table.translate(bare), step
        if found is not None:
            name, pattern = before + found[0], found[1]
            step, bare = split_step(name)
    if name in points:
        return Meaning(name, pattern)
    original = _original(bare)
    if original is not None:
        # A port that projects the source's keys in its prefill computes there what is computed once.
        once = step == "prefill." and step + original.point not in points and original.point in points
        return Meaning(original.point if once else step + original.point, pattern, original.unscaled)
    return None if pattern is None else Meaning(name, pattern)
