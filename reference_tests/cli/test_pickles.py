"""A model that comes as a pickle: every command that loads weights can be allowed to read it; else none does."""

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from npblender.cli.main import SUBCOMMANDS, main, make_parser

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "checkpoints"
PARLAI, PICKLED = str(GOLDEN / "parlai"), str(GOLDEN / "pickled")
NO_WEIGHTS = {"tokenize"}
"""Commands with --model that read the tokenizer alone."""


def parsers(parser: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield every parser of a command, which may have commands of its own."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        yield name, parser
    for action in inner:
        for word, each in action.choices.items():
            yield from parsers(each, f"{name} {word}".strip())


def test_every_command_that_loads_weights_takes_the_switch() -> None:
    found = {}
    for name in SUBCOMMANDS:
        found |= {words: each for words, each in parsers(make_parser([name]), "") if words.startswith(name)}

    def having(option: str) -> set[str]:
        return {name for name, each in found.items() if any(option in one.option_strings for one in each._actions)}

    with_model, switched = having("--model"), having("--allow-pickle")
    assert {"chat", "generate", "trace", "info", "compare", "golden export", "golden verify", "tokenize"} <= with_model
    assert switched == with_model - NO_WEIGHTS | {"convert", "verify"}


@pytest.mark.parametrize(
    "command",
    [
        ["chat", "--say", "hello", "--model", PARLAI],
        ["generate", "IN", "--quiet", "--model", PARLAI],
        ["trace", "--input-ids", "5,6", "--no-noise", "--out", "OUT", "--model", PARLAI],
        ["info", "--model", PARLAI],
        ["verify", PARLAI],
        ["convert", PARLAI, "NEW"],
        pytest.param(["golden", "export", "NEW", "--model", PARLAI], marks=pytest.mark.slow),
        ["compare", "TRACE", "TRACE", "--model", PICKLED],
    ],
    ids=lambda command: " ".join(command[:2]) if command[0] == "golden" else command[0],
)
def test_a_pickle_is_read_only_if_it_is_allowed(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {name: tmp_path / name.lower() for name in ("IN", "OUT", "NEW")}
    places["IN"].write_text("hello\n")
    places["TRACE"] = tmp_path / "trace.safetensors"
    if "TRACE" in command:
        made = ["trace", "--model", PICKLED, "--allow-pickle", "--input-ids", "1,2", "--no-noise", "--out"]
        assert main([*made, str(places["TRACE"])]) == 0
    words = [str(places.get(word, word)) for word in command]
    assert main(words) == 2
    assert "is a pickle" in (refused := capsys.readouterr().err)
    assert "npblender convert" in refused
    assert main([*words, "--allow-pickle"]) == 0


@pytest.mark.slow
def test_a_pack_of_a_pickled_model_is_verified_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack, model = str(tmp_path / "pack"), str(shutil.copytree(PARLAI, tmp_path / "model"))
    assert main(["golden", "export", pack, "--model", model, "--allow-pickle"]) == 0
    checked = ["golden", "verify", pack, "--only", "forward/*"]
    assert main([*checked, "--model", model, "--allow-pickle"]) == 0
    capsys.readouterr()
    assert main([*checked, "--model", model]) == 2
    assert "is a pickle" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["golden", "export", "X", "--tiny", "--allow-pickle"],
        ["golden", "verify", "X", "--allow-pickle"],
        ["compare", "X", "X", "--allow-pickle"],
        ["compare", "X", "X", "--runs", "--allow-pickle"],
    ],
)
def test_the_switch_is_refused_where_it_would_allow_nothing(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 2
    assert "--allow-pickle" in capsys.readouterr().err
