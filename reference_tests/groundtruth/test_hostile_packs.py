"""Golden packs of strangers: names that steer a terminal, lead outside or pick attributes; links; files of others."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npblender.cli.main import main
from npblender.groundtruth.packs.export import export_tiny
from npblender.groundtruth.packs.verify import verify_pack
from npblender.groundtruth.tracing.tensor_file import read_tensors, write_tensors

TINY = Path(__file__).resolve().parents[1] / "golden" / "packs" / "tiny"
STEERING = "\x1b]0;title\x07\x1b[2J \u202etfel \x9b31m"
RAW = ("\x1b", "\x07", "\u202e", "\x9b", "\x85")
LINKS = pytest.mark.skipif(os.name != "posix", reason="links that anybody may make")


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "given" / "pack"))


def listed(pack: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((pack / "manifest.json").read_text(encoding="utf-8"))
    return content


def write_manifest(pack: Path, content: dict[str, Any]) -> None:
    (pack / "manifest.json").write_text(json.dumps(content), encoding="utf-8")


def list_again(pack: Path, path: str, like: str | None = None) -> None:
    """Put a file's own size and sha256 into the manifest: the pack is whole, whatever is in it."""
    content, data = listed(pack), (pack / path).read_bytes()
    record = dict(content["files"][like or path]) | {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if record["tensors"]:
        arrays, _ = read_tensors(pack / path)
        record["tensors"] = {k: {"dtype": str(v.dtype), "shape": list(v.shape)} for k, v in arrays.items()}
    content["files"][path] = record
    write_manifest(pack, content)


def ends(command: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run a command; return its code and all it printed, in which nothing steers a terminal."""
    code = main(command)
    captured = capsys.readouterr()
    printed = captured.out + captured.err
    assert not [character for character in RAW if character in printed], ascii(printed)
    return code, printed


def name_the_pack(content: dict[str, Any]) -> None:
    content["name"] = STEERING


def name_its_maker(content: dict[str, Any]) -> None:
    content["producer"]["npblender"] = STEERING


def name_a_file(content: dict[str, Any]) -> None:
    content["files"][f"ops/{STEERING}.csv"] = content["files"]["ops/erf.csv"]


def name_a_kind(content: dict[str, Any]) -> None:
    content["files"]["ops/erf.csv"]["kind"] = STEERING


def name_the_format(content: dict[str, Any]) -> None:
    content["schema"] = STEERING


def name_the_folder(content: dict[str, Any]) -> None:
    content["model"]["folder"] = f"../{STEERING}"


NAMES = [name_the_pack, name_its_maker, name_a_file, name_a_kind, name_the_format, name_the_folder]


@pytest.mark.parametrize("spoil", NAMES)
@pytest.mark.parametrize("command", ["verify", "convert"])
def test_names_in_a_pack_steer_no_terminal(
    command: str, spoil: Callable[[dict[str, Any]], None], pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = listed(pack)
    spoil(content)
    write_manifest(pack, content)
    words = ["golden", command, str(pack)]
    words += ["--only", "ops/erf.csv"] if command == "verify" else [str(pack.parent / "new"), "--to", "raw"]
    ends(words, capsys)


@pytest.mark.slow
def test_names_of_folders_steer_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    strange = tmp_path / "\x1b[31m\u202ered"
    shutil.copytree(TINY, strange)
    assert ends(["golden", "verify", str(strange), "--only", "ops/erf.csv"], capsys)[0] == 0
    assert ends(["golden", "convert", str(strange), str(tmp_path / "\x1bnew"), "--to", "npz"], capsys)[0] == 0
    assert (
        ends(["golden", "export", str(tmp_path / "\x1b[2Jmade"), "--model", str(tmp_path / "\x07none")], capsys)[0] == 2
    )
    assert ends(["golden", "export", str(tmp_path / "\x1b[2Jmade"), "--tiny"], capsys)[0] == 0


def test_texts_in_a_files_cases_steer_no_terminal(pack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (pack / "ops" / "erf.csv").write_text(f"x,y\n{STEERING},1\n", encoding="utf-8")
    list_again(pack, "ops/erf.csv")
    code, printed = ends(["golden", "verify", str(pack), "--only", "ops/erf.csv"], capsys)
    assert code == 1
    assert "DIVERGES" in printed


OUTSIDE: list[Any] = [
    "../secret",
    "/etc/passwd",
    "ops/../../secret",
    "C:\\secret",
    "a\\..\\b",
    "",
    ".",
    "ops/erf.csv\0",
    None,
    5,
    ["x"],
]


@pytest.mark.parametrize("name", OUTSIDE, ids=map(repr, OUTSIDE))
def test_a_models_folder_outside_is_refused(name: Any, pack: Path) -> None:
    shutil.copytree(pack / "model", pack.parent / "secret")
    content = listed(pack)
    content["model"]["folder"] = name
    write_manifest(pack, content)
    if name is None:
        with pytest.raises(FileNotFoundError, match="does not hold its model"):
            verify_pack(pack)
        return
    with pytest.raises(ValueError, match="is no path of a file in the pack"):
        verify_pack(pack)


@pytest.mark.parametrize("name", [each for each in OUTSIDE if isinstance(each, str)], ids=ascii)
def test_a_file_outside_in_the_manifest_is_refused(name: str, pack: Path, tmp_path: Path) -> None:
    (pack.parent / "secret").write_text("mine")
    content = listed(pack)
    content["files"][name] = content["files"]["ops/erf.csv"]
    write_manifest(pack, content)
    with pytest.raises(ValueError, match="is no path of a file in the pack"):
        verify_pack(pack)
    with pytest.raises(ValueError, match="is no path of a file in the pack"):
        export_tiny(pack)
    assert (pack.parent / "secret").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["../../secret.safetensors", "/etc/passwd", "forward/../../secret.safetensors"])
def test_a_trace_outside_in_parts_is_not_opened(name: str, pack: Path) -> None:
    shutil.copy(pack / "forward" / "batch.safetensors", pack.parent / "secret.safetensors")
    path = pack / "forward" / "parts.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    next(part for part in content if "file" in part)["file"] = name
    path.write_text(json.dumps(content), encoding="utf-8")
    list_again(pack, "forward/parts.json")
    (verdict,) = verify_pack(pack, only="forward/parts.json").verdicts.values()
    assert not verdict.good
    assert "is no path of a file in the pack" in " ".join(verdict.problems)


@LINKS
@pytest.mark.parametrize("link", ["model", "forward", "ops/erf.csv"])
def test_links_out_of_a_pack_are_not_followed(link: str, pack: Path) -> None:
    (pack / link).rename(pack.parent / "elsewhere")
    (pack / link).symlink_to(pack.parent / "elsewhere")
    with pytest.raises(ValueError, match="leads out of the pack by a link"):
        verify_pack(pack)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["../../evil", "/evil", "a/../../../../evil", "../" * 7 + "evil", "..", "a\\b", "C:evil", "\x1b[2J"]
)
@pytest.mark.parametrize("to", ["npz", "onnx", "raw", "c", "rust", "js"])
def test_names_of_tensors_lead_nowhere_when_a_pack_is_converted(
    to: str, name: str, pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays, metadata = read_tensors(pack / "ops" / "softmax.safetensors")
    case = next(iter(arrays)).split("/")[0]
    write_tensors(pack / "ops" / "softmax.safetensors", {**arrays, f"{case}/in/{name}": np.zeros(2)}, metadata)
    list_again(pack, "ops/softmax.safetensors")
    before = set(pack.parent.rglob("*"))
    out = pack.parent / "out"
    code, _ = ends(["golden", "convert", str(pack), str(out), "--to", to], capsys)
    outside = set(pack.parent.rglob("*")) - before
    assert not [path for path in outside if path != out and out not in path.parents]
    assert not Path("/evil.bin").exists()
    assert code in (0, 2)


@pytest.mark.parametrize("name", ["threads", "np", "__class__", "packed", "softmax", "get_blas_threads", "linear"])
def test_a_file_of_scalars_picks_an_operation_of_the_list_only(name: str, pack: Path) -> None:
    shutil.copy(pack / "ops" / "erf.csv", pack / "ops" / f"{name}.csv")
    list_again(pack, f"ops/{name}.csv", "ops/erf.csv")
    verdict = verify_pack(pack, only=f"ops/{name}.csv").verdicts[f"ops/{name}.csv"]
    assert not verdict.good
    assert f"'{name}' is no scalar operation of a pack" in " ".join(verdict.problems)


@pytest.mark.parametrize("name", ["__init__", "erf", "trace", "checked"])
def test_a_file_of_tensors_picks_an_operation_of_the_list_only(name: str, pack: Path) -> None:
    shutil.copy(pack / "ops" / "softmax.safetensors", pack / "ops" / f"{name}.safetensors")
    list_again(pack, f"ops/{name}.safetensors", "ops/softmax.safetensors")
    verdict = verify_pack(pack, only=f"ops/{name}.safetensors").verdicts[f"ops/{name}.safetensors"]
    assert not verdict.good
    assert f"'{name}' is no operation of a pack" in " ".join(verdict.problems)


@LINKS
def test_an_export_writes_through_no_link_and_deletes_nothing_of_others(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    (tmp_path / "link").symlink_to(mine)
    with pytest.raises(ValueError, match="link"):
        export_tiny(tmp_path / "link")
    with pytest.raises(ValueError, match=r"holds|is there|no golden pack"):
        export_tiny(mine)
    packed = Path(shutil.copytree(TINY, tmp_path / "packed"))
    (packed / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"notes\.txt"):
        export_tiny(packed)
    shutil.copytree(TINY, tmp_path / "whole")
    (tmp_path / "linked").symlink_to(tmp_path / "whole")
    with pytest.raises(ValueError, match="link"):
        export_tiny(tmp_path / "linked")
    assert (mine / "notes.txt").read_text() == (packed / "notes.txt").read_text() == "mine"
    assert (tmp_path / "whole" / "manifest.json").read_bytes() == (TINY / "manifest.json").read_bytes()
