"""Golden packs: the published ones hold, an export repeats, damage is named, and every file notices faults."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npblender import BlenderbotSmallConfig, BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer, ops
from npblender.chat import conversation, history
from npblender.generation.logits import processors, warpers
from npblender.generation.search import beam, parlai
from npblender.groundtruth.packs.export import export_pack, export_tiny
from npblender.groundtruth.packs.files import read_json
from npblender.groundtruth.packs.manifest import MANIFEST, damage, read_manifest
from npblender.groundtruth.packs.verify import verify_pack
from npblender.ops import activations, operations, unchecked
from npblender.tokenizer import bpe
from npblender.transformer import attention, decoder, encoder
from reference_tests.support.cli_runs import one_error, run_cli

PUBLISHED = Path(__file__).parents[1] / "golden" / "packs"
TINY = PUBLISHED / "tiny"
WIDE = ("float64", "longdouble")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of the tiny model in another dialect, with float64 truths."""
    folder = tmp_path_factory.mktemp("packs") / "pack"
    export_tiny(folder, dialect="transformers-5", seed=5)
    return folder


@pytest.mark.parametrize("name", ["tiny", pytest.param("demo", marks=pytest.mark.slow)])
def test_the_published_packs_hold(name: str) -> None:
    again = f"`python -m tools goldens {name}` makes it anew"
    try:
        report = verify_pack(PUBLISHED / name)
    except ValueError as error:
        pytest.fail(f"{error}; {again}")
    assert report.code == 0, "\n".join([*report.lines(), again])
    assert report.verdicts.keys() == report.manifest.files.keys()
    assert sum(len(content) for content in contents(PUBLISHED / name).values()) < 2_000_000


@pytest.mark.parametrize("name", sorted(path.name for path in PUBLISHED.iterdir()))
def test_the_originals_were_asked(name: str) -> None:
    manifest = read_manifest(PUBLISHED / name)
    asked = [check for check in manifest.cross_checks if check["asked"]]
    assert all(check["within"] for check in asked)
    originals = {check["by"].split(" (")[0] for check in asked}
    assert originals == {"parlai 1.7.2", "transformers 5.23.0", "transformers 4.52.4"}
    kinds = {manifest.files[check["file"]].kind for check in asked}
    assert kinds == {"trace", "searches", "filters", "texts"}
    traces = {path for path, record in manifest.files.items() if record.kind == "trace"}
    assert {check["file"] for check in asked} >= traces


def test_the_published_packs_are_tiny_and_demo() -> None:
    assert {path.name for path in PUBLISHED.iterdir()} == {"tiny", "demo"}


@pytest.mark.slow
def test_the_tiny_pack_is_what_export_makes(tmp_path: Path) -> None:
    """On this machine, but for the last bits: files and shapes the same, numbers too as far as float32 shows."""
    export_tiny(tmp_path / "pack", seed=read_manifest(TINY).seed, stored="float32")
    new, old = read_manifest(tmp_path / "pack"), read_manifest(TINY)
    assert new.files.keys() == old.files.keys()
    assert new.model == old.model
    for path, record in new.files.items():
        shapes = [{name: each["shape"] for name, each in r.tensors.items()} for r in (record, old.files[path])]
        assert shapes[0] == shapes[1], path
    assert contents(tmp_path / "pack")["forward/parts.json"] == contents(TINY)["forward/parts.json"]


@pytest.mark.slow
def test_an_export_repeats_byte_by_byte(pack: Path, tmp_path: Path) -> None:
    folder = copied(tmp_path)  # another pack, which is replaced
    export_tiny(folder, dialect="transformers-5", seed=5)
    assert contents(folder) == contents(pack)


@pytest.mark.parametrize("dtype", ["float32", *(pytest.param(name, marks=pytest.mark.slow) for name in WIDE)])
def test_npblender_agrees_in_every_dtype(pack: Path, dtype: str) -> None:
    report = verify_pack(pack, dtype=dtype)
    assert report.code == 0, "\n".join(report.lines())


def test_float64_agrees_far_better_than_float32_does(pack: Path) -> None:
    """Units tell: the truth's own dtype lies near 0 units, float32 near 1."""
    worst = {}
    for dtype in ("float32", "float64"):
        verdict = verify_pack(pack, dtype=dtype, only="forward/batch*").verdicts["forward/batch.safetensors"]
        worst[dtype] = float(verdict.summary.split("at most ")[1].split()[0])
    assert worst["float64"] < 0.01 < 0.3 < worst["float32"] < 3


@pytest.mark.slow
def test_a_model_without_tokenizer_has_a_pack_too(tmp_path: Path) -> None:
    config = BlenderbotSmallConfig(
        **{"vocab_size": 29, "d_model": 12, "encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 2},
        **{"decoder_attention_heads": 3, "encoder_ffn_dim": 5, "decoder_ffn_dim": 7, "max_position_embeddings": 20},
    )
    BlenderbotSmallForConditionalGeneration.from_config(config, seed=1, dialect="transformers-4").save_pretrained(
        tmp_path / "mine"
    )
    manifest = export_pack(tmp_path / "pack", tmp_path / "mine")
    assert manifest.dialect == "transformers-4"
    assert not any(path.startswith(("tokenizer/", "chat/", "model/")) for path in manifest.files)
    with pytest.raises(FileNotFoundError, match="does not hold its model"):
        verify_pack(tmp_path / "pack")
    assert verify_pack(tmp_path / "pack", tmp_path / "mine").code == 0
    with pytest.raises(ValueError, match="made of other weights"):
        verify_pack(tmp_path / "pack", TINY / "model")


def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "pack"))


@settings(max_examples=25)
@given(data=st.data())
def test_a_flipped_bit_is_named(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    manifest = read_manifest(TINY)
    path = data.draw(st.sampled_from(sorted(manifest.files)))
    content = bytearray((TINY / path).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    folder = tmp_path_factory.mktemp("flipped")
    for other in manifest.files:
        (folder / other).parent.mkdir(parents=True, exist_ok=True)
        (folder / other).hardlink_to(TINY / other)
    (folder / path).unlink()
    (folder / path).write_bytes(content)
    assert damage(folder, manifest) == {path: "has another sha256 than the manifest says"}
    shutil.rmtree(folder)


def test_missing_surplus_and_cut_files_are_named(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / "ops" / "erf.csv").unlink()
    (folder / "ops" / "mine.csv").write_text("x\n")
    cut = folder / "forward" / "steps.safetensors"
    cut.write_bytes(cut.read_bytes()[:-1])
    report = verify_pack(folder)
    assert report.code == 2
    assert set(report.damage) == {"ops/erf.csv", "ops/mine.csv", "forward/steps.safetensors"}
    text = "\n".join(report.lines())
    assert "ops/erf.csv is missing" in text
    assert "ops/mine.csv is surplus" in text
    assert "steps.safetensors has 142" in text
    assert "npblender has" not in text
    assert not report.verdicts  # what a damaged pack holds is not judged


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "schema": (lambda m: m.update(schema=2), "schema version 2; this program reads version 1"),
    "format": (lambda m: m.update(format="zip"), "no manifest of a golden pack"),
    "surplus key": (lambda m: m.update(comment="hi"), "comment"),
    "missing key": (lambda m: m.pop("truth"), "truth"),
    "path outside": (lambda m: m["files"].update({"../x": m["files"]["ops/erf.csv"]}), "'../x' is no path"),
    "bad record": (lambda m: m["files"]["ops/erf.csv"].pop("sha256"), "ops/erf.csv"),
    "unknown kind": (lambda m: m["files"]["ops/erf.csv"].update(kind="poem"), "unknown kind 'poem'"),
    "no dialect": (lambda m: m.update(dialect="moses"), "unknown dialect 'moses'"),
    "other weights": (lambda m: m["model"].update(weights_sha256="0"), "made of other weights"),
}


@pytest.mark.parametrize("change", CHANGES, ids=CHANGES)
def test_a_wrong_manifest_is_refused(change: str, tmp_path: Path) -> None:
    folder = copied(tmp_path)
    content = json.loads((folder / MANIFEST).read_text())
    CHANGES[change][0](content)
    (folder / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(ValueError, match=CHANGES[change][1].replace("(", r"\(")):
        verify_pack(folder)
    assert CHANGES[change][1].split("'")[0] in one_error(run_cli("golden", "verify", folder))


def test_tensors_that_the_manifest_does_not_list_are_named(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    content = json.loads((folder / MANIFEST).read_text())
    content["files"]["ops/embed.safetensors"]["tensors"]["rows/out/y"]["shape"] = [1, 2]
    (folder / MANIFEST).write_text(json.dumps(content))
    assert "rows/out/y" in verify_pack(folder).damage["ops/embed.safetensors"]


def _wrong(function: Callable[..., Any], change: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: change(function(*args, **kwargs))


def _nudged(units: float) -> Callable[[Any], Any]:
    """A value in the middle moved by so many float32 ulps of the largest."""

    def change(array: Any) -> Any:
        moved = np.array(array)
        moved[..., moved.shape[-1] // 2] += units * np.spacing(np.abs(array).max().astype(np.float32))
        return moved

    return change


FAULTS: dict[str, tuple[Any, str, Callable[..., Any], tuple[str, ...]]] = {
    "tanh-gelu": (ops, "gelu", ops.gelu_new, ("ops/gelu.csv",)),
    "erf off": (ops, "erf", _wrong(ops.erf, _nudged(4)), ("ops/erf.csv",)),
    "softmax off": (
        unchecked,
        "softmax",
        _wrong(unchecked.softmax, _nudged(64)),
        ("ops/softmax.safetensors", "forward/*"),
    ),
    "eps outside": (
        unchecked,
        "layer_norm",
        lambda x, weight, bias, eps=1e-5: operations.layer_norm(x, weight, bias, 0.0),
        ("ops/layer_norm.safetensors",),
    ),
    "q twice": (attention, "scale_queries", _wrong(attention.scale_queries, lambda q: q * 2), ("forward/batch*",)),
    "merged heads": (attention, "merge_heads", _wrong(attention.merge_heads, lambda x: x[..., ::-1]), ("forward/*",)),
    "positions": (
        encoder,
        "source_positions",
        lambda batch, length, mask, context: np.broadcast_to(np.arange(length), (batch, length)),
        ("forward/batch*", "forward/parts.json"),
    ),
    "pads attended": (encoder, "key_mask", lambda mask: None, ("forward/batch*", "forward/parts.json")),
    "not causal": (decoder, "self_attention_mask", lambda *arguments: None, ("forward/batch*",)),
    "n-grams": (
        processors,
        "completions",
        lambda ids, sources, size: (np.empty(0, np.int64), np.empty(0, np.int64)),
        ("generation/filters*",),
    ),
    "top-k": (warpers, "_kth_best", lambda scores, k: scores.min(axis=1, keepdims=True), ("generation/filters*",)),
    "hopeless": (parlai, "HOPELESS", np.float32(-5.0), ("generation/searches.json",)),
    "decoding": (BlenderbotSmallTokenizer, "decode", lambda tokenizer, ids: "hi", ("tokenizer/*",)),
    "merging": (bpe, "spell_symbols", lambda symbols: tuple(symbols), ("tokenizer/*",)),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=FAULTS)
def test_a_planted_fault_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, name, wrong, files = FAULTS[fault]
    monkeypatch.setattr(module, name, wrong)
    for only in files:
        report = verify_pack(TINY, only=only)
        assert report.code == 1, f"{only} does not see it"
        assert "DIVERGES" in "\n".join(report.lines())


def test_a_conversation_of_another_format_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    original = history.make_source
    monkeypatch.setattr(conversation, "make_source", lambda t, p, persona, turns, n: original(t, p, (), turns, n))
    assert verify_pack(TINY, only="chat/*").code == 1


def test_what_npblender_can_not_compute_diverges(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **others: Any) -> Any:
        raise ValueError("no such thing")

    monkeypatch.setattr(ops, "softmax", refuse)
    report = verify_pack(TINY, only="ops/softmax*")
    assert report.code == 1
    assert "ValueError: no such thing" in "\n".join(report.lines())


def test_a_transformers_beam_search_gone_wrong_is_found(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beam, "NOT_YET", np.float32(-3.0))
    assert verify_pack(pack, only="generation/searches.json").code == 1


def test_near_ties_are_flagged(pack: Path) -> None:
    for folder in (TINY, pack):
        steps = [s for each in read_json(folder / "generation" / "searches.json") for s in each["found"]["steps"]]
        assert len(steps) > 20
        assert all(s["near_tie"] == (s["gap"] is not None and s["gap"] < 1e-4) for s in steps)
        assert all(len(s["rows"]) == len(s["tokens"]) == len(s["scores"]) for s in steps)


def test_activations_all_have_a_file() -> None:
    assert {path.stem for path in (TINY / "ops").glob("*.csv")} == {"erf", *activations.ACTIVATIONS}


@pytest.mark.slow
def test_the_command_line(tmp_path: Path) -> None:
    made = run_cli("golden", "export", tmp_path / "p", "--tiny", "--dialect", "transformers-4", "--seed", "2")
    assert made.code == 0
    assert "files" in made.out
    good = run_cli("golden", "verify", tmp_path / "p", "--json", "--only", "ops/*")
    assert good.code == 0
    assert json.loads(good.out)["code"] == 0
    (tmp_path / "p" / "surplus").write_text("")
    damaged = run_cli("golden", "verify", tmp_path / "p")
    assert damaged.code == 2
    assert "DAMAGED   surplus" in damaged.out
    assert "holds no pack" in one_error(run_cli("golden", "export", PUBLISHED, "--tiny"))
    assert "no golden pack" in one_error(run_cli("golden", "verify", tmp_path))
    assert "no file of the pack" in one_error(run_cli("golden", "verify", TINY, "--only", "opps/*"))
    refused = one_error(run_cli("golden", "export", tmp_path / "q", "--tiny", "--model", "x"))
    assert "leave out --model" in refused
