"""The names of transformers' configurations: each does what it does in 4.52.4 and 5.23.0, or says what to write."""

import json
from pathlib import Path

import numpy as np
import pytest

from npblender import BlenderbotSmallConfig, BlenderbotSmallModel
from npblender.checkpoint import shard_bytes


def test_sizes_by_transformers_other_names() -> None:
    config = BlenderbotSmallConfig(hidden_size=64, num_attention_heads=4)  # type: ignore[call-arg]
    assert (config.d_model, config.hidden_size, config.encoder_attention_heads) == (64, 64, 4)
    assert config == BlenderbotSmallConfig(d_model=64, encoder_attention_heads=4)
    with pytest.raises(ValueError, match="hidden_size 64 and d_model 32 are two names of one size"):
        BlenderbotSmallConfig(hidden_size=64, d_model=32)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="hidden_sise"):
        BlenderbotSmallConfig(hidden_sise=64)  # type: ignore[call-arg]


def test_json(tmp_path: Path) -> None:
    config = BlenderbotSmallConfig(d_model=64, eos_token_id=[2, 3], extra={"unk_token_id": 3})  # type: ignore[arg-type]
    path = tmp_path / "any name.json"
    for use_diff in (False, True):
        config.to_json_file(path, use_diff=use_diff)
        assert path.read_text() == config.to_json_string(use_diff=use_diff)
        assert BlenderbotSmallConfig.from_json_file(path) == config
    assert json.loads(config.to_json_string(use_diff=True)) == {
        **{"d_model": 64, "eos_token_id": [2, 3]},
        **{"model_type": "blenderbot-small", "unk_token_id": 3},
    }
    with pytest.raises(FileNotFoundError, match="nowhere"):
        BlenderbotSmallConfig.from_json_file(tmp_path / "nowhere.json")


def test_update_says_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"config = config\.replace\(d_model=\.\.\., dropout=\.\.\.\)"):
        BlenderbotSmallConfig().update({"d_model": 32, "dropout": 0.5})


def test_shards_and_subfolders(tmp_path: Path) -> None:
    sizes = {"vocab_size": 400, "d_model": 8, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2}
    config = BlenderbotSmallConfig(**sizes, decoder_attention_heads=2, encoder_ffn_dim=8, decoder_ffn_dim=8)
    model = BlenderbotSmallModel(config, seed=0)
    model.save_pretrained(tmp_path / "inner", max_shard_size="10KB")
    shards = sorted((tmp_path / "inner").glob("model-*.safetensors"))
    assert len(shards) > 2
    assert (tmp_path / "inner" / "model.safetensors.index.json").is_file()
    found = BlenderbotSmallModel.from_pretrained(tmp_path, subfolder="inner")
    for (name, a), (_, b) in zip(found.named_parameters(), model.named_parameters(), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)
    for wrong in ("5 parsecs", "GB", "0KB", "-1KB"):
        with pytest.raises(ValueError, match="max_shard_size must be bytes or a text such as '5GB'"):
            shard_bytes(wrong)


@pytest.mark.parametrize("name", ["variant", "device_map", "load_in_8bit", "trust_remote_code", "use_safetensors"])
def test_options_of_loading_that_mean_nothing_here(name: str) -> None:
    with pytest.raises(TypeError, match=f"'{name}' is not taken: .{{20}}"):
        BlenderbotSmallModel.from_pretrained(**{name: "x"})
