"""The table of settings is the only place where a setting is named: one row more is seen everywhere.

A copy of the package with one more row, one more processor or one more activation runs in an interpreter of its own.
"""

import dataclasses
import inspect
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import npblender
from npblender.common.json_files import DOWNLOAD
from npblender.config import GenerationConfig, call_options, searches
from npblender.config.generation_options import OPTIONS, check_setting, defaults, is_off, settings_of
from npblender.generation import GenerationMixin, call_arguments
from npblender.generation.mixin import ARRAYS, HOOKS

PACKAGE = Path(npblender.__file__).parent
EVERY_NAME = {value for name, value in vars(searches).items() if name.isupper() and isinstance(value, str)}


def test_the_table_and_the_record_have_the_same_names() -> None:
    assert [field.name for field in dataclasses.fields(GenerationConfig)] == [*OPTIONS, "extra"]


def test_every_search_is_in_the_table() -> None:
    assert set().union(*(option.searches for option in OPTIONS.values())) == EVERY_NAME == searches.EVERY
    for search in EVERY_NAME:
        assert {"max_length", "eos_token_id", "return_dict_in_generate"} <= settings_of(search)
    assert settings_of("no search") == frozenset()


@pytest.mark.parametrize("name", OPTIONS)
def test_a_row_agrees_with_itself(name: str) -> None:
    """Defaults and off values are values of the setting; what it means is one line for people."""
    option = OPTIONS[name]
    for value in (option.default, option.parlai_default, option.if_none, *option.off):
        assert value is None or check_setting(name, value) == value
    assert option.searches <= searches.EVERY
    assert option.searches
    assert option.meaning
    assert len(option.meaning) < 90
    assert "\n" not in option.meaning
    assert is_off(name, None)
    if option.off:
        assert option.off == (option.default,) or option.default is None or option.if_none in option.off


def test_defaults_are_columns_of_the_table() -> None:
    assert defaults("transformers")["top_k"] == 50
    assert "top_k" not in defaults("parlai")
    assert defaults("parlai")["max_length"] == 256


def copy_with(folder: Path, *edits: tuple[str, str, str]) -> Path:
    """A copy of the package in which each edit (file, line, lines put before it) has been made; without the demo."""
    shutil.copytree(
        PACKAGE, folder / "npblender", ignore=shutil.ignore_patterns("__pycache__", "*.safetensors", "vocab.json")
    )
    for name, line, added in edits:
        path = folder / "npblender" / name
        text = path.read_text(encoding="utf-8")
        assert text.count(line) == 1, f"{name} has no line, or several lines, {line!r}"
        path.write_text(text.replace(line, added + line), encoding="utf-8")
    return folder


def run(folder: Path, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", inspect.cleandoc(code)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


ROW = """    loudness: int | None = option(whole(2), WARPED | PARLAI, "a throw-away setting", default=3, off=(2,))
"""
BEFORE = "    # What comes back.\n"

SEEN_EVERYWHERE = """
    import tempfile
    from npblender import BlenderbotSmallConfig, BlenderbotSmallForConditionalGeneration, Conversation, GenerationConfig
    from npblender.chat.history import Profile
    from npblender.tokenizer.example import example_tokenizer

    def refusal(call):
        try:
            call()
        except (TypeError, ValueError) as error:
            return str(error)

    assert GenerationConfig(loudness=4).set_fields == {"loudness"}
    assert GenerationConfig().with_defaults().loudness == 3
    assert refusal(lambda: GenerationConfig(loudness=1)) == "loudness must be at least 2, not 1"
    assert "did you mean loudness?" in refusal(lambda: GenerationConfig().replace(loudnes=4))
    with tempfile.TemporaryDirectory() as folder:
        GenerationConfig(loudness=4).save_pretrained(folder)
        assert GenerationConfig.from_pretrained(folder) == GenerationConfig(loudness=4)

    sizes = dict(vocab_size=48, d_model=12, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2)
    config = BlenderbotSmallConfig(**sizes, decoder_attention_heads=3, encoder_ffn_dim=5, decoder_ffn_dim=7)
    five = BlenderbotSmallForConditionalGeneration.from_config(config, seed=0, dialect="transformers-5")
    assert five.generate([[5, 6]], max_length=4, do_sample=True, seed=0, loudness=4).shape[0] == 1
    assert "loudness=4 is not used by greedy search" in refusal(lambda: five.generate([[5, 6]], loudness=4))
    assert five.generate([[5, 6]], max_length=4, loudness=2).shape[0] == 1
    assert "loudness must be a whole number" in refusal(lambda: five.generate([[5, 6]], loudness="x"))
    five.generation_config = GenerationConfig(loudness=5)  # of a file: left unused by greedy search
    assert five.generate([[5, 6]], max_length=4).shape[0] == 1

    model = BlenderbotSmallForConditionalGeneration.from_config(config, seed=0, dialect="parlai")
    talk = Conversation(model, example_tokenizer(), min_length=2, max_length=6, loudness=7)
    assert talk.resolved_settings().plan.settings.loudness == 7
    assert talk.reply("hello!").ids
    profile = Profile("loud", between=("newline",), settings={"loudness": 9, "max_length": 6})
    assert Conversation(model, example_tokenizer(), profile=profile).resolved_settings().plan.settings.loudness == 9
    model.generation_config = GenerationConfig(loudness=8)
    assert Conversation(model, example_tokenizer(), profile=profile).resolved_settings().plan.settings.loudness == 8
    print("seen")
"""


def test_a_row_more_is_seen_everywhere(tmp_path: Path) -> None:
    """By the record, its checks and files, by the plan of a call, and by the chat: with one edit."""
    folder = copy_with(tmp_path, ("config/generation_options.py", BEFORE, ROW))
    assert run(folder, SEEN_EVERYWHERE) == "seen\n"


MAKER = """    "loudness": lambda request, factor: lambda ids, scores: scores * factor,
"""
LAST_PROCESSOR = '    "begin_suppress_tokens": _begin_suppress,\n'

PROCESSED = """
    import numpy as np
    from npblender import BlenderbotSmallConfig
    from npblender.config.dialect import TRANSFORMERS_5
    from npblender.generation.logits.chain import ChainRequest, apply, make_chain
    from npblender.generation.planning import make_plan

    for options, factor in (({"loudness": 5}, 5), ({}, 3), ({"loudness": 2}, 1)):
        plan = make_plan(TRANSFORMERS_5, BlenderbotSmallConfig(), {}, {"do_sample": True, "top_k": 0, **options})
        scores = np.arange(4, dtype=np.float32)[None]
        chain = make_chain(ChainRequest(plan, TRANSFORMERS_5))
        assert np.array_equal(apply(chain, np.array([[1, 1]]), scores), factor * scores), options
    print("seen")
"""


def test_a_processor_is_a_line_and_a_function(tmp_path: Path) -> None:
    """It runs where its setting is on, and is left out where the table says that the value asks for nothing."""
    folder = copy_with(
        tmp_path,
        ("config/generation_options.py", BEFORE, ROW),
        ("generation/logits/chain.py", LAST_PROCESSOR, MAKER),
    )
    assert run(folder, PROCESSED) == "seen\n"


IN_THE_TABLE = '"gelu_new": gelu_new}'

ACTIVATED = """
    import numpy as np
    from npblender import BlenderbotSmallConfig, BlenderbotSmallForConditionalGeneration

    sizes = dict(vocab_size=48, d_model=12, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2)
    config = BlenderbotSmallConfig(
        **sizes, decoder_attention_heads=3, encoder_ffn_dim=5, decoder_ffn_dim=7, activation_function="doubled"
    )
    model = BlenderbotSmallForConditionalGeneration.from_config(config, seed=0)
    seen = {}
    model.forward([[5, 6]], decoder_input_ids=[[1]], tap=lambda name, array: seen.update({name: array.copy()}))
    assert np.array_equal(
        seen["encoder.layers.0.ffn.activation"], 2 * seen["encoder.layers.0.ffn.hidden"]
    ), sorted(seen)
    assert model.forward([[5, 6]], decoder_input_ids=[[1]]).logits.shape == (1, 1, 48)
    print("seen")
"""


def test_an_activation_is_a_line_and_a_function(tmp_path: Path) -> None:
    """A configuration accepts its name, and the model computes it."""
    folder = copy_with(tmp_path, ("ops/activations.py", IN_THE_TABLE, '"doubled": lambda x: x + x, '))
    assert run(folder, ACTIVATED) == "seen\n"


def test_every_setting_has_a_type_for_callers() -> None:
    """The keys are those of the table; one decides what `generate` returns, and stands in its overloads."""
    assert {*call_options.CallOptions.__annotations__} == {*OPTIONS}
    assert {*OPTIONS} - {*call_options.SearchOptions.__annotations__} == {"return_dict_in_generate"}
    for name, option in OPTIONS.items():
        for part in option.kind.type.split(" | "):
            assert hasattr(call_options, part), f"{name}: the types of callers have no {part}"


def test_the_keyword_arguments_of_a_call_have_types() -> None:
    """The names that `generate` and `stream` take are those that a type checker knows."""
    for method, types in (
        (GenerationMixin.generate, call_arguments.GenerateArguments),
        (GenerationMixin.stream, call_arguments.StreamArguments),
    ):
        named = {p.name for p in inspect.signature(method).parameters.values() if p.kind is p.KEYWORD_ONLY}
        by_name = {*types.__annotations__} - {*OPTIONS}
        if method is GenerationMixin.stream:  # it hands on what it does not name
            named = (named | ARRAYS | HOOKS | {"tap"}) - {"tokenizer", "clean_up_tokenization_spaces"}
        assert by_name == named


def test_what_finds_a_model_on_the_hub_has_types() -> None:
    assert {*call_options.LoadOptions.__annotations__} - {*OPTIONS} == {*DOWNLOAD}
