"""What the benchmark makes of its timings: ratios, tables, the places on the page, and a plot. It measures nothing."""

import json
from xml.etree import ElementTree

import pytest

from reference_tests.support.asserts import assert_close
from reference_tests.support.tolerances import TOLERANCES
from tools.bench import peers, plot, report, rounds, running
from tools.bench.works import WORKS, Cost
from tools.docs.tables import between_markers

HAND = TOLERANCES["numbers worked out by hand"]


def timings() -> rounds.Timings:
    return rounds.Timings(
        seconds={"npblender": [0.32, 0.64, 0.48], "transformers": [0.96, 1.28, 0.96]},
        answers={"npblender": [[1, 2], [3], [4]], "transformers": [[1, 2], [3], [5]]},
        bandwidth=[1e9, 2e9, 1e9],
        peak=[1e12] * 3,
    )


def cells_of(table: str) -> list[list[str]]:
    """What stands in each row of a table, its head left out."""
    return [[cell.strip() for cell in row.split("|")][1:-1] for row in table.strip().splitlines()[2:]]


def test_a_result_is_made_of_its_rounds():
    cost = Cost(((160_000_000, 0),))  # 0.16, 0.08 and 0.16 s
    result = report.result_of(WORKS["greedy"], timings(), cost, {})
    assert result["ratio"]["transformers"] == {"median": 2.0, "low": 2.0, "high": 3.0, "rounds": 3}
    nearness = result["bound"]["nearness"]
    assert list(nearness) == ["median", "low", "high", "rounds"]
    assert_close(list(nearness.values()), [1 / 3, 0.125, 0.5, 3], HAND)
    assert json.loads(json.dumps(result)) == result
    table = report.works_table({"greedy": result})
    cells = [cell.strip() for cell in table.splitlines()[2].split("|")]
    assert cells[1:4] == ["greedy, ms a token", "15.0", "30.0: x 2.00 (2.00-3.00)"]
    assert cells[4:7] == ["5.0", "0.33 (0.12-0.50)", "2.4"]
    assert "2.1" in report.works_table({"greedy": result}, avx512=False).splitlines()[2].split("|")[-2]


def test_the_products_say_what_is_possible_at_most():
    found = timings()
    found.seconds[peers.PRODUCTS], found.interpreter = [0.16, 0.32, 0.24], [0.16, 0.0, 0.24]
    result = report.result_of(WORKS["greedy"], found, None, {})
    assert result["at_most"]["transformers"]["products"]["median"] == 4.0  # of 6, 4 and 4
    assert result["at_most"]["transformers"]["both"]["median"] == 3.0  # of 3, 4 and 2
    assert "all" not in result["at_most"]["transformers"]
    found.functions = [0.08, 0.32, 0.48]
    result = report.result_of(WORKS["greedy"], found, None, {})
    assert result["at_most"]["transformers"]["all"]["median"] == 2.0  # of 2.4, 2 and 1
    assert cells_of(report.least_table({"greedy": result}))[0] == [
        "greedy, ms a token",
        "15.0",
        "7.5",
        "5.0",
        "10.0",
        "x 4.00 (4.00-6.00)",
        "x 3.00 (2.00-4.00)",
        "x 2.00 (1.00-2.40)",
        "2.4",
    ]
    assert "7.5" not in report.works_table({"greedy": result})
    without = {"greedy": report.result_of(WORKS["greedy"], timings(), None, {})}
    assert report.least_table(without) == report.limits_table(without) == ""


def test_a_process_has_its_interpreter_within_its_products():
    found = timings()
    found.seconds[peers.PRODUCTS] = [0.16, 0.32, 0.24]
    result = {"start": report.result_of(WORKS["start"], found, None, {})}
    assert list(result["start"]["at_most"]["transformers"]) == ["products"]
    assert cells_of(report.least_table(result))[0] == [
        *("process start to a 20-token reply, s", "0.48", "0.24", "-", "-", "x 4.00 (4.00-6.00)", "-", "-", "7")
    ]
    assert cells_of(report.limits_table(result))[0] == [
        *("process start to a 20-token reply, s", "0.96", "0.14 (x 7)", "0.24", "yes", "0.48: x 2.00 (2.00-2.00)")
    ]
    found.seconds[peers.PRODUCTS], found.functions = [0.12, 0.16, 0.12], [0.12, 0.16, 0.12]  # x 8, and x 4 with both
    result = {"start": report.result_of(WORKS["start"], found, None, {})}
    assert cells_of(report.limits_table(result))[0][3:5] == ["0.12 + 0.12", "without faster functions"]


@pytest.mark.parametrize(("name", "avx512"), [("greedy", True), ("batch", False), ("encode-8x128", False)])
def test_a_target_is_out_of_reach_where_products_and_interpreter_take_longer(name, avx512):
    """transformers takes 0.96, 1.28 and 0.96 s, products and interpreter 0.32 each: 1.5, 2.0 and 1.5 at most."""
    found = timings()
    found.seconds[peers.PRODUCTS] = found.interpreter = [0.32] * 3
    cells = {
        "greedy": ["greedy, ms a token", "30.0", "12.5 (x 2.4)", "10.0 + 10.0", "yes", "15.0: x 1.50 (1.00-2.00)"],
        "batch": [
            *("greedy, 32 rows, ms a step", "30.0", "18.2 (x 1.65)", "10.0 + 10.0", "yes", "15.0: x 1.50 (1.00-2.00)")
        ],
        "encode-8x128": [
            *("encode 8 x 128, ms", "960.0", "872.7 (x 1.1)", "320.0 + 320.0", "no"),
            "480.0: x 1.50 (1.00-2.00), wanted: 1.4",
        ],
    }
    result = {name: report.result_of(WORKS[name], found, None, {})}
    assert cells_of(report.limits_table(result, avx512)) == [cells[name]]
    assert "wanted: 1.4" not in report.limits_table(result, avx512=True)
    found.functions = [0.32] * 3  # 1, 1.33 and 1 at most
    result = {name: report.result_of(WORKS[name], found, None, {})}
    verdict = "without faster functions" if name == "encode-8x128" else "yes"
    third = cells[name][3].split()[0]
    assert cells_of(report.limits_table(result, avx512))[0][3:5] == [f"{cells[name][3]} + {third}", verdict]


@pytest.mark.parametrize(("kernels", "written", "kept"), [("Haswell", "-avx2", ""), ("SkylakeX", "", "-avx2")])
def test_each_kind_of_processor_has_places_of_its_own_on_the_page(tmp_path, monkeypatch, kernels, written, kept):
    page = tmp_path / "page.md"
    names = [f"{table}{kind}" for table in ("bench", "limits") for kind in ("", "-avx2")]
    page.write_text("".join(f"<!-- {name}:begin -->\nold {name}\n<!-- {name}:end -->\n" for name in names))
    monkeypatch.setattr(running, "text_of", lambda result: "new\n")
    found = timings()
    result = {"machine": {"kernels": kernels}, "works": {"greedy": report.result_of(WORKS["greedy"], found, None, {})}}
    running.write_page(page, result)
    assert [name for name in names if f"old {name}\n" not in page.read_text()] == [f"bench{written}"]
    found.seconds[peers.PRODUCTS] = found.interpreter = [0.32] * 3
    result["works"]["greedy"] = report.result_of(WORKS["greedy"], found, None, {})
    running.write_page(page, result)
    kept_names = [name for name in names if f"old {name}\n" in page.read_text()]
    assert kept_names == [f"bench{kept}", f"limits{kept}"]
    limits = between_markers(page, f"limits{written}")
    assert limits == report.limits_table(result["works"], avx512=not written)


def test_earlier_results_are_kept_only_from_the_same_machine():
    old = {"machine": {"cores": 2}, "config": "90M", "versions": {}, "absent": {}, "works": {"beam": 1}, "growth": {}}
    assert list(running.joined({**old, "works": {"greedy": 1}}, old)["works"]) == ["greedy", "beam"]
    with pytest.raises(ValueError, match="another machine"):
        running.joined({**old, "machine": {"cores": 4}}, old)


def test_a_plot_has_every_step_at_its_height():
    growth = {
        "steps": {"engines": {"npblender": {"milliseconds": [8.0, 10.0, 4.0], "last_over_first": 1.0}}, "bound_ms": 5.0}
    }
    lines = ElementTree.fromstring(plot.drawn(growth)).iter("{http://www.w3.org/2000/svg}polyline")
    points = [[tuple(map(float, p.split(","))) for p in line.get("points", "").split()] for line in lines]
    ours, bound = (line for line in points if len(line) == 3)  # the others are the legend's
    top, bottom = plot.TOP, plot.HEIGHT - plot.BOTTOM
    heights = [(bottom - y) / (bottom - top) * 10 for _, y in ours]
    assert_close(heights, [8.0, 10.0, 4.0], HAND)
    bounds = [(bottom - y) / (bottom - top) * 10 for _, y in bound]
    assert_close(bounds, [5.0] * 3, HAND)
    assert [x for x, _ in ours] == [x for x, _ in bound] == sorted({x for x, _ in ours})
    with pytest.raises(ValueError, match="needs the works"):
        plot.drawn({})
