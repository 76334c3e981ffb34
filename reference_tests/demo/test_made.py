"""Samples that a model makes when it is guided: which are kept, how they are read, and what guided replies are.

Where torch is needed a test says so and is skipped without it.
"""

import itertools
import math
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender.demo import folder
from reference_tests.support.asserts import assert_close
from reference_tests.support.tolerances import TOLERANCES
from tools.demo import batches, made, pieces, recipe

HOW = recipe.Guided(contexts=4, part=0.5, seed=1)
IDS = st.lists(st.integers(5, 9), min_size=1, max_size=12)
TORCH = "guided replies are made with torch"


@given(IDS, st.integers(0, 3))
def test_three_tokens_twice_are_found_wherever_they_stand(ids, pads):
    triples = [ids[place : place + 3] for place in range(len(ids) - 2)]
    twice = any(one == other for one, other in itertools.combinations(triples, 2))
    assert made.repeats([*ids, *[pieces.NULL] * pads]) == twice


@given(st.lists(st.tuples(st.integers(0, 5), st.tuples(IDS, IDS)), max_size=20), st.integers(0, 20))
def test_the_best_are_those_that_nothing_better_is_left_out_for(found, count):
    kept = made.best(found, count)
    worth = sorted((value for value, _ in found), reverse=True)[:count]
    assert len(kept) == min(count, len(found))  # fewer than SAME_AT_MOST of each
    assert all(pair in [other for value, other in found if value == worth[n]] for n, pair in enumerate(kept))


def test_one_and_the_same_reply_is_kept_so_often_and_then_the_place_stays_empty():
    same = [(float(n), ([n], [7])) for n in range(2 * made.SAME_AT_MOST)]
    kept = made.best([*same, (-1.0, ([99], [8]))], len(same))
    assert len(kept) == made.SAME_AT_MOST
    assert kept[0] == ([len(same) - 1], [7])


@given(st.lists(st.tuples(IDS, IDS), min_size=1, max_size=9))
def test_what_is_written_is_read(pairs):
    with tempfile.TemporaryDirectory() as place:
        made.write(Path(place) / "x.npz", pairs)
        assert made.read(Path(place) / "x.npz") == pairs


@given(st.integers(1, 9), st.integers(1, 25), st.integers(0, 3))
def test_made_samples_come_in_seeded_whole_passes(count, size, seed):
    pairs = [([n], [n]) for n in range(count)]
    reader = made.Kept(pairs, (seed,))
    shelves = [reader.pairs(number, size) for number in range(4)]
    assert [len(shelf) for shelf in shelves] == [size] * 4
    assert made.Kept(pairs, (seed,)).pairs(3, size) == shelves[3]  # without the shelves before
    flat = list(itertools.chain(*shelves))
    for place in range(0, len(flat) - count + 1, count):
        assert sorted(flat[place : place + count]) == pairs


def test_passes_are_shuffled_anew_and_by_their_seed():
    pairs = [([n], [n]) for n in range(50)]
    first, second = (made.Kept(pairs, (1,)).pairs(number, 50) for number in (0, 1))
    assert first != second
    assert first != made.Kept(pairs, (2,)).pairs(0, 50)


def test_a_guided_kind_of_samples_is_read_from_what_was_made():
    _, mix = recipe.FROM_NOTHING.mixes[0]
    share, guided = 0.25, replace(mix, name="guided", guided=HOW)
    both = replace(recipe.FROM_NOTHING, mixes=((1 - share, mix), (share, guided)), batch_size=4)
    rows = np.array([[1, 0, -1, 2]])
    samples = SimpleNamespace(
        rows=rows,
        lengths=lambda: np.array([1, 1]),
        earlier=lambda sample, turns: range(1),
        ids=lambda name, place: [50],
        persona=lambda sample: [],
        reply=lambda sample: [60, pieces.END],
    )
    stream = batches.Stream(samples, both, guided=[([7], [pieces.START, 70, pieces.END])])
    shelf = [stream.batch(step) for step in range(batches.SHELF)]
    targets = np.concatenate([batch.target[:, 1] for batch in shelf])
    sources = np.concatenate([batch.source[:, 0] for batch in shelf])
    assert (targets == 70).sum() == (sources == 7).sum() == share * 4 * batches.SHELF
    assert set(targets) == {60, 70}


def test_stages_that_read_guided_replies_have_one_kind_of_them_and_limits():
    for stage in recipe.STAGES:
        guided = [mix for _, mix in stage.mixes if mix.guided]
        assert len(guided) <= 1
        assert all(mix.noise.longest for mix in guided)
    paths = [recipe.guided_replies(folder(), stage) for stage in recipe.STAGES]
    assert len(set(paths)) == len(paths)


@pytest.fixture
def model():
    pytest.importorskip("torch", reason=TORCH)
    from tools.demo import export, net

    return export.read(folder(), net.Shape()).eval()


def contexts():
    """Ids of four contexts of one to three turns."""
    ids = pieces.vocabulary([])
    turns = [[ids[character] for character in text] for text in ("hi!", "a?", "what", "no.", "b", "okay")]
    joined = [
        turns[0],
        [*turns[1], pieces.NEWLINE, *turns[2]],
        [*turns[3], pieces.NEWLINE, *turns[4], pieces.NEWLINE, *turns[5]],
        turns[2],
    ]
    return joined, [turns[0], turns[2], turns[5], turns[2]]


def streams(model, how):
    """The states that the contexts, their last turns and the turns of others are, and their mask."""
    import torch

    from tools.demo.samples import pad

    whole, last = contexts()
    others = [[last[(row - shift) % len(last)] for row in range(len(last))] for shift in range(1, how.others + 1)]
    return model.encode(torch.from_numpy(pad([*whole, *last, *itertools.chain(*others)])))


@pytest.mark.parametrize("guidance", [0.0, 0.5, 2.0])
def test_guided_replies_are_those_of_whole_passes(model, guidance):
    """Token by token with kept keys, finished rows left out, against the formula over whole passes."""
    import torch

    from tools.demo import guided

    how = replace(HOW, guidance=guidance)
    with torch.no_grad():
        memory, mask = streams(model, how)
        said = guided.say(model, memory, mask, how, None)
        start = torch.full((len(said.ids), 1), pieces.START)
        target = torch.cat([start, said.ids[:, :-1]], 1).repeat(2 + how.others, 1)
        logits = model.logits(model.decode(target, memory, mask))
    logits[..., [pieces.NULL, pieces.START, pieces.UNK]] = -1e9
    log_p = logits.log_softmax(-1).numpy().astype(np.float64).reshape(2 + how.others, *said.ids.shape, -1)
    pos = (log_p[0] + log_p[1]) / 2
    neg = np.logaddexp.reduce(log_p[2:]) - math.log(how.others)
    score = np.where(pos < pos.max(-1, keepdims=True) + math.log(how.likely), -1e9, pos + guidance * (pos - neg))
    score[:, : guided.SHORTEST, pieces.END] = -1e9
    tolerance = TOLERANCES["float32 computed another way"]
    for row, ids in enumerate(said.ids.tolist()):
        length = ids.index(pieces.END) + 1 if pieces.END in ids else len(ids)
        assert ids[length:] == [pieces.NULL] * (len(ids) - length)
        assert ids[:length] == score[row].argmax(-1)[:length].tolist()
        at = (row, range(length), ids[:length])
        assert_close(float(said.own[row]), pos[at].sum(), tolerance)
        assert_close(float(said.other[row]), neg[at].sum(), tolerance)


def test_random_replies_are_likely_ones_and_seeded(model):
    import torch

    from tools.demo import guided

    how = replace(HOW, likely=0.999)  # nothing but the likeliest is likely enough
    with torch.no_grad():
        memory, mask = streams(model, how)
        draws = [torch.Generator().manual_seed(seed) for seed in (1, 1, 2)]
        greedy = guided.say(model, memory, mask, replace(how, guidance=0.0), None)
        one, again, other = (guided.say(model, memory, mask, HOW, draw) for draw in draws)
        narrow = guided.say(model, memory, mask, how, draws[0])
    assert torch.equal(one.ids, again.ids)
    assert not torch.equal(one.ids, other.ids)
    assert torch.equal(narrow.ids, greedy.ids)


def test_the_best_of_the_replies_to_a_context_is_taken(model, monkeypatch):
    """The states are those of contexts, last turns and two others' in this order; -inf never wins."""
    import torch

    from tools.demo import guided

    seen, tries = [], []
    for own in ([-3.0, -1.0, -9.0, -2.0], [-2.0, -8.0, -8.0, -1.0], [-9.0, -9.0, -1.0, -9.0]):
        ids = torch.tensor([[10 + len(tries), pieces.END]] * 4)
        tries.append(guided.Said(ids, torch.tensor(own), torch.tensor(own)))
    tries[1].ids[3, 1] = 11  # it never ends
    monkeypatch.setattr(
        guided, "say", lambda net, memory, *rest: (seen.append((memory, rest)), tries[len(seen) - 1])[1]
    )
    with torch.no_grad():
        memory, mask = streams(model, HOW)
        said = guided.best(model, contexts()[0], HOW, torch.Generator())
    assert said.ids[:, 0].tolist() == [11, 10, 12, 10]
    assert said.own.tolist() == [-2.0, -1.0, -1.0, -2.0]
    assert [rest[-1] is None for _, rest in seen] == [True, False, False]
    places = range(12)  # contexts, last turns, and the first others, which stand one row away
    assert all(torch.equal(seen[0][0][place], memory[place]) for place in places)
    assert torch.equal(seen[0][1][0], torch.cat([mask[:8], mask[4:8].roll(1, 0), mask[4:8].roll(2, 0)]))


def test_a_stage_begins_with_the_one_before_or_with_a_mean_of_some(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch", reason=TORCH)
    import json
    from dataclasses import asdict

    from tools.demo import net, stages

    one, two, three = (replace(recipe.FROM_NOTHING, stage=name) for name in ("one", "two", "three"))
    three = replace(three, begins=(("one", 0.25), ("two", 0.75)))
    left = {"one": 4.0, "two": 8.0, "three": 0.0}
    began = {}

    def train(work, made, shape, begin):
        began[made.stage] = begin if begin is None else begin.shared.weight[5, 7].item()
        whole = net.Net(net.Shape())
        state = {name: torch.full_like(weight, left[made.stage]) for name, weight in whole.state_dict().items()}
        path = recipe.checkpoint(work, made.stage)
        torch.save({"net": state, "shape": json.dumps(asdict(net.Shape()))}, path)
        path.with_suffix(".json").write_text("{}")

    monkeypatch.setattr(stages, "STAGES", (one, two, three))
    monkeypatch.setattr(stages, "look_back", lambda *_: None)
    monkeypatch.setattr(stages.training, "train", train)
    stages.train(tmp_path)
    assert began == {"one": None, "two": 4.0, "three": 7.0}


def test_what_a_stage_begins_with_was_trained_before():
    names = [stage.stage for stage in recipe.STAGES]
    for number, stage in enumerate(recipe.STAGES):
        assert {name for name, _ in stage.begins} <= set(names[:number])
        if stage.begins:
            assert_close(sum(part for _, part in stage.begins), 1.0, TOLERANCES["numbers worked out by hand"])
