"""docs/points.md is what the code says, and says it of every point."""

from pathlib import Path

import pytest

from npblender.config import BlenderbotSmallConfig
from npblender.groundtruth.tracing.points import catalogue
from tools.docs import points as show_points


def rows() -> dict[str, list[list[str]]]:
    """The cells of every row of the tables, by the point that the row is of."""
    found: dict[str, list[list[str]]] = {}
    for line in show_points.tables().splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            found.setdefault(cells[0].strip("`"), []).append(cells[1:])
    return found


def test_the_page_is_written_from_the_code() -> None:
    assert show_points.written() == show_points.tables(), "run python -m tools points --write-docs"


def test_a_page_that_is_not_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: object) -> None:
    page = show_points.ROOT / "docs" / "points.md"
    other = tmp_path / "docs" / "points.md"
    other.parent.mkdir()
    other.write_text(page.read_text(encoding="utf-8").replace("queries, already", "queries, not"), encoding="utf-8")
    monkeypatch.setattr(show_points, "PAGE", other)
    monkeypatch.setattr(show_points, "ROOT", tmp_path)
    monkeypatch.setattr("sys.argv", ["show_points.py", "--check"])
    assert show_points.main() == 1
    monkeypatch.setattr("sys.argv", ["show_points.py", "--write-docs"])
    assert show_points.main() == 0
    assert other.read_text(encoding="utf-8") == page.read_text(encoding="utf-8")
    other.write_text("no markers", encoding="utf-8")
    with pytest.raises(ValueError, match="needs the markers"):
        show_points.written()


def test_every_point_has_its_two_rows_in_causal_order() -> None:
    points = catalogue(BlenderbotSmallConfig(encoder_layers=1, decoder_layers=1), labels=True)
    assert list(rows()) == [point.name.replace(".0.", ".{n}.") for point in points]
    assert {len(each) for each in rows().values()} == {2}


@pytest.mark.parametrize(
    ("point", "shape", "prefill", "step", "transformers", "parlai"),
    [
        ("encoder.embed.sum", "[B, S, D]", "[2, 24, 512]", "-", "encoder.layernorm_embedding.input", "norm_embeddings"),
        ("encoder.layers.{n}.ffn.hidden", "[B, S, F]", "[2, 24, 2048]", "-", "encoder.layers.{n}.fc1", "ffn.lin1"),
        ("decoder.layers.{n}.encoder_attn.k", "[B, H, S, K]", "[2, 16, 24, 32]", "-", "k_proj", "k_lin"),
        ("decoder.layers.{n}.self_attn.k", "[B, H, T, K]", "[2, 16, 8, 32]", "[2, 16, 1, 32]", "k_proj", "k_lin"),
        ("decoder.layers.{n}.self_attn.scores", "[B, H, T, L]", "[2, 16, 8, 8]", "[2, 16, 1, 9]", "-", "-"),
        ("decoder.layers.{n}.output", "[B, T, D]", "[2, 8, 512]", "[2, 1, 512]", "decoder_hidden_states.{n+1}", "{n}"),
        ("decoder.layers.{n}.ffn.norm", "[B, T, D]", "[2, 8, 512]", "[2, 1, 512]", "final_layer_norm", "norm3"),
        ("logits", "[B, T, V]", "[2, 8, 54944]", "[2, 1, 54944]", "lm_head", "-"),
        ("loss", "[]", "[]", "-", "-", "-"),
    ],
)
def test_some_rows_known_by_heart(
    point: str, shape: str, prefill: str, step: str, transformers: str, parlai: str
) -> None:
    shapes, called = rows()[point]
    assert shapes[:3] == [shape, prefill, step]
    assert transformers in called[0]
    assert parlai in called[1]
