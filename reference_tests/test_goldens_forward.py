"""The forward pass against numbers that the originals made: see golden/PROVENANCE.md.

Every golden is answered in the dialect of each original that is in it. A golden that can not fail proves nothing, so
`FAULTS` plants the mistakes that ports of this model make, one at a time, and asks that every golden sees those that
its model and its calls can show.
"""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npblender import activations, attention, decoder, encoder, forward, masks, model, ops
from npblender.dialects import resolve_dialect
from tools.differential.measure import relative_difference
from tools.differential.ours import Runner
from tools.golden_files import Golden, columns, read_golden, stored
from tools.originals.exchange import wanted

FOLDER = Path(__file__).parent / "golden" / "forward"
RUNS = {
    (path.stem, run): read_golden(path.stem, FOLDER)
    for path in sorted(FOLDER.glob("*.json"))
    for run in read_golden(path.stem, FOLDER).answers
}
TINY = [key for key in RUNS if key[0] != "demo"]
DEMO = [key for key in RUNS if key[0] == "demo"]


def differences(golden: Golden, run: str, dialect: Any = None, runner: Runner | None = None) -> list[str]:
    """Every stored tensor from which npblender's answer lies further than the golden's bound."""
    answers = golden.answers[run]
    weights = {name: value.astype(answers.dtype) for name, value in golden.case.weights.items()}
    case = dataclasses.replace(golden.case, dtype=answers.dtype, weights=weights)
    runner = runner or Runner(case, dialect or answers.dialect)
    seen, wrong = set(), []
    for number, call in enumerate(case.calls):
        if not wanted(call, answers.original):
            continue
        for name, array in runner.call(number, call).items():
            expected = answers.tensors.get(f"{number}/{name}")
            if not stored(call, name) or expected is None:
                continue
            seen.add(f"{number}/{name}")
            difference, where = relative_difference(columns(call, name, array), expected)
            if not difference <= answers.bound:
                wrong.append(f"{number}/{name}: {difference:.3g} > {answers.bound:g}; {where}")
    return wrong + [f"{name}: not there" for name in sorted(set(answers.tensors) - seen)]


@pytest.mark.parametrize("key", TINY, ids="-".join)
def test_answers_as_the_original_did(key: tuple[str, str]) -> None:
    golden, run = RUNS[key], key[1]
    assert len(golden.answers[run].tensors) >= 6
    assert differences(golden, run) == []


def test_the_goldens_are_all_there() -> None:
    originals = {golden.answers[run].original for (_, run), golden in RUNS.items()}
    assert originals == {"transformers-5", "transformers-4", "parlai"}
    activations_seen = {golden.case.config["activation_function"] for golden in RUNS.values()}
    assert activations_seen == set(activations.ACTIVATIONS)
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_000_000


@dataclass(frozen=True)
class Fault:
    """A mistake: how to plant it, and which goldens must see it (`shows`); it may change the dialect instead."""

    plant: Callable[[pytest.MonkeyPatch], None] | None
    shows: Callable[[Golden, str], bool] = lambda golden, run: True
    dialect: Callable[[Any], Any] | None = None


def everywhere(function: Any, make: Callable[[Any], Any]) -> Callable[[pytest.MonkeyPatch], None]:
    """A fault that puts `make(function)` in its place in every module of the package that has it by name."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        faulty = make(function)
        for module_name, module in list(sys.modules.items()):
            if module_name.split(".")[0] == "npblender":
                for name, value in list(vars(module).items()):
                    if value is function:
                        patch.setattr(module, name, faulty)

    return plant


def unbiased_variance(x: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, ddof=1, keepdims=True) + eps) * weight + bias


def eps_outside_the_root(x: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    return (x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + eps) * weight + bias


def norm_after_positions(w: Any, tokens: Any, positions: Any, context: Any) -> Any:
    norm = w.layernorm_embedding
    return ops.layer_norm(tokens + ops.embed(positions, w.embed_positions.weight), norm.weight, norm.bias)


def restarted_positions(embed_target: Any) -> Any:
    return lambda w, tokens, positions, context: embed_target(w, tokens, positions - positions.min(), context)


def cross_states_shifted(start: Any) -> Any:
    return lambda w, batch, states, context: start(w, batch, None if states is None else states[:, ::-1], context)


def without_head_mask(attend: Any) -> Any:
    return lambda w, q, k, v, mask, head_mask, context: attend(w, q, k, v, mask, None, context)


def flips(field: str) -> Callable[[Any], Any]:
    return lambda dialect: dataclasses.replace(dialect, **{field: not getattr(dialect, field)})


def scaled(golden: Golden, run: str) -> bool:
    return bool(golden.case.config["scale_embedding"])


def biased(golden: Golden, run: str) -> bool:
    return bool(golden.case.weights["final_logits_bias"].any())


def has_argument(name: str) -> Callable[[Golden, str], bool]:
    def shows(golden: Golden, run: str) -> bool:
        original = golden.answers[run].original
        return any(name in call["arguments"] for call in golden.case.calls if wanted(call, original))

    return shows


# gelu and gelu_new are each other's usual mistake, relu and silu likewise
SWAPPED = {"gelu": ops.gelu_new, "gelu_new": ops.gelu, "relu": ops.silu, "silu": ops.relu}

FAULTS = {
    "tanh-GELU for erf-GELU, and other activations swapped": Fault(everywhere(ops.ACTIVATIONS, lambda _: SWAPPED)),
    "LayerNorm with unbiased variance": Fault(everywhere(ops.layer_norm, lambda _: unbiased_variance)),
    "LayerNorm with eps outside the root": Fault(everywhere(ops.layer_norm, lambda _: eps_outside_the_root)),
    "decoder norm after the positions": Fault(everywhere(decoder.embed_target, lambda _: norm_after_positions)),
    "positions restarted with the cache": Fault(everywhere(decoder.embed_target, restarted_positions)),
    "queries never scaled": Fault(
        everywhere(attention.project_queries, lambda f: lambda w, x, h, c: f(w, x, h, c) * 3**0.5)
    ),
    "causal mask off by one": Fault(
        everywhere(masks.causal_mask, lambda _: lambda new, keys: np.tri(new, keys, keys - new + 1, dtype=bool))
    ),
    "pads attended": Fault(everywhere(masks.key_mask, lambda _: lambda mask: None)),
    "heads merged in the wrong order": Fault(
        everywhere(attention.merge_heads, lambda _: lambda x: x.transpose(0, 2, 3, 1).reshape(*x.shape[::2], -1))
    ),
    "keys and values swapped": Fault(everywhere(attention.project_keys_values, lambda f: lambda *a: f(*a)[::-1])),
    "cross keys of the states in reverse": Fault(everywhere(decoder.start, cross_states_shifted)),
    "linear maps without their bias": Fault(everywhere(ops.linear, lambda f: lambda x, w, b=None: f(x, w))),
    "final bias dropped": Fault(
        everywhere(
            forward.logits_of, lambda f: lambda w, s, c: f(dataclasses.replace(w, final_logits_bias=None), s, c)
        ),
        biased,
    ),
    "encoder embeddings not scaled": Fault(
        everywhere(encoder.scale_embeddings, lambda _: lambda x, context: x), scaled
    ),
    "decoder embeddings scaled or not, as the other version does": Fault(
        None, scaled, flips("scale_decoder_embeddings")
    ),
    "given decoder embeddings scaled or not": Fault(
        None,
        lambda golden, run: scaled(golden, run) and has_argument("decoder_inputs_embeds")(golden, run),
        flips("scale_decoder_inputs_embeds"),
    ),
    "positions by column or by mask": Fault(None, dialect=flips("positions_follow_mask")),
    "pads hidden without a mask or not": Fault(None, dialect=flips("mask_from_ids")),
    "states at pads zeroed or not": Fault(None, dialect=flips("zero_padded_states")),
    "start token free or not": Fault(
        None,
        dialect=lambda d: dataclasses.replace(d, start_logit=-1e20 if d.start_logit is None else None),
    ),
    "head masks ignored": Fault(everywhere(attention.attend, without_head_mask), has_argument("cross_attn_head_mask")),
    "loss counts every label": Fault(
        everywhere(forward.loss_of, lambda f: lambda logits, labels, c: f(logits, np.maximum(labels, 0), c)),
        has_argument("labels"),
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_every_golden_sees_the_faults_it_can(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    if fault.plant is not None:
        fault.plant(monkeypatch)
    able = [key for key in TINY if fault.shows(RUNS[key], key[1])]
    assert able
    for key in able:
        golden, run = RUNS[key], key[1]
        dialect = resolve_dialect(golden.answers[run].dialect)
        changed = dialect if fault.dialect is None else fault.dialect(dialect)
        assert differences(golden, run, changed), f"{key} does not see the fault"


def test_every_golden_is_failed_by_most_faults() -> None:
    for key in TINY:
        assert sum(fault.shows(RUNS[key], key[1]) for fault in FAULTS.values()) >= 16, key


@pytest.mark.parametrize("key", DEMO, ids="-".join)
def test_the_demo_answers_as_the_originals_did(key: tuple[str, str]) -> None:
    golden, run = RUNS[key], key[1]
    answers = golden.answers[run]
    folder = Path(model.__file__).parent / "demo"
    made_of = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert made_of == golden.model_sha256, (
        "other weights; `python tools/export_goldens.py --demo` makes the golden anew"
    )
    demo = model.BlenderbotSmallForConditionalGeneration.from_pretrained(
        folder, dialect=answers.dialect, dtype=answers.dtype
    )
    runner = Runner(golden.case, answers.dialect)
    runner.models[golden.case.calls[0]["class"], golden.case.dtype] = demo
    assert len(answers.tensors) == len(golden.case.calls)
    assert differences(golden, run, runner=runner) == []
