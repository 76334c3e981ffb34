"""The trainer's network computes what the package computes, and begins soundly. Without torch it is skipped."""

import json
from importlib import import_module

import numpy as np
import pytest

from npblender import BlenderbotSmallForConditionalGeneration
from reference_tests.support.asserts import assert_close
from reference_tests.support.tolerances import TOLERANCES
from tools.demo import pieces, recipe

torch = pytest.importorskip("torch", reason="the trainer's network is torch's")

# only now, since they import torch
begin, export, net = (import_module(f"tools.demo.{name}") for name in ("begin", "export", "net"))

SMALL = net.Shape(vocab_size=200, d_model=16, heads=2, ffn=24, encoder_layers=3, decoder_layers=2, positions=128)
MERGES = [("t", "h"), ("th", "e</w>")]


@pytest.fixture
def work(tmp_path):
    """A work folder with a checkpoint of random weights."""
    torch.manual_seed(0)
    shape = net.Shape(**{**vars(SMALL), "vocab_size": len(pieces.vocabulary(MERGES))})
    state = {name: weight.half().float() for name, weight in net.Net(shape).state_dict().items()}
    torch.save({"net": state, "shape": json.dumps(vars(shape))}, tmp_path / "training.pt")
    (tmp_path / "vocab.json").write_text(json.dumps(pieces.vocabulary(MERGES)))
    (tmp_path / "merges.txt").write_text("\n".join(["#version: 0.2", *(f"{a} {b}" for a, b in MERGES)]) + "\n")
    return tmp_path


def test_the_exported_model_computes_what_the_trainer_computes(work):
    export.export(work, work / "model")
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(work / "model", dtype="float64")
    network = export.load(work / "training.pt").double()
    source = np.array([[5, 6, 7, 8, 0, 0], [9, 10, 11, 12, 13, 14]])
    target = np.array([[1, 20, 21], [1, 22, 23]])
    with torch.no_grad():
        memory, mask = network.encode(torch.from_numpy(source))
        ours = network.logits(network.decode(torch.from_numpy(target), memory, mask)).numpy()
    theirs = model(input_ids=source, attention_mask=(source != 0).astype(np.int64), decoder_input_ids=target).logits
    never = theirs < -1e19  # what ParlAI does not say
    assert set(np.nonzero(never)[-1]) == {pieces.START}
    assert_close(ours[~never], theirs[~never], TOLERANCES["numbers worked out by hand"])


def test_a_training_begins_with_the_weights_of_a_folder(work):
    export.export(work, work / "model")
    before = export.load(work / "training.pt")
    after = begin.begin(work / "model", before.shape)
    for (name, one), other in zip(before.state_dict().items(), after.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


def test_the_folder_names_every_setting_of_the_search(work):
    export.export(work, work / "model")
    kept = json.loads((work / "model" / "generation_config.json").read_text())
    assert {name: kept[name] for name in recipe.GENERATION} == recipe.GENERATION


def test_the_loss_is_over_the_reply_and_its_end_alone():
    torch.manual_seed(0)
    network = net.Net(SMALL).eval()
    source, target = torch.tensor([[5, 6, 7]]), torch.tensor([[1, 8, 9, 2, 0, 0]])
    with torch.no_grad():
        total, count = network.loss(source, target)
        memory, mask = network.encode(source)
        logits = network.logits(network.decode(target[:, :3], memory, mask)).log_softmax(-1)
    assert int(count) == 3
    assert_close(
        float(total), -float(logits[0, [0, 1, 2], [8, 9, 2]].sum()), TOLERANCES["float32 computed another way"]
    )


def test_dropout_drops_its_share_and_keeps_the_mean():
    torch.manual_seed(0)
    drop = net.Drop(0.25)
    out = drop(torch.ones(400, 500))
    assert 0.245 < float((out == 0).float().mean()) < 0.255  # its standard deviation is 0.001
    assert 0.99 < float(out.mean()) < 1.01
    assert torch.equal(drop.eval()(torch.ones(4)), torch.ones(4))


def test_surprise_is_each_rows_mean_over_its_reply_and_end():
    torch.manual_seed(0)
    network = net.Net(SMALL).eval()
    source = torch.tensor([[5, 6, 7], [8, 9, 0]])
    target = torch.tensor([[1, 8, 9, 2, 0, 0], [1, 7, 2, 0, 0, 0]])
    with torch.no_grad():
        found = network.surprise(target, *network.encode(source))
        alone = [network.loss(source[i : i + 1], target[i : i + 1]) for i in range(2)]
    for one, (nats, count) in zip(found, alone, strict=True):
        assert_close(float(one), float(nats / count), TOLERANCES["float32 computed another way"])


def test_the_preference_is_the_formula_row_by_row():
    torch.manual_seed(0)
    network = net.Net(SMALL).eval()
    source = torch.tensor([[5, 6, 7], [8, 9, 0], [3, 3, 3]])
    wanted = torch.tensor([[1, 8, 9, 2], [1, 7, 2, 0], [1, 9, 9, 2]])
    bad = torch.tensor([[1, 20, 21, 22, 2], [0, 0, 0, 0, 0], [1, 30, 2, 0, 0]])
    with torch.no_grad():
        found = [float(x) for x in network.preference(source, wanted, bad, 2.0, 0.5)]
        memory, mask = network.encode(source)
        good = network.surprise(wanted, memory, mask).double().numpy()
        worse = network.surprise(bad[[0, 2]], memory[[0, 2]], mask[[0, 2]]).double().numpy()
    gain = worse - good[[0, 2]]
    right = [good.mean(), np.log1p(np.exp(0.5 - 2 * gain)).mean(), (gain > 0).mean()]
    for one, other in zip(found, right, strict=True):
        assert_close(one, other, TOLERANCES["float32 computed another way"])


def test_learning_a_preference_makes_the_bad_reply_less_likely_than_the_wanted_one():
    torch.manual_seed(0)
    network = net.Net(SMALL).eval()
    source, wanted, bad = torch.tensor([[5, 6, 7]]), torch.tensor([[1, 8, 9, 2]]), torch.tensor([[1, 8, 30, 2]])
    steps = torch.optim.SGD(network.parameters(), lr=0.1)

    def gain():
        with torch.no_grad():
            memory, mask = network.encode(source)
            return float(network.surprise(bad, memory, mask) - network.surprise(wanted, memory, mask))

    before = gain()
    for _ in range(3):
        steps.zero_grad()
        network.preference(source, wanted, bad, 2.0, 1.0)[1].backward()
        steps.step()
    assert gain() > before


def test_replies_that_are_all_good_are_only_wanted():
    torch.manual_seed(0)
    network = net.Net(SMALL).eval()
    source, wanted, bad = torch.tensor([[5, 6, 7]]), torch.tensor([[1, 8, 9, 2]]), torch.zeros(1, 4, dtype=torch.int64)
    with torch.no_grad():
        found = network.preference(source, wanted, bad, 2.0, 1.0)
        alone = float(network.surprise(wanted, *network.encode(source)))
    assert [float(each) for each in found[1:]] == [0, 0]
    assert_close(float(found[0]), alone, TOLERANCES["float32 computed another way"])
