"""The settings of generation in files: which file counts, what is set, what is refused."""

import dataclasses
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender.config import BlenderbotSmallConfig
from npblender.config.generation_config import GenerationConfig
from npblender.config.generation_options import OPTIONS
from reference_tests.support.strategies import json_values

# The settings of facebook/blenderbot_small-90M, as published.
PUBLISHED = {
    "bos_token_id": 1,
    "decoder_start_token_id": 1,
    "eos_token_id": 2,
    "forced_eos_token_id": 2,
    "length_penalty": 0.65,
    "max_length": 128,
    "min_length": 20,
    "no_repeat_ngram_size": 3,
    "num_beams": 10,
    "pad_token_id": 0,
}
NAMES = [f.name for f in dataclasses.fields(GenerationConfig) if f.name != "extra"]

COUNT = st.integers(1, 200)
CHANCE = st.floats(0, 1)
SIZE = st.floats(0, 100)
WORDS = st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=3), min_size=1, max_size=3)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(["max_length", "max_new_tokens", "min_length", "min_new_tokens", "num_beams"], COUNT),
    **dict.fromkeys(["num_beam_groups", "top_k", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size"], COUNT),
    **dict.fromkeys(["num_return_sequences", "prompt_lookup_num_tokens", "max_matching_ngram_size"], COUNT),
    **dict.fromkeys(["beam_delay", "pad_token_id", "bos_token_id", "decoder_start_token_id"], COUNT),
    **dict.fromkeys(["forced_bos_token_id"], COUNT),
    **dict.fromkeys(["top_p", "min_p", "epsilon_cutoff", "eta_cutoff", "penalty_alpha"], CHANCE),
    **dict.fromkeys(["max_time", "temperature", "diversity_penalty"], SIZE),
    **dict.fromkeys(["repetition_penalty", "encoder_repetition_penalty"], SIZE.filter(bool)),
    "typical_p": CHANCE.filter(bool),
    "length_penalty": st.floats(-5, 5),
    "early_stopping": st.booleans() | st.just("never"),
    "stop_strings": st.text(min_size=1) | st.lists(st.text(min_size=1), max_size=2),
    **dict.fromkeys(
        ["do_sample", "use_cache", "renormalize_logits", "remove_invalid_values", "beam_block_full_context"],
        st.booleans(),
    ),
    **dict.fromkeys(["output_attentions", "output_hidden_states", "output_scores"], st.booleans()),
    **dict.fromkeys(["output_logits", "return_dict_in_generate"], st.booleans()),
    "bad_words_ids": WORDS,
    "force_words_ids": WORDS | st.lists(WORDS, min_size=1, max_size=2),
    "sequence_bias": st.lists(
        st.tuples(st.lists(st.integers(0, 99), min_size=1), st.floats(-9, 9)).map(list), min_size=1, max_size=2
    ),
    **dict.fromkeys(["suppress_tokens", "begin_suppress_tokens"], st.lists(st.integers(0, 99), max_size=3)),
    **dict.fromkeys(["eos_token_id", "forced_eos_token_id"], COUNT | st.lists(COUNT, max_size=3)),
    "exponential_decay_length_penalty": st.tuples(COUNT, SIZE).map(list),
}


def files() -> st.SearchStrategy[dict[str, Any]]:
    """The content of a generation_config.json: any settings, and keys that are none."""
    unknown = st.dictionaries(st.text(max_size=8).map(lambda key: f"x{key}"), json_values(), max_size=2)
    known = st.fixed_dictionaries({}, optional=VALUES)
    return st.tuples(known, unknown).map(lambda pair: {**pair[0], **pair[1]})


def test_the_strategy_knows_every_setting():
    assert sorted(VALUES) == sorted(NAMES)


@given(files())
def test_dict_to_settings_to_dict(content: dict[str, Any]):
    settings = GenerationConfig.from_dict(content)
    assert settings.to_dict() == content
    assert GenerationConfig.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    assert settings.set_fields == set(content) & set(NAMES)
    assert hash(settings) == hash(GenerationConfig.from_dict(content))
    assert pickle.loads(pickle.dumps(settings)) == settings
    assert settings.replace() == settings


@given(files())
def test_defaults_fill_what_is_unset_and_nothing_else(content: dict[str, Any]):
    settings = GenerationConfig.from_dict(content).with_defaults()
    for name in NAMES:
        if name in content:
            assert getattr(settings, name) == getattr(GenerationConfig.from_dict(content), name)
        else:
            assert getattr(settings, name) == OPTIONS[name].default


def test_null_in_a_file_is_unset():
    assert GenerationConfig.from_dict(dict.fromkeys(NAMES)) == GenerationConfig()
    assert GenerationConfig().set_fields == frozenset()
    assert GenerationConfig().to_dict() == {}


def test_lists_become_values():
    words = [[5, 6], [7]]
    settings = GenerationConfig(bad_words_ids=words, eos_token_id=[2, 3])  # type: ignore[arg-type]
    words[0].append(9)
    assert settings.bad_words_ids == ((5, 6), (7,))
    assert settings.to_dict() == {"bad_words_ids": [[5, 6], [7]], "eos_token_id": [2, 3]}
    as_pairs = GenerationConfig(sequence_bias=[[[5, 6], -1.0]])  # type: ignore[arg-type]
    assert GenerationConfig(sequence_bias={(5, 6): -1.0}) == as_pairs  # type: ignore[arg-type]


def write(folder: Path, config: dict[str, Any] | None, generation: dict[str, Any] | None) -> None:
    for name, content in (("config.json", config), ("generation_config.json", generation)):
        if content is not None:
            (folder / name).write_text(json.dumps(content))


def test_generation_config_json_counts_alone_where_it_exists(tmp_path: Path):
    write(tmp_path, {"num_beams": 10, "min_length": 20, "top_k": 7, "eos_token_id": 5}, {"num_beams": 4})
    settings = GenerationConfig.from_pretrained(tmp_path)
    assert settings.to_dict() == {"num_beams": 4}  # nothing of config.json, not even a special id


def test_an_empty_generation_config_json_counts_too(tmp_path: Path):
    write(tmp_path, {"num_beams": 10}, {})
    assert GenerationConfig.from_pretrained(tmp_path).set_fields == frozenset()


def test_config_json_counts_where_there_is_no_other(tmp_path: Path):
    write(tmp_path, {"vocab_size": 9, "num_beams": 10, "top_k": None, "eos_token_id": 5, "use_cache": False}, None)
    settings = GenerationConfig.from_pretrained(tmp_path)
    # The model class's ids count as config.json's own, as in transformers; other keys are no settings.
    assert settings.to_dict() == {
        "num_beams": 10,
        "use_cache": False,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 5,
        "forced_eos_token_id": 2,
        "decoder_start_token_id": 1,
    }


def test_settings_of_files_are_told_from_defaults(tmp_path: Path):
    write(tmp_path, {}, {"num_beams": 1, "do_sample": False})
    assert GenerationConfig.from_pretrained(tmp_path).set_fields == {"num_beams", "do_sample"}


@pytest.mark.parametrize("source", ["generation_config.json", "config.json"])
def test_the_published_settings(source: str, tmp_path: Path):
    shared = os.environ.get("NPBLENDER_SHARED")
    if not shared:
        pytest.skip("NPBLENDER_SHARED does not name the folder with the published files")
    folder = Path(shared) / "checkpoint" / "blenderbot_small-90M"
    (tmp_path / source).write_text((folder / source).read_text())
    settings = GenerationConfig.from_pretrained(tmp_path)
    assert {name: getattr(settings, name) for name in settings.set_fields} == PUBLISHED
    settings.save_pretrained(tmp_path / "saved")
    written = json.loads((tmp_path / "saved" / "generation_config.json").read_text())
    if source == "generation_config.json":
        assert written == json.loads((folder / source).read_text())
    assert GenerationConfig.from_pretrained(tmp_path / "saved") == settings


def test_changed_settings_no_longer_claim_to_be_config_jsons_own():
    # transformers 4 would take config.json's values over those of a file that makes this claim.
    settings = GenerationConfig(num_beams=10, extra={"_from_model_config": True, "transformers_version": "4.27.0"})
    assert settings.replace(num_beams=4).extra == {"transformers_version": "4.27.0"}
    assert settings.replace() == settings


REFUSALS = [
    *((name, 0, "at least 1") for name in ("max_length", "max_new_tokens", "num_beams", "num_return_sequences")),
    *((name, -1, "at least 0") for name in ("min_length", "top_k", "no_repeat_ngram_size", "beam_delay")),
    *((name, 2.5, "whole number") for name in ("max_length", "num_beams", "top_k")),
    *((name, True, "whole number") for name in ("max_length", "num_beams", "top_k")),
    *((name, 1.01, "between 0 and 1") for name in ("top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff")),
    *((name, float("nan"), "not nan") for name in ("temperature", "length_penalty", "top_p")),
    *((name, "1", "number") for name in ("temperature", "num_beams", "length_penalty")),
    *((name, 1, "true or false") for name in ("do_sample", "use_cache", "output_scores")),
    *((name, -1, "None stands for no such token") for name in ("pad_token_id", "eos_token_id", "forced_bos_token_id")),
    *((name, [2, "3"], "token id") for name in ("eos_token_id", "suppress_tokens")),
    ("pad_token_id", [0], "token id"),
    ("suppress_tokens", 4, "list of token ids"),
    ("early_stopping", "always", '"never"'),
    ("stop_strings", ["a", ""], "empty text"),
    ("stop_strings", 4, "text"),
    ("bad_words_ids", [5], "list of token ids"),
    ("bad_words_ids", [[]], "empty list"),
    ("bad_words_ids", "ab", "list of lists"),
    ("force_words_ids", [[[]]], "empty list"),
    ("sequence_bias", [[5, 1.0]], "list of token ids"),
    ("sequence_bias", [[[5], "1"]], "number"),
    ("sequence_bias", [[[5]]], "pairs"),
    ("exponential_decay_length_penalty", [5], "pair"),
    ("exponential_decay_length_penalty", [-5, 1.0], "start"),
    ("exponential_decay_length_penalty", [5, None], "factor"),
    ("guidance_scale", 1.5, "not covered"),
    ("token_healing", True, "not covered"),
    ("watermarking_config", {"bias": 2.0}, "not covered"),
    ("dola_layers", "high", "not covered"),
    ("constraints", [1], "not covered"),
    ("forced_decoder_ids", [[1, 2]], "not covered"),
    ("top_h", 0.5, "not covered"),
]


@pytest.mark.parametrize("source", ["generation_config.json", "config.json"])
@pytest.mark.parametrize(("name", "value", "message"), REFUSALS, ids=[f"{n}={v}" for n, v, _ in REFUSALS])
def test_what_means_nothing_is_refused_by_name(name: str, value: Any, message: str, source: str, tmp_path: Path):
    (tmp_path / source).write_text(json.dumps({name: value}))
    with pytest.raises(ValueError, match=source) as refused:
        GenerationConfig.from_pretrained(tmp_path)
    assert name in str(refused.value)
    if source == "generation_config.json" or name not in {f.name for f in dataclasses.fields(BlenderbotSmallConfig)}:
        assert message in str(refused.value)


def test_neutral_values_of_uncovered_settings_are_kept():
    content = {"guidance_scale": 1.0, "token_healing": False, "constraints": None, "low_memory": True}
    assert GenerationConfig.from_dict(content).to_dict() == content


def test_content_must_be_a_mapping():
    for nonsense in ([("num_beams", 4)], None, "num_beams", 4):
        with pytest.raises(TypeError, match="must be a mapping"):
            GenerationConfig.from_dict(nonsense)  # type: ignore[arg-type]


def test_unknown_names_are_refused_in_calls():
    with pytest.raises(TypeError, match="num_beam"):
        GenerationConfig(num_beam=4)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="'num_beam'; did you mean num_beams"):
        GenerationConfig().replace(num_beam=4)
    with pytest.raises(TypeError, match=r"'zzz'; there are .*num_beams"):
        GenerationConfig().replace(zzz=4)
    with pytest.raises(ValueError, match="num_beams"):
        GenerationConfig(extra={"num_beams": 4})
    with pytest.raises(AttributeError, match="num_beam"):
        GenerationConfig().num_beam  # type: ignore[attr-defined]  # noqa: B018
    assert GenerationConfig(extra={"low_memory": True}).low_memory is True  # type: ignore[attr-defined]


def test_files_that_are_not_there_or_broken(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="no/folder"):
        GenerationConfig.from_pretrained("no/folder")
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        GenerationConfig.from_pretrained(tmp_path)
    GenerationConfig(num_beams=4, top_k=3).save_pretrained(tmp_path)
    whole = (tmp_path / "generation_config.json").read_bytes().rstrip()
    for length in range(len(whole)):
        (tmp_path / "generation_config.json").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"generation_config\.json"):
            GenerationConfig.from_pretrained(tmp_path)


def test_changes_on_loading(tmp_path: Path):
    GenerationConfig(num_beams=4, top_k=3).save_pretrained(tmp_path)
    assert GenerationConfig.from_pretrained(tmp_path, top_k=None) == GenerationConfig(num_beams=4)
