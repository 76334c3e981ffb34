"""Conversation: state, settings, replies and streams; nothing changes where something fails."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from npblender import PARLAI, TRANSFORMERS_5, BlenderbotSmallConfig, GenerationConfig
from npblender.chat import Conversation
from npblender.chat.history import PROFILES, Turn, make_source
from npblender.chat.replies import make_settings
from npblender.chat.spacing import natural_text
from npblender.tokenizer.example import example_tokenizer
from reference_tests.support.tiny_folder import POSITIONS, make_model, make_tokenizer, save_folder

SHORT = {"min_length": 3, "max_length": 9}
DIALECTS = ("parlai", "transformers-4", "transformers-5")


def make_talk(dialect: str = "parlai", **options: object) -> Conversation:
    return Conversation(make_model(seed=2, dialect=dialect), make_tokenizer(dialect), **{**SHORT, **options})


def settings_of(own: GenerationConfig, call: dict[str, object], profile: str = "parlai", dialect=PARLAI, **config):
    model = SimpleNamespace(config=BlenderbotSmallConfig(**config), dialect=dialect, generation_config=own)
    return make_settings(PROFILES[profile], model, call)


# Settings: the call, else the model, else the profile, each by itself.

PUBLISHED = GenerationConfig(num_beams=10, min_length=20, max_length=128, length_penalty=0.65, no_repeat_ngram_size=3)
FILLED = {
    "num_beams": 10,
    "min_length": 20,
    "max_length": 128,
    "length_penalty": 0.65,
    "no_repeat_ngram_size": 3,
    "encoder_no_repeat_ngram_size": 3,
}


def chosen(settings) -> dict[str, object]:
    return {name: getattr(settings.plan.settings, name) for name in FILLED}


def test_a_model_that_names_nothing_gets_parlais_settings() -> None:
    assert chosen(settings_of(GenerationConfig(), {})) == FILLED


def test_the_published_files_get_the_context_block_and_keep_the_rest() -> None:
    assert chosen(settings_of(PUBLISHED, {})) == FILLED
    own = PUBLISHED.replace(num_beams=4, length_penalty=1.0)
    assert chosen(settings_of(own, {})) == {**FILLED, "num_beams": 4, "length_penalty": 1.0}


def test_the_call_goes_first_and_a_zero_is_a_choice() -> None:
    own = GenerationConfig(num_beams=4, no_repeat_ngram_size=0)
    found = chosen(settings_of(own, {"min_length": 2, "encoder_no_repeat_ngram_size": 0}))
    assert found == {
        **FILLED,
        "num_beams": 4,
        "no_repeat_ngram_size": 0,
        "min_length": 2,
        "encoder_no_repeat_ngram_size": 0,
    }


def test_the_other_profiles_leave_the_search_to_the_model() -> None:
    for profile in ("transformers-documentation", "transformers-pipeline"):
        found = chosen(settings_of(GenerationConfig(), {}, profile, TRANSFORMERS_5))
        assert found == {
            "num_beams": 1,
            "min_length": 0,
            "max_length": 128,
            "length_penalty": None,
            "no_repeat_ngram_size": 0,
            "encoder_no_repeat_ngram_size": 0,
        }
        assert chosen(settings_of(PUBLISHED, {}, profile))["encoder_no_repeat_ngram_size"] == 0


def test_drawing_at_random_takes_no_beams_from_the_profile() -> None:
    assert settings_of(GenerationConfig(), {"do_sample": True}).plan.width == 1
    assert settings_of(GenerationConfig(do_sample=True), {}).plan.width == 1
    assert settings_of(GenerationConfig(), {"do_sample": True, "num_beams": 3}).plan.width == 3
    assert settings_of(GenerationConfig(), {"do_sample": True}).plan.settings.min_length == 20


def test_lengths_in_new_tokens_are_lengths_that_are_named() -> None:
    found = settings_of(GenerationConfig(max_new_tokens=30, min_new_tokens=4), {})
    assert (found.plan.max_length, found.plan.min_length) == (31, 5)
    settings = found.plan.settings  # ParlAI's defaults, not the profile's lengths
    assert (settings.max_length, settings.min_length) == (256, 1)


def test_the_profiles_minimum_yields_to_a_shorter_limit() -> None:
    least = 2  # ParlAI's default: the start token, and one word before the end
    assert settings_of(GenerationConfig(max_length=12), {}).plan.min_length == least
    assert settings_of(GenerationConfig(), {"max_length": 12}).plan.min_length == least
    assert settings_of(GenerationConfig(), {}, max_position_embeddings=16).plan.min_length == least
    assert settings_of(GenerationConfig(), {"max_length": 21}).plan.min_length == 21
    with_own = settings_of(GenerationConfig(max_length=12, min_length=12), {})
    assert with_own.plan.min_length == 13  # the model's own word is not questioned


def test_settings_that_do_not_exist_or_are_not_used_are_refused() -> None:
    with pytest.raises(TypeError, match=r"num_beems.*did you mean num_beams"):
        make_talk(num_beems=3)
    with pytest.raises(ValueError, match=r"penalty_alpha=0.6 is not used by ParlAI beam search"):
        make_talk(penalty_alpha=0.6)
    with pytest.raises(ValueError, match="return_dict_in_generate has no place in a chat"):
        make_talk(return_dict_in_generate=True)


# Replies.


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("call", [{}, {"num_beams": 1}, {"do_sample": True}, {"num_beams": 3}])
def test_a_reply_is_what_generate_gives_for_the_formatted_history(dialect: str, call: dict[str, object]) -> None:
    """By hand: the format as one text, `generate` with every setting named, `decode`."""
    model, tokenizer = make_model(seed=2, dialect=dialect), make_tokenizer(dialect)
    talk = Conversation(model, tokenizer, persona=["i like cats"], seed=5, **{**SHORT, **call})
    reply = talk.reply("Hello, how are you?")
    ids = np.array([make_tokenizer().encode("your persona: i like cats\nHello, how are you?")])
    settings = {
        **({} if call.get("do_sample") else {"num_beams": 10}),
        **({"length_penalty": 0.65} if call in ({}, {"num_beams": 3}) else {}),
        "no_repeat_ngram_size": 3,
        "encoder_no_repeat_ngram_size": 3,
        **SHORT,
        **call,
    }
    seed = np.random.default_rng(5)
    made = np.asarray(model.generate(ids, attention_mask=np.ones_like(ids), seed=seed, **settings))[0]
    raw = make_tokenizer("parlai").decode(made, skip_special_tokens=True)
    assert reply.raw == raw
    assert reply.text == str(reply) == natural_text(raw)
    assert list(reply.ids) == made.tolist()
    assert talk.turns == (Turn("user", "Hello, how are you?"), Turn("model", reply.text, raw))
    assert talk.last_reply is reply


@pytest.mark.parametrize("dialect", DIALECTS)
def test_runners_up_come_with_scores_best_first(dialect: str) -> None:
    talk = make_talk(dialect, num_beams=4, max_length=12, min_length=1)
    reply = talk.reply("hi")
    scores = [each.score for each in reply.n_best]
    assert scores == sorted(scores, reverse=True)
    assert len(reply.n_best) >= (4 if dialect != "parlai" else 1)
    assert (reply.text, reply.score, reply.ids) == (reply.n_best[0].text, scores[0], reply.n_best[0].ids)
    assert len({each.ids for each in reply.n_best}) == len(reply.n_best)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("call", [{"num_beams": 1}, {"do_sample": True}, {"num_beams": 3}])
def test_a_stream_says_what_reply_says(dialect: str, call: dict[str, object]) -> None:
    whole = make_talk(dialect, seed=7, max_length=30, **call)
    streamed = make_talk(dialect, seed=7, max_length=30, **call)
    for text in ("hello", "i am fine."):
        reply = whole.reply(text)
        pieces = list(streamed.stream(text))
        assert "".join(pieces) == reply.text
        assert streamed.last_reply == reply
        if call.get("num_beams", 1) == 1:
            assert len(pieces) > 2  # word by word
        else:
            assert len(pieces) == 1  # no word is certain before the end
    assert streamed.turns == whole.turns


def test_a_stream_that_is_given_up_changes_nothing() -> None:
    talk = make_talk(num_beams=1, max_length=30)
    talk.reply("hi")
    before, last = talk.turns, talk.last_reply
    pieces = talk.stream("hello")
    next(pieces)
    pieces.close()
    assert talk.turns == before
    assert talk.last_reply is last
    with pytest.raises(ValueError, match="becomes no token"):
        talk.reply("  \n ")
    with pytest.raises(TypeError, match="no option 'num_beems'"):
        talk.reply("hi", num_beems=2)
    assert talk.turns == before


def test_the_model_sees_its_own_words_as_the_ids_they_were() -> None:
    """Replies go into the history as decoded, not as shown, so that spacing them cannot change an id."""
    talk = make_talk(num_beams=1, max_length=20)
    talk.reply("hi")
    talk.reply("you")
    raw = talk.turns[1].raw
    assert raw is not None
    sources = make_source(talk.tokenizer, PROFILES["parlai"], [], talk.turns[:3], POSITIONS)
    assert talk.last_reply is not None
    assert talk.last_reply.source == sources
    newline = talk.tokenizer.encode("\n")
    assert list(sources.ids) == [
        *talk.tokenizer.encode("hi"),
        *newline,
        *talk.tokenizer.encode(raw),
        *newline,
        *talk.tokenizer.encode("you"),
    ]


def test_stop_strings_end_a_reply_where_the_dialect_has_them() -> None:
    free = make_talk("transformers-5", num_beams=1, max_length=30).reply("hi")
    word = next(word for word in free.raw.split() if word != free.raw.split()[0])
    talk = make_talk("transformers-5", num_beams=1, max_length=30, stop_strings=[word])
    stopped = talk.reply("hi")
    assert stopped.ids == free.ids[: len(stopped.ids)]
    assert stopped.raw.endswith(word)
    assert word not in stopped.raw[: -len(word)]
    assert len(stopped.ids) < len(free.ids)
    with pytest.raises(ValueError, match="stop_strings"):
        make_talk(stop_strings=[word])


def test_long_conversations_forget_whole_turns_and_keep_the_persona() -> None:
    talk = make_talk(persona=["i like cats"], num_beams=1)
    seen = []
    for _ in range(8):
        seen.append(talk.reply("what is your name?").source)
    assert len(talk.turns) == 16
    assert seen[0].dropped_turns == 0
    assert seen[-1].dropped_turns > 0
    persona = talk.tokenizer.encode("your persona: i like cats\n")
    assert all(list(source.ids[: len(persona)]) == persona and len(source.ids) <= POSITIONS for source in seen)
    assert [bool(source.full_ids) for source in seen] == [source.dropped_turns > 0 for source in seen]
    last = talk.reply("hello " * 100).source
    assert last.cut_tokens == 100 - (POSITIONS - len(persona))
    assert last.dropped_turns == 16


def test_sampling_is_repeatable_by_seed() -> None:
    def texts(seed: int | None) -> list[str]:
        talk = make_talk(do_sample=True, seed=seed, max_length=20)
        return [talk.reply("hi").text, talk.reply("you").text]

    assert texts(3) == texts(3)
    assert texts(3) != texts(4)
    assert make_talk(do_sample=True, seed=np.random.default_rng(3), max_length=20).reply("hi").text == texts(3)[0]


def test_blocked_words_are_not_said() -> None:
    free = make_talk(num_beams=1, max_length=20).reply("hi")
    words = [word for word in free.raw.split() if word.isalpha()]
    kept = make_talk(num_beams=1, max_length=20, block=words).reply("hi")
    assert words
    assert not set(words) & set(kept.raw.split()[:-1])


# State.


def test_undo_takes_back_exchanges_and_reset_everything_but_the_persona() -> None:
    talk = make_talk(persona=["i like cats"])
    first = talk.reply("hi")
    talk.reply("you")
    removed = talk.undo()
    assert talk.last_reply is None
    assert [turn.speaker for turn in removed] == ["user", "model"]
    assert [turn.text for turn in talk.turns] == ["hi", first.text]
    talk.add_turn("tea")
    assert talk.undo() == (Turn("user", "tea"),)
    assert [turn.speaker for turn in talk.undo()] == ["user", "model"]
    with pytest.raises(ValueError, match="nothing to undo"):
        talk.undo()
    talk.reply("hi")
    talk.reset()
    assert (talk.turns, talk.persona, talk.last_reply) == ((), ("your persona: i like cats",), None)
    with pytest.raises(ValueError, match="say something first"):
        talk.reply()


def test_turns_can_be_added_without_a_reply_and_replied_to_later() -> None:
    one, other = make_talk(), make_talk()
    one.add_turn("hi")
    one.add_turn("tea?", "model")
    one.add_turn("yes")
    other.add_turn("hi")
    other.add_turn("tea?", "model")
    assert one.reply().text == other.reply("yes").text
    assert one.turns == other.turns
    with pytest.raises(ValueError, match="speaker"):
        one.add_turn("hi", "bot")  # type: ignore[arg-type]


def test_a_persona_that_leaves_no_room_is_refused_and_the_old_one_stays() -> None:
    talk = make_talk(persona=["i like cats"])
    with pytest.raises(ValueError, match=rf"of the model's {POSITIONS} positions"):
        talk.persona = ["i like cats " * 30]
    assert talk.persona == ("your persona: i like cats",)
    talk.persona = "i like dogs"  # one text is one line, and never its letters
    assert talk.persona == make_talk(persona="i like dogs").persona == ("your persona: i like dogs",)
    with pytest.raises(TypeError, match="persona must be a text or a list of texts, and its item 2 is int"):
        talk.persona = ["i like dogs", 5]  # type: ignore[list-item]
    assert talk.persona == ("your persona: i like dogs",)
    talk.persona = ()
    assert talk.persona == ()


def test_configure_changes_what_follows_or_nothing() -> None:
    talk = make_talk()
    talk.configure(num_beams=2)
    assert talk.resolved_settings().plan.num_beams == 2
    with pytest.raises(ValueError, match="num_beams"):
        talk.configure(num_beams=0)
    assert talk.settings == {**SHORT, "num_beams": 2}
    talk.configure(num_beams=None)
    assert talk.resolved_settings().plan.num_beams == 10


def test_a_tokenizer_of_another_model_is_refused() -> None:
    small = make_model()
    small.resize_token_embeddings(100)
    with pytest.raises(ValueError, match=r"221 tokens and the model 100|tokens and the model 100"):
        Conversation(small, make_tokenizer())
    assert Conversation(make_model(), example_tokenizer()).profile.name == "parlai"  # smaller fits


def test_from_pretrained_reads_a_folder_and_its_dialect(tmp_path: Path) -> None:
    folder = save_folder(tmp_path / "model", seed=2, settings=GenerationConfig(**SHORT))
    talk = Conversation.from_pretrained(folder, persona=["i sing"])
    assert (talk.model.dialect.name, talk.tokenizer.dialect.name) == ("parlai", "parlai")
    assert talk.reply("hi").text == make_talk(persona=["i sing"]).reply("hi").text
    other = Conversation.from_pretrained(folder, dialect="transformers-5", dtype="float64")
    assert (other.model.dialect.name, other.tokenizer.dialect.name) == ("transformers-5", "transformers-5")
    assert other.model.dtype == np.float64
    with pytest.raises(FileNotFoundError, match="no folder"):
        Conversation.from_pretrained(tmp_path / "nowhere")
