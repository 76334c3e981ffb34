"""A feed-forward block as one piece of work a thread: bit for bit what its steps give, and only where it pays."""

import numpy as np
import pytest

from npblender import BlenderbotSmallConfig, BlenderbotSmallForConditionalGeneration, ops
from npblender.ops.linear import fuses
from npblender.ops.packed import blas, fused_mlp
from npblender.ops.packed.blas import NARROW
from npblender.ops.packed.panels import Panels
from reference_tests.support.asserts import assert_close
from reference_tests.support.tolerances import TOLERANCES

D, F = 512, 2048


def matrix(rows, inner, seed):
    return np.random.default_rng(seed).standard_normal((rows, inner), np.float32) / np.float32(inner**0.5)


@pytest.fixture(scope="module")
def block():
    first, second = Panels.of(matrix(F, D, 1), NARROW), Panels.of(matrix(D, F, 2), NARROW)
    return first, matrix(1, F, 3)[0], second, matrix(1, D, 4)[0]


@pytest.mark.parametrize("function", [ops.gelu, ops.relu, ops.silu])
@pytest.mark.parametrize("shape", [(4,), (10,), (2, 16), (61,)])
def test_the_steps_and_the_whole_agree_in_every_bit(block, shape, function):
    first, first_bias, second, second_bias = block
    x = matrix(int(np.prod(shape)), D, 5).reshape(*shape, D)
    steps = ops.linear(function(ops.linear(x, first, first_bias)), second, second_bias)
    for threads in (2, 3, 8):
        with ops.use_threads(threads):
            assert fuses(x, first, second)
            whole = ops.mlp(x, (first, first_bias), function, (second, second_bias))
        assert whole.shape == steps.shape
        if blas.core_name() in blas.WITH_SMALL_KERNELS:
            assert np.array_equal(whole, steps)
        else:  # whose products of a column depend on how many there are
            assert_close(whole, steps, TOLERANCES["float32 computed another way"])


def test_a_single_row_is_not_worth_it_but_right(block):
    first, first_bias, second, second_bias = block
    x = matrix(1, D, 5)
    with ops.use_threads(2):
        assert not fuses(x, first, second)
        whole = fused_mlp.compute(x, (first, first_bias), ops.gelu, (second, second_bias))
    steps = ops.linear(ops.gelu(ops.linear(x, first, first_bias)), second, second_bias)
    assert_close(whole, steps, TOLERANCES["float32 computed another way"])


def test_what_cannot_be_shared_is_not(block):
    first, _, second, _ = block
    x = matrix(16, D, 5)
    with ops.use_threads(2):
        assert fuses(x, first, second)
        assert not fuses(x[:0], first, second)
        assert not fuses(matrix(400, D, 5), first, second)  # more rows than the small products take
        assert not fuses(x, np.asarray(first), second)
        assert not fuses(x, first, np.asarray(second))
        assert not fuses(x, first, Panels.of(matrix(D, 2049, 6), NARROW))  # sums of no equal parts
        assert not fuses(x, Panels.of(matrix(F - 1, D, 6), NARROW), second)  # a panel that is not full
        assert not fuses(x, first, Panels.of(matrix(D, 256, 6), NARROW))  # a single part, for a single thread
    with ops.use_threads(1):
        assert not fuses(x, first, second)


def test_nobody_can_tell_from_a_pass(in_panels, monkeypatch):
    """The same states with a tap and without; a tap is called with what lies in between."""
    config = BlenderbotSmallConfig(
        vocab_size=40,
        d_model=D,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=F,
        decoder_ffn_dim=F,
        max_position_embeddings=32,
    )
    model = BlenderbotSmallForConditionalGeneration.from_config(config, seed=0)
    ids, heard, taken = np.arange(20)[None], [], []
    right = fused_mlp.compute
    monkeypatch.setattr(fused_mlp, "compute", lambda *args: taken.append(1) or right(*args))
    with ops.use_threads(2):
        quiet = model.encode(ids).last_hidden_state
        assert len(taken) == 2
        loud = model.encode(ids, tap=lambda name, array: heard.append(name)).last_hidden_state
    assert len(taken) == 2
    assert "encoder.layers.1.ffn.activation" in heard
    assert_close(quiet, loud, TOLERANCES["float32 computed another way"])
    if blas.core_name() in blas.WITH_SMALL_KERNELS:
        assert np.array_equal(quiet, loud)
