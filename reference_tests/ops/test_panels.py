"""Matrices in panels, and work shared over threads: the same results as plain products, whatever the layout."""

import importlib
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender import BlenderbotSmallForConditionalGeneration, ops
from npblender.ops import threads
from npblender.ops.packed import blas
from npblender.ops.packed.blas import CUTS, NARROW, ONE_THREAD, WIDE, BlasThreadLimit
from npblender.ops.packed.panels import Panels
from npblender.transformer import packing
from npblender.transformer.attention import project_qkv
from npblender.transformer.context import Context, Tap
from npblender.transformer.parameters import FULL_MODEL, from_arrays, parameters, random_weights, to_arrays
from reference_tests.support.asserts import assert_close
from reference_tests.support.panel_cases import CONFIG, SIZES
from reference_tests.support.tolerances import TOLERANCES

ANY_CUT = st.sampled_from([*CUTS.values(), replace(WIDE, width=100)])


def matrix(rows, inner, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal((rows, inner)).astype(dtype)


@given(SIZES, st.sampled_from([np.float32, np.float64, np.longdouble]), ANY_CUT)
def test_products_are_those_of_the_plain_matrix(sizes, dtype, cut):
    given_rows, rows, inner = sizes
    x, plain = matrix(given_rows, inner, 1, dtype), matrix(rows, inner, 2, dtype)
    bias = matrix(1, rows, 3, dtype)[0]
    exact = x.astype(np.longdouble) @ plain.astype(np.longdouble).T
    size = np.abs(x).astype(np.longdouble) @ np.abs(plain).astype(np.longdouble).T
    for shift in (None, bias):
        y = Panels.of(plain, cut).multiply(x, shift)
        right = exact if shift is None else exact + shift
        assert y.shape == (given_rows, rows)
        assert y.dtype == dtype
        bound = (inner + 1) * np.finfo(dtype).eps * (size if shift is None else size + np.abs(shift))
        assert (np.abs(y - right) <= bound).all()  # of any order of summation


@given(SIZES, ANY_CUT)
def test_panels_stand_for_their_matrix(sizes, cut):
    _, rows, inner = sizes
    plain = matrix(rows, inner)
    laid_out = Panels.of(plain, cut)
    assert np.array_equal(laid_out, plain)
    assert laid_out.shape == plain.shape
    assert laid_out.size == plain.size
    assert np.array_equal(laid_out.T, plain.T)
    assert len(laid_out) == rows
    assert laid_out.ndim == 2
    ids = np.random.default_rng(0).integers(0, rows, (2, 3))
    assert np.array_equal(laid_out.take(ids), plain[ids])
    assert np.array_equal(laid_out[ids], plain[ids])
    assert np.array_equal(2 * laid_out + 1, 2 * plain + 1)
    assert laid_out.store.size == -(-rows // min(cut.width, rows)) * min(cut.width, rows) * inner


@given(st.integers(1, 200), st.integers(1, 300), st.integers(1, 90), ANY_CUT)
def test_rows_may_come_in_pieces(rows, inner, at_once, cut):
    plain = matrix(rows, inner)
    laid_out = Panels.empty(plain.shape, plain.dtype, cut)
    for first in range(0, rows, at_once):
        laid_out.fill(first, plain[first : first + at_once])
    assert np.array_equal(laid_out, plain)
    assert not laid_out.store[rows // laid_out.store.shape[3] :, :, :, rows % laid_out.store.shape[3] or None :].any()


def test_an_array_is_never_made_without_a_copy():
    with pytest.raises(ValueError, match="copy"):
        np.array(Panels.of(matrix(3, 2)), copy=False)


@pytest.mark.parametrize("given_rows", [1, 2, 10, 61, 62, 200])
def test_results_do_not_depend_on_the_number_of_threads(given_rows, monkeypatch):
    narrow = replace(NARROW, shared=1)
    monkeypatch.setattr(importlib.import_module("npblender.ops.linear"), "SHARED", 1)
    laid_out, x = Panels.of(matrix(700, 512, dtype=np.float32), narrow), matrix(given_rows, 512, 1, np.float32)
    q = matrix(given_rows * 6, 20, 2, np.float32).reshape(3, 2, given_rows, 20)
    bias = matrix(1, 700, 3, np.float32)[0]  # 700 columns fill no whole number of panels
    results = []
    for count in (1, 2, 3, 64):
        with ops.use_threads(count):
            plain, shifted = laid_out.multiply(x), laid_out.multiply(x, bias)
            assert np.array_equal(shifted, plain + bias)
            results.append((plain, shifted, ops.products(q, q.swapaxes(2, 3)), ops.gelu(x), ops.softmax(x)))
    for other in results[1:]:
        for place, (one, two) in enumerate(zip(results[0], other, strict=True)):
            if blas.core_name() in blas.WITH_SMALL_KERNELS or given_rows < NARROW.many or place > 1:
                assert np.array_equal(one, two)  # elsewhere large products have other kernels at their edges
            assert_close(one, two, TOLERANCES["float32 computed another way"])


@pytest.mark.parametrize("operation", [ops.gelu, ops.softmax, ops.log_softmax])
def test_large_arrays_are_shared_out_and_come_out_the_same(operation):
    x = matrix(600, 1000, dtype=np.float32)
    with ops.use_threads(3):
        shared = operation(x)
    assert np.array_equal(shared, np.concatenate([operation(part) for part in np.array_split(x, 50)]))


def test_threads_raise_what_their_work_raises():
    def job(worker, first, last):
        raise RuntimeError(f"worker {worker}")

    with pytest.raises(RuntimeError, match="worker"):
        threads.run_in_threads(job, 4, 2)


@pytest.mark.parametrize(("parts", "count"), [(1, 4), (5, 2), (7, 3), (64, 64)])
def test_every_part_is_done_once(parts, count):
    done = np.zeros(parts, int)
    workers = []

    def job(worker, first, last):
        workers.append(worker)
        done[first:last] += 1

    threads.run_in_threads(job, parts, count)
    assert (done == 1).all()
    assert sorted(workers) == list(range(min(parts, count)))


@pytest.mark.parametrize(("count", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("2", TypeError)])
def test_other_numbers_of_threads_are_refused(count, error):
    with pytest.raises(error, match="count"), ops.use_threads(count):
        pass


def test_the_number_of_threads_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("NPBLENDER_NUM_THREADS", "5")
    threads._default.cache_clear()
    try:
        assert ops.num_threads() == 5
        with ops.use_threads(2):
            assert ops.num_threads() == 2
        monkeypatch.delenv("NPBLENDER_NUM_THREADS")
        for name in threads.VARIABLES:
            monkeypatch.delenv(name, raising=False)
        threads._default.cache_clear()
        if hasattr(os, "sched_getaffinity"):
            assert ops.num_threads() == len(os.sched_getaffinity(0))
    finally:
        threads._default.cache_clear()


def test_an_unknown_layout_is_refused(lay_out_as):
    lay_out_as("columns")
    with pytest.raises(ValueError, match="NPBLENDER_LAYOUT is 'columns', but must be one of by-use, panels, rows"):
        blas.layout()


def test_the_blas_gets_its_threads_back(all_blas_threads):
    library = blas.openblas()
    if library is None:
        pytest.skip("NumPy's BLAS is not the OpenBLAS of its wheels: there is nothing to set")
    ask = blas.function(library, "get_num_threads")
    before = ask()
    with ONE_THREAD, ONE_THREAD:
        assert ask() == 1
    assert ask() == before
    with BlasThreadLimit(before + 1):
        assert ask() == before  # never more
        with ONE_THREAD, BlasThreadLimit(2):
            assert ask() == 1
        assert ask() == before
    assert ask() == before
    with pytest.raises(KeyError), ONE_THREAD:
        raise KeyError
    assert ask() == before


def test_the_blas_can_be_given_threads_that_it_began_without(all_blas_threads):
    if blas.openblas() is None:
        pytest.skip("NumPy's BLAS is not the OpenBLAS of its wheels: there is nothing to set")
    before = threads.blas_threads()
    try:
        threads.set_blas_threads(1)
        blas.wake_threads(3)
        assert threads.blas_threads() == 3
        blas.wake_threads(2)  # there are more already
        assert threads.blas_threads() == 3
        with ONE_THREAD:
            blas.wake_threads(2)
        assert threads.blas_threads() == 3
        with ONE_THREAD:
            blas.wake_threads(4)
            assert threads.blas_threads() == 1
        assert threads.blas_threads() == 4
        threads.set_blas_threads(1)
        with BlasThreadLimit(2):
            assert threads.blas_threads() == 1  # what there was at the limit's begin, not what was once awake
        with threads.use_threads(3):
            threads.wake_blas_threads()
        assert threads.blas_threads() == 3
    finally:
        threads.set_blas_threads(before)


def test_layouts_agree_on_a_model(in_panels):
    weights = random_weights(CONFIG, seed=3)
    model = BlenderbotSmallForConditionalGeneration(CONFIG, weights)
    laid_out = parameters(model.weights)
    in_store = {name for name, matrix in laid_out.items() if isinstance(matrix, Panels)}
    assert {"shared.weight", "decoder.layers.1.fc2.weight", "encoder.layers.0.self_attn.k_proj.weight"} <= in_store
    assert "decoder.embed_positions.weight" not in in_store
    assert not any(name.endswith("bias") for name in in_store)
    for name, array in to_arrays(weights).items():
        assert np.array_equal(laid_out[name], array), name
    attention = model.weights.decoder.layers[1].encoder_attn
    assert attention.k_proj.weight.whole is attention.v_proj.weight.whole is not None
    assert attention.q_proj.weight.whole is None
    attention = model.weights.decoder.layers[1].self_attn
    assert attention.q_proj.weight.whole is attention.k_proj.weight.whole is attention.v_proj.weight.whole is not None

    ids, start = np.arange(40).reshape(2, 20), np.array([[1, 9, 8], [1, 7, 6]])
    got = model.forward(ids, decoder_input_ids=start).logits
    double = from_arrays(CONFIG, {name: array.astype(np.float64) for name, array in to_arrays(weights).items()})
    exact = BlenderbotSmallForConditionalGeneration(CONFIG, double).forward(ids, decoder_input_ids=start).logits
    assert_close(got[..., 2:], exact[..., 2:], TOLERANCES["float32 against float64"])


def test_projections_in_one_product_are_those_of_three(in_panels):
    model = BlenderbotSmallForConditionalGeneration.from_config(CONFIG, seed=0)
    w, x = model.weights.decoder.layers[0].self_attn, matrix(2 * 5, 256, 4, np.float32).reshape(2, 5, 256)
    quiet, heard = Context(CONFIG, model.dialect), []
    loud = Context(CONFIG, model.dialect, Tap(lambda name, array: heard.append(name)))
    in_one, one_by_one = project_qkv(w, x, 8, quiet), project_qkv(w, x, 8, loud)
    assert heard == ["q", "k", "v"]
    for a, b in zip(in_one, one_by_one, strict=True):
        assert a.shape == (2, 8, 5, 32)
        if blas.core_name() in blas.WITH_SMALL_KERNELS:
            assert np.array_equal(a, b)
        assert_close(a, b, TOLERANCES["float32 computed another way"])


def test_what_is_laid_out_stays(in_panels):
    model = BlenderbotSmallForConditionalGeneration.from_config(CONFIG, seed=0)
    again = packing.lay_out(CONFIG, model.weights, FULL_MODEL)
    assert again.shared.weight is model.weights.shared.weight


def test_a_loaded_model_is_laid_out_as_a_made_one(in_panels, tmp_path):
    model = BlenderbotSmallForConditionalGeneration.from_config(CONFIG, seed=0)
    model.save_pretrained(tmp_path)
    loaded = BlenderbotSmallForConditionalGeneration.from_pretrained(tmp_path)
    for name, matrix in parameters(model.weights).items():
        other = parameters(loaded.weights)[name]
        assert type(other) is type(matrix), name
        assert np.array_equal(other, matrix), name
    assert loaded.resize_token_embeddings(1200).weight.shape == (1200, 256)
    assert isinstance(loaded.weights.shared.weight, Panels)


def test_a_step_multiplies_by_every_matrix_once(in_panels, monkeypatch):
    """The cost of a step, as a count that does not flake: each matrix of the decoder is read once, and no other."""
    model = BlenderbotSmallForConditionalGeneration.from_config(CONFIG, seed=0)
    first = model.forward([[5, 6, 7]], decoder_input_ids=[[1]], use_cache=True)
    read = []
    multiply = Panels.multiply
    monkeypatch.setattr(Panels, "multiply", lambda self, *x: read.append(self.nbytes) or multiply(self, *x))
    model.forward(
        encoder_outputs=first.encoder_last_hidden_state,
        decoder_input_ids=[[9]],
        past_key_values=first.past_key_values,
        use_cache=True,
    )
    d, ffn, layers, vocab = CONFIG.d_model, CONFIG.decoder_ffn_dim, CONFIG.decoder_layers, CONFIG.vocab_size
    columns = -(-vocab // 64) * 64
    assert sum(read) == 4 * (layers * (6 * d * d + 2 * d * ffn) + columns * d)
    assert len(read) == layers * 6 + 1  # q with k and v, out; q, out; fc1, fc2; the vocabulary


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_has_threads_of_its_own():
    code = (
        "import os, numpy as np; from npblender import ops\n"
        "x = np.ones((800, 800), np.float32)\n"
        "with ops.use_threads(2):\n"
        "    ops.gelu(x)\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        ops.gelu(x)\n"
        "        os._exit(7)\n"
        "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "7", done.stderr
