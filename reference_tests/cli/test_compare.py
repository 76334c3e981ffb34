"""`npblender compare` through its entry point: exit codes, the JSON object on every one of them, and the text."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from npblender.groundtruth import Noise, Trace, refed
from npblender.groundtruth.comparison.causes import usual_causes
from npblender.groundtruth.tracing.inputs import TraceInputs
from npblender.groundtruth.tracing.tensor_file import write_tensors
from reference_tests.support.asserts import assert_close
from reference_tests.support.cli_runs import Result, environment, one_error, run_cli
from reference_tests.support.compared import FFN, INPUTS, arrays, in_float32, reference, write_files
from reference_tests.support.tolerances import TOLERANCES


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files to compare. Do not write to it."""
    return write_files(tmp_path_factory.mktemp("compare"))


def compared(folder: Path, *arguments: str) -> Result:
    """The subcommand, arguments that are files of the folder as their paths."""
    return run_cli("compare", *(folder / each if (folder / each).is_file() else each for each in arguments))


# The JSON object.

NUMBER, TEXT, NAMES, NULL = (int, float, str), str, list, type(None)
POINT = {
    **{"name": TEXT, "op": (TEXT, NULL), "status": TEXT, "mine_name": (TEXT, NULL), "mine_dtype": (TEXT, NULL)},
    **{"reference_shape": list, "mine_shape": (list, NULL), "reference_dtype": TEXT, "layout": (TEXT, NULL)},
    **{"factor": float, "hidden": int, "remarks": NAMES, "ulp_histogram": list, "noise": (dict, NULL)},
    **dict.fromkeys(("units", "units_limit", "worst", "worst_limit"), (*NUMBER, NULL)),
    **dict.fromkeys(("reference_value", "mine_value"), (*NUMBER, NULL)),
    **dict.fromkeys(("max_error", "rms_error"), (*NUMBER, NULL)),
    **dict.fromkeys(("values", "reference_nan", "mine_nan", "reference_infinite", "mine_infinite"), (int, NULL)),
    "worst_index": (list, NULL),
}
REPORT = {
    **{"format": TEXT, "version": int, "verdict": TEXT, "exit_code": int, "error": (TEXT, NULL), "refed": (bool, NULL)},
    **{"first_divergence": (TEXT, NULL), "last_good": (TEXT, NULL), "unseen": NAMES, "causes": NAMES},
    **{"reference": (dict, NULL), "mine": (dict, NULL), "noise_measured": (bool, NULL), "compared": int},
    **dict.fromkeys(("diverged", "missing", "surplus", "unmatched_patterns", "notes"), NAMES),
    **dict.fromkeys(("thin", "borderline", "lacking"), NAMES),
    "points": list,
}
SIDE = {"source": TEXT, "dtype": (TEXT, NULL), "dialect": (TEXT, NULL), "points": int}
VERDICTS = {
    **{0: ("within noise",), 1: ("diverged",), 2: ("not comparable", "incomplete"), 3: ("borderline",)},
    130: ("not comparable",),
}


def check_shape(content: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    assert sorted(content) == sorted(schema)
    for key, kinds in schema.items():
        assert isinstance(content[key], kinds), f"{key} is {content[key]!r}"
        if kinds is NAMES and key not in ("points", "reference_shape", "ulp_histogram"):
            assert all(isinstance(each, str) for each in content[key])


def the_object(result: Result) -> dict[str, Any]:
    """The one object on stdout, of the documented form, agreeing with the exit code."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    assert result.out.count("\n") == 1
    content: dict[str, Any] = json.loads(result.out, parse_constant=refuse)
    check_shape(content, REPORT)
    for point in content["points"]:
        check_shape(point, POINT)
        assert point["status"] in ("within noise", "borderline", "diverged", "missing")
        assert all(sorted(each) == ["up_to", "values"] for each in point["ulp_histogram"])
        for key in ("units", "worst", "max_error"):
            assert not isinstance(point[key], str) or point[key] in ("Infinity", "-Infinity", "NaN")
    for side in ("reference", "mine"):
        if content[side] is not None:
            check_shape(content[side], SIDE)
    assert (content["format"], content["version"]) == ("npblender-comparison", 1)
    assert content["exit_code"] == result.code
    assert content["verdict"] in VERDICTS[result.code]
    assert (content["error"] is None) == (result.code in (0, 1, 3))
    assert (content["first_divergence"] is not None) == (result.code == 1)
    assert (result.err == "") == (content["verdict"] != "not comparable")
    return content


def test_agreement(folder: Path) -> None:
    result = compared(folder, "ref", "good", "--json")
    found = the_object(result)
    assert result.code == 0
    assert found["diverged"] == found["missing"] == found["surplus"] == found["unseen"] == found["causes"] == []
    assert [point["name"] for point in found["points"]] == list(reference().points)
    assert found["compared"] == len(found["points"])
    assert found["last_good"] == "log_probabilities"
    assert found["noise_measured"] is True
    assert found["refed"] is False
    assert found["reference"] == {
        **{"source": str(folder / "ref"), "dtype": "float64", "dialect": "parlai"},
        "points": len(reference().points),
    }
    first = found["points"][0]
    assert first["noise"] == {"rms": 0.0, "max": 0.0, "measured": True}
    assert sum(each["values"] for each in first["ulp_histogram"]) == first["values"] == 60


def test_divergence(folder: Path) -> None:
    result = compared(folder, "ref", "wrong", "--json")
    found = the_object(result)
    assert result.code == 1
    assert found["first_divergence"] == f"{FFN}.activation"
    assert found["last_good"] == "encoder.layers.0.self_attn.norm"
    assert found["unseen"] == found["missing"] == [f"{FFN}.hidden"]
    assert found["diverged"] == [f"{FFN}.activation", f"{FFN}.output", "encoder.states", "logits"]
    assert found["surplus"] == ["x<b>\x1b[31m"]
    assert found["causes"] == list(usual_causes(f"{FFN}.activation"))
    points = {point["name"]: point for point in found["points"]}
    first = points[f"{FFN}.activation"]
    assert first["worst_index"] == [0, 1, 2]
    assert_close(first["max_error"], 0.25, TOLERANCES["float32 against float64"])
    assert_close(first["mine_value"] - first["reference_value"], 0.25, TOLERANCES["float32 against float64"])
    assert first["remarks"] == ["one value alone is wrong"]
    shape = points[f"{FFN}.output"]
    assert (shape["units"], shape["reference_shape"], shape["mine_shape"]) == (None, [2, 5, 6], [2, 3, 6])
    assert (shape["values"], shape["noise"], shape["ulp_histogram"]) == (None, None, [])
    assert (points["encoder.states"]["mine_value"], points["encoder.states"]["mine_nan"]) == ("NaN", 1)
    assert (points["logits"]["mine_value"], points["logits"]["mine_infinite"]) == ("Infinity", 1)
    assert points["logits"]["units"] == points["logits"]["max_error"] == "Infinity"
    assert (points[f"{FFN}.hidden"]["status"], points[f"{FFN}.hidden"]["mine_shape"]) == ("missing", None)


NOT_COMPARABLE: dict[str, tuple[tuple[str, ...], str]] = {
    "no file": (("ref", "no such file"), "there is no file 'no such file'"),
    "no reference": (("no such file", "good"), "there is no file 'no such file'"),
    "a folder": (("ref", "."), "'.' is a folder"),
    "half a file": (("ref", "half"), "half was cut short"),
    "an empty file": (("ref", "empty"), "empty was cut short"),
    "nothing in common": (("ref", "strange.npz"), "no point in common"),
    "one argument": (("ref",), "the following arguments are required: MINE"),
    "no arguments": ((), "the following arguments are required: REF, MINE"),
    "too many": (("ref", "good", "good"), "unrecognized arguments"),
    "an unknown option": (("ref", "good", "--what"), "unrecognized arguments: --what"),
    "a shortened option": (("ref", "good", "--ht", "x"), "unrecognized arguments: --ht"),
    "an option without its value": (("ref", "good", "--html"), "argument --html: expected one argument"),
    "no table": (("ref", "good", "--map", "no such file"), "there is no file 'no such file'"),
    "a bad table": (("ref", "good", "--map", "bad-names"), "entry 'mine.{n}'"),
    "no folder for it": (
        ("ref", "good", "--html", "no/such/folder/page.html"),
        "there is no folder 'no/such/folder'",
    ),
    "a page that is a folder": (("ref", "good", "--html", "."), "--html . is a folder"),
    "a page over the reference": (("ref", "good", "--html", "ref"), "itself; name another file"),
    "a page over the names": (("ref", "good", "--map", "names", "--html", "names"), "itself; name another file"),
    "no re-fed cases": (("ref", "good", "--refed"), "holds no re-fed cases"),
}


@pytest.mark.parametrize("kind", sorted(NOT_COMPARABLE))
def test_what_is_not_comparable(folder: Path, kind: str) -> None:
    arguments, message = NOT_COMPARABLE[kind]
    assert message in one_error(compared(folder, *arguments))
    result = compared(folder, "--json", *arguments)
    assert result.code == 2
    found = the_object(result)
    assert message in found["error"]
    assert found["error"] in result.err
    assert found["points"] == []
    assert found["first_divergence"] is None


def test_json_behind_two_dashes_is_a_file(folder: Path) -> None:
    assert "there is no file '--json'" in one_error(run_cli("compare", folder / "ref", "--", "--json"))


def test_other_subcommands_print_no_object() -> None:
    one_error(run_cli("info", "--json", "--what"))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("unforeseen"), MemoryError()])
def test_even_what_was_not_foreseen_gives_an_object(folder: Path, error: BaseException) -> None:
    with mock.patch("npblender.groundtruth.comparison.compare._compared", side_effect=error):
        result = compared(folder, "ref", "good", "--json")
    if isinstance(error, KeyboardInterrupt):
        assert (result.code, result.err) == (130, "")
        assert json.loads(result.out)["error"] == "interrupted"
    else:
        assert result.code == 2
        assert type(error).__name__ in the_object(result)["error"]


def test_a_process_of_its_own(folder: Path) -> None:
    """The exit code and stdout as a program sees them."""
    command = [sys.executable, "-m", "npblender", "compare", "--json", str(folder / "ref")]
    for mine, code in (("wrong", 1), ("nothing", 2)):
        done = subprocess.run(
            [*command, str(folder / mine)], capture_output=True, text=True, env=environment(), check=False
        )
        assert done.returncode == code
        the_object(Result(done.returncode, done.stdout, done.stderr))


# A table of names.


def test_a_table_of_names(folder: Path, tmp_path: Path) -> None:
    mine = {"mine.0": in_float32().arrays["encoder.layers.0.output"], "mine.8": np.zeros(1)}
    np.savez(tmp_path / "mine.npz", **mine)
    result = run_cli("compare", folder / "ref", tmp_path / "mine.npz", "--map", folder / "names", "--json")
    found = the_object(result)
    assert found["compared"] == 1
    assert found["surplus"] == ["mine.8 (encoder.layers.8.output)"]
    assert found["unmatched_patterns"] == []
    assert [point["mine_name"] for point in found["points"] if point["mine_name"]] == ["mine.0"]
    unused = run_cli("compare", folder / "ref", folder / "good", "--map", folder / "names", "--json")
    assert the_object(unused)["unmatched_patterns"] == ["mine.{n}"]
    assert (
        "unmatched      1 entries of the table of names that nothing fits: mine.{n}"
        in run_cli("compare", folder / "ref", folder / "good", "--map", folder / "names").lines[-1].strip()
    )


# For people.


def test_the_text_of_an_agreement(folder: Path) -> None:
    result = compared(folder, "ref", "good")
    assert result.code == 0
    assert result.lines[0] == "WITHIN NOISE: {0} of {0} points compared".format(len(reference().points))
    assert re.fullmatch(r"  largest error  \d\.\d+ units rms at \S+", result.lines[1])
    assert len(result.lines) == 2


def test_the_text_of_a_divergence(folder: Path) -> None:
    """Every fact of the first divergence has its line, and what follows is brief."""
    result = compared(folder, "ref", "wrong")
    assert result.code == 1
    assert "\x1b" not in result.out
    entries: dict[str, list[str]] = {}
    for line in result.lines[1:]:
        if line.startswith("  ") and not line.startswith("    "):
            entries.setdefault(line[2:16].strip(), []).append(line[17:])
    total = len(reference().points)
    assert result.lines[0] == f"DIVERGED at {FFN}.activation: {total - 1} of {total} points compared"
    assert re.fullmatch(r"[\d,.e+]+ units rms \(noise up to 10\), a bug", entries["error"][0])
    assert entries["worst"][0].endswith("at [0, 1, 2]")
    value = reference().arrays[f"{FFN}.activation"][0, 1, 2]
    assert entries["values there"][0].startswith(f"reference {value:.9g}, mine ")
    assert entries["absolute"][0].startswith("max 0.25, rms ")
    assert entries["ulps"][0].startswith("50 values: ")
    assert entries["ulps"][0].endswith("1 beyond")
    assert entries["remark"] == ["one value alone is wrong"]
    assert entries["usual cause"] == list(usual_causes(f"{FFN}.activation"))
    assert entries["before it"] == ["16 points within noise, the last encoder.layers.0.self_attn.norm"]
    assert entries["unseen"][0].endswith(f": {FFN}.hidden")
    assert entries["after it"][0].startswith("3 of ")
    shown = reference().points.index(f"{FFN}.activation") + 1 + 12
    assert f"    and {len(reference().points) - shown} more, which --json and --html have" in result.lines
    assert entries["missing"][0].endswith(f": {FFN}.hidden")
    assert entries["surplus"][0].endswith(r": x<b>\x1b[31m")
    after = [line.split() for line in result.lines if line.startswith("    ") and line[4:7] != "and"]
    assert len(after) == 12
    assert after[0] == [f"{FFN}.output", "another", "shape"]
    assert after[1][2:] == ["units", "within", "noise"]


def test_the_text_says_layout_factor_and_hidden(tmp_path: Path) -> None:
    truth = Trace(
        {"encoder.layers.0.self_attn.q": np.arange(24.0).reshape(1, 2, 4, 3), "logits": np.array([1.0, -1e20])},
        {"encoder.layers.0.self_attn.q": Noise(1e-6, 2e-6), "logits": Noise(1e-6, 2e-6)},
        dtype="float64",
    )
    truth.save(tmp_path / "ref")
    merged = np.arange(24.0).reshape(1, 2, 4, 3).transpose(0, 2, 1, 3).reshape(1, 4, 6)
    mine = {"encoder.layers.0.self_attn.q_proj": merged * np.sqrt(3), "logits": np.array([1.0, -np.inf])}
    np.savez(tmp_path / "mine.npz", **mine)
    lines = run_cli("compare", tmp_path / "ref", tmp_path / "mine.npz").lines
    read = "[B, S, H*K]; times 0.57735, for it was not yet divided by sqrt(K): encoder.layers.0.self_attn.q"
    assert f"  read as        {read}" in lines
    assert "  read as        1 hidden scores by another number than the reference's: logits" in lines


def test_the_text_of_a_point_without_noise(folder: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", **{"encoder.embed.tokens": reference().arrays["encoder.embed.tokens"] * 1.5})
    result = run_cli("compare", folder / "ref", tmp_path / "mine.npz")
    assert "a unit is half a float32 ulp: nothing is rounded here" in result.out
    assert "  before it      nothing that was compared" in result.lines
    assert "  after it       nothing that was compared" in result.lines


def test_the_text_says_odd_dtypes(folder: Path, tmp_path: Path) -> None:
    """Values are compared all the same; that they are halves may be the reason why they diverge."""
    mine = arrays(in_float32())
    for name in ("encoder.embed.norm", "encoder.embed.output"):
        mine[name] = mine[name].astype(np.float16)
    np.savez(tmp_path / "mine.npz", **mine)
    lines = run_cli("compare", folder / "ref", tmp_path / "mine.npz").lines
    assert lines[0].startswith("DIVERGED at encoder.embed.norm: ")
    assert "  dtype          float16, the reference is float64" in lines
    assert "  dtype          1 points in float16: encoder.embed.output" in lines


def test_the_page_of_an_agreement_goes_with_json(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    the_object(compared(folder, "ref", "good", "--json", "--html", str(page)))
    assert "<h1>Within noise</h1>" in page.read_text(encoding="utf-8")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["report.html"]


# Re-fed cases.


def test_refed_answers(tmp_path: Path) -> None:
    from npblender.models.example import example_model

    cases = refed(example_model(), TraceInputs(**INPUTS))
    cases.save(tmp_path / "cases")
    answers = {name: array.astype(np.float32) for name, array in cases.outputs.items()}
    write_tensors(tmp_path / "good", answers)
    wrong = {name: array.copy() for name, array in answers.items()}
    wrong[f"{FFN}.activation"] *= 1.01
    wrong["logits"] += 1.0
    write_tensors(tmp_path / "wrong", wrong)
    good = the_object(run_cli("compare", "--refed", tmp_path / "cases", tmp_path / "good", "--json"))
    assert good["verdict"] == "within noise"
    assert good["refed"] is True
    assert [point["op"] for point in good["points"]] == [case.op for case in cases.cases]
    found = the_object(run_cli("compare", "--refed", tmp_path / "cases", tmp_path / "wrong", "--json"))
    assert found["diverged"] == [f"{FFN}.activation", "logits"]
    text = run_cli("compare", "--refed", tmp_path / "cases", tmp_path / "wrong")
    assert text.code == 1
    counted = "{0} of {0} operations compared".format(len(cases.cases))
    assert text.lines[0] == f"DIVERGED in 2: {counted}, each from the reference's inputs"
    assert f"{FFN}.activation (gelu)" in text.lines
    assert "logits (logits)" in text.lines
    assert any(line.startswith("  gelu           1 of 3 diverged; largest error ") for line in text.lines)
    assert "re-fed cases" in one_error(run_cli("compare", tmp_path / "cases", tmp_path / "good"))
