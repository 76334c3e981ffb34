"""Matrices that lie in rows until several rows are multiplied by them: each form against its own, and when it turns."""

import copy
import gc
import pickle
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender import BlenderbotSmallForConditionalGeneration, ops
from npblender.ops.packed import blas, lazy_panels
from npblender.ops.packed.lazy_panels import LazyPanels, joined, multiply_row
from npblender.ops.packed.panels import Panels
from npblender.transformer.context import Context, Target
from npblender.transformer.forward import run_decoder, start_decoder
from npblender.transformer.parameters import FULL_MODEL, build, parameters, to_arrays
from reference_tests.support.asserts import assert_close
from reference_tests.support.panel_cases import CONFIG, SIZES
from reference_tests.support.tolerances import TOLERANCES

DECODERS = 3 + 1 + 1 + 1 + 1 + 1  # q, k, v; out; the source's q, out; fc1; fc2
OF_A_STEP = CONFIG.decoder_layers * DECODERS + 1


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def turned(model):
    """How many of the matrices have been turned, and how many may be."""
    kept = [matrix for matrix in parameters(model.weights).values() if isinstance(matrix, LazyPanels)]
    return sum(not matrix.in_rows for matrix in kept), len(kept)


@given(SIZES, st.integers(0, 9))
def test_one_row_is_multiplied_by_rows_and_several_by_panels(size, seed):
    given_rows, out, inner = size
    rows, x, bias = (
        numbers(out, inner, seed=seed),
        numbers(given_rows, inner, seed=seed + 10),
        numbers(out, seed=seed + 20),
    )
    matrix = LazyPanels.of(rows)
    one = multiply_row(rows, x[:1]) + bias
    assert np.array_equal(ops.linear(x[:1], matrix, bias), one)
    assert matrix.in_rows
    assert np.array_equal(ops.linear(x, matrix, bias), one if given_rows == 1 else ops.linear(x, Panels.of(rows), bias))
    assert matrix.in_rows == (given_rows == 1)


@given(SIZES, st.booleans())
def test_in_either_form_it_is_the_same_matrix(size, turn):
    _, out, inner = size
    rows = numbers(out, inner)
    matrix = LazyPanels.of(rows.copy())
    if turn:
        matrix.form(2)
    assert (matrix.shape, matrix.dtype, len(matrix), matrix.size) == (rows.shape, rows.dtype, out, rows.size)
    assert np.array_equal(matrix, rows)
    assert np.array_equal(matrix.take(np.array([[out - 1, 0]])), rows[[[out - 1, 0]]])
    assert np.array_equal(ops.embed(np.array([0, out - 1]), matrix), rows[[0, -1]])
    matrix.fill(out - 1, np.zeros((1, inner), np.float32))
    assert not np.asarray(matrix)[-1].any()
    assert np.array_equal(np.asarray(matrix)[:-1], rows[:-1])
    assert not np.shares_memory(matrix.whole_array(), matrix.form(1))


@pytest.mark.parametrize("turn", [False, True])
def test_parts_are_multiplied_in_one_product(turn):
    rows, x, bias = numbers(384, 100), numbers(1, 100, seed=1), numbers(128, seed=2)
    whole = LazyPanels.of(rows)
    if turn:
        whole.form(2)
    parts = whole.split(3)
    assert joined(parts).shared is whole.shared
    assert joined(parts[:2]) is None
    assert joined([*parts[:2], LazyPanels.of(rows[256:])]) is None
    assert all(part.is_part for part in parts)
    together = ops.linears(x, [(part, bias) for part in parts])
    for place, (got, part) in enumerate(zip(together, parts, strict=True)):
        assert np.array_equal(part, rows[place * 128 : (place + 1) * 128])
        assert_close(got, ops.linear(x, part, bias), TOLERANCES["float32 computed another way"])
    assert whole.in_rows != turn


@pytest.mark.parametrize("turn", [False, True])
def test_a_copy_is_turned_by_itself(turn):
    matrix = LazyPanels.of(numbers(128, 64))
    if turn:
        matrix.form(2)
    for other in (pickle.loads(pickle.dumps(matrix)), copy.deepcopy(matrix)):
        assert np.array_equal(other, numbers(128, 64))
        other.form(2)
        assert not other.in_rows
    assert matrix.in_rows != turn


def test_of_no_rows_nothing_is_turned():
    matrix = LazyPanels.of(numbers(128, 64))
    assert ops.linear(np.empty((0, 64), np.float32), matrix).shape == (0, 128)
    assert matrix.in_rows


def test_never_are_both_forms_kept():
    rows = numbers(128, 64)
    gone, matrix = weakref.ref(rows), LazyPanels.of(rows)
    del rows
    assert gone() is not None
    matrix.form(2)
    gc.collect()
    assert gone() is None


def test_threads_that_want_panels_at_once_get_the_same():
    matrix, found, together = LazyPanels.of(numbers(1024, 1024)), [], threading.Barrier(8)

    def want():
        together.wait()
        found.append(matrix.form(2))

    workers = [threading.Thread(target=want) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 8
    assert len({id(panels) for panels in found}) == 1
    assert np.array_equal(found[0], numbers(1024, 1024))


def test_a_greedy_reply_turns_nothing_and_several_rows_turn_all(by_use):
    model = BlenderbotSmallForConditionalGeneration.from_config(CONFIG, seed=0)
    before = {name: array.copy() for name, array in to_arrays(model.weights).items()}
    assert turned(model) == (0, OF_A_STEP)
    ids = np.arange(5, 25)[None]
    first = model.generate(
        ids, max_new_tokens=5, min_new_tokens=5, num_beams=1, output_logits=True, return_dict_in_generate=True
    )
    assert turned(model) == (0, OF_A_STEP)
    model.generate(ids, max_new_tokens=3, num_beams=2)
    assert turned(model) == (OF_A_STEP, OF_A_STEP)
    again = model.generate(
        ids, max_new_tokens=5, min_new_tokens=5, num_beams=1, output_logits=True, return_dict_in_generate=True
    )
    assert np.array_equal(first.sequences, again.sequences)
    for one, other in zip(first.logits, again.logits, strict=True):
        assert_close(one, other, TOLERANCES["float32 computed another way"])
    for name, array in to_arrays(model.weights).items():
        assert np.array_equal(array, before[name]), name


def test_several_rows_turn_everything_before_they_are_multiplied(by_use):
    """All at once, by all threads, and not one by one in the midst of a pass; the vocabulary as well."""
    model = BlenderbotSmallForConditionalGeneration.from_config(CONFIG, seed=0)
    context = Context(model.config, model.dialect)
    cache = start_decoder(model.weights, 1, numbers(1, 7, CONFIG.d_model), context)
    run_decoder(model.weights, Target(np.array([[9]])), cache, context)
    assert turned(model) == (0, OF_A_STEP)
    run_decoder(model.weights, Target(np.array([[9, 8]])), cache, context)
    assert turned(model) == (OF_A_STEP, OF_A_STEP)


@pytest.mark.parametrize("rows", [1, 3])
def test_a_step_is_bit_for_bit_that_of_its_layout(by_use, lay_out_as, monkeypatch, rows):
    """Several rows' is that of panels; a single row's that of matrices in rows but for the encoder, and for sums."""
    model = BlenderbotSmallForConditionalGeneration.from_config(CONFIG, seed=0)
    states = numbers(rows, 7, CONFIG.d_model)
    lay_out_as("rows" if rows == 1 else "panels")
    other = BlenderbotSmallForConditionalGeneration.from_config(CONFIG, seed=0)
    other = other if rows > 1 else with_source_in_panels(other, model)
    ids = np.full((rows, 1), 9)
    got, wanted = (one.forward(encoder_outputs=states, decoder_input_ids=ids).logits for one in (model, other))
    assert_close(got, wanted, TOLERANCES["float32 computed another way"])
    monkeypatch.setattr(lazy_panels, "openblas", lambda: None)  # then one row is multiplied as any plain matrix is
    got = model.forward(encoder_outputs=states, decoder_input_ids=ids).logits
    if blas.core_name() in blas.WITH_SMALL_KERNELS or rows == 1:
        assert np.array_equal(got, wanted)


def test_a_pass_of_a_single_row_learns_who_reads_the_vocabulary(by_use, monkeypatch):
    learned = []
    monkeypatch.setattr(lazy_panels.Sharing, "learn", learned.append)
    model = BlenderbotSmallForConditionalGeneration.from_config(CONFIG, seed=0)
    model.forward(encoder_outputs=numbers(1, 7, CONFIG.d_model), decoder_input_ids=[[9]])
    assert learned
    assert all(np.shares_memory(matrix, model.weights.shared.weight.form(1)) for matrix in learned)


def with_source_in_panels(model, other):
    """A model with the projections of the source that another has."""
    arrays = parameters(model.weights) | {
        name: matrix for name, matrix in parameters(other.weights).items() if isinstance(matrix, Panels)
    }
    weights = build(CONFIG, lambda name, shape: arrays[name], FULL_MODEL)
    return BlenderbotSmallForConditionalGeneration(CONFIG, weights)


def test_of_a_single_row_the_blas_has_one_thread(by_use, monkeypatch):
    """An idle one of OpenBLAS busy-waits on a processor that a thread of ours may read the vocabulary on."""
    library = blas.openblas()
    if library is None:
        pytest.skip("NumPy's BLAS is not the OpenBLAS of its wheels: there is nothing to ask")
    ask, seen = blas.function(library, "get_num_threads"), []
    model = BlenderbotSmallForConditionalGeneration.from_config(CONFIG, seed=0)
    vecdot = np.vecdot
    monkeypatch.setattr(np, "vecdot", lambda a, b, **rest: seen.append((a.shape, ask())) or vecdot(a, b, **rest))
    before = ask()
    model.forward(encoder_outputs=numbers(1, 7, CONFIG.d_model), decoder_input_ids=[[9]])
    assert [threads for shape, threads in seen if shape == (CONFIG.vocab_size, CONFIG.d_model)] == [1]
    assert ask() == before
