"""The worked port in JavaScript agrees with the golden pack, by the command that its author used."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from npblender import compare
from npblender.cli.main import main
from npblender.config.dialect import PARLAI
from reference_tests.faults.zoo import reference, zoo_model

ROOT = Path(__file__).resolve().parents[2]
PORT = ROOT / "docs" / "port-example" / "port.mjs"
PACK = ROOT / "reference_tests" / "golden" / "packs" / "tiny"
NODE = shutil.which("node")

needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed: the port is written in JavaScript")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert NODE is not None
    return subprocess.run([NODE, str(PORT), *arguments], capture_output=True, text=True, timeout=120)


def compared(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], repaired: int | None = None
) -> tuple[int, dict[str, Any]]:
    """The exit code of `npblender compare` on the port's trace, and what it prints."""
    mine = tmp_path / "mine.safetensors"
    options = [] if repaired is None else ["--repaired", str(repaired)]
    done = run(str(PACK), name, str(mine), *options)
    assert done.returncode == 0, done.stderr
    code = main(["compare", str(PACK / "forward" / f"{name}.safetensors"), str(mine), "--json"])
    return code, json.loads(capsys.readouterr().out)


@needs_node
@pytest.mark.parametrize("name", ["batch", "steps", "target_mask", "pads_without_mask", "shortest"])
def test_the_port_agrees_with_the_pack(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = compared(name, tmp_path, capsys)
    assert code == 0, report["first_divergence"]
    assert report["missing"] == []
    assert report["compared"] == len(report["points"]) > 0
    assert max(point["units"] for point in report["points"]) < 3


@pytest.mark.slow
@needs_node
def test_each_repair_moves_the_first_divergence_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As its page tells it: every mistake is named at its point once those before it are repaired."""
    expected = [
        "encoder.embed.positions",
        "encoder.embed.output",
        "encoder.layers.0.self_attn.weights",
        "encoder.layers.0.ffn.activation",
        "decoder.embed.norm",
        "logits",
    ]
    for repaired, point in enumerate(expected):
        code, report = compared("batch", tmp_path, capsys, repaired)
        assert (code, report["first_divergence"]) == (1, point)


@needs_node
def test_the_last_mistake_shows_in_another_model(tmp_path: Path) -> None:
    """The pack's final bias is zero; the zoo's is not, and its steps have a mask of the target's, too."""
    expected, mine = reference(PARLAI), tmp_path / "mine.safetensors"
    (tmp_path / "forward").mkdir()
    expected.save(tmp_path / "forward" / "steps.safetensors")
    zoo_model(PARLAI).save_pretrained(tmp_path / "model")
    for options, point in ((["--repaired", "6"], "prefill.logits"), ([], None)):
        assert run(str(tmp_path), "steps", str(mine), *options).returncode == 0
        report = compare(expected, mine)
        assert report.first_divergence == point
        assert not report.missing


@needs_node
def test_the_port_refuses_what_it_does_not_take() -> None:
    done = run(str(PACK), "head_masks", "unwritten.safetensors")
    assert done.returncode == 2
    assert "head_mask" in done.stderr
    assert run(str(PACK), "batch", "unwritten.safetensors", "--repaired", "99").returncode == 2
