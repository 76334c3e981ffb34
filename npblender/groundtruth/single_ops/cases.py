"""Lists every operation of one run as a case of its own: its inputs, its parameters, and the point it gives.

The inputs of a case are recorded points, or ids and masks of the run; a port computes each case from them, so that no
error is carried from one to the next. `compute` gives their outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from npblender.common.array_types import Array
from npblender.groundtruth.tracing.evaluate import Evaluation, decoder_passes
from npblender.groundtruth.tracing.inputs import has_head
from npblender.groundtruth.tracing.points import without_step
from npblender.transformer.checks import make_context
from npblender.transformer.context import SILENT
from npblender.transformer.encoder import source_positions
from npblender.transformer.masks import key_mask, self_attention_mask

EPS = 1e-5  # of every LayerNorm of this model


@dataclass(frozen=True)
class Case:
    """One operation. Several names of one input are concatenated along the axis of keys."""

    name: str  # the point that it gives
    op: str
    inputs: Mapping[str, tuple[str, ...]]  # role -> points, or arrays of `run_arrays`
    parameters: Mapping[str, str] = field(default_factory=dict)  # role -> name of a tensor in the checkpoint
    settings: Mapping[str, float] = field(default_factory=dict)

    def gather(self, arrays: Mapping[str, Array], dtype: Any) -> dict[str, Array]:
        """Return the inputs by role, numbers in `dtype`; keys and values of several passes are concatenated.

        >>> case = Case("x", "context", {"weights": ("w",), "v": ("prefill.v", "step1.v")})
        >>> arrays = {"w": np.ones((1, 1, 1, 2)), "prefill.v": np.ones((1, 1, 1, 1)), "step1.v": np.zeros((1, 1, 1, 1))}
        >>> case.gather(arrays, np.float32)["v"].ravel()
        array([1., 0.], dtype=float32)
        """
        roles = {}
        for role, names in self.inputs.items():
            listed = [arrays[name] for name in names]
            whole = listed[0] if len(listed) == 1 else np.concatenate(listed, axis=2)  # [B, H, L, K]
            roles[role] = whole.astype(dtype) if whole.dtype.kind == "f" else whole
        return roles


def _linear(name: str, x: str, module: str, **settings: float) -> Case:
    parameters = {"weight": f"{module}.weight", "bias": f"{module}.bias"}
    return Case(name, "linear", {"x": (x,)}, parameters, settings)


def _norm(name: str, x: str, module: str) -> Case:
    parameters = {"weight": f"{module}.weight", "bias": f"{module}.bias"}
    return Case(name, "layer_norm", {"x": (x,)}, parameters, {"eps": EPS})


def _add(name: str, a: str, b: str) -> Case:
    return Case(name, "add", {"a": (a,), "b": (b,)})


def _embedding(e: Evaluation, here: str, stack: str) -> Iterator[Case]:
    """Yield the cases from ids to the first layer's input. `here` has the prefix of the step, `stack` has not."""
    run = e.run.source if stack == "encoder" else e.run.target
    assert run is not None
    if run.input_ids is not None:
        yield Case(f"{here}.embed.tokens", "embed", {"ids": (f"{here}.input_ids",)}, {"table": "shared.weight"})
        scales = stack == "encoder" or e.dialect.scale_decoder_embeddings
        factor = float(np.sqrt(e.config.d_model)) if scales and e.config.scale_embedding else 1.0
        yield Case(f"{here}.embed.scaled", "scale", {"x": (f"{here}.embed.tokens",)}, settings={"factor": factor})
    table, norm = {"table": f"{stack}.embed_positions.weight"}, f"{stack}.layernorm_embedding"
    positions = Case(f"{here}.embed.positions", "embed", {"ids": (f"{here}.position_ids",)}, table)
    if stack == "encoder":
        yield positions
        yield _add(f"{here}.embed.sum", f"{here}.embed.scaled", f"{here}.embed.positions")
        yield _norm(f"{here}.embed.norm", f"{here}.embed.sum", norm)
        yield from _zeroed(e, f"{here}.embed.output", f"{here}.embed.norm")
    else:
        yield _norm(f"{here}.embed.norm", f"{here}.embed.scaled", norm)
        yield positions
        yield _add(f"{here}.embed.sum", f"{here}.embed.norm", f"{here}.embed.positions")


def _zeroed(e: Evaluation, name: str, x: str) -> Iterator[Case]:
    """Yield the case that zeroes the states of pads, in dialects that do so."""
    assert e.run.source is not None
    if e.dialect.zero_padded_states and e.run.source.attention_mask is not None:
        yield Case(name, "zero_pads", {"x": (x,), "mask": ("encoder.attention_mask",)})


def _attention(
    e: Evaluation, here: str, x: str, pasts: list[str], masks: tuple[str, str], extra: Mapping[str, Array]
) -> Iterator[Case]:
    """Yield the cases from queries to norm, over the keys and values of `pasts`; `masks` of keys and heads."""
    module = without_step(here)
    norm = module + "_layer_norm"
    mask, head_mask = masks
    yield from _projections(e, here, x, "q" if module.endswith(".encoder_attn") else "qkv")
    values = tuple(f"{past}.v" for past in pasts)
    yield Case(f"{here}.scores", "scores", {"q": (f"{here}.q",), "k": tuple(f"{past}.k" for past in pasts)})
    if mask in extra:
        value = float(np.finfo(np.float32).min) if e.dialect.masked_score is None else e.dialect.masked_score
        yield Case(f"{here}.masked_scores", "mask", {"x": (f"{here}.scores",), "mask": (mask,)}, {}, {"value": value})
    masked = {"head_mask": (head_mask,)} if head_mask in extra else {}
    yield Case(f"{here}.weights", "softmax", {"x": (f"{here}.masked_scores",)} | masked)
    yield Case(f"{here}.context", "context", {"weights": (f"{here}.weights",), "v": values})
    yield _linear(f"{here}.output", f"{here}.context", f"{module}.out_proj")
    yield _add(f"{here}.sum", x, f"{here}.output")
    yield _norm(f"{here}.norm", f"{here}.sum", norm)


def _feed_forward(e: Evaluation, here: str, module: str, x: str) -> Iterator[Case]:
    yield _linear(f"{here}.hidden", x, f"{module}.fc1")
    yield Case(f"{here}.activation", e.config.activation_function, {"x": (f"{here}.hidden",)})
    yield _linear(f"{here}.output", f"{here}.activation", f"{module}.fc2")
    yield _add(f"{here}.sum", x, f"{here}.output")
    yield _norm(f"{here}.norm", f"{here}.sum", f"{module}.final_layer_norm")


def _projections(e: Evaluation, here: str, x: str, letters: str) -> Iterator[Case]:
    """Yield queries (divided by sqrt(K)), keys and values, split into heads."""
    module, config = without_step(here), e.config
    heads = config.encoder_attention_heads if module.startswith("encoder.") else config.decoder_attention_heads
    for letter in letters:
        scaled = {"divide_by": float(np.sqrt(config.d_model // heads))} if letter == "q" else {}
        yield _linear(f"{here}.{letter}", x, f"{module}.{letter}_proj", heads=heads, **scaled)


def _encoder(e: Evaluation, extra: Mapping[str, Array]) -> Iterator[Case]:
    yield from _embedding(e, "encoder", "encoder")
    x = "encoder.embed.output"
    for n in range(e.config.encoder_layers):
        layer = f"encoder.layers.{n}"
        attn = f"{layer}.self_attn"
        yield from _attention(e, attn, x, [attn], ("encoder.key_mask", f"{layer}.head_mask"), extra)
        yield from _feed_forward(e, f"{layer}.ffn", layer, f"{attn}.norm")
        yield from _zeroed(e, f"{layer}.output", f"{layer}.ffn.norm")
        x = f"{layer}.output"


def _decoder(e: Evaluation, before: list[str], step: str, extra: Mapping[str, Array]) -> Iterator[Case]:
    """Yield the cases of one decoder pass over the keys of those before it."""
    dot = f"{step}." if step else ""
    here = f"{dot}decoder"
    yield from _embedding(e, here, "decoder")
    x = f"{here}.embed.output"
    for n in range(e.config.decoder_layers):
        layer, module = f"{here}.layers.{n}", f"decoder.layers.{n}"
        attn = f"{layer}.self_attn"
        pasts = [f"{each}.{module}.self_attn" for each in before] + [attn]
        yield from _attention(e, attn, x, pasts, (f"{here}.self_mask", f"{module}.head_mask"), extra)
        x = f"{attn}.norm"
        if e.run.source is not None:
            attn, masks = f"{layer}.encoder_attn", ("encoder.key_mask", f"{module}.cross_attn_head_mask")
            yield from _attention(e, attn, x, [f"{module}.encoder_attn"], masks, extra)
            x = f"{attn}.norm"
        yield from _feed_forward(e, f"{layer}.ffn", module, x)
        x = f"{layer}.output"
    if has_head(e.weights):
        yield _logits(e, dot, here)
        yield Case(f"{dot}log_probabilities", "log_softmax", {"x": (f"{dot}logits",)})
        if e.run.labels is not None:
            yield Case(f"{dot}loss", "cross_entropy", {"x": (f"{dot}logits",), "labels": ("labels",)})


def _logits(e: Evaluation, dot: str, here: str) -> Case:
    parameters, settings = {"weight": "shared.weight"}, dict[str, float]()
    if e.weights.final_logits_bias is not None:
        parameters["bias"] = "final_logits_bias"
    if e.dialect.start_logit is not None and e.config.decoder_start_token_id is not None:
        settings = {"start_token": e.config.decoder_start_token_id, "start_logit": e.dialect.start_logit}
    return Case(f"{dot}logits", "logits", {"x": (f"{here}.states",)}, parameters, settings)


def list_cases(evaluation: Evaluation) -> list[Case]:
    """List all operations of a run, in causal order. A point that repeats another point is not an operation.

    >>> from npblender.groundtruth.tracing.inputs import TraceInputs, check_inputs
    >>> run = check_inputs(config, weights, context.dialect, TraceInputs([[5, 6]]))
    >>> cases = list_cases(Evaluation(config, context.dialect, weights, run))
    >>> cases[6].name, cases[6].op, dict(cases[6].inputs)
    ('encoder.layers.0.self_attn.q', 'linear', {'x': ('encoder.embed.output',)})
    """
    extra = run_arrays(evaluation)
    cases: list[Case] = []
    if evaluation.run.source is not None:
        cases += _encoder(evaluation, extra)
        for n in range(evaluation.config.decoder_layers):
            cases += _projections(evaluation, f"decoder.layers.{n}.encoder_attn", "encoder.states", "kv")
    before: list[str] = []
    for step, _, _ in decoder_passes(evaluation.run):
        cases += _decoder(evaluation, before, step, extra)
        before.append(step)
    return cases


def run_arrays(evaluation: Evaluation) -> dict[str, Array]:
    """Make the arrays that cases need beside points: ids, positions, labels, and masks, True = may attend.

    >>> from npblender.groundtruth.tracing.inputs import TraceInputs, check_inputs
    >>> run = check_inputs(config, weights, context.dialect, TraceInputs([[5, 0]]))
    >>> run_arrays(Evaluation(config, context.dialect, weights, run))["encoder.attention_mask"]
    array([[ True, False]])
    """
    source, target = evaluation.run.source, evaluation.run.target
    found: dict[str, Array | None] = {"labels": evaluation.run.labels}
    if source is not None:
        context = make_context(evaluation.config, evaluation.dialect, SILENT.sink)
        counted = source_positions(*source.size, source.attention_mask, context)
        found["encoder.input_ids"] = source.input_ids
        found["encoder.inputs_embeds"] = source.inputs_embeds
        found["encoder.position_ids"] = counted if source.position_ids is None else source.position_ids
        found["encoder.attention_mask"] = source.attention_mask
        found["encoder.key_mask"] = key_mask(source.attention_mask)
    for kind, masks in (
        ("encoder.layers.{}.head_mask", None if source is None else source.head_mask),
        ("decoder.layers.{}.head_mask", target.head_mask),
        ("decoder.layers.{}.cross_attn_head_mask", target.cross_attn_head_mask),
    ):
        found |= {} if masks is None else {kind.format(n): each for n, each in enumerate(masks)}
    for step, start, stop in decoder_passes(evaluation.run):
        here = f"{step}.decoder" if step else "decoder"
        ids, positions = target.input_ids, target.position_ids
        found[f"{here}.input_ids"] = None if ids is None else ids[:, start:stop]
        found[f"{here}.inputs_embeds"] = None if target.inputs_embeds is None else target.inputs_embeds[:, start:stop]
        counted = np.broadcast_to(np.arange(start, stop), (evaluation.run.batch, stop - start))
        found[f"{here}.position_ids"] = counted if positions is None else positions[:, start:stop]
        seen = None if target.attention_mask is None else target.attention_mask[:, :stop]
        found[f"{here}.self_mask"] = self_attention_mask(stop - start, stop, seen)
    return {name: np.array(array) for name, array in found.items() if array is not None}
