"""Whether two checkouts behave alike: equal records have no difference, a disturbed one shows where."""

import doctest
import json
import shutil
from pathlib import Path

import pytest

from tools import ROOT
from tools.differential.releases import book, compare, record
from tools.differential.releases.run import main


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record of the public names of this checkout."""
    folder = tmp_path_factory.mktemp("record")
    assert record.record(ROOT, folder, "surface") == []
    return folder


def disturbed(made: Path, place: Path) -> tuple[Path, str]:
    """A copy in which one value is another, and its name."""
    shutil.copytree(made, place)
    path = place / "surface" / "values.json"
    values = json.loads(path.read_text())
    name = next(name for name, value in values.items() if isinstance(value, str))
    path.write_text(json.dumps(values | {name: "another"}))
    return place, name


def test_equal_records_have_no_difference(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.compare(made, made) == 0
    assert "0 left" in capsys.readouterr().out


def test_a_difference_is_named_and_may_be_allowed(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, name = disturbed(made, tmp_path / "other")
    assert compare.compare(made, other) == 1
    said = capsys.readouterr().out
    assert name in said
    assert "new: another" in said
    allowed = tmp_path / "allowed.json"
    allowed.write_text(json.dumps([{"reason": "the test's", "job": "surface", "new": "^another$"}]))
    assert compare.compare(made, other, allow=allowed) == 0


def test_a_value_that_is_gone_is_a_difference(made: Path, tmp_path: Path) -> None:
    other, name = disturbed(made, tmp_path / "other")
    path = other / "surface" / "values.json"
    values = json.loads(path.read_text())
    del values[name]
    path.write_text(json.dumps(values))
    assert compare.compare(made, other) == 1


def test_what_cannot_be_recorded_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="holds no npblender"):
        record.record(tmp_path, tmp_path / "out", "surface")
    with pytest.raises(SystemExit):
        main([str(ROOT), "--only", "weather"])
    assert "no job is called 'weather'; there are traces@rows" in capsys.readouterr().err


def test_the_examples_hold() -> None:
    for module in (record, compare, book):
        result = doctest.testmod(module)
        assert result.failed == 0
