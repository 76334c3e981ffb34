"""The trainer's network computes what the package computes, and begins soundly. Without torch it is skipped."""

import json
from importlib import import_module

import numpy as np
import pytest

from npblender import BlenderbotSmallForConditionalGeneration
from reference_tests.support.asserts import assert_close
from reference_tests.support.tolerances import TOLERANCES
from tools.demo import pieces, recipe, vectors

torch = pytest.importorskip("torch", reason="the trainer's network is torch's")

# only now, since they import torch
copying, export, net = (import_module(f"tools.demo.{name}") for name in ("copying", "export", "net"))

SMALL = net.Shape(vocab_size=200, d_model=16, heads=2, ffn=24, encoder_layers=3, decoder_layers=2, positions=128)
MERGES = [("t", "h"), ("th", "e</w>")]


@pytest.fixture
def work(tmp_path):
    """A work folder with a checkpoint of random weights."""
    torch.manual_seed(0)
    shape = net.Shape(**{**vars(SMALL), "vocab_size": len(pieces.vocabulary(MERGES))})
    state = {name: weight.half().float() for name, weight in net.Net(shape).state_dict().items()}
    torch.save({"net": state, "shape": json.dumps(vars(shape))}, tmp_path / "training.pt")
    pieces.write_tokenizer(tmp_path, MERGES)
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


def test_new_words_lie_where_their_vectors_say():
    """Old rows are a linear picture of the vectors: a new word's row lies along its own, and old ones are kept."""
    rng = np.random.default_rng(0)

    class Known:
        def __init__(self):
            self.entries = [f"{a}{b}{c}" for a in "abcdefgh" for b in "ijklmnop" for c in "qrstuv"]
            self.ids = {entry: index for index, entry in enumerate(self.entries)}

        def __call__(self, text):
            return []

    known = Known()
    given = {word: rng.standard_normal(6) for word in (*known.entries, "nearby", "nearer")}
    given["nearer"] = given["nearby"] + 0.01
    picture = rng.standard_normal((6, 64))
    old = np.stack([given[word] @ picture for word in known.entries]).astype(np.float32)
    made = vectors.embeddings(old, known, ["aiq", "nearby", "nearer", "x@@"], given, 1)
    assert np.array_equal(made[0], old[0])
    near, nearer = (row / np.linalg.norm(row) for row in made[1:3])
    truth = given["nearby"] @ picture
    assert near @ truth / np.linalg.norm(truth) > 0.7
    assert 0.5 < near @ nearer < 0.999  # alike, and still two words
    assert np.linalg.norm(made[3]) > 0


@pytest.fixture(scope="module")
def widened():
    """A network, the wider one made of it, and the batch by which it was made."""
    torch.manual_seed(3)
    narrow = net.Net(net.Shape(vocab_size=200, d_model=32, heads=2, ffn=48, encoder_layers=3, decoder_layers=2)).eval()
    wide = net.Shape(vocab_size=200, d_model=48, heads=3, ffn=48, encoder_layers=3, decoder_layers=2)
    source, target = (torch.randint(5, 200, (64, length)) for length in (9, 6))
    with torch.no_grad():
        return narrow, copying.widen(narrow, wide, source, target).eval(), source, target


def test_a_wider_network_says_about_what_the_narrow_one_says(widened):
    narrow, wide, source, target = widened
    with torch.no_grad():
        states = [each.decode(target, *each.encode(source))[..., :32] for each in (narrow, wide)]
    theirs, ours = (each / each.std() for each in states)
    assert float((ours - theirs).pow(2).mean()) < 0.15


def test_its_new_head_favours_what_was_read_and_nothing_else(widened):
    _, wide, source, target = widened
    with torch.no_grad():
        codes = wide.decode(target, *wide.encode(source))[..., 32:]
        favour = codes @ wide.shared.weight[:, 32:].T
    read = torch.zeros(64, 200, dtype=torch.bool).scatter(1, source, True)
    assert float(favour[:, 0][read].mean()) > 5 * abs(float(favour[:, 0][~read].mean()))


def test_a_network_is_widened_by_one_head_alone():
    with pytest.raises(ValueError, match="not one head wider"):
        copying.widen(net.Net(SMALL), SMALL, torch.ones(1, 1), torch.ones(1, 1))
