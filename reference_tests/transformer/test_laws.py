"""Laws of the forward pass that hold whatever the weights are: caching, padding, batches, causality, masks, dtypes."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npblender.config.dialect import DIALECTS, PARLAI, TRANSFORMERS_4, TRANSFORMERS_5, Dialect
from reference_tests.support.asserts import assert_close
from reference_tests.support.forward_checks import assert_near, traced
from reference_tests.support.model_cases import draw_case, draw_mask, draw_model, ids_of
from reference_tests.support.strategies import seeds
from reference_tests.support.tolerances import TOLERANCES

AGAIN = TOLERANCES["float64 computed another way"]
UNIFORM = TOLERANCES["uniform weights"]
EVERYTHING = {"output_hidden_states": True, "output_attentions": True}

dialects = st.sampled_from(DIALECTS)
kinds = st.sampled_from(["seq2seq", "base", "causal"])


def answer(output: Any) -> np.ndarray:
    """Logits, or the states of a model without a head."""
    return output.logits if "logits" in output else output.last_hidden_state


def source_of(rng: np.random.Generator, model: Any, kind: str, batch: int) -> dict[str, Any]:
    """A source of one to six tokens with a random mask; states for a decoder on its own, or none."""
    length = int(rng.integers(1, 7))
    if kind != "causal":
        ids = ids_of(rng, model.config, batch, length)
        return {"input_ids": ids, "attention_mask": draw_mask(rng, batch, length)}
    if rng.integers(2):
        return {}
    states = rng.standard_normal((batch, length, model.config.d_model))
    return {"encoder_hidden_states": states, "encoder_attention_mask": draw_mask(rng, batch, length)}


def in_pieces(model: Any, kind: str, source: dict[str, Any], ids: np.ndarray, cuts: list[int], mask: Any) -> list[Any]:
    """The outputs of the target's pieces, each with the cache of the one before, over the same source."""
    prefix, past, outputs = "" if kind == "causal" else "decoder_", None, []
    for start, stop in itertools.pairwise([0, *cuts, ids.shape[1]]):
        piece = {f"{prefix}input_ids": ids[:, start:stop], "past_key_values": past, **source, **EVERYTHING}
        if mask is not None:
            piece[f"{prefix}attention_mask"] = mask[:, :stop]
        outputs.append(model(**piece, use_cache=True))
        past = outputs[-1].past_key_values
        assert past.length == stop
    return outputs


@given(seed=seeds(), dialect=dialects, kind=kinds, masked=st.booleans())
@settings(max_examples=40)
def test_cached_equals_uncached_at_every_split(seed: int, dialect: Dialect, kind: str, masked: bool) -> None:
    rng = np.random.default_rng(seed)
    model, batch, length = draw_model(rng, dialect, kind), int(rng.integers(1, 4)), int(rng.integers(2, 6))
    source, ids = source_of(rng, model, kind, batch), ids_of(rng, model.config, batch, length)
    mask = draw_mask(rng, batch, length) if masked else None
    # A token that may attend to nothing is uniform over the keys there are, and a cache holds fewer: see below.
    sees = np.ones(ids.shape, bool) if mask is None else np.cumsum(mask, axis=1) > 0
    (whole,) = in_pieces(model, kind, source, ids, [], mask)
    splits = [[n] for n in range(1, length)] + [list(range(1, length))]
    own = "attentions" if kind == "causal" else "decoder_attentions"
    states = "hidden_states" if kind == "causal" else "decoder_hidden_states"
    for cuts in splits:
        pieces = in_pieces(model, kind, source, ids, cuts, mask)
        found = np.concatenate([answer(piece) for piece in pieces], axis=1)
        assert_near("answer", found[sees], answer(whole)[sees], AGAIN)
        for n, expected in enumerate(whole[states]):
            layer = np.concatenate([piece[states][n] for piece in pieces], axis=1)
            assert_near(f"hidden state {n}", layer[sees], expected[sees], AGAIN)
        for n, expected in enumerate(whole[own]):
            last = pieces[-1][own][n]  # [B, H, T, L]: the last rows of the whole
            kept = sees[:, -last.shape[2] :]
            rows = expected[:, :, -last.shape[2] :].transpose(0, 2, 1, 3)[kept]
            assert_near(f"attention {n}", last.transpose(0, 2, 1, 3)[kept], rows, AGAIN)
        for n, (layer, expected) in enumerate(zip(pieces[-1].past_key_values, whole.past_key_values, strict=True)):
            for part, (array, wanted) in enumerate(zip(layer, expected, strict=True)):
                kept = sees if part < 2 else np.ones((batch, array.shape[2]), bool)
                array, wanted = array.transpose(0, 2, 1, 3)[kept], wanted.transpose(0, 2, 1, 3)[kept]
                assert_near(f"cache {n}.{part}", array, wanted, AGAIN)


@given(seed=seeds(), dialect=dialects)
@settings(max_examples=30)
def test_right_padding_and_batch_mates_change_nothing(seed: int, dialect: Dialect) -> None:
    """A row in a padded batch, with a mask, equals the row alone, source and target."""
    rng = np.random.default_rng(seed)
    model, batch = draw_model(rng, dialect), int(rng.integers(2, 4))
    sources, targets = rng.integers(1, 7, size=batch), rng.integers(1, 6, size=batch)
    ids, decoder_ids = ids_of(rng, model.config, batch, 7), ids_of(rng, model.config, batch, 6)
    mask = (np.arange(7) < sources[:, None]).astype(int)
    together = model(input_ids=ids, attention_mask=mask, decoder_input_ids=decoder_ids)
    for b, (s, t) in enumerate(zip(sources, targets, strict=True)):
        alone = model(
            input_ids=ids[b : b + 1, :s], attention_mask=np.ones((1, s)), decoder_input_ids=decoder_ids[b : b + 1, :t]
        )
        assert_near("logits", together.logits[b, :t], alone.logits[0], AGAIN)
        states = together.encoder_last_hidden_state[b, :s]
        assert_near("encoder", states, alone.encoder_last_hidden_state[0], AGAIN)
        if dialect.zero_padded_states:
            assert not together.encoder_last_hidden_state[b, s:].any()


def padded_on_the_left(seed: int, dialect: Dialect, *, say_mask: bool) -> tuple[np.ndarray, np.ndarray]:
    """The logits of a source without pads, and of the same one with pads on its left."""
    rng = np.random.default_rng(seed)
    model = draw_model(rng, dialect)
    pad, length, pads = model.config.pad_token_id, int(rng.integers(2, 6)), int(rng.integers(1, 4))
    ids = rng.integers(model.config.vocab_size, size=(1, length))
    ids[ids == pad] = (pad + 1) % 7
    padded = np.concatenate([np.full((1, pads), pad), ids], axis=1)
    mask = {"attention_mask": (padded != pad).astype(int)} if say_mask else {}
    target = ids_of(rng, model.config, 1, 3)
    plain = model(input_ids=ids, decoder_input_ids=target)
    return plain.logits, model(input_ids=padded, decoder_input_ids=target, **mask).logits


@given(seed=seeds(), say_mask=st.booleans())
@settings(max_examples=30)
def test_left_padding_changes_nothing_in_parlai(seed: int, say_mask: bool) -> None:
    plain, padded = padded_on_the_left(seed, PARLAI, say_mask=say_mask)
    assert_near("logits", padded, plain, AGAIN)


@pytest.mark.parametrize("dialect", [TRANSFORMERS_4, TRANSFORMERS_5], ids=lambda dialect: dialect.name)
def test_left_padding_changes_the_others(dialect: Dialect) -> None:
    """Their positions count columns, so even a masked pad moves every token."""
    moved = [np.abs(np.subtract(*padded_on_the_left(seed, dialect, say_mask=True))).max() for seed in range(10)]
    assert min(moved) > 1e-3


@pytest.mark.parametrize("dialect", [TRANSFORMERS_4, TRANSFORMERS_5], ids=lambda dialect: dialect.name)
def test_pads_without_a_mask_are_attended_to_by_the_others(dialect: Dialect) -> None:
    model = draw_model(np.random.default_rng(5), dialect)
    ids = np.full((1, 4), (model.config.pad_token_id + 1) % 7)
    padded = np.concatenate([ids, np.full((1, 2), model.config.pad_token_id)], axis=1)
    target = [[model.config.decoder_start_token_id]]
    alone, without = model(ids, decoder_input_ids=target), model(padded, decoder_input_ids=target)
    masked = model(padded, np.array([[1, 1, 1, 1, 0, 0]]), target)
    assert np.abs(without.logits - alone.logits).max() > 1e-3
    assert_near("logits", masked.logits, alone.logits, AGAIN)


@given(seed=seeds(), dialect=dialects, kind=kinds)
@settings(max_examples=30)
def test_causality(seed: int, dialect: Dialect, kind: str) -> None:
    """No token's answer depends on a later token."""
    rng = np.random.default_rng(seed)
    model, batch, length = draw_model(rng, dialect, kind), int(rng.integers(1, 4)), int(rng.integers(2, 6))
    source, ids = source_of(rng, model, kind, batch), ids_of(rng, model.config, batch, length)
    kept = int(rng.integers(1, length))
    changed = np.concatenate([ids[:, :kept], (ids[:, kept:] + 1) % model.config.vocab_size], axis=1)
    name = "input_ids" if kind == "causal" else "decoder_input_ids"
    first, second = (answer(model(**source, **{name: each})) for each in (ids, changed))
    assert_near("answer", second[:, :kept], first[:, :kept], AGAIN)
    assert np.abs(second[:, kept:] - first[:, kept:]).max() > 1e-9


@given(seed=seeds(), dialect=dialects)
@settings(max_examples=20)
def test_a_row_that_may_attend_to_nothing_is_uniform(seed: int, dialect: Dialect) -> None:
    """The value that `masks.hide` defines: 1/L each, keys of the future included, in all three attentions."""
    rng = np.random.default_rng(seed)
    model, length, target = draw_model(rng, dialect), int(rng.integers(1, 7)), int(rng.integers(2, 6))
    mask, decoder_mask = np.ones((2, length), int), np.ones((2, target), int)
    mask[1], decoder_mask[1, : target - 1] = 0, 0
    out = model(
        input_ids=ids_of(rng, model.config, 2, length),
        attention_mask=mask,
        decoder_input_ids=ids_of(rng, model.config, 2, target),
        decoder_attention_mask=decoder_mask,
        **EVERYTHING,
    )
    for weights in out.encoder_attentions + out.cross_attentions:
        assert_close(weights[1], np.full(weights[1].shape, 1 / length), UNIFORM)
        assert_close(weights.sum(axis=-1), np.ones(weights.shape[:-1]), TOLERANCES["sum of softmax"])
    for weights in out.decoder_attentions:
        assert_close(weights[1, :, :-1], np.full(weights[1, :, :-1].shape, 1 / target), UNIFORM)
        assert np.array_equal(weights[1, :, -1], np.broadcast_to(np.arange(target) == target - 1, weights.shape[1::2]))


@given(seed=seeds(), dialect=dialects)
@settings(max_examples=20)
def test_head_masks_zero_what_they_say(seed: int, dialect: Dialect) -> None:
    """A silenced head has no weights and no context; ones are no mask; a mask of one place is felt in no other."""
    rng = np.random.default_rng(seed)
    model = draw_model(rng, dialect)
    config = model.config
    call = {"input_ids": ids_of(rng, config, 2, 4), "decoder_input_ids": ids_of(rng, config, 2, 3)}
    plain, _ = traced(model, **call)
    sides = {"head_mask": "encoder", "decoder_head_mask": "decoder", "cross_attn_head_mask": "decoder"}
    for name, side in sides.items():
        shape = (getattr(config, f"{side}_layers"), getattr(config, f"{side}_attention_heads"))
        same, _ = traced(model, **call, **{name: np.ones(shape)})
        assert all(np.array_equal(same[point], plain[point]) for point in plain)
        layer, head = int(rng.integers(shape[0])), int(rng.integers(shape[1]))
        mask = np.ones(shape)
        mask[layer, head] = 0
        points, _ = traced(model, **call, **{name: mask})
        where = f"{side}.layers.{layer}.{'encoder_attn' if name == 'cross_attn_head_mask' else 'self_attn'}"
        size = config.d_model // shape[1]
        context = points[f"{where}.context"].reshape(2, -1, shape[1], size)
        others = np.arange(shape[1]) != head
        assert not points[f"{where}.weights"][:, head].any()
        assert not context[:, :, head].any()
        expected = plain[f"{where}.context"].reshape(context.shape)
        assert_near("other heads", context[:, :, others], expected[:, :, others], AGAIN)
        before = list(plain)[: list(plain).index(f"{where}.weights")]
        assert all(np.array_equal(points[point], plain[point]) for point in before)


@given(seed=seeds(), dialect=dialects)
@settings(max_examples=20)
def test_permuting_the_batch_permutes_the_result(seed: int, dialect: Dialect) -> None:
    rng = np.random.default_rng(seed)
    model, batch = draw_model(rng, dialect), int(rng.integers(2, 5))
    source, target = source_of(rng, model, "seq2seq", batch), ids_of(rng, model.config, batch, 4)
    order = rng.permutation(batch)
    points, _ = traced(model, **source, decoder_input_ids=target)
    permuted, _ = traced(model, **{name: v[order] for name, v in source.items()}, decoder_input_ids=target[order])
    for name, value in points.items():
        assert_near(name, permuted[name], value[order], AGAIN)


@given(seed=seeds(), dialect=dialects)
@settings(max_examples=25)
def test_float32_agrees_with_float64(seed: int, dialect: Dialect) -> None:
    case = draw_case(np.random.default_rng(seed), dialect).in_float32()
    narrow, double = (answer(case.model(dtype)(**case.arguments)) for dtype in (np.float32, np.float64))
    assert (narrow.dtype, double.dtype) == (np.float32, np.float64)
    assert_near("answer", narrow, double, TOLERANCES["float32 against float64"])


needs_longdouble = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant <= np.finfo(np.float64).nmant, reason="longdouble is no wider than float64 here"
)


@needs_longdouble
@given(seed=seeds(), dialect=dialects)
@settings(max_examples=25)
def test_longdouble_agrees_with_float64(seed: int, dialect: Dialect) -> None:
    case = draw_case(np.random.default_rng(seed), dialect)
    double, wide = (answer(case.model(dtype)(**case.arguments)) for dtype in (np.float64, np.longdouble))
    assert (double.dtype, wide.dtype) == (np.float64, np.longdouble)
    assert_near("answer", double, wide, TOLERANCES["float64 against longdouble"])


@needs_longdouble
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_every_point_has_the_digits_of_its_dtype(dialect: Dialect) -> None:
    """A step that computes in a narrower dtype would leave numbers that the narrower one can hold."""
    given = {"embed.tokens", "embed.scaled", "embed.positions", "embed.sum"}  # of the encoder: sums of what is given
    rng = np.random.default_rng(3)
    for dtype, narrower in ((np.float64, np.float32), (np.longdouble, np.float64)):
        model = draw_model(rng, dialect, dtype=dtype)
        ids, target = rng.integers(7, 17, size=(2, 5)), rng.integers(7, 17, size=(2, 4))
        points, _ = traced(model, input_ids=ids, decoder_input_ids=target)
        for name, value in points.items():
            assert value.dtype == dtype, name
            if name.partition(".")[2] in given:
                continue
            with np.errstate(over="ignore"):
                assert (value != value.astype(narrower)).mean() > 0.3, name
