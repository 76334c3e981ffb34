"""`npblender tokenize` and `npblender info`, and what every command has in common."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import safetensors

import npblender
from npblender.cli.options import SMALL, blas_threads, suit_threads
from npblender.ops.packed.blas import function, openblas
from npblender.transformer.parameters import to_arrays
from reference_tests.support.cli_runs import ROOT, command, environment, one_error, run_cli
from reference_tests.support.tiny_folder import make_model, make_tokenizer


def test_tokenize_shows_pieces_merges_tokens_and_ids(tiny_folder: Path) -> None:
    """Solved by hand from the list of merges: every prefix of a word is one merge."""
    tokenizer = make_tokenizer()
    result = run_cli("tokenize", "--model", tiny_folder, "Low tea!")
    ranks = [
        tokenizer.codec.bpe.table.rank(*pair) for pair in (("l", "o"), ("lo", "w</w>"), ("t", "e"), ("te", "a</w>"))
    ]
    low, tea, mark = tokenizer.convert_tokens_to_ids(["low", "tea", "!"])
    assert result.lines == [
        f"'low' -> low  {low}",
        f"    merge {ranks[0]}: l + o -> lo w</w>",
        f"    merge {ranks[1]}: lo + w</w> -> low</w>",
        f"'tea' -> tea  {tea}",
        f"    merge {ranks[2]}: t + e -> te a</w>",
        f"    merge {ranks[3]}: te + a</w> -> tea</w>",
        f"'!' -> !  {mark}",
        "tokens: low tea !",
        f"ids: {low} {tea} {mark}",
        "decoded: low tea !",
    ]
    assert (result.code, result.err) == (0, "")


def test_tokenize_as_json_in_both_dialects(tiny_folder: Path) -> None:
    for dialect in ("parlai", "transformers-5"):
        tokenizer = make_tokenizer(dialect)
        text = "(hello) __end__ lower"
        result = run_cli("tokenize", "--model", tiny_folder, "--dialect", dialect, "--json", text)
        found = json.loads(result.out)
        assert found["ids"] == tokenizer.encode(text)
        assert found["tokens"] == tokenizer.tokenize(text)
        assert found["dialect"] == dialect
        assert [number for piece in found["pieces"] for number in piece["ids"]] == found["ids"]
        assert found["pieces"][-1]["merges"][-1]["symbols"] == ["lower</w>"]
        typed = json.loads(
            run_cli("tokenize", "--model", tiny_folder, "--dialect", dialect, "--json", "--typed", text).out
        )
        assert typed["ids"] == tokenizer.encode(text, split_special_tokens=True)
        assert 2 in found["ids"]
        assert 2 not in typed["ids"]


def test_tokenize_never_prints_controls_and_takes_any_text(tiny_folder: Path) -> None:
    result = run_cli("tokenize", "--model", tiny_folder, "a\x1b[31m\x07\n\u202eb")
    assert result.code == 0
    assert all(character.isprintable() or character == "\n" for character in result.out)
    assert run_cli("tokenize", "--model", tiny_folder, "").lines == ["tokens: ", "ids: ", "decoded: "]
    assert run_cli("tokenize", "--model", tiny_folder, "--", "-5").code == 0
    assert "not UTF-8" in one_error(run_cli("tokenize", "--model", tiny_folder, "caf\udce9"))


def test_info_counts_and_names_what_would_run(tiny_folder: Path) -> None:
    model = make_model(seed=2)
    found = json.loads(run_cli("info", "--model", tiny_folder, "--json").out)
    assert found["model"] == str(tiny_folder)
    assert found["dialect"] == "parlai"
    assert found["parameters"] == model.num_parameters()
    assert found["config"] == json.loads((tiny_folder / "config.json").read_text())
    assert found["weights"]["files"] == ["model.safetensors"]
    assert found["weights"]["stored as"] == ["F32"]
    assert found["weights"]["bytes"] == sum(array.nbytes for array in to_arrays(model.weights).values())
    assert found["versions"]["npblender"] == npblender.__version__
    assert found["versions"]["numpy"] == np.__version__
    assert found["versions"]["safetensors"] == safetensors.__version__
    assert found["blas"]["name"]
    assert found["threads"]["cores this process may use"] >= 1
    assert found["threads"]["OMP_NUM_THREADS"] == "1"


def test_info_for_people(tiny_folder: Path) -> None:
    result = run_cli("info", "--model", tiny_folder, "--dialect", "transformers-4")
    assert "dialect: transformers-4" in result.lines
    assert f"parameters: {make_model().num_parameters():,}" in result.lines
    assert "  d_model: 12" in result.lines
    headings = [line.partition(":")[0] for line in result.lines if not line.startswith(" ")]
    assert headings == [
        *("model", "dialect", "parameters", "config", "weights", "generation", "versions", "blas", "threads")
    ]


def test_a_small_model_gets_one_thread_unless_the_user_says_otherwise() -> None:
    """Asked of the BLAS itself; set back afterwards, since the process goes on."""
    before = blas_threads()
    if not isinstance(before, int):
        pytest.skip("NumPy's BLAS is not the OpenBLAS that its wheels bring along")
    set_threads = function(openblas(), "set_num_threads")
    try:
        set_threads(2)
        if blas_threads() != 2:
            pytest.skip("this machine has one core")
        suit_threads(SMALL + 1, {})
        assert blas_threads() == 2
        suit_threads(SMALL, {"OMP_NUM_THREADS": "2"})
        assert blas_threads() == 2
        suit_threads(SMALL, {})
        assert blas_threads() == 1
    finally:
        set_threads(before)


ERRORS = {
    (): "the following arguments are required: COMMAND; see npblender --help",
    ("sing",): "invalid choice: 'sing'",
    ("tokenize",): "the following arguments are required: TEXT; see npblender tokenize --help",
    ("tokenize", "a", "b"): "unrecognized arguments: b",
    ("info", "--model", "no/such\x1b[31m"): "there is no folder 'no/such\\x1b[31m'",
    ("info", "--model", __file__): "is a file; give the folder",
    ("tokenize", "--model", "no/such", "a"): "there is no folder 'no/such'",
}


@pytest.mark.parametrize(("arguments", "message"), ERRORS.items())
def test_errors_are_one_line_and_exit_2(arguments: tuple[str, ...], message: str) -> None:
    assert message in one_error(run_cli(*arguments))


def test_help_and_version() -> None:
    for subcommand in ([], ["chat"], ["generate"], ["tokenize"], ["info"]):
        result = run_cli(*subcommand, "--help")
        assert result.code == 0
        assert result.out.startswith("usage: npblender")
    assert run_cli("--version") == (0, f"npblender {npblender.__version__}\n", "")


def test_the_console_script_and_the_module_are_one() -> None:
    configuration = (ROOT / "pyproject.toml").read_text()
    assert 'npblender = "npblender.__main__:main"' in configuration
    module = (ROOT / "npblender" / "__main__.py").read_text()
    assert "from npblender.cli.main import main as run" in module
    assert "sys.exit(main())" in module


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_one_line(tiny_folder: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command("tokenize", "--model", tiny_folder, "a"),
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith(b"npblender tokenize: error: [Errno 28]")
    assert done.stderr.count(b"\n") == 1
