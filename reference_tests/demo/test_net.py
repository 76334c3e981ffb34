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
