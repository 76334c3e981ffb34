"""A pass whose rows are cut into groups: the numbers of the whole, one cache afterwards, and when it is not cut."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender import BlenderbotSmallConfig, BlenderbotSmallForConditionalGeneration, ops
from npblender.ops.packed import blas
from npblender.ops.packed.panels import Panels
from npblender.transformer import forward
from npblender.transformer.context import Context, Tap
from npblender.transformer.execution import each_group, groups_of_rows
from npblender.transformer.kv_cache import empty_cache
from reference_tests.support.asserts import assert_close
from reference_tests.support.tolerances import TOLERANCES

CONFIG = BlenderbotSmallConfig(
    vocab_size=1100,
    d_model=256,
    encoder_layers=2,
    decoder_layers=2,
    encoder_attention_heads=4,
    decoder_attention_heads=8,
    encoder_ffn_dim=320,
    decoder_ffn_dim=576,
    max_position_embeddings=80,
)
EXACT = blas.core_name() in blas.WITH_SMALL_KERNELS  # whose products of a row do not depend on how many rows there are


@pytest.fixture
def model(in_panels):
    """In panels: elsewhere nothing is cut."""
    return BlenderbotSmallForConditionalGeneration.from_config(CONFIG, seed=0)


@pytest.fixture
def wide(lay_out_as, cut_as):
    """In wide panels."""
    lay_out_as("panels")
    cut_as("wide")
    return BlenderbotSmallForConditionalGeneration.from_config(CONFIG, seed=0)


@pytest.fixture
def cuts(monkeypatch):
    """How many groups each pass was cut into."""
    seen = []

    def counting(*args):
        groups = groups_of_rows(*args)
        seen.append(len(groups))
        return groups

    monkeypatch.setattr(forward, "groups_of_rows", counting)
    return seen


def assert_same(one, two):
    if EXACT:
        assert np.array_equal(one, two)
    else:
        assert_close(one, two, TOLERANCES["float32 computed another way"])


def source(rows, length=24):
    ids = np.random.default_rng(0).integers(5, CONFIG.vocab_size, (rows, length))
    mask = np.ones_like(ids)
    mask[0, 15:] = 0  # one row with pads
    return ids, mask


@pytest.mark.parametrize("dialect", ["parlai", "transformers-5"])
@pytest.mark.parametrize("rows", [32, 35])
def test_a_cut_pass_gives_the_numbers_of_a_whole_one(model, cuts, rows, dialect):
    ids, mask = source(rows)
    model = BlenderbotSmallForConditionalGeneration(CONFIG, model.weights, dialect=dialect)
    answers, caches = [], []
    for threads in (1, 2, 3):
        with ops.use_threads(threads):
            first = model.forward(ids, attention_mask=mask, decoder_input_ids=ids[:, :3], use_cache=True)
            second = model.forward(
                encoder_outputs=first.encoder_last_hidden_state,
                attention_mask=mask,
                decoder_input_ids=ids[:, 3:4],
                past_key_values=first.past_key_values,
                use_cache=True,
            )
        answers.append((first.encoder_last_hidden_state, first.logits, second.logits))
        caches.append([array for layer in second.past_key_values for array in layer])
    # encoder and prompt, then a step of one token a row: too little for three threads of 32 or 35 rows
    assert cuts == [1, 1, 1, 2, 2, 2, 3, 3, 1]
    for other, cache in zip(answers[1:], caches[1:], strict=True):
        for one, two in zip(answers[0] + tuple(caches[0]), other + tuple(cache), strict=True):
            assert_same(one, two)


@pytest.mark.slow
def test_a_search_over_many_rows_finds_the_same(model, cuts):
    ids, mask = source(34)
    found = []
    for threads in (1, 2):
        with ops.use_threads(threads):
            options = {"max_new_tokens": 40, "min_new_tokens": 40, "num_beams": 1, "do_sample": False}
            found.append(model.generate(ids, attention_mask=mask, **options))
    assert cuts.count(2) == 41  # the encoder and every step, past the first store's end
    assert np.array_equal(*found)


def test_a_step_leaves_the_cache_that_it_was_given(model, cuts):
    ids, mask = source(32)
    with ops.use_threads(2):
        first = model.forward(ids, attention_mask=mask, decoder_input_ids=ids[:, :1], use_cache=True)
        before = [array.copy() for layer in first.past_key_values for array in layer]
        steps = [
            model.forward(
                encoder_outputs=first.encoder_last_hidden_state,
                attention_mask=mask,
                decoder_input_ids=token,
                past_key_values=first.past_key_values,
                use_cache=True,
            )
            for token in (ids[:, 3:4], ids[:, 5:6], ids[:, 3:4])
        ]
    assert first.past_key_values.length == 1
    for one, two in zip(before, (array for layer in first.past_key_values for array in layer), strict=True):
        assert np.array_equal(one, two)
    assert np.array_equal(steps[0].logits, steps[2].logits)
    assert not np.array_equal(steps[0].logits, steps[1].logits)
    for one, two in zip(steps[0].past_key_values, steps[2].past_key_values, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_a_pass_with_a_tap_or_dropout_or_collected_arrays_stays_whole(model):
    quiet = Context(CONFIG, model.dialect)
    with ops.use_threads(2):
        assert len(groups_of_rows(32, 1, model.weights, quiet)) == 2
        assert len(groups_of_rows(31, 1, model.weights, quiet)) == 1  # too few to read the weights twice
        assert len(groups_of_rows(1, 500, model.weights, quiet)) == 1  # there is nothing to cut
        for context in (
            Context(CONFIG, model.dialect, Tap(lambda name, array: None)),
            Context(CONFIG, model.dialect, rng=np.random.default_rng(0)),
            Context(CONFIG, model.dialect, collect_states=True),
            Context(CONFIG, model.dialect, collect_attentions=True),
        ):
            assert groups_of_rows(32, 1, model.weights, context) == [slice(0, 32)]


@pytest.mark.parametrize("cut", blas.CUTS)
def test_each_cut_says_from_how_many_tokens_a_pass_is_cut(lay_out_as, cut_as, cut):
    """Each group packs wide panels once more, which few tokens do not repay."""
    lay_out_as("panels")
    cut_as(cut)
    model = BlenderbotSmallForConditionalGeneration.from_config(CONFIG, seed=0)
    quiet, enough = Context(CONFIG, model.dialect), 2 * blas.CUTS[cut].apart
    with ops.use_threads(2):
        assert [len(groups_of_rows(rows, 1, model.weights, quiet)) for rows in (enough - 1, enough)] == [1, 2]
        assert [len(groups_of_rows(2, n, model.weights, quiet)) for n in (enough // 2 - 1, enough // 2)] == [1, 2]
    with ops.use_threads(3):
        assert len(groups_of_rows(enough, 1, model.weights, quiet)) == 1


def test_a_pass_asks_once_how_it_is_cut(wide, cuts):
    """Once a pass, and never for the source's keys and values, which are made whole."""
    ids, mask = source(64)
    with ops.use_threads(2):
        first = wide.forward(ids, attention_mask=mask, decoder_input_ids=ids[:, :1], use_cache=True)
        assert cuts == [2, 2]
        wide.forward(
            encoder_outputs=first.encoder_last_hidden_state,
            attention_mask=mask,
            decoder_input_ids=ids[:, 1:2],
            past_key_values=first.past_key_values,
        )
    assert cuts == [2, 2, 2]


def test_plain_matrices_stay_whole(lay_out_as):
    lay_out_as("rows")
    plain = BlenderbotSmallForConditionalGeneration.from_config(CONFIG, seed=0)
    with ops.use_threads(2):
        assert groups_of_rows(64, 64, plain.weights, Context(CONFIG, plain.dialect)) == [slice(0, 64)]


@given(st.integers(1, 90), st.integers(1, 60), st.integers(1, 9))
def test_groups_are_all_rows_in_order(batch, tokens, threads):
    class Laid:
        class shared:
            weight = Panels.of(np.ones((2, 2), np.float32))

    with ops.use_threads(threads):
        groups = groups_of_rows(batch, tokens, Laid, Context(CONFIG, None))
        rows = []
        each_group(lambda group: rows.extend(range(group.start, group.stop)), groups)
    assert sorted(rows) == list(range(batch))
    assert [group.start for group in groups] == [0, *(group.stop for group in groups[:-1])]
    assert all(group.stop > group.start for group in groups)
    assert len(groups) in (1, min(batch, threads))


def test_inside_a_group_an_operation_keeps_to_one_thread():
    seen = []
    with ops.use_threads(2):
        each_group(lambda group: seen.append(ops.num_threads()), [slice(0, 1), slice(1, 2)])
        assert ops.num_threads() == 2
    assert seen == [1, 1]


@given(st.integers(1, 5), st.integers(0, 4), st.integers(1, 40), st.permutations(range(3)))
def test_rows_fill_a_cache_in_any_order(heads, begin, new, order):
    rng = np.random.default_rng(0)
    cross = [(rng.random((6, heads, 2, 3)), rng.random((6, heads, 2, 3)))]
    cache = empty_cache(6, heads, 3, cross, np.float64)
    if begin:
        layer = cache[0].append(rng.random((6, heads, begin, 3)), rng.random((6, heads, begin, 3)))
        cache = type(cache)((layer,))
    key, value = rng.random((6, heads, new, 3)), rng.random((6, heads, new, 3))
    whole = cache[0].append(key, value)
    longer = cache.extended(new)
    groups = [slice(0, 1), slice(1, 4), slice(4, 6)]
    for n in order:
        part = longer.rows_before(groups[n], begin)
        grown = part[0].append(key[groups[n]], value[groups[n]])
        assert part.length == begin
        assert np.array_equal(grown.key, whole.key[groups[n]])
        assert np.array_equal(grown.cross_key, whole.cross_key[groups[n]])
    assert cache.length == begin
    assert longer.length == begin + new
    assert all(np.array_equal(a, b) for a, b in zip(longer[0], whole, strict=True))
    assert longer[0].append(key[:, :, :1], value[:, :, :1]).key.shape[2] == begin + new + 1
    assert np.array_equal(longer[0].key, whole.key)


def test_a_pass_keeps_no_layer_that_its_result_does_not_carry() -> None:
    """Hidden states and attentions of every layer are as large as all else together; without them a pass needs less."""
    model = BlenderbotSmallForConditionalGeneration.from_config(CONFIG.replace(encoder_layers=8), seed=0)
    ids = np.full((8, 32), 5)

    def peak(**wanted: bool) -> int:
        tracemalloc.start()
        with ops.use_threads(1):  # else one of the passes is cut into groups, whose arrays are there side by side
            model.encode(ids, **wanted)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak()
    kept = 8 * ids.size * CONFIG.d_model * 4
    assert peak(output_hidden_states=True) - peak() > 0.7 * kept
    assert peak(output_attentions=True) - peak() > 0.7 * 8 * 8 * CONFIG.encoder_attention_heads * 32 * 32 * 4
