"""Whole forward passes in a pack: traces of float64 runs, one file a scenario, with the noise of every point.

Small models are traced at every point and in every scenario: padding on either side, holes, a row whose keys are all
hidden, masks of the target, masks of heads, pads without a mask, cached steps. For large ones a pack holds one
exchange at the points of the encoder and of the decoder's first layer, the outputs of the others, and the logits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array
from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import Dialect
from npblender.groundtruth.packs.files import PackFile, as_stored, tensor_records
from npblender.groundtruth.packs.verdict import Subject, Tally, Verdict
from npblender.groundtruth.tracing.inputs import TraceInputs
from npblender.groundtruth.tracing.record import record
from npblender.groundtruth.tracing.tensor_file import tensor_bytes
from npblender.groundtruth.tracing.trace_file import Trace

Ids = NDArray[np.int64]
KIND = "trace"
FIRST_LAYERS = (
    *("encoder.*", "decoder.embed.*", "decoder.layers.0.*"),
    *("decoder.layers.*.output", "decoder.states", "logits", "loss"),
)
TWIN = "twin"
"""The scenario whose first encoder layer has every parameter times `TWIN_FACTOR`."""
TWIN_FACTOR = 1 + 2.0**-13
"""Times this, a float16 number is a float32 number that float16 rounds back: 8193/8192."""
FINAL_BIAS = "final_bias"
"""The scenario whose model has a `final_logits_bias` that is not 0: of token v it is (v mod 7 - 3) / 4."""
OUTPUTS = ("encoder.states", "decoder.states", "logits")
MASKED = ("decoder.embed.positions", "*.masked_scores", "*.weights")
LONG_TARGET = 38


@dataclass(frozen=True, eq=False)
class Scenario:
    """One pass: its name, its purpose, what is run and which points are kept (all, if None)."""

    name: str
    why: str
    inputs: TraceInputs
    points: tuple[str, ...] | None = None

    @property
    def path(self) -> str:
        """Its file in the pack."""
        return f"forward/{self.name}.safetensors"


def _words(config: BlenderbotSmallConfig, rng: np.random.Generator, *shape: int) -> Ids:
    """Draw ids that are not special tokens."""
    special = (config.pad_token_id, config.bos_token_id, config.eos_token_id, config.decoder_start_token_id)
    low = 1 + max(token for token in special if isinstance(token, int))
    return rng.integers(low if low < config.vocab_size else 0, config.vocab_size, shape)


def _target(config: BlenderbotSmallConfig, rng: np.random.Generator, batch: int, length: int) -> Ids:
    start = config.decoder_start_token_id
    if start is None:
        raise ValueError("the model's config has no decoder_start_token_id, with which every target begins")
    ids = _words(config, rng, batch, length)
    ids[:, 0] = start
    return ids


def small_scenarios(config: BlenderbotSmallConfig, dialect: Dialect, seed: int) -> Iterator[Scenario]:
    """Yield every mask and cache case, for a model small enough to be kept whole."""
    rng = np.random.default_rng([seed, 100])
    pad = config.pad_token_id or 0
    rows = ("1111111", "1111000", "0011111", "1011011", "0000000")
    mask = np.array([[int(digit) for digit in row] for row in rows])
    ids = np.where(mask == 1, _words(config, rng, 5, 7), pad)
    ids[3] = _words(config, rng, 7)  # a hole need not be a pad
    target = _target(config, rng, 5, 9)
    labels = np.concatenate([target[:, 1:], _words(config, rng, 5, 1)], axis=1)
    labels[1, 5:], labels[2, :2], labels[4] = -100, -100, -100
    whole = TraceInputs(input_ids=ids, attention_mask=mask, decoder_input_ids=target, labels=labels)
    yield Scenario("batch", "a whole row, pads right, pads left, holes, and a row with nothing to attend to", whole)
    two = {"input_ids": ids[[1, 4]], "attention_mask": mask[[1, 4]], "decoder_input_ids": target[[1, 4], :5]}
    cached = TraceInputs(**two, steps=True, prefill=2)
    yield Scenario("steps", "a prompt of two tokens, then three one at a time over the cache", cached)
    hidden = np.array([[1, 1, 0, 1, 1], [0, 1, 1, 1, 1]])
    of_target = TraceInputs(ids[[0, 1]], mask[[0, 1]], target[:2, :5], decoder_attention_mask=hidden)
    points = ("decoder.embed.output", "decoder.layers.*.self_attn.*", "decoder.layers.*.output", "logits")
    yield Scenario("target_mask", "a target token hidden, and one that may attend to nothing", of_target, points)
    heads, layers = config.encoder_attention_heads, config.encoder_layers
    encoder_heads = np.ones((layers, heads))
    encoder_heads[:, -1] = 0
    decoder_heads = np.ones((config.decoder_layers, config.decoder_attention_heads))
    decoder_heads[:, 0] = 0.5
    silenced = TraceInputs(
        *(ids[:1], mask[:1], target[:1, :3]),
        head_mask=encoder_heads,
        decoder_head_mask=decoder_heads,
        cross_attn_head_mask=decoder_heads[:, ::-1].copy(),
    )
    points = ("encoder.embed.output", "*.self_attn.*", "*.encoder_attn.*", "logits")
    yield Scenario("head_masks", "heads silenced and halved", silenced, points)
    padded = TraceInputs(ids[[1]], decoder_input_ids=target[[1], :2])
    said = "hides them" if dialect.mask_from_ids else "attends to them"
    yield Scenario("pads_without_mask", f"pads and no mask: this dialect {said}", padded, OUTPUTS)
    shortest = TraceInputs(ids[:1, :1], decoder_input_ids=target[:1, :1])
    yield Scenario("shortest", "one token on either side", shortest, OUTPUTS)
    hidden = np.array([[1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 0, 1]])
    masked = TraceInputs(
        *(ids[[2, 1]], mask[[2, 1]], target[:2, :6]), decoder_attention_mask=hidden, steps=True, prefill=3
    )
    why = "a prompt of three tokens, then three one at a time, with pads in the source and in the target"
    yield Scenario("masks_in_steps", why, masked, (*MASKED, *OUTPUTS))
    longest = min(LONG_TARGET, config.max_position_embeddings)
    long = TraceInputs(ids[:1], decoder_input_ids=_target(config, rng, 1, longest))
    yield Scenario("long", f"a target of {longest} tokens", long, ("decoder.embed.positions", *OUTPUTS))
    short = TraceInputs(ids[:2], mask[:2], target[:2, :4], labels=labels[:2, :4])
    why = "a final_logits_bias that is not 0: of token v it is (v mod 7 - 3) / 4"
    yield Scenario(FINAL_BIAS, why, short, (*OUTPUTS, "log_probabilities", "loss"))


def exchange_scenarios(
    config: BlenderbotSmallConfig, seed: int, exchange: tuple[list[int], list[int]] | None
) -> Iterator[Scenario]:
    """Yield one exchange (a source's ids and a reply's) at few points, whole and in steps."""
    rng = np.random.default_rng([seed, 101])
    source = _words(config, rng, 1, 8) if exchange is None else np.array([exchange[0]])
    reply = _words(config, rng, 1, 5) if exchange is None else np.array([exchange[1]])
    target = np.concatenate([[[config.decoder_start_token_id]], reply[:, :-1]], axis=1)
    whole = TraceInputs(source, decoder_input_ids=target, labels=reply)
    yield Scenario("exchange", "a source and a reply to it, no pads", whole, FIRST_LAYERS)
    padding = np.full((1, 2), config.pad_token_id or 0)
    padded = np.concatenate([source, padding], axis=1)
    mask = np.concatenate([np.ones_like(source), np.zeros_like(padding)], axis=1)
    start = TraceInputs(source[:, :1], decoder_input_ids=target[:, :1])
    yield Scenario("shortest", "one token on either side", start, FIRST_LAYERS[:-1])
    short = TraceInputs(source[:, :3], decoder_input_ids=target[:, :1])
    why = "the first encoder layer with every parameter times 8193/8192, exact in float32 and not in float16"
    yield Scenario(TWIN, why, short, ("encoder.embed.output", "encoder.layers.0.*"))
    steps = TraceInputs(padded, mask, target, steps=True, prefill=2)
    yield Scenario("steps", "the same with two pads, a prompt of two tokens and then one at a time", steps, OUTPUTS)


def _twin(name: str, array: Array) -> Array:
    return np.asarray(array * array.dtype.type(TWIN_FACTOR if name.startswith("encoder.layers.0.") else 1))


def _biased(name: str, array: Array) -> Array:
    if name != "final_logits_bias":
        return array
    return ((np.arange(array.size) % 7 - 3) / 4).reshape(array.shape).astype(array.dtype)


OTHER_WEIGHTS: Mapping[str, Callable[[str, Array], Array]] = {TWIN: _twin, FINAL_BIAS: _biased}
"""The scenarios of other parameters than the model's, and what each makes of them: exactly, of float16 numbers."""


def subject_of_path(subject: Subject, path: str) -> Subject:
    """Return the model that a file of the pack was traced with: the pack's, or one of other parameters."""
    change = OTHER_WEIGHTS.get(Path(path).stem)
    return subject if change is None else subject.with_parameters(change)


def traces(subject: Subject, scenarios: list[Scenario]) -> dict[str, Trace]:
    """Trace every scenario in float64, with the noise of each point, by the scenario's path."""
    found = {}
    for each in scenarios:
        model = subject_of_path(subject, each.path).model
        found[each.path] = record(model, each.inputs, points=each.points, dtype="float64")
    return found


def make(found: dict[str, Trace], scenarios: list[Scenario], stored: str) -> Iterator[PackFile]:
    """Make the trace files."""
    for scenario in scenarios:
        trace = found[scenario.path]
        arrays = {name: as_stored(array, stored) for name, array in trace.arrays.items()}
        kept = replace(trace, arrays=arrays)
        content = tensor_bytes(kept.tensors, kept.metadata)
        yield PackFile(scenario.path, KIND, scenario.why, content, tensor_records(kept.tensors, trace.noise))


def check(path: Path, subject: Subject) -> Verdict:
    """Run the trace's inputs and compare the result with the trace."""
    reference = Trace.load(path)
    if reference.inputs is None:
        raise ValueError(f"{path} does not say what was run")
    inputs = TraceInputs.from_json(reference.inputs)
    model = subject_of_path(subject, str(path)).model
    mine = record(model, inputs, points=list(reference.points), noise=False)
    tally = Tally()
    for name, array in reference.arrays.items():
        tally.compare(name, array, mine.arrays[name], reference.noise.get(name))
    return tally.verdict("points")
