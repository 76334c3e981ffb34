"""How the demo is trained: stages and their rates, batches, what is exchanged in them, and which replies are chosen.

Where torch is needed a test says so and is skipped without it.
"""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from npblender.demo import folder
from reference_tests.support.asserts import assert_close
from reference_tests.support.tolerances import TOLERANCES
from tools.demo import batches, corpus, noise, pieces, recipe, relevance
from tools.demo import samples as samples_

HAND = TOLERANCES["numbers worked out by hand"]


@pytest.fixture
def samples(tmp_path):
    """Four turns of one stretch, ids told apart by their tens; the said form is the turn's number alone."""
    arrays = {"samples": np.array([[i, 0, 0, 2] for i in (1, 2, 3)])}
    rows = {"read": [[10, 11], [20], [30, 31, 32], [40]], "said": [[101], [102], [103], [104]], "persona": [[7, 8]]}
    for name, lists in rows.items():
        arrays[name] = np.array(list(itertools.chain(*lists)), dtype=np.int16)
        arrays[f"{name}_at"] = np.cumsum([0, *map(len, lists)])
    np.savez(tmp_path / "x.npz", **arrays)
    return samples_.Samples(tmp_path / "x.npz")


def test_contexts_are_whole_turns_with_persona_lines_first(samples):
    assert samples.context(2, 1, False) == [30, 31, 32]
    assert samples.context(2, 2, False) == [20, 4, 30, 31, 32]
    assert samples.context(2, 9, True) == [7, 8, 4, 10, 11, 4, 20, 4, 30, 31, 32]
    assert samples.context(2, 9, False, limit=7) == [20, 4, 30, 31, 32]  # the first turn does not fit whole
    assert samples.context(2, 9, False, limit=2) == [31, 32]
    assert samples.reply(2) == [104, pieces.END]


def test_batches_depend_on_seed_and_step_alone(samples):
    made = replace(recipe.PEOPLE_AGAIN, batch_size=4)
    words, chosen = noise.Answers([0], {0: [9]}), {mix.name: np.array([0, 1, 2]) for _, mix in made.mixes}
    stream, again, other = (batches.Stream(samples, replace(made, seed=seed), words, chosen) for seed in (1, 1, 2))
    late = again.batch(batches.SHELF + 3)
    for step in (0, 5, batches.SHELF + 3):
        batch = stream.batch(step)
        assert batch.source.shape[0] == batch.target.shape[0] == 4
        assert set(batch.target[:, 0]) == {pieces.START}
    assert np.array_equal(stream.batch(batches.SHELF + 3).source, late.source)
    for (_, reader), (_, same), (_, differs) in zip(stream._readers, again._readers, other._readers, strict=True):
        assert reader._pick(2, 0, 30) == same._pick(2, 0, 30) != differs._pick(2, 0, 30)
        assert all(sorted(reader._pick(2, 3 * n, 3)) == [0, 1, 2] for n in range(9))  # whole passes


@pytest.mark.parametrize("made", recipe.STAGES, ids=lambda made: made.stage)
def test_the_rate_goes_through_its_knots_and_at_last_to_zero(made):
    rates = [recipe.learning_rate(step, made) for step in range(made.steps)]
    for at, part in made.knots[1:]:
        if at < made.steps:
            assert_close(rates[at], part * made.rate, HAND)
    at, part = made.knots[1]
    assert_close(rates[0], part * made.rate / at, HAND)  # not zero: a step is never wasted
    assert rates[-1] > 0
    assert made is not recipe.STAGES[-1] or rates[-1] < made.rate / 1000  # what is shipped has settled
    assert_close(max(rates), max(part for _, part in made.knots) * made.rate, HAND)


@pytest.mark.parametrize("made", recipe.STAGES, ids=lambda made: made.stage)
def test_the_shares_of_every_stage_are_whole(made):
    assert_close(sum(share for share, _ in made.mixes), 1.0, HAND)
    for _, mix in made.mixes:
        for _, shares in mix.shares:
            assert set(shares) == set(corpus.FILES)
            assert_close(sum(shares.values()), 1.0, HAND)
        assert_close(sum(share for _, share in mix.turns), 1.0, HAND)


TURNS = st.lists(st.lists(st.integers(5, 99), min_size=1, max_size=4), min_size=1, max_size=9)
PARTS = st.floats(0, 1)
OTHER, ANSWER = 900, 800  # what stands for any other turn, and the answers to turns, by their places


def disturbed(turns, made, seed, answered):
    """`turns` at the places 0, 1, …; a model has answered those at `answered`, and the one at 50."""
    answers = {place: [ANSWER + place] for place in (*answered, 50)}
    return noise.disturb(
        range(len(turns)),
        made,
        np.random.default_rng(seed),
        lambda place: [OTHER] if place == 60 else list(turns[place]),
        [60],
        noise.Answers(list(answers), answers),
    )


@given(TURNS, st.builds(noise.Noise, PARTS, PARTS, PARTS, PARTS), st.sets(st.integers(0, 8)), st.integers(0, 9))
def test_what_is_disturbed_is_never_the_last_turn(turns, made, answered, seed):
    out = disturbed(turns, made, seed, answered)
    assert len(out) == len(turns)
    assert out[-1] == turns[-1]
    for place, (turn, was) in enumerate(zip(out, turns, strict=True)):
        own = (len(turns) - place) % 2 == 0
        assert turn in [was, [OTHER]] or (own and turn[0] >= ANSWER)


@given(TURNS, st.sets(st.integers(0, 8)), st.integers(0, 9))
def test_noise_of_nothing_changes_nothing_and_a_model_answers_the_turn_before(turns, answered, seed):
    assert disturbed(turns, noise.Noise(), seed, answered) == turns
    out = disturbed(turns, noise.Noise(own_exchanged=1.0, own_words=1.0), seed, answered)
    assert out[::-1][::2] == turns[::-1][::2]
    for place in range(len(turns) - 2, 0, -2):
        if place - 1 in answered:
            assert out[place] == [ANSWER + place - 1]
        else:
            assert out[place][0] in {ANSWER + each for each in (*answered, 50)}


def test_answers_fit_as_often_as_they_are_to():
    made = noise.Noise(own_exchanged=1.0, own_words=1.0, fitting=0.25)
    places, rng = range(401), np.random.default_rng(0)
    answers = noise.Answers(list(places), {place: [ANSWER + place] for place in places})
    out = noise.disturb(places, made, rng, lambda place: [place], [0], answers)
    fitting = sum(out[place] == [ANSWER + place - 1] for place in range(1, 400, 2))
    assert 33 <= fitting <= 70  # of 200 a quarter, 50, and by chance 0.4 more; standard deviation 6.1


@given(TURNS, st.integers(0, 9))
def test_turns_too_long_are_always_exchanged_but_the_last(turns, seed):
    out = disturbed(turns, noise.Noise(longest=2), seed, [])
    for turn, was in zip(out[:-1], turns[:-1], strict=True):
        assert turn == (was if len(was) <= 2 else [OTHER])
    assert out[-1] == turns[-1]


def plain(**changes):
    """A recipe of one kind of samples, the first stage's with changes."""
    share, mix = recipe.FROM_NOTHING.mixes[0]
    return replace(recipe.FROM_NOTHING, mixes=((share, replace(mix, **changes)),), batch_size=4)


def test_batches_keep_the_last_turn_and_the_reply_whatever_is_exchanged(samples):
    made = plain(turns=((3, 1.0),), persona_lines=0.0, noise=noise.Noise(1.0, 1.0, 0.5))
    stream = batches.Stream(samples, made, noise.Answers([0], {0: [77]}))
    last = {101 + turn: samples.ids("read", turn - 1) for turn in (1, 2, 3)}
    for step in range(20):
        batch = stream.batch(step)
        for source, target in zip(batch.source.tolist(), batch.target.tolist(), strict=True):
            ids = [i for i in source if i != pieces.NULL]
            assert ids[-len(last[target[1]]) :] == last[target[1]]
            assert target[2] == pieces.END


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=6), st.integers(6, 5000))
def test_what_is_shared_out_is_all_there_is(shares, size):
    counts = batches.shared_out(shares, size)
    assert counts.sum() == size
    apart = np.sort(np.abs(counts - np.array(shares) / sum(shares) * size))
    assert (apart[:-1] <= 0.5 + 1e-9).all()  # rounded
    assert apart[-1] <= len(shares) / 2 + 1e-9  # and the one that makes up for it


def test_a_shelf_is_full_whatever_the_shares(samples):
    _, mix = plain(turns=((1, 1.0),)).mixes[0]
    made = replace(plain(), mixes=tuple((1 / 3, replace(mix, name=name)) for name in "abc"))
    batch = batches.Stream(samples, made).batch(batches.SHELF - 1)  # thirds of 256, each rounded, are 255
    assert len(batch.target) == made.batch_size


def test_every_kind_of_samples_has_its_part_of_a_shelf(samples):
    _, people = plain(name="some", relevant=0.5, turns=((1, 1.0),), persona_lines=0.0).mixes[0]
    made = replace(plain(turns=((1, 1.0),), persona_lines=0.0), batch_size=8)
    made = replace(made, mixes=((0.25, made.mixes[0][1]), (0.75, people)))
    stream = batches.Stream(samples, made, chosen={"some": np.array([2])})
    said = np.concatenate([stream.batch(step).target[:, 1] for step in range(batches.SHELF)])
    assert (said == 104).sum() - 0.75 * len(said) in (170, 171)  # all of the one kind, a third of the 512 of the other


def test_replies_that_gain_most_are_chosen_corpus_by_corpus(tmp_path):
    corpora = [0, 0, 0, 0, 1, 1, 2]
    rows = np.array([[turn, 0, -1, number] for turn, number in enumerate(corpora)])
    own = np.array([-4.0, -4.0, -9.0, -4.0, -5.0, -4.0, -1.0])
    other = np.array([-5.0, -4.0, -10.5, -7.0, -5.5, -4.0, 0.0])
    tokens = np.array([1, 4, 9, 4, 4, 4, 4])  # gains 1, 0, 0.5 and 1.5 by the root; 0.25 and 0; -0.5
    order = np.array([5, 2, 0, 6, 1, 4, 3])
    np.savez(tmp_path / relevance.FILE, rows=order, own=own[order], other=other[order], tokens=tokens[order])
    assert relevance.choose(tmp_path, SimpleNamespace(rows=rows), 0.5).tolist() == [0, 3, 4]
    assert relevance.choose(tmp_path, SimpleNamespace(rows=rows), 1.0).tolist() == list(range(7))


def test_replies_that_change_the_subject_are_left_out_where_a_mix_wants_it(tmp_path):
    (tmp_path / "vocab.json").write_text(json.dumps({"so": 7, ",": 8}))
    spoken = {0: [7, 8, 9], 1: [7, 9, 8], 2: [9], 3: [8, 7], 4: [7]}
    samples = SimpleNamespace(rows=np.array([[row, 0, -1, 0] for row in spoken]), reply=lambda row: [*spoken[row], 2])
    gains = np.array([5.0, 1.0, 2.0, 3.0, 4.0])
    np.savez(tmp_path / relevance.FILE, rows=np.arange(5), own=gains, other=np.zeros(5), tokens=np.ones(5))
    assert relevance.choose(tmp_path, samples, 0.5).tolist() == [0, 4]
    assert relevance.choose(tmp_path, samples, 0.5, on_topic=True).tolist() == [3, 4]
    mixes = [mix for made in recipe.STAGES for _, mix in made.mixes]
    assert all(one == other for one in mixes for other in mixes if one.name == other.name)  # told apart by their names
    found = relevance.choices(tmp_path, samples, mixes)
    assert {name: len(rows) for name, rows in found.items()} == {"chat": 3, "chat, stricter": 2, "chat, words apart": 2}


def test_only_chosen_samples_are_read(samples):
    stream = batches.Stream(samples, plain(name="some", relevant=0.5), chosen={"some": np.array([2])})
    assert set(stream.batch(0).target[:, 1]) == {104}


def test_every_stage_finds_the_words_it_reads():
    names = [made.stage for made in recipe.STAGES]
    for made in recipe.STAGES:
        if made.words is not None:
            assert made.words in names[: names.index(made.stage)]
            assert recipe.STAGES[names.index(made.words)].answers
    paths = {recipe.words_before(Path("work"), made) for made in recipe.STAGES if made.answers}
    assert len(paths) == sum(made.answers and made.words is None for made in recipe.STAGES)


def test_what_is_shipped_is_a_mean_of_stages():
    assert_close(sum(part for _, part in recipe.MEAN), 1.0, HAND)
    assert all(stage in [made.stage for made in recipe.STAGES] for stage, _ in recipe.MEAN)


def test_an_exported_folder_is_read_back_as_it_is():
    pytest.importorskip("torch", reason="the trainer's network is torch's")
    from tools.demo import export, net

    again = export.tensors(export.read(folder(), net.Shape()))
    kept = load_file(folder() / "model.safetensors")
    assert again.keys() == kept.keys()
    assert all(np.array_equal(again[name], kept[name]) for name in kept)


def test_a_model_says_token_by_token_what_the_whole_pass_says():
    torch = pytest.importorskip("torch", reason="the trainer's network is torch's")
    from tools.demo import export, net, own_words

    model, cut = export.read(folder(), net.Shape()), pieces.vocabulary([])
    source = torch.tensor([[cut["h"], cut["i"], cut["!"], 0], [cut["a"], cut["b"], cut["c"], cut["?"]]])
    with torch.no_grad():
        said = own_words.answers(model, source, None)
        memory, mask = model.encode(source)
        target = torch.cat([torch.full((2, 1), pieces.START), said[:, :-1]], 1)
        logits = model.logits(model.decode(target, memory, mask))
    logits[..., [pieces.NULL, pieces.START, pieces.UNK]] = -1e9
    logits[:, : own_words.SHORTEST, pieces.END] = -1e9
    for row in range(2):
        for place, token in enumerate(said[row].tolist()):
            assert token in (pieces.NULL, int(logits[row, place].argmax()))


def test_turns_that_a_model_answers_are_those_that_stand_before_its_words(samples):
    pytest.importorskip("torch", reason="the trainer's network is torch's")
    from tools.demo import own_words

    def asked(turns, longest=None):
        made = plain(turns=((1, 0.5), (turns, 0.5)), noise=noise.Noise(1.0, own_words=1.0, longest=longest))
        return own_words.asked(samples, made, {}).tolist()

    assert asked(3) == [0]  # before the reply to turn 2, two turns earlier
    assert asked(3, longest=1) == []  # it has two tokens
    assert asked(1) == []
