"""Completions and the manual page: every option of every subcommand is in each of them, and they are printed.

They are made by `python -m tools shell`, which also compares them where its two libraries are installed.
"""

import argparse
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import npblender.cli.main
from npblender.cli.main import COMPLETIONS, SUBCOMMANDS, main, make_parser

FOLDER = Path(npblender.cli.main.__file__).parent / "shell"
MANUAL = "npblender.1"


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """Every long option of a parser and of its subcommands."""
    found: set[str] = set()
    for action in parser._actions:
        found |= {name for name in action.option_strings if name.startswith("--")}
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                found |= options_of(inner)
    return found


EVERY = options_of(make_parser([], every=True))


def read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8").replace("\\-", "-")


@pytest.mark.parametrize("name", [*COMPLETIONS.values(), MANUAL])
def test_every_option_is_there_and_no_other(name: str) -> None:
    text = read(name)
    own = "fish" not in name  # fish writes options without their dashes, and has options of its own
    written = set(re.findall(r"--[a-z][a-z0-9-]*[a-z0-9]" if own else r"(?<=-l )[a-z0-9-]+", text))
    expected = EVERY if own else {option.removeprefix("--") for option in EVERY}
    assert expected - {"--help", "help"} <= written
    if own:
        assert written <= EVERY | {"--color"}
    for command in SUBCOMMANDS:
        assert re.search(rf"\b{command}\b", text)


@pytest.mark.parametrize("shell", COMPLETIONS)
def test_the_option_prints_them(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--completion", shell]) == 0
    assert capsys.readouterr().out == (FOLDER / COMPLETIONS[shell]).read_text(encoding="utf-8")


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--completion", "tcsh"]) == 2
    assert "invalid choice: 'tcsh' (choose from" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
@pytest.mark.parametrize(
    ("typed", "found"),
    [
        (["npblender", "ch"], ["chat"]),
        (["npblender", "chat", "--tem"], ["--temperature"]),
        (["npblender", "chat", "--dialect", "transformers-"], ["transformers-4", "transformers-5"]),
        (["npblender", "golden", "conv"], ["convert"]),
        (["npblender", "--completion", ""], ["bash", "fish", "zsh"]),
    ],
)
def test_bash_completes(typed: list[str], found: list[str]) -> None:
    words = " ".join(f"'{word}'" for word in typed)
    program = f"""
    source '{FOLDER / "npblender.bash"}'
    COMP_WORDS=({words}); COMP_CWORD={len(typed) - 1}
    command=$(complete -p npblender); command=${{command##*-F }}; ${{command%% *}} npblender "${{COMP_WORDS[-1]}}"
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split()) == found
