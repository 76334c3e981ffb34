"""The first lines of a transformers user: each works as there, or says what to write instead."""

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from npblender import (
    BlenderbotSmallConfig,
    BlenderbotSmallForCausalLM,
    BlenderbotSmallForConditionalGeneration,
    BlenderbotSmallModel,
    BlenderbotSmallTokenizer,
    Conversation,
    GenerationConfig,
    demo,
)
from npblender.models.habits import INSTEAD
from npblender.ops.packed.half_bits import narrow
from reference_tests.support.generation_cases import lively_model

SOURCE = [[5, 6, 7]]
CONFIG = BlenderbotSmallConfig(
    vocab_size=30,
    d_model=8,
    encoder_layers=1,
    decoder_layers=1,
    encoder_attention_heads=2,
    decoder_attention_heads=2,
    encoder_ffn_dim=8,
    decoder_ffn_dim=8,
    max_position_embeddings=20,
)
CLASSES = BlenderbotSmallForConditionalGeneration, BlenderbotSmallModel, BlenderbotSmallForCausalLM

# The keys of `state_dict()` of this configuration in transformers 4.52.4 and 5.23.0, read off from them.
ATTENTION = [f"{name}_proj.{kind}" for name in ("k", "v", "q", "out") for kind in ("weight", "bias")]
NORM = ["weight", "bias"]
BOTH = [
    *("embed_tokens.weight", "embed_positions.weight"),
    *(f"layers.0.self_attn.{name}" for name in ATTENTION),
    *(
        f"layers.0.{name}.{kind}"
        for name in ("self_attn_layer_norm", "fc1", "fc2", "final_layer_norm")
        for kind in NORM
    ),
    *(f"layernorm_embedding.{kind}" for kind in NORM),
]
CROSS = [*(f"encoder_attn.{name}" for name in ATTENTION), *(f"encoder_attn_layer_norm.{kind}" for kind in NORM)]
BODY = [
    "shared.weight",
    *(f"encoder.{name}" for name in BOTH),
    *(f"decoder.{name}" for name in BOTH),
    *(f"decoder.layers.0.{name}" for name in CROSS),
]
ORIGINAL = {
    BlenderbotSmallForConditionalGeneration: [
        "final_logits_bias",
        *(f"model.{name}" for name in BODY),
        "lm_head.weight",
    ],
    BlenderbotSmallModel: BODY,
}


def test_a_model_of_a_configuration_has_random_weights() -> None:
    """As `Model(config)` in transformers; seeded, it is the model that `from_config` makes."""
    for cls in CLASSES:
        one, same, other = cls(CONFIG, seed=3), cls.from_config(CONFIG, seed=3), cls(CONFIG)
        for (name, a), (_, b) in zip(one.named_parameters(), same.named_parameters(), strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)
        pairs = zip(one.parameters(), other.parameters(), strict=True)
        assert any(not np.array_equal(a, b) for a, b in pairs), "unseeded ones differ"
    with pytest.raises(ValueError, match="seed is for random weights"):
        BlenderbotSmallModel(CONFIG, BlenderbotSmallModel(CONFIG).weights, seed=1)
    with pytest.raises(TypeError, match="Weights, not dict"):
        BlenderbotSmallModel(CONFIG, {})  # type: ignore[arg-type]


@pytest.mark.parametrize("cls", ORIGINAL)
def test_state_dict_has_the_names_of_the_originals(cls: Any) -> None:
    model = cls(CONFIG, seed=0)
    state = model.state_dict()
    assert len(ORIGINAL[cls]) == (53 if cls is not BlenderbotSmallModel else 51)
    assert sorted(state) == sorted(ORIGINAL[cls])
    trained = dict(model.named_parameters())
    aliases = {name for name in state if name.endswith("embed_tokens.weight")} | {"lm_head.weight", "final_logits_bias"}
    assert set(trained) == set(state) - aliases
    assert sum(array.size for array in model.parameters()) == model.num_parameters()


def test_states_and_devices() -> None:
    model = lively_model(0, "transformers-5")
    expected = model.generate(SOURCE, max_length=6)
    assert model.eval() is model.train(False) is model.cpu() is model.to("cpu") is model.to(device="cpu") is model
    assert (model.device, model.training, model.main_input_name, model.base_model_prefix) == (
        *("cpu", False),
        *("input_ids", "model"),
    )
    assert model.name_or_path == ""
    assert BlenderbotSmallForConditionalGeneration.from_pretrained().name_or_path.endswith("demo")
    np.testing.assert_array_equal(model.generate(SOURCE, max_length=6), expected)
    with pytest.raises(ValueError, match="training=True"):
        model.train()
    for device in ("cuda", "cuda:0", "mps", 0):
        with pytest.raises(ValueError, match="computes on the CPU"):
            model.to(device)
    with pytest.raises(ValueError, match="'float7' is no dtype"):
        model.to("float7")
    with pytest.raises(TypeError, match="device"):
        model.to()


@pytest.mark.slow
def test_dtypes_are_those_of_from_pretrained() -> None:
    """In place, as torch has it; the half formats are the numbers of a model loaded so."""
    model = BlenderbotSmallForConditionalGeneration.from_pretrained()
    assert model.double() is model
    assert model.dtype == np.float64
    assert model.to(np.float32).dtype == np.float32
    assert model.to("torch.float64").dtype == np.float64
    for name in ("half", "bfloat16"):
        model = BlenderbotSmallForConditionalGeneration.from_pretrained()
        before = model.state_dict()["model.shared.weight"]
        getattr(model, name)()
        storage = {"half": "float16"}.get(name, name)
        loaded = BlenderbotSmallForConditionalGeneration.from_pretrained(dtype=storage)
        assert (model.dtype, model.storage) == (loaded.dtype, loaded.storage) == (np.float32, storage)
        for key, array in loaded.state_dict().items():
            np.testing.assert_array_equal(model.state_dict()[key], array, err_msg=key)
        assert narrow(before, storage) is not None
        assert model.float().storage == "float32"


def test_too_large_a_number_is_no_infinity() -> None:
    model = BlenderbotSmallModel(CONFIG, seed=0).double()
    huge = np.zeros((30, 8))
    huge[0, 0] = 1e60
    model.set_input_embeddings(huge)
    with pytest.raises(ValueError, match=r"shared\.weight holds a number too large for float32"):
        model.float()


def test_heads() -> None:
    model, base = BlenderbotSmallForConditionalGeneration(CONFIG, seed=0), BlenderbotSmallModel(CONFIG, seed=0)
    assert model.get_output_embeddings() is model.get_input_embeddings()
    assert base.get_output_embeddings() is None
    assert (model.can_generate(), base.can_generate()) == (True, False)
    causal = BlenderbotSmallForCausalLM(CONFIG, seed=0)
    assert (causal.config.is_decoder, causal.config.is_encoder_decoder) == (True, False), "as both transformers"
    assert (model.config.is_decoder, model.config.is_encoder_decoder, CONFIG.is_decoder) == (False, True, False)
    assert "lm_head.weight" in causal.state_dict()


@pytest.mark.parametrize("name", INSTEAD)
def test_what_means_nothing_here_says_what_does(name: str) -> None:
    model: Any = BlenderbotSmallForCausalLM(CONFIG, seed=0)
    with pytest.raises(AttributeError, match=f"BlenderbotSmallForCausalLM has no '{name}': .{{20}}"):
        getattr(model, name)
    assert not hasattr(BlenderbotSmallModel, name), "what the table refuses is nowhere honoured"
    with pytest.raises(AttributeError, match=r"has no 'evil'$"):
        _ = model.evil


def test_a_setting_that_is_assigned_says_how_to_set_it() -> None:
    model = lively_model(0, "transformers-5")
    with pytest.raises(AttributeError, match=r"generation_config\.replace\(max_new_tokens=\.\.\.\)") as caught:
        model.generation_config.max_new_tokens = 50
    assert isinstance(caught.value, dataclasses.FrozenInstanceError)
    with pytest.raises(AttributeError, match=r"model\.config = model\.config\.replace\(pad_token_id=\.\.\.\)"):
        model.config.pad_token_id = 0
    with pytest.raises(AttributeError, match="never changed"):
        del model.config.pad_token_id
    model.generation_config = model.generation_config.replace(max_new_tokens=2)
    assert model.generate(SOURCE).shape[1] <= 3


class OfTransformers:
    """As transformers' `GenerationConfig`: what differs from its defaults, and its own bookkeeping."""

    def to_diff_dict(self) -> dict[str, Any]:
        return {"max_new_tokens": 3, "transformers_version": "5.23.0"}


def test_generation_configs_of_every_kind() -> None:
    model = lively_model(0, "transformers-5")
    expected = model.generate(SOURCE, max_new_tokens=3)
    for settings in ({"max_new_tokens": 3}, GenerationConfig(max_new_tokens=3), OfTransformers()):
        np.testing.assert_array_equal(model.generate(SOURCE, generation_config=settings), expected)
    with pytest.raises(TypeError, match="did you mean max_new_tokens"):
        model.generate(SOURCE, generation_config={"max_new_token": 3})
    with pytest.raises(TypeError, match=r"GenerationConfig\.from_pretrained\('folder'\)"):
        model.generate(SOURCE, generation_config="folder")
    with pytest.raises(TypeError, match="a mapping from settings to values, not int"):
        model.generate(SOURCE, generation_config=3)


def test_generate_takes_what_a_tokenizer_returned() -> None:
    model = BlenderbotSmallForConditionalGeneration.from_pretrained()
    tokenizer = BlenderbotSmallTokenizer.from_pretrained()
    batch = tokenizer(["hi", "how are you ?"], padding=True, return_tensors="np")
    expected = model.generate(**batch, max_length=8)
    np.testing.assert_array_equal(model.generate(batch, max_length=8), expected)
    np.testing.assert_array_equal(model.generate(dict(batch), max_length=8), expected)
    one = tokenizer("hi", return_tensors="np")
    streamed = list(model.stream(one, num_beams=1, max_length=8))
    assert [s.tolist() for s in streamed] == [s.tolist() for s in model.stream(**one, num_beams=1, max_length=8)]
    with pytest.raises(TypeError, match="'attention_mask' is given twice"):
        model.generate(batch, attention_mask=batch["attention_mask"])
    with pytest.raises(TypeError, match="hold 'labels', which"):
        model.generate({**batch, "labels": [[1]]})


def test_one_function_is_a_list_of_one() -> None:
    model = lively_model(0, "transformers-5")

    def only_eight(ids: Any, scores: Any) -> Any:
        chosen = np.full_like(scores, -np.inf)
        chosen[:, 8] = 0
        return chosen

    reply = model.generate(SOURCE, max_length=5, logits_processor=only_eight, forced_eos_token_id=None)
    assert reply.tolist() == [[1, 8, 8, 8, 8]]
    stopped = model.generate(SOURCE, max_length=9, stopping_criteria=lambda ids, scores: ids.shape[1] >= 3)
    assert stopped.shape[1] == 3
    with pytest.raises(TypeError, match="logits_processor takes functions"):
        model.generate(SOURCE, logits_processor=[3])
    with pytest.raises(TypeError, match=r"streamer needs methods put\(ids\) and end\(\)"):
        model.generate(SOURCE, num_beams=1, streamer=print)


@pytest.mark.parametrize("dialect", ["parlai", "transformers-4", "transformers-5"])
def test_what_is_no_function_is_named_with_what_would_do(dialect: str) -> None:
    model: Any = lively_model(0, dialect)
    for name in ("logits_processor", "stopping_criteria"):
        for value, kind in ((5, "int"), (True, "bool"), ("top", "str"), ([len, 5], "int")):
            expected = rf"^{name} takes functions of \(input_ids, scores\), one or a list of them, not {kind}$"
            with pytest.raises(TypeError, match=expected):
                model.generate(SOURCE, **{name: value})
            with pytest.raises(TypeError, match=expected):
                model.stream(SOURCE, **{name: value})
    for call in (model.generate, model.stream):
        with pytest.raises(
            TypeError, match=r"^prefix_allowed_tokens_fn takes a function of \(source, ids\), not list$"
        ):
            call(SOURCE, prefix_allowed_tokens_fn=[5])
        with pytest.raises(TypeError, match=r"^tap must be callable as tap\(name, array\), and int is not$"):
            call(SOURCE, tap=5)
        if dialect != "parlai":  # which refuses stop_strings
            with pytest.raises(
                TypeError, match=r"^tokenizer must be the model's tokenizer, with decode\(ids\), not int$"
            ):
                call(SOURCE, tokenizer=5, stop_strings="a")
    with pytest.raises(TypeError, match=r"^tokenizer must be the model's tokenizer, with decode\(ids\), not int$"):
        model.stream(SOURCE, tokenizer=5)
    with pytest.raises(TypeError, match=r"^streamer needs methods put\(ids\) and end\(\), and int lacks them"):
        model.generate(SOURCE, streamer=5)


def test_the_hints_about_compiling_and_dtypes_say_what_is_so() -> None:
    model: Any = lively_model(0, "transformers-5")
    with pytest.raises(AttributeError, match="nothing is compiled here"):
        model.compile()
    with pytest.raises(TypeError, match="'torch_dtype'") as caught:
        BlenderbotSmallForConditionalGeneration.from_pretrained(torch_dtype="float16")
    named = re.findall(r"'(\w+)'", str(caught.value).split("say ")[1])
    assert named == ["float32", "float64", "longdouble", "float16", "bfloat16"]
    for dtype in named:
        assert BlenderbotSmallForConditionalGeneration.from_pretrained(dtype=dtype).storage == str(
            np.dtype(dtype) if dtype != "bfloat16" else dtype
        )


@pytest.mark.parametrize("option", [{"temperature": 0.5}, {"top_k": 7}, {"top_p": 0.5}, {"typical_p": 0.5}])
def test_an_option_of_sampling_advises_it(option: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(option))}=.* is not used by greedy search.*do_sample=True"):
        lively_model(0, "transformers-5").generate(SOURCE, **option)


@pytest.mark.parametrize("dialect", ["parlai", "transformers-4", "transformers-5"])
def test_drawing_with_the_beams_of_the_files_says_what_happens(dialect: str) -> None:
    """Both transformers draw as many paths as the file has beams, and say nothing; here it is said, once a place."""
    model = lively_model(0, dialect)
    model.generation_config = GenerationConfig(num_beams=3, max_length=8)
    search = "ParlAI sampling" if dialect == "parlai" else "beam sampling"
    told = (
        f"do_sample=True with num_beams=3, .*: {search} draws 3 paths .* num_beams=1 draws one, and num_beams=3 in the"
    )
    with pytest.warns(UserWarning, match=told):
        unsaid = model.generate(SOURCE, do_sample=True, seed=4)
    with pytest.warns(UserWarning, match=told):
        model.generate(SOURCE, {"do_sample": True}, seed=4)
    np.testing.assert_array_equal(model.generate(SOURCE, do_sample=True, num_beams=3, seed=4), unsaid)
    for settled in ({"do_sample": True, "num_beams": 1}, {"num_beams": 2}, {}):
        model.generate(SOURCE, **settled)
    model.generate(SOURCE, {"do_sample": True, "num_beams": 3})
    model.generation_config = GenerationConfig(num_beams=3, do_sample=True, max_length=8)
    model.generate(SOURCE)


def test_a_chat_that_draws_with_the_beams_of_the_files_says_so() -> None:
    beams = GenerationConfig.from_pretrained(demo.folder()).num_beams
    with pytest.warns(
        UserWarning, match=f"do_sample=True with num_beams={beams}, .*: ParlAI sampling draws {beams} paths"
    ):
        talk = Conversation.from_pretrained(do_sample=True)
    with pytest.warns(UserWarning, match="num_beams=1 draws one"):
        talk.configure(temperature=0.5)
    talk.configure(num_beams=1)
    talk.reply("hi", max_length=8)
