"""How a history becomes ids: the trained format, the two other separators, truncation by whole turns, safety."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender.chat.history import (
    PROFILES,
    FittedSource,
    Profile,
    Turn,
    encode_parts,
    fit_history,
    make_source,
    persona_line,
    resolve_profile,
    separator_ids,
    turn_parts,
)
from npblender.tokenizer import BlenderbotSmallTokenizer
from reference_tests.support.tiny_folder import SPECIAL, WORDS, make_tokenizer

TOKENIZER = make_tokenizer()
NULL, START, END, UNKNOWN, NEWLINE = range(5)
WIDE = 10_000


def encode_turn(tokenizer: BlenderbotSmallTokenizer, turn: Turn, newline: int | None) -> tuple[int, ...]:
    return encode_parts(tokenizer, turn_parts(turn, newline), newline)


words = st.lists(st.sampled_from([*WORDS, "it's", "don't", "hi!", "(you)", "3.14", "żółw"]), min_size=1, max_size=6)
lines = words.map(" ".join)


@given(st.lists(lines, max_size=3), st.lists(lines, min_size=1, max_size=5))
def test_the_trained_format_is_the_text_with_line_breaks(persona: list[str], said: list[str]) -> None:
    """What ParlAI tokenizes: persona lines, then turns, a line break between any two."""
    turns = [Turn("user" if n % 2 else "model", text) for n, text in enumerate(said)]
    source = make_source(TOKENIZER, PROFILES["parlai"], persona, turns, WIDE)
    text = "\n".join([*(f"your persona: {line}" for line in persona), *said])
    assert list(source.ids) == TOKENIZER.encode(text)


def test_the_separator_of_transformers_documentation() -> None:
    """Its example, tokenized by its own tokenizer with the markup inside the text."""
    tokenizer = make_tokenizer("transformers-5")
    said = ["My cats are cool but they eat too much.", "what do they eat? i like music", " I'm not sure."]
    turns = [Turn("user", said[0]), Turn("model", said[1]), Turn("user", said[2])]
    source = make_source(tokenizer, PROFILES["transformers-documentation"], [], turns, WIDE)
    assert list(source.ids) == tokenizer.encode("__end__ __start__".join(said))


def test_the_separator_of_transformers_pipeline() -> None:
    """An eos after every turn, the last one too."""
    said = ["hello", "hi!", "how are you?"]
    turns = [Turn("user", text) for text in said]
    source = make_source(TOKENIZER, PROFILES["transformers-pipeline"], [], turns, WIDE)
    assert list(source.ids) == [number for text in said for number in [*TOKENIZER.encode(text), END]]


@given(st.text() | st.lists(st.sampled_from([*SPECIAL, *WORDS, "\n", "\r", "_", "__", "@@"])).map("".join))
def test_nobody_can_type_a_special_token(text: str) -> None:
    """Whatever is typed: no special id but the one of the unknown, and no separator."""
    for dialect in ("parlai", "transformers-4", "transformers-5"):
        tokenizer = make_tokenizer(dialect)
        ids = encode_turn(tokenizer, Turn("user", text), NEWLINE)
        assert not {NULL, START, END, NEWLINE} & set(ids)


def test_typed_special_tokens_stay_readable() -> None:
    (ids,) = [encode_turn(TOKENIZER, Turn("user", "say __end__ now"), NEWLINE)]
    assert TOKENIZER.decode(list(ids)) == "say __end__ now"
    assert END not in ids
    assert TOKENIZER.encode("say __end__ now").count(END) == 1  # which the plain way would have let through


def test_a_typed_line_break_is_a_space_and_the_models_own_is_kept() -> None:
    assert encode_turn(TOKENIZER, Turn("user", "hi\r\nyou\n"), NEWLINE) == tuple(TOKENIZER.encode("hi you"))
    for dialect in ("parlai", "transformers-5"):  # whose cutting would lose a break behind a space
        tokenizer = make_tokenizer(dialect)
        ids = encode_turn(tokenizer, Turn("model", "hi. you", raw="hi . \n you"), NEWLINE)
        assert ids == (*tokenizer.encode("hi ."), NEWLINE, *tokenizer.encode("you"))
    assert encode_turn(TOKENIZER, Turn("model", "hi\nyou"), None) == tuple(TOKENIZER.encode("hi you"))


parts = st.lists(st.lists(st.integers(5, 9), min_size=1, max_size=5), max_size=6)


@given(parts, parts.filter(bool), st.integers(0, 2), st.integers(0, 2), st.integers(1, 60))
def test_truncation_against_trying_every_cut(
    persona: list[list[int]], turns: list[list[int]], between: int, after: int, limit: int
) -> None:
    """The oracle builds the source for every number of kept turns, and takes the most that fit."""
    separator, ending = [4] * between, [2] * after

    def build(kept: list[list[int]]) -> list[int]:
        joined = [number for part in [*persona, *kept] for number in [*part, *separator]]
        return joined[: len(joined) - between] + ending

    room = limit - (len(build([[]])) if persona or between else after)
    if room < 1:
        with pytest.raises(ValueError, match="persona"):
            fit_history(persona, turns, separator, ending, limit)
        return
    fitting = [n for n in range(1, len(turns) + 1) if len(build(turns[-n:])) <= limit]
    found = fit_history(persona, turns, separator, ending, limit)
    full = tuple(build(turns))
    if fitting:
        dropped = len(turns) - max(fitting)
        assert found == FittedSource(tuple(build(turns[-max(fitting) :])), dropped, 0, full if dropped else ())
    else:
        assert found == FittedSource(tuple(build([turns[-1][-room:]])), len(turns) - 1, len(turns[-1]) - room, full)
    assert len(found.ids) <= limit


def test_a_number_of_turns_solved_by_hand() -> None:
    # Persona 2 + break 1, then turns of 3, 1 and 2 with a break before all but the first: 3 + 3+1 + 1+1 + 2 = 11.
    persona, turns = [[9, 9]], [[5, 6, 7], [6], [7, 8]]
    assert fit_history(persona, turns, [4], [], 11).dropped_turns == 0
    assert fit_history(persona, turns, [4], [], 10).ids == (9, 9, 4, 6, 4, 7, 8)
    assert fit_history(persona, turns, [4], [], 6).ids == (9, 9, 4, 7, 8)
    assert fit_history(persona, turns, [4], [], 4) == FittedSource(
        (9, 9, 4, 8), 2, 1, (9, 9, 4, 5, 6, 7, 4, 6, 4, 7, 8)
    )
    with pytest.raises(ValueError, match="3 of the model's 3 positions"):
        fit_history(persona, turns, [4], [], 3)


def test_the_persona_prefix_is_the_trained_one_in_every_dialect() -> None:
    """transformers would glue the colon, to `persona:`, which is unknown."""
    line = TOKENIZER.encode("your persona: i like cats")
    for dialect in ("parlai", "transformers-4", "transformers-5"):
        turns = [Turn("user", "hi")]
        source = make_source(make_tokenizer(dialect), PROFILES["parlai"], ["i like cats"], turns, WIDE)
        assert source.ids == (*line, NEWLINE, *TOKENIZER.encode("hi"))
    assert make_tokenizer("transformers-5").encode("your persona: i like cats") != line


def test_refusals() -> None:
    with pytest.raises(ValueError, match="nothing to reply to"):
        fit_history([], [], [4], [], 9)
    with pytest.raises(ValueError, match="becomes no token"):
        make_source(TOKENIZER, PROFILES["parlai"], [], [Turn("user", " \n")], WIDE)
    with pytest.raises(ValueError, match="speaker is 'user' or 'model', not 'bot'"):
        Turn("bot", "hi")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="text must be a string"):
        Turn("user", None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="raw must be a string"):
        Turn("model", "hi", 5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="persona line is empty"):
        persona_line("  ")
    with pytest.raises(ValueError, match="unknown profile 'reddit'; it takes 'parlai'"):
        resolve_profile("reddit")
    with pytest.raises(ValueError, match="not 'comma'"):
        separator_ids(TOKENIZER, Profile("mine", between=("comma",)).between)
    without = BlenderbotSmallTokenizer({"__null__": 0, "__start__": 1, "__end__": 2, "__unk__": 3}, [])
    with pytest.raises(ValueError, match="the vocabulary has no '__newln__'"):
        make_source(without, PROFILES["parlai"], [], [Turn("user", "hi")], WIDE)


def test_an_empty_reply_of_the_model_is_an_empty_line() -> None:
    turns = [Turn("user", "hi"), Turn("model", "", raw=""), Turn("user", "you")]
    source = make_source(TOKENIZER, PROFILES["parlai"], [], turns, WIDE)
    assert list(source.ids) == TOKENIZER.encode("hi\n\nyou")


def test_a_persona_line_may_have_its_prefix() -> None:
    assert persona_line("Your persona: i sing.") == "your persona: i sing."
    assert persona_line(" i\n sing. ") == "your persona: i sing."


def test_recorded_conversations_of_the_real_model() -> None:
    """Contexts and turns as ParlAI recorded them, by the real vocabulary: the same ids as ParlAI's joined text."""
    shared = os.environ.get("NPBLENDER_SHARED")
    if shared is None:
        pytest.skip("NPBLENDER_SHARED names no folder with the published vocabulary and recorded self-chats")
    tokenizer = BlenderbotSmallTokenizer.from_pretrained(Path(shared, "checkpoint", "blenderbot_small-90M"))
    recorded = 0
    for path in sorted(Path(shared, "goldens", "parlai_selfchat").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            talk = json.loads(line)
            spoken = [turn["text"] for pair in talk["dialog"] for turn in pair]
            for context in talk["context"]:
                before = context["text"].split("\n")
                persona = [text.removeprefix("your persona: ") for text in before if text.startswith("your persona:")]
                turns = [Turn("user", text) for text in before if not text.startswith("your persona:")]
                turns += [Turn("model", text) for text in spoken]
                source = make_source(tokenizer, PROFILES["parlai"], persona, turns, 512)
                assert list(source.ids) == tokenizer.encode("\n".join([context["text"], *spoken]))
                recorded += 1
    assert recorded == 20
