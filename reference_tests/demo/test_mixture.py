"""What the demo is trained on: the everyday corpus, what is exchanged in it, what is made up, and every batch."""

import itertools
import random
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_tests.demo.cutters import Words
from tools.demo import everyday, judged, made_up, mixture, pieces, recipe
from tools.demo import samples as samples_
from tools.demo.exchange import exchange
from tools.demo.kinds import EXCHANGED, KINDS, NAMES


@pytest.fixture(scope="module")
def talks():
    return everyday.read()


def test_the_corpus_is_whole_and_the_bot_has_the_last_word(talks):
    assert len(talks) == 119351
    assert sum(len(talk.turns) for talk in talks) == 442856
    assert all(len(talk.turns) % 2 == 0 for talk in talks)


def test_parts_are_seeded_and_of_the_size_that_they_are_to_have(talks):
    sizes = Counter(talk.part for talk in talks)
    assert abs(sizes["held out"] / len(talks) - 0.03) < 0.003
    assert abs(sizes["development"] / len(talks) - 0.02) < 0.003
    other = everyday.read(seed=20)
    assert [talk.turns for talk in other] == [talk.turns for talk in talks]
    assert [talk.part for talk in other] != [talk.part for talk in talks]


def test_a_missing_corpus_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="everyday corpus"):
        everyday.read(tmp_path)


@given(st.lists(st.sampled_from(["oh no! why?", "oh no!", "yes.", "no."]), max_size=40))
def test_no_reply_is_learned_more_often_than_its_copies(replies):
    shares = everyday.kept_share(replies, copies=5, begins=2, power=0.5)
    assert len(shares) == len(replies)
    for reply in set(replies):
        kept = [share for share, each in zip(shares, replies, strict=True) if each == reply]
        assert sum(share > 0 for share in kept) == min(5, len(kept))
        assert all(0 <= share <= 1 for share in kept)


def test_what_is_exchanged_is_the_same_throughout(talks):
    rng, changed = random.Random(1), 0
    for talk in rng.sample(talks, 1500):
        persona, turns = exchange(talk.persona, talk.turns, rng, 1.0, 1.0)
        texts = list(zip((*talk.persona, *talk.turns), (*persona, *turns), strict=True))
        assert len(texts) == len(talk.persona) + len(talk.turns)
        new: dict[str, str] = {}
        for before, after in texts:
            words = [re.findall("[a-z]+", text.lower()) for text in (before, after)]
            for one, other in zip(*words, strict=True):
                if one not in ("a", "an"):
                    assert new.setdefault(one, other) == other
        changed += turns != talk.turns
    assert changed > 120


def test_without_a_chance_nothing_is_exchanged(talks):
    for talk in talks[:300]:
        assert exchange(talk.persona, talk.turns, random.Random(0), 0.0, 0.0) == (talk.persona, talk.turns)


def test_words_are_exchanged_for_their_kind_with_the_right_article():
    seen = set()
    for seed in range(60):
        persona, turns = exchange(
            ("i have a duck.",), ("any pets?", "Yes, a duck! Ducks are fun."), random.Random(seed), 0, 1
        )
        article, animal = re.search(r"i have (an?) (\w+)\.", persona[0]).groups()
        seen.add(animal)
        assert animal in KINDS["animals"]
        assert (article == "an") == (animal[0] in "aeio")
        assert turns[1].lower() == f"yes, {article} {animal}! {animal}s are fun."
    assert len(seen) > 20
    assert exchange((), ("the duck sleeps", "good."), random.Random(0), 1, 1) == ((), ("the duck sleeps", "good."))


def test_names_that_are_words_need_a_capital_inside_a_sentence():
    assert exchange((), ("i hope so, mark it", "i mark it too"), random.Random(0), 1, 0)[1] == (
        "i hope so, mark it",
        "i mark it too",
    )
    assert exchange((), ("i met Grace there", "hi Grace!"), random.Random(0), 1, 0)[1] != (
        "i met Grace there",
        "hi Grace!",
    )


def test_word_lists_have_single_lower_case_words_once():
    for kind, words in KINDS.items():
        assert len(words) == len(set(words)), kind
        assert all(re.fullmatch("[a-z]+", word) for word in words), kind
    assert set(EXCHANGED) < set(KINDS)
    assert len(NAMES) > 300


def test_every_gap_of_every_made_up_sentence_can_be_filled():
    for fact in (*made_up.USERS.values(), *made_up.PERSONAS.values()):
        for choices in (fact.told, fact.taken, fact.asked, fact.answered):
            for sentence in choices:
                filled = made_up.Filling(random.Random(0))([sentence])
                assert not re.search(r"[{}]", filled), sentence


def test_what_is_asked_for_in_a_made_up_talk_was_told_before():
    """Every answer but "you haven't told me" shares a word that only the gaps give with what came before."""
    rng, copied = random.Random(2), 0
    for _ in range(400):
        talk = made_up.memory(rng, [("it rains.", "stay dry!")])
        assert talk.learned[-1] == len(talk.turns) - 1
        assert all(turn % 2 == 1 for turn in talk.learned)
        answer, before = talk.turns[-1], " ".join(talk.turns[:-2])
        words = set(re.findall(r"[a-z]+", answer)) & set(re.findall(r"[a-z]+", before))
        copied += any(word in before for word in words - {"you", "your", "is", "it", "the", "a", "i", "was", "in"})
    assert copied > 320


def test_a_made_up_persona_answers_with_its_lines():
    rng = random.Random(3)
    for _ in range(300):
        talk = made_up.persona(rng, [("hi", "hey")], ["i like rain.", "i sing."])
        assert talk.persona
        assert set(talk.learned) <= set(range(1, len(talk.turns), 2))
        assert talk.learned


def test_a_made_up_danger_is_answered_with_who_helps():
    rng, told = random.Random(5), set()
    for _ in range(600):
        talk = made_up.danger(rng, [("hi", "hey")])
        assert talk.learned == (len(talk.turns) - 1,)
        assert re.search("call|tell|talk|get out|get help", talk.turns[-1])
        assert "{" not in " ".join(talk.turns)
        told.add(talk.turns[-2])
    assert len(told) > 300


def test_echoes_and_lookups_are_answered_by_what_stands_there():
    rng, words = random.Random(4), ["duck", "river", "green", "seven"]
    for _ in range(300):
        line, answer = made_up.echo(rng, words).turns
        assert answer.removesuffix(".") in line
        talk = made_up.lookup(rng, words)
        before = " ".join((*talk.persona, *talk.turns[:-2]))
        key = re.search(r"(?:my|your) ([a-z]+)", talk.turns[-2])[1]
        value = re.search(rf"my {key}(?:'s name)? is (?:called )?([a-z]+)[.!]", before)[1]
        assert re.search(rf"\b{value}[.!,]", talk.turns[-1])


@given(st.integers(0, 1 << 30))
def test_invented_names_are_words(seed):
    assert re.fullmatch("[a-z]{3,}", made_up.invented_name(random.Random(seed)))
    assert re.fullmatch("[a-z]{3,}|(ka|zu){2,4}", made_up.invented_name(random.Random(seed), ["ka", "zu"]))


def test_names_are_made_of_pieces_too():
    names = {made_up.invented_name(random.Random(seed), ["ka", "zu"]) for seed in range(200)}
    assert sum(re.fullmatch("(ka|zu){2,4}", name) is not None for name in names) > 10


def test_what_the_bot_took_wrong_is_heard_but_not_learned():
    rng, wrong = random.Random(8), 0
    for _ in range(600):
        talk = made_up.memory(rng, [("it rains.", "stay dry!")])
        for turn in range(1, len(talk.turns), 2):
            if talk.turns[turn] == "stay dry!":
                assert turn not in talk.learned
                wrong += talk.turns[turn - 1] != "it rains."
    assert wrong > 60


def test_phases_cover_the_training_and_shares_are_whole():
    made = recipe.RECIPE
    assert made.steps == sum(phase.steps for phase in made.phases)
    for phase in made.phases:
        assert phase.steps % recipe.SHELF == 0
        assert round(sum(phase.shares.values()), 9) == 1
        files = [*everyday.FOLDER.glob("*.gz"), *judged.FOLDER.glob("*.gz")]
        assert set(phase.without) <= {path.name.split(".")[0] for path in files}
    never_read = set.intersection(*(set(phase.without) for phase in made.phases))
    assert never_read == set(recipe.LEARNED)  # and the README says why
    rates = [made.learning_rate(step) for step in range(made.steps)]
    assert min(rates) >= 0
    assert rates[-1] == made.learning_rate(made.steps) == 0
    for before, after in itertools.pairwise(made.phases):
        assert after.rate[0] in (before.rate[1], 0.0)  # it goes on, or warms up anew


def test_phases_by_hand():
    phases = (recipe.Phase("up", 2, (0.0, 4.0), {"a": 1}), recipe.Phase("down", 4, (4.0, 0.0), {"b": 1}))
    made = recipe.Recipe(phases)
    assert [made.learning_rate(step) for step in range(7)] == [2.0, 4.0, 3.0, 2.0, 1.0, 0.0, 0.0]
    assert [made.phase(step).name for step in (0, 1, 2, 5, 9)] == ["up", "up", "down", "down", "down"]


@pytest.fixture(scope="module")
def mixed(talks, tmp_path_factory):
    """A mixture over the whole everyday corpus and a few turns of the older ones."""
    cut, path = Words(), tmp_path_factory.mktemp("old") / "train.npz"
    read = [cut(text) for text in ("do you ski?", "yes, a lot.", "where?", "in the alps.")] * 3
    said = [cut(text) for text in ("x.", "yes, a lot.", "where do you ski?", "in the (cold) alps.")] * 3
    rows = [
        (4 * corpus + turn, 4 * corpus, 0 if corpus == 2 else -1, corpus) for corpus in range(3) for turn in (1, 2, 3)
    ]
    arrays = {"samples": np.array(rows)}
    for name, lists in (("read", read), ("said", said), ("persona", [cut("your persona: i am anna.")])):
        arrays[name] = np.array([i for each in lists for i in each])
        arrays[f"{name}_at"] = np.cumsum([0, *map(len, lists)])
    np.savez(path, **arrays)
    return mixture.Mixture(talks, samples_.Samples(path), cut, recipe.RECIPE)


def test_shelves_depend_on_their_number_alone_and_are_full(mixed):
    words = 0
    while words < len(mixed._cut.ids):  # until the stand-in for a tokenizer has met every word
        words = len(mixed._cut.ids)
        mixed.shelf(20)
    first, again, later = mixed.shelf(20), mixed.shelf(20), mixed.shelf(21)
    assert len(first) == recipe.SHELF
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.source, other.source)
        assert np.array_equal(one.target, other.target)
        assert one.source.shape[0] == one.target.shape[0] == recipe.BATCH
        assert (one.target[:, 0] == pieces.START).all()
        assert ((one.target == pieces.END).sum(1) == 1).all()
        assert one.source.shape[1] <= samples_.LONGEST_CONTEXT
        assert one.target.shape[1] <= mixture.LONGEST_REPLY + 4  # the start, and a multiple of four
    assert any(one.source.shape != other.source.shape for one, other in zip(first, later, strict=True))


def test_older_replies_with_brackets_are_not_learned_and_people_are_marked(mixed):
    marked = plain = 0
    for number in range(60):
        made = mixed._kinds["chitchat"](number, random.Random(number))
        if made is None:
            assert number % 3 == 2  # the reply with brackets
            continue
        text = mixed._cut.text(made[0])
        marked += text.startswith("your persona : i am a person .")
        plain += "persona" not in text
    assert marked > plain > 0


def test_everyday_samples_learn_the_bots_turns_after_everything_before(mixed):
    sure = replace(recipe.RECIPE, exchange_names=0, exchange_persona=0, exchange_things=0, shuffle_persona=0,
                   more_lines=0, after_another=0, other_replies=0)  # fmt: skip
    mixed._recipe = sure
    try:
        for place in range(0, 4000, 37):
            number, turn = mixed._everyday[place]
            talk = mixed._talks[number]
            made = mixed._talk(place, random.Random(place))
            if made is None:
                continue
            read = everyday.heard(talk.turns)
            lines = [*everyday.persona_lines(talk.persona), *read[:turn]]
            assert mixed._cut.text(made[0]) in " __newln__ ".join(mixed._cut.text(mixed._cut(line)) for line in lines)
            assert made[1] == [*mixed._cut(read[turn]), pieces.END]
    finally:
        mixed._recipe = recipe.RECIPE


def test_own_replies_stand_before_but_are_not_learned(mixed):
    """Every earlier turn of the bot is exchanged for its own, and the reply that is learned is the corpus's."""
    mixed._recipe = replace(recipe.RECIPE, exchange_names=0, exchange_things=0, after_another=0, other_replies=0,
                            own_replies=1)  # fmt: skip
    place = next(p for p, (n, turn) in enumerate(mixed._everyday) if turn == 5 and not mixed._talks[n].persona)
    talk = mixed._talks[mixed._everyday[place][0]]
    mixed._own = {talk.turns: ["well, a.", "well, b."]}
    try:
        context, reply = mixed._talk(place, random.Random(0))
    finally:
        mixed._recipe, mixed._own = recipe.RECIPE, {}
    read = everyday.heard(talk.turns)
    said = [read[0], "well, a.", read[2], "well, b.", read[4]]
    assert mixed._cut.text(context) == " __newln__ ".join(mixed._cut.text(mixed._cut(text)) for text in said)
    assert reply == [*mixed._cut(read[5]), pieces.END]


def test_random_pieces_are_said_again_in_order(mixed):
    later = 0
    for number in range(60):
        context, reply = mixed.pieces(number, random.Random(number))
        assert reply[-1] == pieces.END
        told = context[: context.index(pieces.NEWLINE)] if pieces.NEWLINE in context else context
        again = [
            told[first:last]
            for first in range(len(told))
            for last in range(first + 2, len(told) + 1)
            if told[first:last] in [reply[at : at + last - first] for at in range(len(reply))]
        ]
        assert 2 <= max(map(len, again)) <= 8  # all of two to seven pieces, and at times the full stop
        later += pieces.NEWLINE in context
    assert 15 < later < 45


def test_the_last_line_is_answered_after_other_talk_too(mixed):
    """Half of what comes before is a made-up talk whose last question is left out."""
    seen = 0
    for place in range(0, 6000, 11):
        number, turn = mixed._everyday[place]
        if mixed._talks[number].persona:
            continue
        made = mixed._talk(place, random.Random(place))
        if made is None or turn > 1:
            continue
        seen += mixed._cut.text(made[0]).count("__newln__") > 1
    assert seen > 40


def test_held_out_talks_are_never_drawn(mixed, talks):
    assert {talk.part for talk in mixed._talks} == {"train"}
    learned = {(talk.persona, talk.turns) for talk in mixed._talks}
    assert not learned & {(talk.persona, talk.turns) for talk in talks if talk.part != "train"}


def test_batches_are_of_like_length():
    pairs = [([1] * (1 + i % 7), [2] * (1 + i % 5)) for i in range(mixture.BATCH * 16)]
    made = mixture.alike(pairs, random.Random(0))
    assert sorted(map(len, itertools.chain(*[[c for c, _ in part] for part in made]))) == sorted(
        len(c) for c, _ in pairs
    )
    spread = [max(len(c) for c, _ in part) - min(len(c) for c, _ in part) for part in made]
    assert max(spread) <= 1


@given(st.integers(1, 40), st.integers(0, 200), st.integers(0, 60), st.integers(0, 5))
def test_passes_are_whole_and_go_on_where_they_stopped(size, first, count, seed):
    whole = samples_.in_passes(size, (seed,), 0, first + count)
    assert whole[first:] == samples_.in_passes(size, (seed,), first, count)
    for begin in range(0, len(whole) - size + 1, size):
        assert sorted(whole[begin : begin + size]) == list(range(size))


def test_contexts_are_whole_turns_with_persona_lines_first():
    turns = [[10, 11], [20], [30, 31, 32]]
    assert samples_.join(turns, [7, 8], 20) == [7, 8, 4, 10, 11, 4, 20, 4, 30, 31, 32]
    assert samples_.join(turns, [], 7) == [20, 4, 30, 31, 32]  # the first turn does not fit whole
    assert samples_.join(turns, [], 2) == [31, 32]
