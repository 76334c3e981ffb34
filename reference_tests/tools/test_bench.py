"""The benchmark's arithmetic, and the tool itself on a tiny model: no test here depends on how fast anything is."""

import doctest
import gzip
import itertools
import json
import math
import os
import subprocess
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender import BlenderbotSmallForConditionalGeneration
from npblender.config import BlenderbotSmallConfig
from npblender.transformer.parameters import expected_shapes, parameter_count
from reference_tests.support.asserts import assert_close
from reference_tests.support.tolerances import TOLERANCES
from tools.bench import folder, peers, plot, report, rounds, running, starting, summary, texts, works
from tools.bench.peers import functions, timing, with_products
from tools.bench.works import CONFIGS, WORKS, Cost
from tools.differential.tokenizer_texts import CORPORA
from tools.originals import environments

HAND = TOLERANCES["numbers worked out by hand"]

ROOT = Path(__file__).resolve().parents[2]
CONFIG = BlenderbotSmallConfig(**CONFIGS["90M"])
SECONDS = st.floats(1e-4, 1e4)
PAIRS = st.lists(st.tuples(SECONDS, SECONDS), min_size=1, max_size=9)


@pytest.mark.parametrize(
    "module", [summary, works, plot, report, running, folder, texts, timing], ids=lambda m: m.__name__
)
def test_the_examples_hold(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed


@given(PAIRS, st.lists(SECONDS, min_size=9, max_size=9))
def test_a_machine_that_drifts_from_round_to_round_changes_no_ratio(pairs, drift):
    others, ours = zip(*pairs, strict=True)
    steady = summary.ratios(others, ours)
    drifting = summary.ratios(
        [t * d for t, d in zip(others, drift, strict=False)], [t * d for t, d in zip(ours, drift, strict=False)]
    )
    assert_close((drifting.low, drifting.median, drifting.high), (steady.low, steady.median, steady.high), HAND)


@given(PAIRS)
def test_a_spread_holds_its_median_between_values_that_were_measured(pairs):
    values = [first for first, _ in pairs]
    found = summary.spread(values)
    assert found.low == min(values)
    assert found.high == max(values)
    assert sum(v <= found.median for v in values) * 2 >= len(values) <= sum(v >= found.median for v in values) * 2


def test_ratios_are_of_rounds_and_not_of_medians():
    # the medians, 2 and 2, would say 1
    assert summary.ratios([1.0, 2.0, 6.0], [2.0, 1.0, 2.0]).median == 2.0


@pytest.mark.parametrize(
    ("others", "ours", "words"),
    [([], [], "nothing"), ([1.0], [1.0, 2.0], "1 rounds cannot"), ([1.0], [0.0], "positive")],
)
def test_what_cannot_be_compared_is_refused(others, ours, words):
    with pytest.raises(ValueError, match=words):
        summary.ratios(others, ours)


@given(st.floats(0.1, 10), st.floats(0.01, 10))
def test_a_straight_line_is_found(offset, slope):
    x = [2, 3, 5, 10]
    found = summary.line(x, [offset + slope * a for a in x])
    assert_close(found, (offset, slope, 0.0), HAND)


def test_a_kink_shows_in_the_distance_from_the_line():
    assert summary.line([1, 2, 3, 4], [1.0, 2.0, 3.0, 8.0])[2] > 0.3


def test_steps_that_grow_are_not_flat():
    assert_close(summary.flatness([1.0 + n / 128 for n in range(128)]), (1 + 119.5 / 128) / (1 + 7.5 / 128), HAND)
    with pytest.raises(ValueError, match="too few"):
        summary.flatness([1.0] * 31)


def matrices(*parts: str) -> int:
    """How many numbers the matrices hold whose names contain one of `parts`, from the tree of parameters."""
    shapes = expected_shapes(CONFIG)
    return sum(
        math.prod(s) for n, s in shapes.items() if len(s) == 2 and ".layers." in n and any(part in n for part in parts)
    )


def test_costs_are_those_of_the_parameters():
    shared = math.prod(expected_shapes(CONFIG)["shared.weight"])
    own = matrices("decoder.layers") - matrices("encoder_attn.k_proj", "encoder_attn.v_proj")
    assert works.encoder_cost(CONFIG, 7) == Cost(((4 * matrices("encoder.layers"), 14 * matrices("encoder.layers")),))
    step = works.step_cost(CONFIG, 10)
    assert step.bytes == 4 * (own + shared)
    assert step.operations == 20 * (own + shared)
    greedy = works.cost_of(WORKS["greedy"], CONFIG)
    assert greedy is not None
    read = matrices("encoder.layers") + matrices("encoder_attn.k_proj", "encoder_attn.v_proj") + 32 * (own + shared)
    assert greedy.bytes == 4 * read


def test_a_beam_reads_no_more_than_one_row_and_multiplies_ten_times_as_much():
    one, ten = (works.cost_of(WORKS[name], CONFIG) for name in ("greedy", "beam"))
    assert one is not None
    assert ten is not None
    assert ten.bytes == one.bytes
    step = works.step_cost(CONFIG, 1).operations
    assert ten.operations - one.operations == 31 * 9 * step


def test_a_pass_costs_the_larger_of_reading_and_multiplying():
    cost = Cost(((100, 1), (1, 100)))
    assert cost.seconds(10.0, 10.0) == 20.0
    assert_close(cost.seconds(1e9, 10.0), 10.1, HAND)


@pytest.mark.parametrize("name", [name for name, work in WORKS.items() if work.kind in ("generate", "encode")])
def test_the_products_of_a_work_are_those_of_its_cost(name):
    work = WORKS[name]
    passes = works.passes_of(work.kind, work.batch, work.source, work.new, work.beams)
    operations = sum(
        2 * each.rows * each.times * math.prod(shape) for each in passes for shape in works.matrices(each.part, CONFIG)
    )
    cost = works.cost_of(work, CONFIG)
    assert cost is not None
    assert operations == cost.operations
    assert len(cost.passes) == sum(each.times for each in passes)


@pytest.mark.parametrize("beams", [1, 10])
def test_the_products_alone_are_all_products_and_nothing_else(small_folder, monkeypatch, beams):
    engine = with_products.Engine(small_folder, 1, "")
    config = BlenderbotSmallConfig(**CONFIGS["small"])
    passes = works.passes_of("generate", 2, 7, 5, beams)
    seen, matmul = [], np.matmul
    monkeypatch.setattr(np, "matmul", lambda a, b, **o: seen.append((a.shape[-2], *b.shape)) or matmul(a, b, **o))
    for way in engine.ways:
        for each in passes:
            seen.clear()
            way(each)
            wanted = [(each.rows, inner, rows) for rows, inner in works.matrices(each.part, config)]
            operations = sum(math.prod(shape) for shape in seen)
            assert operations == sum(math.prod(shape) for shape in wanted)
            assert way is engine.ways[0] or seen == wanted  # npblender's own are several where they are not packed


def test_attention_in_a_search_of_two_steps_by_two_beams():
    """By hand, for a single layer of one head, K = 64: 3 tokens of the source, then 1 token and 2 beams of 2."""
    config = BlenderbotSmallConfig(**CONFIGS["small"]).replace(
        encoder_layers=1, decoder_layers=1, encoder_attention_heads=1, decoder_attention_heads=1
    )
    source, first, second = (each.shapes() for each in works.attentions_of("generate", config, 1, 3, 2, 2)[:3])
    assert source == [((1, 1, 3, 64), (1, 1, 64, 3)), ((1, 1, 3, 3), (1, 1, 3, 64))]
    assert first == [((1, 1, 1, 64), (1, 1, 64, 1)), ((1, 1, 1, 1), (1, 1, 1, 64))]
    assert second == [((2, 1, 1, 64), (2, 1, 64, 2)), ((2, 1, 1, 2), (2, 1, 2, 64))]
    cross = [(each.shapes(), each.times) for each in works.attentions_of("generate", config, 1, 3, 2, 2)[3:]]
    assert cross == [
        ([((1, 1, 1, 64), (1, 1, 64, 3)), ((1, 1, 1, 3), (1, 1, 3, 64))], 1),
        ([((1, 1, 2, 64), (1, 1, 64, 3)), ((1, 1, 2, 3), (1, 1, 3, 64))], 1),
    ]


def test_attention_of_the_works_is_as_large_as_worked_out_by_hand():
    def multiplications(kind: str, *sizes: int) -> int:
        found = works.attentions_of(kind, CONFIG, *sizes)
        return sum(each.times * each.layers * math.prod(a) * b[-1] for each in found for a, b in each.shapes())

    # 8 layers, two products; K times H is 512
    assert multiplications("encode", 8, 128) == 8 * 2 * 8 * 128 * 128 * 512
    own = 1 + 10 * (2 + 3 + 4)  # keys that the queries of four steps see
    assert multiplications("generate", 1, 32, 4, 10) == 8 * 2 * 512 * (32 * 32 + own + 32 * (1 + 3 * 10))


@pytest.mark.parametrize("kind", ["encode", "generate"])
def test_every_way_to_attend_multiplies_the_same(small_folder, monkeypatch, kind):
    engine = with_products.Engine(small_folder, 1, "")
    seen, matmul = [], np.matmul
    monkeypatch.setattr(np, "matmul", lambda a, b, **o: seen.append((a.shape, b.shape)) or matmul(a, b, **o))
    for each in works.attentions_of(kind, engine.config, 2, 7, *((5, 10) if kind == "generate" else ())):
        for way in engine.ways_to_attend:
            seen.clear()
            way(each)
            assert seen == each.shapes() * each.layers


def test_every_pass_counts_in_its_best_way_as_often_as_it_is_done(small_folder, monkeypatch):
    engine = with_products.Engine(small_folder, 1, "")
    lasting = {"encoder": 5.0, "source": 3.0, "layers": 2.0, "vocabulary": 1.0, "keys": 0.5}
    monkeypatch.setattr(with_products, "PAUSE", 0)
    engine.ways = tuple(lambda each, n=n: (n, each.part) for n in (2, 1, 3))
    engine.ways_to_attend = tuple(lambda each, n=n: (n * each.keys, "keys") for n in (1, 2))
    monkeypatch.setattr(
        with_products,
        "timed",
        lambda call, inputs: (
            ([0.25 for _ in inputs], [])
            if call not in engine.ways + engine.ways_to_attend
            else ([lasting[part] * n for n, part in map(call, inputs)], [])
        ),
    )
    found = engine.generate([[[1, 2], [3, 4]]], 5, 1, blocks=False)
    attended = 0.5 * (2 + (1 + 2 + 3 + 4 + 5) + 5 * 2)  # of the source; of the reply so far; of the source again
    between = 0.25 * ((2 + 5 * 2) + (1 + 5 + 5))  # a quarter of a second each: of passes, and of attention
    assert found == {
        "seconds": [5.0 + 3.0 + 5 * (2.0 + 1.0) + attended], "interpreter": [0.25], "functions": [between],
    }  # fmt: skip


@pytest.mark.parametrize(("kind", "search"), [("encode", ()), ("generate", (5, 3))])
def test_the_functions_are_those_of_a_pass(small_folder, monkeypatch, kind, search):
    """As often as the network computes them, and of as many values; of one row a source at its first step."""
    engine, seen = with_products.Engine(small_folder, 1, ""), []
    config = engine.config
    for name in ("softmax", "layer_norm", "log_softmax"):
        monkeypatch.setattr(functions.ops, name, lambda x, *rest, name=name: seen.append((name, x.shape)))
    activations = {"gelu": lambda x: seen.append(("gelu", x.shape))}
    monkeypatch.setattr(functions.ops, "ACTIVATIONS", activations)
    between = functions.between_products(engine.weights, engine.context, beams=3)
    by_part = {}
    for each in works.passes_of(kind, 2, 7, *search):
        seen.clear()
        between(each)
        by_part[each.part, each.rows] = list(seen)
    d, ffn = config.d_model, config.encoder_ffn_dim
    assert by_part.pop(("encoder", 14)) == [("gelu", (14, ffn)), *[("layer_norm", (14, d))] * 2] * config.encoder_layers
    if kind == "generate":
        assert by_part.pop(("source", 14)) == []
        for rows in (2, 6):
            step = [("gelu", (rows, config.decoder_ffn_dim)), *[("layer_norm", (rows, d))] * 3]
            assert by_part.pop(("layers", rows)) == step * config.decoder_layers
            assert by_part.pop(("vocabulary", rows)) == [("log_softmax", (rows, config.vocab_size))]
    assert not by_part
    attend = functions.softmaxes(engine.weights, engine.context)
    for each in works.attentions_of(kind, config, 2, 7, *search):
        seen.clear()
        attend(each)
        assert seen == [("softmax", (each.batch, each.heads, each.queries, each.keys))] * each.layers


def reordered(folder_: Path, place: Path) -> Path:
    """The same weights in a file that holds them in another order."""
    with open(folder_ / "model.safetensors", "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        numbers = file.read()
    arrays = {n: numbers[slice(*found["data_offsets"])] for n, found in header.items() if n != "__metadata__"}
    body, written = b"", {}
    for name in sorted(arrays, key=lambda name: name[::-1]):
        written[name] = {**header[name], "data_offsets": [len(body), len(body) + len(arrays[name])]}
        body += arrays[name]
    place.mkdir()
    text = json.dumps(written).encode()
    (place / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + body)
    return place


def rows_of(matrices_: list[np.ndarray]) -> list[bytes]:
    """All rows, in an order of their own: what is multiplied by one input is one matrix, in any order."""
    return sorted(row.tobytes() for matrix in matrices_ for row in matrix)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_least_start_reads_the_weights_and_multiplies_as_a_reply_does(small_folder, tmp_path, monkeypatch, threads):
    config = BlenderbotSmallConfig(**CONFIGS["small"])
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(small_folder)
    own = {part: [m for p in all for m in p.plain()] for part, all in with_products.products_of(model.weights).items()}
    seen, matmul, vecdot = [], np.matmul, np.vecdot
    monkeypatch.setattr(np, "matmul", lambda a, b: seen.append((len(a), *b.shape)) or matmul(a, b))
    monkeypatch.setattr(np, "vecdot", lambda a, b: seen.append((len(b), *a.shape[::-1])) or vecdot(a, b))
    for given_folder in (small_folder, reordered(small_folder, tmp_path / "other")):
        seen.clear()
        given = {"folder": str(given_folder), "new": 5, "tokens": 7, "threads": threads, "json": json, "os": os}
        exec(starting.SCRIPTS[peers.PRODUCTS], given)
        assert given["ids"] == [[]]
        for part, theirs in (("encoder", "encoder"), ("source", "source"), ("layers", "decoder"), ("vocabulary",) * 2):
            assert rows_of(given["stacks"][theirs]) == rows_of(own[part])
        wanted = []
        for each in works.passes_of("generate", 1, 7, 5):
            shapes = works.matrices(each.part, config)
            wanted += [(each.rows, inner, rows) for rows, inner in shapes] * each.times
        assert sorted(seen) == sorted(wanted)


def test_the_least_start_is_a_process_that_imports_nothing_of_npblender(small_folder, monkeypatch):
    monkeypatch.setitem(starting.SCRIPTS, peers.PRODUCTS, starting.ALONE + "assert 'npblender' not in sys.modules\n")
    found = starting.start(peers.PRODUCTS, peers.PEERS[peers.PRODUCTS], ROOT, small_folder, 2, 1, 7)
    assert found["ids"] == []
    assert found["peak"] > 4 * parameter_count(BlenderbotSmallConfig(**CONFIGS["small"]))
    assert found["besides"] > 0  # its clock has stopped before: importing the package, and its tokenizer


def no_texts() -> texts.Texts:
    raise AssertionError("this work reads no texts")


@pytest.mark.parametrize("name", [name for name, work in WORKS.items() if work.kind in ("generate", "encode")])
def test_every_round_has_inputs_of_its_own(name):
    work = WORKS[name]
    one, other = itertools.islice(rounds.inputs_of(work, 999, 5, no_texts), 2)
    assert one == next(rounds.inputs_of(work, 999, 5, no_texts))
    assert one["batches"] != other["batches"] != next(rounds.inputs_of(work, 999, 6, no_texts))["batches"]
    ids = np.array(one["batches"])
    assert ids.shape == (work.calls, work.batch, work.source)
    assert 5 <= ids.min() <= ids.max() < 999
    assert len({tuple(row) for call in one["batches"] for row in call}) == work.calls * work.batch


def test_no_turn_is_given_twice(tmp_path):
    for number, file in enumerate(CORPORA.values()):
        with gzip.open(tmp_path / file, "wt", encoding="utf-8") as lines:
            for n in range(40):
                lines.write(json.dumps({"turns": [f"turn {number} {n // 2} here", "hello"]}) + "\n")
    source = texts.Texts(tmp_path, tmp_path)
    drawn = [*source.draw(60), *source.draw(60)]
    assert len(drawn) == len(set(drawn))
    with pytest.raises(ValueError, match="no more turns"):
        source.draw(200)


def test_made_up_text_is_other_text_each_time_and_the_same_for_a_seed(tmp_path):
    (tmp_path / "vocab.json").write_text(json.dumps({"hello": 0, "there": 1, "s@@": 2, "friend": 3}))
    one, two = (texts.Texts(tmp_path, None, seed=1) for _ in range(2))
    first = one.draw(200)
    assert first == two.draw(200)
    assert first != one.draw(200)
    assert texts.words_in(first) >= 200


def test_python_may_keep_what_it_compiled(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("ANOTHER", "stays")
    found = rounds.environment(2)
    assert "PYTHONDONTWRITEBYTECODE" not in found
    assert (found["ANOTHER"], found["OMP_NUM_THREADS"]) == ("stays", "2")


def test_an_engine_that_fails_is_named_with_what_it_said(tmp_path):
    with pytest.raises(rounds.WorkerError, match=r"npblender: (?s:.*)FileNotFoundError"):
        rounds.Worker("npblender", peers.PEERS["npblender"], tmp_path / "nothing", 1)


def test_unknown_names_are_refused(capsys):
    for arguments in (["--works", "greedy,chess"], ["--peers", "moses"], ["--rounds", "0"], ["--add"]):
        with pytest.raises(SystemExit):
            running.main(arguments)
    assert "chess: there are greedy" in capsys.readouterr().err


@pytest.mark.slow
def test_the_tool_runs_on_a_tiny_model_and_names_what_is_absent(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(folder.PLACE_VARIABLE, str(tmp_path / "bench"))
    monkeypatch.setenv(environments.PLACE_VARIABLE, str(tmp_path / "none"))
    monkeypatch.delenv(running.SHARED, raising=False)
    file = tmp_path / "found.json"
    wanted = ["--config", "small", "--rounds", "2", "--threads", "1", "--json", str(file)]
    wanted += ["--peers", "npblender,transformers,products"]
    assert running.main([*wanted, "--works", "beam,start,tokenize"]) == 0
    found = json.loads(file.read_text())
    assert list(found["works"]) == ["beam", "start", "tokenize"]
    assert "python -m tools originals transformers-5" in found["absent"]["transformers"]
    for result in found["works"].values():
        assert len(result["seconds"]["npblender"]) == 2
        assert list(result["ratio"]) == (["products"] if "products" in result["seconds"] else [])
    assert found["works"]["beam"]["bound"]["nearness"]["median"] < 1
    assert min(found["works"]["tokenize"]["words"]) >= WORKS["tokenize"].words
    assert list(found["works"]["start"]["memory"]) == ["npblender"]
    assert found["works"]["start"]["memory"]["npblender"]["median"] > 4 * found["parameters"]
    assert found["works"]["start"]["agree"] == {}
    assert {name for name, result in found["works"].items() if "over_products" in result} == {"beam", "start"}
    printed = capsys.readouterr().out
    assert "Absent: transformers, torch: the environment of transformers-5 is not ready" in printed

    assert running.main([*wanted, "--works", "encode-1x32", "--add"]) == 0
    assert list(json.loads(file.read_text())["works"]) == ["beam", "encode-1x32", "start", "tokenize"]


@pytest.mark.slow
def test_the_graphs_agree_with_float64_at_every_point():
    if not environments.is_ready("onnxruntime"):
        pytest.skip("needs ONNX Runtime: `python -m tools originals onnxruntime` makes its environment")
    command = [str(environments.oracle_python("onnxruntime")), "-m", "tools.onnx_graph.check", "--cases", "6"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("6 models: at most ")
