"""The model's configuration: transformers' fields and defaults, JSON in and out, refusals by name."""

import copy
import dataclasses
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender.config import LAYER_NORM_EPS, BlenderbotSmallConfig
from npblender.ops import ACTIVATIONS
from npblender.transformer.parameters import parameter_count
from reference_tests.support.strategies import json_values, tiny_config_files

# Copied by hand from configuration_blenderbot_small.py of transformers 5.23.0; 4.52.4 has the same values.
TRANSFORMERS_DEFAULTS = {
    "vocab_size": 50265,
    "max_position_embeddings": 512,
    "encoder_layers": 8,
    "encoder_ffn_dim": 2048,
    "encoder_attention_heads": 16,
    "decoder_layers": 8,
    "decoder_ffn_dim": 2048,
    "decoder_attention_heads": 16,
    "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0,
    "use_cache": True,
    "is_encoder_decoder": True,
    "activation_function": "gelu",
    "d_model": 512,
    "dropout": 0.1,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "init_std": 0.02,
    "decoder_start_token_id": 1,
    "scale_embedding": False,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "forced_eos_token_id": 2,
    "is_decoder": False,
    "tie_word_embeddings": True,
    # of the base class, which the forward pass reads
    "output_attentions": False,
    "output_hidden_states": False,
    "return_dict": True,
}

# What is published of facebook/blenderbot_small-90M, as numbers.
PUBLISHED_SIZES = {
    "vocab_size": 54944,
    "max_position_embeddings": 512,
    "d_model": 512,
    "encoder_layers": 8,
    "decoder_layers": 8,
    "encoder_ffn_dim": 2048,
    "decoder_ffn_dim": 2048,
    "encoder_attention_heads": 16,
    "decoder_attention_heads": 16,
    "scale_embedding": True,
}
PUBLISHED_PARAMETERS = 87_508_992


def published_folder() -> Path:
    shared = os.environ.get("NPBLENDER_SHARED")
    if not shared:
        pytest.skip("NPBLENDER_SHARED does not name the folder with the published config.json")
    return Path(shared) / "checkpoint" / "blenderbot_small-90M"


def test_fields_and_defaults_are_those_of_transformers():
    ours = {f.name: getattr(BlenderbotSmallConfig(), f.name) for f in dataclasses.fields(BlenderbotSmallConfig)}
    assert (ours.pop("npblender_dialect"), ours.pop("extra")) == (None, {})
    assert ours == TRANSFORMERS_DEFAULTS
    assert {type(ours[name]) for name in ours} == {type(value) for value in TRANSFORMERS_DEFAULTS.values()}
    assert LAYER_NORM_EPS == 1e-5
    assert BlenderbotSmallConfig.model_type == "blenderbot-small"


def test_published_sizes_give_the_published_count():
    config = BlenderbotSmallConfig.from_dict(PUBLISHED_SIZES)
    assert parameter_count(config) == PUBLISHED_PARAMETERS


def test_parameter_count_by_hand():
    config = BlenderbotSmallConfig(
        vocab_size=11,
        max_position_embeddings=7,
        d_model=6,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=5,
        decoder_ffn_dim=13,
        encoder_attention_heads=2,
        decoder_attention_heads=3,
    )
    attention = 4 * (6 * 6 + 6)  # q, k, v, out
    norm = 2 * 6
    encoder = 7 * 6 + norm + attention + norm + (6 * 5 + 5) + (5 * 6 + 6) + norm
    decoder = 7 * 6 + norm + 2 * (2 * (attention + norm) + (6 * 13 + 13) + (13 * 6 + 6) + norm)
    assert parameter_count(config) == 11 * 6 + encoder + decoder


def test_the_published_file_loads_and_is_written_back_whole(tmp_path: Path):
    folder = published_folder()
    content = json.loads((folder / "config.json").read_text())
    config = BlenderbotSmallConfig.from_pretrained(folder)
    assert {name: getattr(config, name) for name in PUBLISHED_SIZES} == PUBLISHED_SIZES
    assert parameter_count(config) == PUBLISHED_PARAMETERS
    config.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert {key: written[key] for key in content} == content
    added = {key: written[key] for key in set(written) - set(content)}
    assert added == {key: TRANSFORMERS_DEFAULTS[key] for key in added}
    assert BlenderbotSmallConfig.from_pretrained(tmp_path) == config


@given(tiny_config_files(), st.dictionaries(st.text(max_size=8).map(lambda key: f"x{key}"), json_values(), max_size=3))
def test_dict_to_config_to_dict(content: dict[str, Any], unknown: dict[str, Any]):
    config = BlenderbotSmallConfig.from_dict({**content, **unknown})
    written = config.to_dict()
    assert {key: written[key] for key in {**content, **unknown}} == {**content, **unknown}
    assert BlenderbotSmallConfig.from_dict(written) == config
    assert BlenderbotSmallConfig.from_dict(json.loads(json.dumps(written))) == config
    assert dict(config.extra) == unknown


@given(tiny_config_files(), st.sampled_from(["encoder_layers", "dropout", "scale_embedding", "eos_token_id"]))
def test_configurations_that_differ_are_not_equal(content: dict[str, Any], name: str):
    config = BlenderbotSmallConfig.from_dict(content)
    other = {"encoder_layers": config.encoder_layers + 1, "dropout": 1.0 - config.dropout / 2}
    other |= {"scale_embedding": not config.scale_embedding, "eos_token_id": 0 if config.eos_token_id else 1}
    changed = config.replace(**{name: other[name]})
    assert changed != config
    assert changed.replace(**{name: getattr(config, name)}) == config


def test_saving_makes_the_folder_and_the_same_bytes(tmp_path: Path):
    config = BlenderbotSmallConfig(extra={"ä": [1, {"b": None}]}, npblender_dialect="parlai")
    for name in ("one/deep", "two"):
        config.save_pretrained(tmp_path / name)
    first, second = ((tmp_path / name / "config.json").read_bytes() for name in ("one/deep", "two"))
    assert first == second
    # The order in which the keys were given does not matter.
    for name, keys in (("three", "ab"), ("four", "ba")):
        BlenderbotSmallConfig(extra={key: dict.fromkeys(keys, 1) for key in keys}).save_pretrained(tmp_path / name)
    assert (tmp_path / "three" / "config.json").read_bytes() == (tmp_path / "four" / "config.json").read_bytes()
    assert BlenderbotSmallConfig.from_pretrained(str(tmp_path / "two")) == config


def test_other_names_of_a_size():
    config = BlenderbotSmallConfig.from_dict({"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4})
    assert (config.d_model, config.encoder_layers, config.encoder_attention_heads) == (48, 3, 4)
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (48, 3, 4)
    assert config.to_dict()["num_hidden_layers"] == 3
    assert BlenderbotSmallConfig.from_dict({"num_hidden_layers": 3, "encoder_layers": 3}).encoder_layers == 3
    with pytest.raises(ValueError, match=r"num_hidden_layers 8 and encoder_layers 3 .* disagree"):
        BlenderbotSmallConfig.from_dict({"num_hidden_layers": 8, "encoder_layers": 3})


def test_keys_of_the_file_are_attributes_as_in_transformers():
    config = BlenderbotSmallConfig(extra={"unk_token_id": 3})
    assert config.unk_token_id == 3
    with pytest.raises(AttributeError, match="'unk_token'"):
        config.unk_token  # noqa: B018


def test_a_configuration_is_a_value():
    inner = {"labels": [1]}
    config = BlenderbotSmallConfig(extra=inner, eos_token_id=[2, 3])
    inner["labels"].append(2)
    config.to_dict()["labels"].append(3)
    assert config.extra == {"labels": [1]}
    assert config.eos_token_id == (2, 3)
    assert config.to_dict()["eos_token_id"] == [2, 3]
    assert hash(config) == hash(copy.deepcopy(config))
    assert pickle.loads(pickle.dumps(config)) == config
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.d_model = 4  # type: ignore[misc]


def test_swish_is_silu_under_another_name():
    assert BlenderbotSmallConfig(activation_function="swish").activation_function == "silu"


def test_a_dialect_of_ones_own_is_kept_as_its_fields():
    fields = {"name": "mine", "scale": True}
    config = BlenderbotSmallConfig(npblender_dialect=fields)
    fields["scale"] = False
    assert BlenderbotSmallConfig.from_dict(config.to_dict()).npblender_dialect == {"name": "mine", "scale": True}
    assert "npblender_dialect" not in BlenderbotSmallConfig().to_dict()


SIZES = [name for name, value in TRANSFORMERS_DEFAULTS.items() if type(value) is int and not name.endswith("_id")]
PROBABILITIES = [name for name in TRANSFORMERS_DEFAULTS if name.endswith(("dropout", "layerdrop"))]
SWITCHES = [name for name, value in TRANSFORMERS_DEFAULTS.items() if type(value) is bool]
IDS = [name for name in TRANSFORMERS_DEFAULTS if name.endswith("_id")]

REFUSALS = [
    *((name, value, "at least 1") for name in SIZES for value in (0, -3)),
    *((name, value, "whole number") for name in SIZES for value in (True, 8.0, "8", None)),
    *((name, value, "between 0 and 1") for name in PROBABILITIES for value in (-0.1, 1.5, float("nan"))),
    *((name, value, "a number") for name in PROBABILITIES for value in (True, "0.1", None)),
    *((name, value, "true or false") for name in SWITCHES for value in (1, "true", None)),
    *((name, value, "leaves the ids 0 to 50264") for name in IDS for value in (-1, 50265)),
    *((name, value, "token id") for name in IDS for value in (True, "2", 2.0)),
    ("eos_token_id", [2, -1], "leaves the ids"),
    ("pad_token_id", [0], "token id"),
    ("init_std", -0.02, "at least 0"),
    ("init_std", float("inf"), "finite"),
    ("encoder_attention_heads", 7, "d_model 512 is not divisible by encoder_attention_heads 7"),
    ("decoder_attention_heads", 48, "d_model 512 is not divisible by decoder_attention_heads 48"),
    ("activation_function", "tanh", "gelu, relu, silu, gelu_new"),
    ("activation_function", "gelu_fast", "gelu, relu, silu, gelu_new"),
    ("activation_function", None, "gelu, relu, silu, gelu_new"),
    ("model_type", "bart", "'blenderbot-small'"),
    ("model_type", "blenderbot", "'blenderbot-small'"),
    ("npblender_dialect", 4, "dialect's name"),
    ("tie_word_embeddings", False, "only true"),
    ("layernorm_variant", "prelayernorm", "'xlm'"),
    ("layernorm_variant", "aiayn", "'xlm'"),
    ("do_blenderbot_90_layernorm", False, "only True"),
    ("normalize_before", True, "only False"),
    ("normalize_before", 1, "only False"),
    ("normalize_embedding", False, "only True"),
    ("static_position_embeddings", True, "only False"),
    ("extra_pos_embeddings", 2, "only 0"),
    ("extra_pos_embeddings", False, "only 0"),
    ("add_bias_logits", True, "only False"),
    ("add_final_layer_norm", True, "only False"),
    ("tie_encoder_decoder", True, "only False"),
    ("layer_norm_eps", 1e-12, "only 1e-05"),
    ("pruned_heads", {"0": [1]}, "every head is there"),
    ("quantization_config", {"bits": 4}, "plain floats"),
]


@pytest.mark.parametrize(("name", "value", "message"), REFUSALS, ids=[f"{n}={v}" for n, v, _ in REFUSALS])
def test_what_is_not_covered_is_refused_by_name(name: str, value: Any, message: str, tmp_path: Path):
    assert len(SIZES) == 9
    assert len(PROBABILITIES) == 5
    assert len(IDS) == 5
    with pytest.raises((ValueError, TypeError)) as refused:
        BlenderbotSmallConfig.from_dict({name: value})
    assert name in str(refused.value)
    assert message in str(refused.value)
    (tmp_path / "config.json").write_text(json.dumps({name: value}))
    with pytest.raises(ValueError, match=r"config.json") as refused:
        BlenderbotSmallConfig.from_pretrained(tmp_path)
    assert name in str(refused.value)


def test_what_is_covered_is_not_refused():
    for activation in ACTIVATIONS:
        BlenderbotSmallConfig(activation_function=activation)
    BlenderbotSmallConfig(pad_token_id=None, bos_token_id=None, eos_token_id=None, decoder_start_token_id=None)
    BlenderbotSmallConfig(is_decoder=True, is_encoder_decoder=False)  # as causal heads are saved
    BlenderbotSmallConfig(dropout=1, init_std=0)
    harmless = {"tie_encoder_decoder": False, "pruned_heads": {}, "quantization_config": None, "layer_norm_eps": 1e-5}
    assert BlenderbotSmallConfig(extra=harmless).extra == harmless


def test_content_must_be_a_mapping():
    for nonsense in ([("num_beams", 4)], None, "num_beams", 4):
        with pytest.raises(TypeError, match="must be a mapping"):
            BlenderbotSmallConfig.from_dict(nonsense)  # type: ignore[arg-type]


def test_unknown_names_are_refused_in_calls():
    with pytest.raises(TypeError, match="d_modle"):
        BlenderbotSmallConfig(d_modle=4)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="'d_modle'"):
        BlenderbotSmallConfig().replace(d_modle=4)
    with pytest.raises(ValueError, match="d_model"):
        BlenderbotSmallConfig(extra={"d_model": 4})
    with pytest.raises(TypeError, match="extra"):
        BlenderbotSmallConfig(extra=[("a", 1)])  # type: ignore[arg-type]


def test_a_value_that_json_lacks_is_refused_when_saved(tmp_path: Path):
    with pytest.raises(TypeError, match=r"'odd'.*config.json"):
        BlenderbotSmallConfig(extra={"odd": {1, 2}}).save_pretrained(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path):
    with pytest.raises(
        FileNotFoundError,
        match=r"there is no folder 'no/folder', and no model of this name in .*: (allow downloads|pip install)",
    ):
        BlenderbotSmallConfig.from_pretrained("no/folder")
    with pytest.raises(FileNotFoundError, match=r"config.json"):
        BlenderbotSmallConfig.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="is a file; give the folder"):
        BlenderbotSmallConfig.from_pretrained(tmp_path / "config.json")
    with pytest.raises(ValueError, match=r"is a file|no folder can be made"):
        BlenderbotSmallConfig().save_pretrained(tmp_path / "config.json")
    for nonsense in (None, 3, b"x"):
        with pytest.raises(TypeError, match="string or a path"):
            BlenderbotSmallConfig.from_pretrained(nonsense)  # type: ignore[arg-type]
    for nonsense in ("a\0b", "x" * 5000):
        with pytest.raises((ValueError, FileNotFoundError), match="folder"):
            BlenderbotSmallConfig.from_pretrained(nonsense)


def test_a_folder_of_parlai_without_its_options_says_so(tmp_path: Path):
    (tmp_path / "model.opt").write_text("{}")
    with pytest.raises(ValueError, match=r"model.opt.*embedding_size"):
        BlenderbotSmallConfig.from_pretrained(tmp_path)


def test_a_file_cut_anywhere_is_refused(tmp_path: Path):
    BlenderbotSmallConfig(extra={"name": "ünïcode"}).save_pretrained(tmp_path)
    whole = (tmp_path / "config.json").read_bytes().rstrip()
    for length in [*range(0, len(whole), 9), len(whole) - 1]:
        (tmp_path / "config.json").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"config\.json"):
            BlenderbotSmallConfig.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_bytes(whole)
    assert BlenderbotSmallConfig.from_pretrained(tmp_path).name == "ünïcode"


@pytest.mark.parametrize("text", [b"[1]", b"3", b"null", b"\xff\xfe{}", b"[" * 100_000, b'{"d_model": }', b"{}{}"])
def test_a_file_that_is_no_object_is_refused(tmp_path: Path, text: bytes):
    (tmp_path / "config.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"config\.json"):
        BlenderbotSmallConfig.from_pretrained(tmp_path)


def test_changes_on_loading(tmp_path: Path):
    BlenderbotSmallConfig(d_model=32).save_pretrained(tmp_path)
    assert BlenderbotSmallConfig.from_pretrained(tmp_path, dropout=0.5) == BlenderbotSmallConfig(
        d_model=32, dropout=0.5
    )
