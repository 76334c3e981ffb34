"""The map of names, against tables written out by hand from the originals' own state dicts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender.checkpoint.parameter_names import canonical_name, copies_in_order, stored_name
from npblender.transformer.parameters import BASE_MODEL, CAUSAL_MODEL, FULL_MODEL, expected_shapes
from reference_tests.support.stored import TINY, names_of

PARTS = {"full": FULL_MODEL, "base": BASE_MODEL, "causal": CAUSAL_MODEL}

# A few names of each original in full, as their state dicts print them.
BY_HAND = {
    "model.shared.weight": "shared.weight",
    "shared.weight": "shared.weight",
    "model.encoder.embed_tokens.weight": "shared.weight",
    "model.decoder.embed_tokens.weight": "shared.weight",
    "encoder.embed_tokens.weight": "shared.weight",
    "lm_head.weight": "shared.weight",
    "final_logits_bias": "final_logits_bias",
    "model.encoder.layers.7.self_attn_layer_norm.bias": "encoder.layers.7.self_attn_layer_norm.bias",
    "model.decoder.layers.10.encoder_attn.out_proj.weight": "decoder.layers.10.encoder_attn.out_proj.weight",
    "START": None,
    "embeddings.weight": "shared.weight",
    "encoder.embeddings.weight": "shared.weight",
    "decoder.embeddings.weight": "shared.weight",
    "encoder.position_embeddings.weight": "encoder.embed_positions.weight",
    "decoder.norm_embeddings.weight": "decoder.layernorm_embedding.weight",
    "encoder.layers.0.attention.q_lin.weight": "encoder.layers.0.self_attn.q_proj.weight",
    "encoder.layers.12.norm1.weight": "encoder.layers.12.self_attn_layer_norm.weight",
    "encoder.layers.0.norm2.bias": "encoder.layers.0.final_layer_norm.bias",
    "decoder.layers.3.self_attention.out_lin.bias": "decoder.layers.3.self_attn.out_proj.bias",
    "decoder.layers.3.encoder_attention.k_lin.weight": "decoder.layers.3.encoder_attn.k_proj.weight",
    "decoder.layers.3.ffn.lin1.weight": "decoder.layers.3.fc1.weight",
    "decoder.layers.3.ffn.lin2.bias": "decoder.layers.3.fc2.bias",
    "decoder.layers.3.norm1.weight": "decoder.layers.3.self_attn_layer_norm.weight",
    "decoder.layers.3.norm2.weight": "decoder.layers.3.encoder_attn_layer_norm.weight",
    "decoder.layers.3.norm3.weight": "decoder.layers.3.final_layer_norm.weight",
}


@pytest.mark.parametrize("stored", BY_HAND)
def test_names_written_out(stored: str):
    assert canonical_name(stored) == BY_HAND[stored]


@pytest.mark.parametrize("original", ["full", "base", "causal", "parlai"])
def test_every_name_of_every_original(original: str):
    names = names_of(TINY, original)
    assert {theirs: canonical_name(theirs) for theirs in names.values()} == {b: a for a, b in names.items()}
    if original != "parlai":
        assert {name: stored_name(name, PARTS[original]) for name in names} == names


def test_the_table_of_the_tests_is_complete():
    assert sorted(names_of(TINY, "full")) == sorted(expected_shapes(TINY, FULL_MODEL))
    assert sorted(names_of(TINY, "base")) == sorted(expected_shapes(TINY, BASE_MODEL))
    assert sorted(names_of(TINY, "parlai")) == sorted(expected_shapes(TINY, BASE_MODEL))
    assert sorted(names_of(TINY, "causal")) == sorted(expected_shapes(TINY, CAUSAL_MODEL))


@pytest.mark.parametrize(
    "stored",
    [
        "encoder.layers.0.norm3.weight",  # ParlAI's encoder has two norms
        "encoder.layers.0.self_attention.q_lin.weight",
        "decoder.layers.0.attention.q_lin.weight",
        "encoder.layers.0.encoder_attention.q_lin.weight",
        "encoder.layers.0.self_attn.x_lin.weight",
        "start",
        "model.lm_tail.weight",
        "lm_head.bias",
        "",
    ],
)
def test_a_name_of_nobody_stays_one(stored: str):
    assert canonical_name(stored) not in expected_shapes(TINY, FULL_MODEL)
    assert canonical_name(stored) is not None


@given(st.text())
def test_any_text_is_a_name(stored: str):
    assert isinstance(canonical_name(stored), str)


SHARED_NAMES = (
    *("model.shared.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"),
    *("lm_head.weight", "embeddings.weight", "encoder.embeddings.weight", "decoder.embeddings.weight"),
)


@given(st.lists(st.sampled_from(SHARED_NAMES), min_size=1, unique=True), st.sampled_from(list(PARTS.values())))
def test_the_order_of_copies(names: list[str], parts: frozenset[str]):
    order = copies_in_order(names, parts)
    assert order == copies_in_order(sorted(names), parts)  # the file's order does not matter
    assert set(order) <= set(names)
    lacking = {name for name in names if "encoder" in name and parts == CAUSAL_MODEL}
    lacking |= {name for name in names if name == "lm_head.weight" and parts == BASE_MODEL}
    assert set(order[1:]).isdisjoint(lacking)
    assert set(names) - set(order) <= lacking
    if set(names) - lacking:
        assert order[0] not in lacking
    if "model.shared.weight" in names and "embeddings.weight" not in names:
        assert order[0] == "model.shared.weight"
