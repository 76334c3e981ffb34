"""The page in a real Chromium: what it shows is what the package computed, by mouse and by keys, in every width."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import npblender
from npblender.chat.explanation.runs import Run
from npblender.groundtruth import explain_trace
from reference_tests.support.browser import DESK, PHONE, complaints, show

pytest.importorskip("selenium", reason="selenium is not installed: pip install '.[browser]'")

from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

CELLS = (
    "return [...document.querySelectorAll(arguments[0])].map(row => [...row.children].map(each => each.textContent))"
)
HOSTILE = "</script><img src=x onerror=\"document.title='broken'\"><!-- \u2028 \u202e &amp; do you like pets ?"


def all_of(browser: Any, css: str) -> list[Any]:
    return list(browser.find_elements(By.CSS_SELECTOR, css))


def one(browser: Any, css: str) -> Any:
    return browser.find_element(By.CSS_SELECTOR, css)


def choose(browser: Any, label: str, value: str) -> None:
    """Pick an entry of one of the attention's lists."""
    (entry,) = [each for each in all_of(browser, "#attention label") if each.text.startswith(label)]
    entry.find_element(By.CSS_SELECTOR, f"option[value='{value}']").click()


def under(browser: Any, name: str) -> None:
    """Show another run."""
    (entry,) = [each for each in all_of(browser, "fieldset label") if each.text.strip() == name]
    entry.click()


def labels(browser: Any, css: str) -> list[str]:
    """The labels of many elements, in one call."""
    script = "return [...document.querySelectorAll(arguments[0])].map(each => each.getAttribute('aria-label'))"
    return list(browser.execute_script(script, css))


def number(text: str) -> float:
    return float(text.replace("\u2212", "-"))


def run_of(found: npblender.Explanation, name: str) -> Run:
    (run,) = (run for run in found.runs if run.name == name)
    assert isinstance(run, Run)
    return run


def test_the_page_shows_every_part_and_loads_nothing(browser: Any, page: Path, found: npblender.Explanation) -> None:
    show(browser, page)
    titles = [each.text for each in all_of(browser, "main h2")]
    assert titles == [
        *("From text to ids", "From ids to vectors", "What each word looks at", "What the model expects next"),
        *("What every layer would say", "How the search went", "The same elsewhere"),
    ]
    assert one(browser, "#said").text == "Do you have any pets?"
    assert one(browser, "#reply").text.startswith(found.runs[0].reply)
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert complaints(browser) == []


def test_every_merge_is_there(browser: Any, page: Path, found: npblender.Explanation) -> None:
    show(browser, page)
    merges = browser.execute_script("return [...document.querySelectorAll('#words li')].map(each => each.textContent)")
    ranks = [int(text.rpartition("merge ")[2].rstrip(")")) for text in merges]
    assert ranks == [merge.rank for piece in run_of(found, "parlai").pieces for merge in piece.merges]
    assert merges[0].startswith("d\u00b7 + o \u2192 do")


@pytest.mark.parametrize("kind", ["encoder", "decoder", "cross"])
def test_a_cell_names_its_weight_in_every_head(
    browser: Any, page: Path, found: npblender.Explanation, kind: str
) -> None:
    show(browser, page)
    weights = (run_of(found, "parlai").passed.attentions or {})[kind]
    choose(browser, "attention", kind)
    for layer, of_layer in enumerate(weights):
        choose(browser, "layer", str(layer))
        for head in ("average", *map(str, range(len(of_layer)))):
            choose(browser, "head", head)
            expected = of_layer.mean(axis=0) if head == "average" else of_layer[int(head)]
            said = [number(text.rpartition(" ")[2]) for text in labels(browser, "#heat td[tabindex]")]
            seen = np.tril(np.ones(expected.shape, bool)) if kind == "decoder" else np.ones(expected.shape, bool)
            assert np.abs(np.array(said) - expected[seen]).max() < 0.5001e-4


def test_hovering_and_clicking(browser: Any, page: Path, found: npblender.Explanation) -> None:
    show(browser, page)
    run = run_of(found, "parlai")
    weights = (run.passed.attentions or {})["cross"][0].mean(axis=0)
    cell = all_of(browser, "#heat tbody tr:nth-child(7) td")[4]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", cell)
    ActionChains(browser).move_to_element(cell).perform()
    said = one(browser, "#read").text
    word = run.tokens[run.target[6]]
    assert said == f"{word} looks at pets with weight {weights[6, 4]:.4f} (layer 1, average of the heads)"
    all_of(browser, "#heat tbody th button")[6].click()
    rows = [row.text.split() for row in all_of(browser, "#looks tbody tr")]
    order = np.argsort(-weights[6])
    assert [row[0] for row in rows] == [run.tokens[run.source[n]] for n in order]
    assert [row[1] for row in rows] == [f"{weights[6, n]:.4f}" for n in order]
    all_of(browser, "#heat thead th button")[4].click()
    rows = [row.text.split() for row in all_of(browser, "#looks tbody tr")]
    assert len(rows) == min(12, len(weights))  # the page shows no more
    assert [row[1] for row in rows] == [f"{weight:.4f}" for weight in np.sort(weights[:, 4])[::-1][: len(rows)]]
    place = len((run.passed.attentions or {})["cross"][0]) + 1  # layer 2, head 2
    all_of(browser, ".heads button")[place].click()
    assert "layer 2, head 2" in one(browser, "#attention .caption").text
    assert all_of(browser, ".heads button")[place].get_attribute("aria-pressed") == "true"


def test_keys_walk_the_tables_and_the_tree(browser: Any, page: Path, found: npblender.Explanation) -> None:
    show(browser, page)
    run = run_of(found, "parlai")
    word = run.tokens[run.target[1]]

    def focused() -> str:
        return str(browser.switch_to.active_element.get_attribute("aria-label"))

    first = one(browser, "#heat td[tabindex='0']")
    browser.execute_script("arguments[0].focus()", first)
    assert focused().startswith("__start__ looks at do")
    for key, expected in (
        (Keys.ARROW_RIGHT, "__start__ looks at you"),
        (Keys.ARROW_DOWN, f"{word} looks at you"),
        (Keys.END, f"{word} looks at ?"),
        (Keys.HOME, f"{word} looks at do"),
    ):
        browser.switch_to.active_element.send_keys(key)
        assert focused().startswith(expected)
        assert len(all_of(browser, "#heat td[tabindex='0']")) == 1
    browser.execute_script("arguments[0].focus()", one(browser, "#tree g"))
    browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert focused().startswith("step 2, ,: log-probability \N{MINUS SIGN}0.0921")  # after "no"
    browser.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    assert focused().startswith("step 2, ,: log-probability \N{MINUS SIGN}0.0092")  # after "yes"
    browser.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    assert focused().startswith("step 2, pets")
    assert one(browser, "#node").text.startswith("step 2, pets")
    browser.switch_to.active_element.send_keys(Keys.ARROW_LEFT)
    assert focused().startswith("step 1, no")


def test_a_vectors_numbers_are_read_along_its_strip(browser: Any, page: Path, found: npblender.Explanation) -> None:
    show(browser, page)
    run = run_of(found, "parlai")
    all_of(browser, "#vectors .words button")[4].click()  # pets
    strips = all_of(browser, "#vectors .strip")[0].find_elements(By.CSS_SELECTOR, "canvas")
    assert len(strips) == 6
    for strip, each in zip(strips, run.passed.embedded, strict=False):
        browser.execute_script("arguments[0].focus()", strip)
        width = each.rows.shape[1]
        for key, place in (
            (Keys.ARROW_RIGHT, 1),
            (Keys.ARROW_RIGHT, 2),
            (Keys.END, width - 1),
            (Keys.ARROW_LEFT, width - 2),
        ):
            strip.send_keys(key)
            said = one(browser, "#vectors .read").text
            assert f"of pets, dimension {place + 1}: " in said
            assert abs(number(said.rpartition(" ")[2]) - each.rows[4, place]) < 0.51e-3


def test_the_ten_most_probable_tokens(browser: Any, page: Path, found: npblender.Explanation) -> None:
    show(browser, page)
    run = run_of(found, "parlai")
    for place, step in enumerate(run.steps):
        all_of(browser, "#next .words button")[place].click()
        rows = browser.execute_script(CELLS, "#best tbody tr")
        assert len(rows) == 10
        for (name, probability, _), (index, p) in zip(rows, step.best, strict=True):
            assert name.split(" ")[0] == run.tokens[index]
            assert probability == (f"{p:.4f}" if p >= 0.00005 else "< 0.0001")
            assert (" \u2190 chosen" in name) == (index == step.chosen)
    shortest = npblender.GenerationConfig.from_pretrained(npblender.demo.folder()).min_length
    assert f"the reply is shorter than {shortest + 1} tokens" in browser.execute_script(
        "document.querySelector('#next .words button').click(); return document.querySelector('#next').textContent"
    )


def test_the_tree_and_both_length_penalties(browser: Any, page: Path, found: npblender.Explanation) -> None:
    show(browser, page)
    tree = run_of(found, "parlai").tree
    assert tree is not None
    said = labels(browser, "#tree g")
    assert len(said) == len(tree.nodes)
    for text, node in zip(said, tree.nodes, strict=True):
        parts = text.split("log-probability ")[1].split(" sum ")
        numbers = [number(part.split(",")[0].split(";")[0]) for part in parts]
        assert numbers == [round(node.log_prob, 4), round(node.total, 4)]
    rows = [[cell.text for cell in row.find_elements(By.XPATH, "./*")] for row in all_of(browser, "#finished tbody tr")]
    assert [row[0] for row in rows] == [str(each.rank) for each in tree.finished]
    for row, each in zip(rows, tree.finished, strict=True):
        assert [number(row[n]) for n in (2, 4, 6)] == [
            round(each.total, 4),
            round(each.parlai, 4),
            round(each.transformers, 4),
        ]
        assert row[3] == str(len(each.ids))


def test_a_node_says_which_n_grams_were_blocked(browser: Any, model: Any, tokenizer: Any, tmp_path: Path) -> None:
    path = tmp_path / "blocked.html"
    found = npblender.explain(model, tokenizer, "Do you have any pets?", dialects=(), no_repeat_ngram_size=1)
    found.save(path)
    show(browser, path)
    run = run_of(found, "parlai")
    assert run.tree is not None
    place = next(n for n, here in enumerate(run.tree_blocked) if any(each.ngram for each in here.tokens))
    assert run.tree.nodes[place].total > -1e8
    browser.execute_script("document.querySelector(`#tree g[data-node='${arguments[0]}']`).focus()", place)
    said = one(browser, "#node").text
    assert f"The search blocked {run.tree_blocked[place].count} tokens here:" in said
    for each in run.tree_blocked[place].tokens:
        assert f"{run.tokens[each.token]} (probability" in said
        assert each.reason in said


def test_another_dialect_is_shown_and_its_differences_are_marked(
    browser: Any, page: Path, found: npblender.Explanation
) -> None:
    show(browser, page)
    under(browser, "transformers-5")
    run, first = run_of(found, "transformers-5"), run_of(found, "parlai")
    assert f"{run.score:.4f}".replace("-", "\u2212") in one(browser, "#reply").text
    changed = []
    for place, (step, other) in enumerate(zip(run.steps, first.steps, strict=False)):
        all_of(browser, "#next .words button")[place].click()
        before = dict(other.best)
        changed = [f"{p:.4f}" for i, p in step.best if f"{p:.4f}" != f"{before.get(i, -1):.4f}"]
        assert [each.text for each in all_of(browser, "#best .differs")] == changed
        if changed:
            break
    assert changed
    choose(browser, "attention", "decoder")
    one(browser, "#minus").click()
    apart = (run.passed.attentions or {})["decoder"][0].mean(0) - (first.passed.attentions or {})["decoder"][0].mean(0)
    said = [number(text.rpartition(" ")[2]) for text in labels(browser, "#heat td[tabindex]")]
    assert np.abs(np.array(said) - apart[np.tril(np.ones(apart.shape, bool))]).max() < 1.0001e-4
    assert complaints(browser) == []


def test_a_hostile_text_stays_a_text(browser: Any, model: Any, tokenizer: Any, tmp_path: Path) -> None:
    path = tmp_path / "hostile.html"
    npblender.explain(model, tokenizer, HOSTILE, max_length=8).save(path)
    show(browser, path)
    assert one(browser, "#said").text == HOSTILE.replace("\u2028", "\\u2028").replace("\u202e", "\\u202e")
    assert browser.title.startswith("How the reply came about: </script>")
    assert browser.execute_script("return [document.images.length, document.scripts.length]") == [0, 2]
    for name in ("transformers-4", "transformers-5"):
        under(browser, name)
    assert browser.title.startswith("How the reply came about")
    assert complaints(browser) == []


CONTRAST = """
const light = (text) => {
  const parts = text.match(/[\\d.]+/g).map(Number);
  const rgb = text.startsWith("color(") ? parts.slice(0, 3) : parts.slice(0, 3).map((v) => v / 255);
  const linear = rgb.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};
return [...document.querySelectorAll(arguments[0])].map((each) => {
  const style = getComputedStyle(each);
  const [a, b] = [light(style.color), light(style.backgroundColor)];
  return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), each.textContent, style.color, style.backgroundColor];
});
"""


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [DESK, PHONE])
def test_it_can_be_read_in_light_and_dark_on_a_desk_and_on_a_phone(
    browser: Any, page: Path, width: int, dark: bool
) -> None:
    show(browser, page, width=width, dark=dark)
    assert browser.execute_script("return document.documentElement.scrollWidth") == width
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(20, 22, 26)" if dark else "rgb(255, 255, 255)")
    for name in ("cross", "encoder"):
        choose(browser, "attention", name)
        for css in ("#heat td[tabindex]", "#lens-table td[tabindex]", ".words button"):
            found = browser.execute_script(CONTRAST, css)
            assert found
            assert [each for each in found if each[0] < 4.5] == []


def test_everything_that_is_operated_has_a_name(browser: Any, page: Path) -> None:
    show(browser, page)
    nameless = browser.execute_script("""
        const named = (each) => each.getAttribute("aria-label") || each.textContent.trim() || each.closest("label");
        const operated = [...document.querySelectorAll("button, select, input, [tabindex='0'], summary, svg")];
        const tables = [...document.querySelectorAll("table")].filter((each) => {
          const label = document.getElementById(each.getAttribute("aria-labelledby"));
          return !label || !label.textContent;
        });
        return [...operated.filter((each) => !named(each)), ...tables].map((each) => each.outerHTML);
    """)
    assert nameless == []


def test_in_a_notebook_it_stands_in_a_frame(browser: Any, found: npblender.Explanation, tmp_path: Path) -> None:
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html><title>notebook</title><body>{found._repr_html_()}", encoding="utf-8")
    show(browser, path)
    frame = one(browser, "iframe")
    assert frame.get_attribute("sandbox") == "allow-scripts"
    browser.switch_to.frame(frame)
    assert one(browser, "#said").text == "Do you have any pets?"
    assert len(all_of(browser, "#heat tbody tr")) == len(run_of(found, "parlai").steps)
    browser.switch_to.default_content()


def test_a_port_sees_where_it_parts(browser: Any, model: Any, tmp_path: Path) -> None:
    inputs: Any = {"input_ids": [[217, 163, 210]], "decoder_input_ids": [[1, 296, 99]], "steps": True}
    reference = npblender.trace(model, **inputs)
    mine = {name: array.astype(np.float32) for name, array in reference.arrays.items()}
    wrong = "step1.decoder.layers.1.encoder_attn.weights"
    mine[wrong] = mine[wrong][..., ::-1].copy()
    path = tmp_path / "port.html"
    explain_trace(reference, npblender.Trace(mine)).save(path)
    show(browser, path)
    assert one(browser, "main h2").text == "Where the second trace parts from the first"
    assert one(browser, "#verdict").text.startswith(f"They part at {wrong}.")
    assert len(all_of(browser, ".chart circle")) == len(reference.points)
    assert len(all_of(browser, ".chart circle.diverged")) == 1
    under(browser, "the other")
    choose(browser, "layer", "1")
    one(browser, "#minus").click()
    said = [number(text.rpartition(" ")[2]) for text in labels(browser, "#heat td[tabindex]")]
    assert np.flatnonzero(np.abs(said) > 0.001).tolist() == [3, 5]  # the second token's row of three, its ends
    assert complaints(browser) == []
