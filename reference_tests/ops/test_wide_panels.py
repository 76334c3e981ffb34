"""Wide panels, for a BLAS without kernels for small matrices: the same model, and whose threads share its products."""

import numpy as np
import pytest

from npblender import BlenderbotSmallForConditionalGeneration, ops
from npblender.ops.packed import blas
from npblender.ops.packed.blas import NARROW, WIDE, preferred_cut
from npblender.ops.packed.half_panels import HalfPanels
from npblender.ops.packed.lazy_panels import LazyPanels
from npblender.ops.packed.panels import Panels
from npblender.transformer import packing
from npblender.transformer.parameters import from_arrays, parameters, random_weights, to_arrays
from reference_tests.support.asserts import assert_close
from reference_tests.support.panel_cases import CONFIG
from reference_tests.support.tolerances import TOLERANCES


@pytest.fixture(params=["panels", "by-use"])
def wide(request, lay_out_as, cut_as):
    """Large matrices in wide panels, at once or by use."""
    lay_out_as(request.param)
    cut_as("wide")


def ids(rows, length, seed=0):
    return np.random.default_rng(seed).integers(5, CONFIG.vocab_size, (rows, length))


def test_an_unknown_cut_is_refused(cut_as):
    cut_as("medium")
    with pytest.raises(ValueError, match="NPBLENDER_PANELS is 'medium', but must be one of narrow, wide"):
        preferred_cut()


@pytest.mark.parametrize(("core", "cut", "layout"), [
    ("SkylakeX", NARROW, "by-use"), ("SapphireRapids", NARROW, "by-use"), ("Haswell", WIDE, "by-use"),
    ("Zen", WIDE, "by-use"), ("Nehalem", WIDE, "rows"), (None, WIDE, "rows"),
])  # fmt: skip
def test_each_kind_of_kernels_has_its_cut_and_layout(monkeypatch, core, cut, layout):
    monkeypatch.delenv(blas.PANELS_VARIABLE, raising=False)
    monkeypatch.delenv(blas.VARIABLE, raising=False)
    monkeypatch.setattr(blas, "core_name", lambda: core)
    assert preferred_cut.__wrapped__() is cut
    assert blas.layout.__wrapped__() == layout


@pytest.mark.parametrize("rows", [1, 2, 40])
def test_a_model_in_wide_panels_is_the_same_model(wide, rows):
    weights = random_weights(CONFIG, seed=3)
    model = BlenderbotSmallForConditionalGeneration(CONFIG, weights)
    source, start = ids(rows, 20), ids(rows, 3, seed=1)
    got = model.forward(source, decoder_input_ids=start).logits
    for name, array in to_arrays(weights).items():
        assert np.array_equal(parameters(model.weights)[name], array), name
    double = from_arrays(CONFIG, {name: array.astype(np.float64) for name, array in to_arrays(weights).items()})
    exact = BlenderbotSmallForConditionalGeneration(CONFIG, double).forward(source, decoder_input_ids=start).logits
    assert_close(got[..., 2:], exact[..., 2:], TOLERANCES["float32 against float64"])


def test_a_panel_is_as_wide_as_the_matrix(lay_out_as, cut_as):
    lay_out_as("panels")
    cut_as("wide")
    model = BlenderbotSmallForConditionalGeneration.from_config(CONFIG, seed=0)
    d, layer = CONFIG.d_model, model.weights.decoder.layers[0]
    assert model.weights.shared.weight.store.shape == (1, 1, d, CONFIG.vocab_size)
    assert layer.fc2.weight.store.shape == (1, 1, CONFIG.decoder_ffn_dim, d)
    whole = layer.self_attn.q_proj.weight.whole
    assert whole is layer.self_attn.v_proj.weight.whole
    assert whole.store.shape == (1, 1, d, 3 * d)  # the projections are columns of one panel
    assert Panels.of(np.ones((5000, 3)), WIDE).store.shape == (3, 1, 3, 2048)


@pytest.mark.parametrize("options", [
    {"num_beams": 1}, {"num_beams": 5, "no_repeat_ngram_size": 3}, {"num_beams": 10, "length_penalty": 0.65},
])  # fmt: skip
def test_generated_ids_are_those_of_every_other_layout(lay_out_as, cut_as, options):
    found = []
    for layout, cut in (("rows", "wide"), ("by-use", "narrow"), ("by-use", "wide"), ("panels", "wide")):
        lay_out_as(layout)
        cut_as(cut)
        model = BlenderbotSmallForConditionalGeneration.from_config(CONFIG, seed=0)
        for threads in (1, 2):
            with ops.use_threads(threads):
                found.append(model.generate(ids(3, 12), max_new_tokens=12, min_new_tokens=12, **options))
    for other in found[1:]:
        assert np.array_equal(found[0], other)


def test_a_turned_model_answers_single_rows_as_before(lay_out_as, cut_as):
    lay_out_as("by-use")
    cut_as("wide")
    model = BlenderbotSmallForConditionalGeneration.from_config(CONFIG, seed=0)
    first = model.forward(ids(1, 9), decoder_input_ids=[[1]]).logits
    model.forward(ids(2, 9), decoder_input_ids=[[1], [1]])
    kept = [matrix for matrix in parameters(model.weights).values() if isinstance(matrix, LazyPanels)]
    assert kept
    assert all(not matrix.in_rows and matrix.shared.form.cut is WIDE for matrix in kept)
    again = model.forward(ids(1, 9), decoder_input_ids=[[1]]).logits
    assert_close(first, again, TOLERANCES["float32 computed another way"])


def test_each_pass_has_either_threads_of_the_blas_or_ours(wide, monkeypatch, all_blas_threads):
    """A whole pass is shared out by the BLAS, one that is cut into groups of rows by us; the vocabulary as the rest."""
    library = blas.openblas()
    if library is None:
        pytest.skip("NumPy's BLAS is not the OpenBLAS of its wheels: there is nothing to ask")
    ask, seen, matmul = blas.function(library, "get_num_threads"), set(), np.matmul
    if ask() == 1:
        pytest.skip("the BLAS has one thread only")

    def watched(a, b, **rest):
        if b.shape[-2] * b.shape[-1] >= packing.LARGE:
            seen.add((ask(), ops.num_threads()))
        return matmul(a, b, **rest)

    model = BlenderbotSmallForConditionalGeneration.from_config(CONFIG, seed=0)
    model.forward(ids(2, 4), decoder_input_ids=ids(2, 1))  # from here on all matrices are packed
    monkeypatch.setattr(np, "matmul", watched)

    def whose(rows):
        seen.clear()
        with ops.use_threads(2):
            model.generate(ids(rows, 20), max_new_tokens=3, min_new_tokens=3, num_beams=1)
        return set(seen)

    assert whose(1) == whose(3) == {(2, 1)}  # three sources of 20 tokens are too few to pack every matrix twice
    # Groups of rows, each in one thread, and the vocabulary by two; but the source's keys and values are the BLAS's.
    assert whose(64) == {(1, 1), (1, 2), (2, 1)}
    with ops.use_threads(1):
        model.generate(ids(1, 4), max_new_tokens=1)
    assert (1, 1) in seen


def test_a_step_multiplies_by_every_matrix_once(lay_out_as, cut_as, monkeypatch):
    lay_out_as("panels")
    cut_as("wide")
    model = BlenderbotSmallForConditionalGeneration.from_config(CONFIG, seed=0)
    first = model.forward([[5, 6, 7]] * 2, decoder_input_ids=[[1]] * 2, use_cache=True)
    read, products, multiply, matmul = [], [], Panels.multiply, np.matmul
    monkeypatch.setattr(Panels, "multiply", lambda self, *x: read.append(self.nbytes) or multiply(self, *x))
    monkeypatch.setattr(np, "matmul", lambda a, b, **rest: products.append(b.shape) or matmul(a, b, **rest))
    with ops.use_threads(1):
        model.forward(
            encoder_outputs=first.encoder_last_hidden_state,
            decoder_input_ids=[[9]] * 2,
            past_key_values=first.past_key_values,
            use_cache=True,
        )
    d, ffn, layers, vocab = CONFIG.d_model, CONFIG.decoder_ffn_dim, CONFIG.decoder_layers, CONFIG.vocab_size
    assert sum(read) == 4 * (layers * (6 * d * d + 2 * d * ffn) + vocab * d)  # not a column more
    assert len(read) == layers * 6 + 1
    assert len(products) == len(read) + layers * 4  # and two attentions' scores and sums


def test_sixteen_bits_stay_in_narrow_panels(wide):
    halves = HalfPanels.allocate((300, 64), "float16")
    assert halves.cut is NARROW
    assert halves.store.shape[3] == NARROW.width
    assert not halves.keeps_rows_apart  # no kernels for small matrices are known to be there
