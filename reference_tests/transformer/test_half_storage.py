"""Models whose large matrices are kept in 16 bits: in memory, in files, and as results."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from npblender import BlenderbotSmallConfig, BlenderbotSmallForConditionalGeneration, ops
from npblender.ops.packed.half_bits import FORMATS
from npblender.ops.packed.half_panels import HalfPanels
from npblender.transformer import packing
from npblender.transformer.context import Context
from npblender.transformer.execution import groups_of_rows
from npblender.transformer.parameters import Embedding, from_arrays, parameters, random_weights, to_arrays
from reference_tests.support.asserts import assert_close
from reference_tests.support.cli_runs import run_cli
from reference_tests.support.half_cases import IN_BOTH, matrix, rounded, same_bits
from reference_tests.support.panel_cases import CONFIG
from reference_tests.support.stored import names_of, write
from reference_tests.support.tolerances import TOLERANCES

Model = BlenderbotSmallForConditionalGeneration
FILE = "model.safetensors"
FORMAT_OF = {"float16": "F16", "bfloat16": "BF16", "float32": "F32"}


@pytest.fixture(params=["panels", "rows", "by-use"])
def either_layout(request, lay_out_as, cut_as):
    """Whatever this machine prefers for float32, in narrow panels, as 16 bits always are."""
    lay_out_as(request.param)
    cut_as("narrow")
    return request.param


def in_halves(model):
    return {name for name, each in parameters(model.weights).items() if isinstance(each, HalfPanels)}


@IN_BOTH
def test_a_model_is_the_one_of_rounded_weights(either_layout, stored):
    plain = to_arrays(random_weights(CONFIG, seed=3))
    model = Model.from_config(CONFIG, seed=3, dtype=stored)
    assert (model.storage, model.dtype) == (stored, np.float32)
    assert in_halves(model) == {name for name, array in plain.items() if packing.is_large(name, array.shape)}
    assert "decoder.layers.1.encoder_attn.k_proj.weight" in in_halves(model)
    assert in_halves(model).isdisjoint({"decoder.embed_positions.weight", "final_logits_bias"})
    attention = model.weights.decoder.layers[1].encoder_attn
    assert HalfPanels.joined([attention.k_proj.weight, attention.v_proj.weight]) is not None

    wide = {name: rounded(array, stored) if name in in_halves(model) else array for name, array in plain.items()}
    for name, array in to_arrays(model.weights).items():
        assert same_bits(array, wide[name]), name
    other = Model(CONFIG, from_arrays(CONFIG, wide))
    ids, start = np.arange(40).reshape(2, 20), np.array([[1, 9, 8], [1, 7, 6]])
    found, right = (each.forward(ids, decoder_input_ids=start).logits for each in (model, other))
    assert found.dtype == np.float32
    if either_layout != "rows":
        assert same_bits(found, right)
    assert_close(found[..., 2:], right[..., 2:], TOLERANCES["float32 against float64"])
    unrounded = Model(CONFIG, from_arrays(CONFIG, plain)).forward(ids, decoder_input_ids=start).logits
    assert np.abs(found - unrounded)[..., 2:].max() > 100 * np.abs(found - right)[..., 2:].max()


@pytest.mark.parametrize("dtype", ["float16", np.float16, np.dtype("float16")])
def test_the_demo_loses_nothing_in_float16(dtype):
    found, right = (Model.from_pretrained(dtype=each) for each in (dtype, "float32"))
    assert found.storage == "float16"
    for name, array in to_arrays(right.weights).items():
        assert same_bits(np.asarray(parameters(found.weights)[name]), array), name
    ids = np.arange(3, 20)[None]
    assert np.array_equal(found.generate(ids, num_beams=3), right.generate(ids, num_beams=3))


def test_groups_of_rows_are_cut_where_rows_do_not_know_of_each_other(either_layout):
    model = Model.from_config(CONFIG, seed=0, dtype="bfloat16")
    with ops.use_threads(2):
        groups = groups_of_rows(8, 32, model.weights, Context(CONFIG, model.dialect))
    assert len(groups) == {"panels": 2, "by-use": 2, "rows": 1}[either_layout]


def formats_in(path):
    with safe_open(path, "np") as file:
        return {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118


@pytest.mark.slow
@IN_BOTH
@pytest.mark.parametrize("written", ["float16", "bfloat16", "float32", "float64"])
def test_files_in_and_out(written, stored, tmp_path):
    """Loaded from any format, saved as it is kept, and loaded again: always the same model."""
    plain = to_arrays(random_weights(CONFIG, seed=1))
    names = names_of(CONFIG, "full")
    write(tmp_path / "a" / FILE, {names[name]: array for name, array in plain.items()}, written)
    CONFIG.replace(extra={"torch_dtype": "float32"}).save_pretrained(tmp_path / "a")
    model = Model.from_pretrained(tmp_path / "a", dtype=stored)
    for name, array in parameters(model.weights).items():
        read = array_in(plain[name], written)
        assert same_bits(np.asarray(array), rounded(read, stored) if isinstance(array, HalfPanels) else read), name
    model.save_pretrained(tmp_path / "b")
    small = {name for name in names if name not in in_halves(model)}
    assert formats_in(tmp_path / "b" / FILE) == {
        names[name]: "F32" if name in small else FORMAT_OF[stored] for name in names if name in plain
    }
    assert BlenderbotSmallConfig.from_pretrained(tmp_path / "b").extra["torch_dtype"] == stored
    again = Model.from_pretrained(tmp_path / "b", dtype=stored)
    wide = Model.from_pretrained(tmp_path / "b")
    assert (again.storage, wide.storage) == (stored, "float32")
    for name, array in to_arrays(model.weights).items():
        assert same_bits(np.asarray(parameters(again.weights)[name]), array), name
        assert same_bits(np.asarray(parameters(wide.weights)[name]), array), name


def array_in(array, written):
    return rounded(array, written) if written in FORMATS else array


@pytest.mark.slow
@pytest.mark.parametrize("kept_in", ["float32", *FORMATS])
@pytest.mark.parametrize("asked", ["float32", *FORMATS])
def test_a_file_may_be_of_one_format(asked, kept_in, tmp_path):
    model = Model.from_config(CONFIG, seed=0, dtype=kept_in)
    model.save_pretrained(tmp_path, dtype=asked)
    assert set(formats_in(tmp_path / FILE).values()) == {
        {"float16": "F16", "bfloat16": "BF16", "float32": "F32"}[asked]
    }
    for name, array in to_arrays(Model.from_pretrained(tmp_path).weights).items():
        assert same_bits(np.asarray(array), array_in(np.asarray(parameters(model.weights)[name]), asked)), name
    first = (tmp_path / FILE).read_bytes()
    model.save_pretrained(tmp_path, dtype=asked)
    assert (tmp_path / FILE).read_bytes() == first


def test_a_weight_too_large_is_refused_by_name(tmp_path):
    weights = random_weights(CONFIG, seed=0)
    large = weights.shared.weight.copy()
    large[700, 3] = 70000
    model = Model(CONFIG, replace(weights, shared=Embedding(large)))
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"not finite as float16: model\.shared\.weight holds .* too large a number$"):
        Model.from_pretrained(tmp_path, dtype="float16")
    assert Model.from_pretrained(tmp_path, dtype="bfloat16").weights.shared.weight[700, 3] == np.float32(70144)
    halves = Model.from_config(CONFIG, seed=0, dtype="float16")
    before = halves.weights
    with pytest.raises(ValueError, match=r"not finite as float16: shared\.weight"):
        halves.set_input_embeddings(large)
    assert halves.weights is before


@IN_BOTH
def test_a_changed_model_is_kept_as_it_was(stored):
    model = Model.from_config(CONFIG, seed=0, dtype=stored)
    old = np.asarray(model.weights.shared.weight)
    model.resize_token_embeddings(1200)
    shared = model.weights.shared.weight
    assert isinstance(shared, HalfPanels)
    assert same_bits(np.asarray(shared)[:1100], old)
    assert same_bits(np.asarray(shared)[1150], rounded(old.mean(axis=0), stored))
    new = matrix(1200, 256, 5)
    model.set_input_embeddings(new)
    assert same_bits(np.asarray(model.get_input_embeddings().weight), rounded(new, stored))
    assert model.storage == stored
    assert model.num_parameters() == Model(model.config, random_weights(model.config, 0)).num_parameters()
    again = Model(model.config, model.weights)
    assert again.storage == stored
    assert again.weights.shared.weight is model.weights.shared.weight


def test_a_large_matrix_put_among_them_becomes_one_of_them(either_layout):
    halves, other = (
        Model.from_config(CONFIG, seed=seed, dtype=each) for seed, each in ((0, "float16"), (1, "float32"))
    )
    mixed = Model(CONFIG, replace(halves.weights, shared=other.weights.shared))
    assert isinstance(mixed.weights.shared.weight, HalfPanels)
    assert in_halves(mixed) == in_halves(halves)
    assert same_bits(
        np.asarray(mixed.weights.shared.weight), rounded(np.asarray(other.weights.shared.weight), "float16")
    )


def test_two_formats_in_one_model_are_refused():
    one, two = (Model.from_config(CONFIG, seed=0, dtype=each) for each in FORMATS)
    with pytest.raises(ValueError, match="in float16 and in bfloat16"):
        Model(CONFIG, replace(one.weights, shared=two.weights.shared))


def test_two_copies_in_a_file_are_compared_as_they_are_kept(tmp_path):
    plain = to_arrays(random_weights(CONFIG, seed=1))
    names = names_of(CONFIG, "full")
    tensors = {names[name]: array for name, array in plain.items()}
    CONFIG.save_pretrained(tmp_path)
    write(tmp_path / FILE, {**tensors, "lm_head.weight": plain["shared.weight"]})
    assert Model.from_pretrained(tmp_path, dtype="bfloat16").storage == "bfloat16"
    other = plain["shared.weight"].copy()
    other[1000, 7] += 1
    write(tmp_path / FILE, {**tensors, "lm_head.weight": other})
    with pytest.raises(ValueError, match=r"an untied head is not covered: lm_head\.weight"):
        Model.from_pretrained(tmp_path, dtype="bfloat16")


def test_small_matrices_stay_as_they_are():
    small = CONFIG.replace(vocab_size=11, d_model=8, encoder_ffn_dim=4, decoder_ffn_dim=4)
    model = Model.from_config(small, seed=0, dtype="float16")
    assert (model.storage, in_halves(model)) == ("float32", set())


def test_the_command_line_knows_them():
    asked = ("generate", "--dtype", "bfloat16", "--greedy", "--quiet")
    done = run_cli(*asked, stdin=b"hello\n")
    assert (done.code, bool(done.out.strip())) == (0, True), done.err
    memory = json.loads(run_cli("info", "--json").out)["weights"]["bytes in memory"]
    for dtype, size in memory.items():
        model = Model.from_pretrained(dtype=dtype)
        assert size == sum(
            (2 if isinstance(each, HalfPanels) else 4) * each.size for each in parameters(model.weights).values()
        )
    assert memory["float16"] == memory["bfloat16"] < 0.6 * memory["float32"]
    refused = run_cli("generate", "--dtype", "float8", stdin=b"hello\n")
    assert refused.code == 2
    assert "'float16' or 'bfloat16' keep large matrices in half the memory" in refused.err


MEASURE = """
import sys, tracemalloc
from npblender import BlenderbotSmallForConditionalGeneration as Model
from npblender.transformer.parameters import parameters
Model.from_pretrained(dtype=sys.argv[2])  # everything is imported and warm
tracemalloc.start()
model = Model.from_pretrained(sys.argv[1], dtype=sys.argv[2])
loaded = tracemalloc.get_traced_memory()[1]
tracemalloc.reset_peak()
model.forward([[5, 6, 7]], decoder_input_ids=[[1]])
print(loaded, tracemalloc.get_traced_memory()[1], sum(each.nbytes for each in parameters(model.weights).values()))
"""


@IN_BOTH
@pytest.mark.parametrize("written", ["float32", *(pytest.param(each, marks=pytest.mark.slow) for each in FORMATS)])
def test_no_large_matrix_is_ever_whole_in_float32(written, stored, tmp_path):
    config = CONFIG.replace(vocab_size=32768, decoder_ffn_dim=1024, encoder_ffn_dim=1024)
    Model.from_config(config, seed=0).save_pretrained(tmp_path, dtype=written)
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", MEASURE, str(tmp_path), stored]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=root)
    loaded, running, weights = map(int, done.stdout.split())
    shared = 2 * config.vocab_size * config.d_model
    assert shared < weights < 1.5 * shared
    assert loaded < weights + 8e6 < weights + 2 * shared  # buffers of a few megabytes for each thread that reads
    assert running < weights + 8e6
