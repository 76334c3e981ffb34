"""The page to chat in, in a real Chromium: by keyboard, on a phone, in the dark, with hostile texts."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from npblender import GenerationConfig
from npblender.chat.history import Turn
from npblender.chat.serve.chat_page import page
from npblender.chat.serve.request_body import NOT_SERVED
from npblender.chat.talks import Talks
from npblender.chat.transcript import Transcript, read_transcript
from npblender.config.generation_options import OPTIONS
from npblender.demo import FOLDER
from reference_tests.support.browser import PHONE, chromium, complaints, why_no_browser
from reference_tests.support.servers import Server, running_server

SHOTS = os.environ.get("NPBLENDER_SCREENSHOTS")
"""A folder that gets pictures of the page, to be looked at."""
HOSTILE = "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script><b id='bold'>&amp;</b>"


@pytest.fixture(scope="module")
def db(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("page") / "talks.sqlite"


@pytest.fixture(scope="module")
def server(needs_serve: None, db: Path) -> Iterator[Server]:
    with running_server("--db", db) as running:
        yield running


@pytest.fixture(scope="module")
def started() -> Iterator[Any]:
    if why_no_browser():
        pytest.skip(why_no_browser())
    with chromium() as driver:
        yield driver


@pytest.fixture
def browser(started, server: Server) -> Iterator[Any]:
    """The page, just opened; whatever a test did, the browser has nothing to complain about."""
    open_page(started, server)
    yield started
    wrong = [each for each in complaints(started) if "Password field" not in each]
    assert not wrong


def open_page(driver, server: Server, *, width: int = 1200, height: int = 850, dark: bool = False) -> None:
    features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    sizes = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width == PHONE}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", sizes)
    driver.get(server.url + "/")
    wait(lambda: driver.execute_script("return about !== null && document.activeElement.id === 'say'"))


def wait(condition: Callable[[], Any], seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)
    return found


def keys(driver, text: str) -> None:
    """Type into whatever has the focus, as a keyboard does."""
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(driver).send_keys(text).perform()


def said(driver) -> list[tuple[str, str]]:
    script = """return [...document.querySelectorAll('.turn')].map(
        (turn) => [turn.querySelector('.who').textContent, turn.querySelector('.words').textContent])"""
    return [tuple(each) for each in driver.execute_script(script)]


def say(driver, text: str) -> str:
    """Say something by keyboard alone; return the reply."""
    before = len(said(driver))
    focus(driver, "say")
    keys(driver, text + "\n")
    wait(lambda: len(said(driver)) == before + 2 and driver.execute_script("return running === null"))
    return said(driver)[-1][1]


def focus(driver, name: str) -> None:
    driver.execute_script("document.getElementById(arguments[0]).focus()", name)


def press(driver, name: str) -> None:
    """Press a button as the keyboard does: focus and Enter."""
    focus(driver, name)
    keys(driver, "\n")


def choose(driver, name: str, value: str) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.select import Select

    Select(driver.find_element(By.ID, name)).select_by_value(value)


def picture(driver, name: str) -> None:
    if SHOTS:
        driver.save_screenshot(str(Path(SHOTS) / f"{name}.png"))


def test_a_conversation_by_keyboard(browser, server: Server) -> None:
    first = say(browser, "Hi! What do you like to do for fun?")
    assert first == server.chat("Hi! What do you like to do for fun?").json["choices"][0]["message"]["content"]
    second = say(browser, "Do you like music?")
    assert [who for who, _ in said(browser)] == ["you", "model", "you", "model"]
    runners = browser.execute_script("return turns.at(-1).n_best.map((each) => [each.reply, each.score])")
    assert runners[0][0] == second
    assert [score for _, score in runners] == sorted((score for _, score in runners), reverse=True)
    shown = browser.execute_script(
        "const box = [...document.querySelectorAll('.turn')].at(-1).querySelector('details'); box.open = true;"
        "return [...box.querySelectorAll('tr')].map((row) => row.cells[1].textContent)"
    )
    assert shown == [reply for reply, _ in runners]
    picture(browser, "light")
    browser.execute_script(
        "[...document.querySelectorAll('.turn button')].find((b) => b.textContent === 'say this instead').click()"
    )
    wait(lambda: said(browser)[-1][1] == runners[1][0])
    press(browser, "undo")
    wait(lambda: len(said(browser)) == 2)
    assert browser.execute_script("return document.getElementById('say').value") == "Do you like music?"
    press(browser, "retry")
    wait(lambda: browser.execute_script("return running === null && !document.getElementById('alert').hidden"))
    assert said(browser)[-1][1] == first, "the same search finds the same reply, and the page says so"
    press(browser, "new")
    wait(lambda: said(browser) == [])


def test_every_control_is_reached_by_tab_and_has_a_name(browser) -> None:
    say(browser, "Hi!")
    browser.execute_script("for (const box of document.querySelectorAll('details')) box.open = true")
    script = """return [...document.querySelectorAll('button, input, select, textarea, summary, a')]
        .filter((each) => each.offsetParent !== null && !each.disabled)
        .map((each) => [each.tabIndex, (each.labels?.[0]?.textContent || each.textContent || '').trim()])"""
    controls = browser.execute_script(script)
    assert len(controls) > 40
    assert [name for tab, name in controls if tab < 0 or not name] == []
    focus(browser, "say")
    seen = set()
    for _ in range(12):
        keys(browser, "\ue004")  # Tab
        seen.add(browser.execute_script("return document.activeElement.id"))
        outlined = browser.execute_script(
            "const e = document.activeElement; return e.id === 'up' || getComputedStyle(e).outlineStyle !== 'none'"
        )
        assert outlined, "the focus is not seen"
    assert {"send", "undo", "retry", "new", "down", "up"} <= seen


def test_words_stream_and_stop(browser) -> None:
    choose(browser, "search", "sample")
    browser.execute_script(
        "Object.assign(chosen, {max_length: 126, min_length: 124, no_repeat_ngram_size: 0, seed: 3})"
    )
    browser.execute_script("""
        window.grew = 0;  // as soon as the third piece is there, Escape is pressed
        const watching = new MutationObserver(() => { if (turns.at(-1)?.text && ++window.grew === 3) {
            watching.disconnect();
            document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape', bubbles: true})); } });
        watching.observe(document.getElementById('log'), {childList: true, subtree: true, characterData: true});""")
    focus(browser, "say")
    keys(browser, "Tell me a story.\n")
    wait(lambda: browser.execute_script("return running === null"))
    assert browser.execute_script("return window.grew") == 3
    text = said(browser)[-1][1]
    assert text
    assert browser.execute_script("return turns.at(-1).stopped")
    time.sleep(0.5)
    assert said(browser)[-1][1] == text, "it went on"


def test_persona_dialect_and_settings(browser, server: Server) -> None:
    browser.execute_script("for (const box of document.querySelectorAll('#side details')) box.open = true")
    focus(browser, "persona")
    keys(browser, "i love to cook.\nyour persona: i have two cats.")
    choose(browser, "dialect", "transformers-5")
    focus(browser, "find")
    keys(browser, "num_beams")
    wait(lambda: browser.execute_script("return document.querySelectorAll('.setting').length") == 1)
    assert OPTIONS["num_beams"].meaning in browser.execute_script(
        "return document.querySelector('.setting p').textContent"
    )
    focus(browser, "setting-num_beams")
    keys(browser, "2\t")
    assert "1 set" in browser.execute_script("return document.getElementById('settings-count').textContent")
    reply = say(browser, "What do you like to do?")
    messages = [
        {"role": "system", "content": "i love to cook.\nyour persona: i have two cats."},
        {"role": "user", "content": "What do you like to do?"},
    ]
    body = {"messages": messages, "num_beams": 2, "dialect": "transformers-5"}
    asked = server.request("POST", "/v1/chat/completions", body)
    assert reply == asked.json["choices"][0]["message"]["content"]
    focus(browser, "setting-num_beams")
    browser.execute_script("document.getElementById('setting-num_beams').value = ''")
    keys(browser, "0\t")
    focus(browser, "say")
    keys(browser, "And now?\n")
    wait(lambda: browser.execute_script("return !document.getElementById('alert').hidden"))
    assert "num_beams must be at least 1" in browser.execute_script(
        "return document.getElementById('alert').textContent"
    )
    assert browser.execute_script("return document.getElementById('say').value") == "And now?", "the line is given back"
    assert len(said(browser)) == 2
    assert all("400" in each or "Password" in each for each in complaints(browser))


def test_every_setting_is_there_with_its_meaning(browser, server: Server) -> None:
    about = server.get("/api/about").json
    names = {row["name"]: row["meaning"] for row in about["settings"]}
    assert set(names) == set(OPTIONS) - set(NOT_SERVED) | {"seed"}
    assert all(names[name] == OPTIONS[name].meaning for name in names if name != "seed")
    browser.execute_script("document.getElementById('settings-box').open = true")
    shown = browser.execute_script("return [...document.querySelectorAll('.setting label')].map((e) => e.textContent)")
    assert sorted(shown) == sorted(names)
    demo = GenerationConfig.from_pretrained(FOLDER)
    assert about["defaults"]["parlai"]["num_beams"] == demo.num_beams


def test_hostile_texts_stay_texts(browser, server: Server, db: Path) -> None:
    """From the user, from the model, in runners-up, in titles, in personas: none becomes an element, none is run."""
    turns = (Turn("user", HOSTILE), Turn("model", HOSTILE, HOSTILE))
    name = Talks(db).begin(Transcript("parlai", (f"your persona: {HOSTILE}",), turns))
    open_page(browser, server)
    browser.execute_script("for (const box of document.querySelectorAll('#side details')) box.open = true")
    wait(lambda: browser.execute_script("return document.getElementById('history').children.length"))
    browser.execute_script("resume(arguments[0])", name)
    wait(lambda: len(said(browser)) == 2)
    assert [text for _, text in said(browser)] == [HOSTILE, HOSTILE]
    browser.execute_script(
        "turns[1].n_best = [{reply: arguments[0], score: 1}, {reply: arguments[0], score: 0}]; show();"
        "complain(new Error(arguments[0]))",
        HOSTILE,
    )
    say(browser, HOSTILE)
    time.sleep(0.3)
    assert browser.execute_script("return window.hacked === undefined")
    assert browser.execute_script("return document.querySelectorAll('img, #bold, body script').length") == 1  # its own


def test_the_page_takes_no_text_as_html() -> None:
    html, policy = page()
    script = html.partition("<script>")[2]
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "DOMParser",
    ):
        assert word not in script
    assert "unsafe" not in policy
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert "https://" not in html
    assert html.count("<script") == 1
    assert " src=" not in html


def test_looking_inside_a_reply(browser, server: Server) -> None:
    """The button opens the page of `npblender explain` in a tab of its own, which has no way back to the server."""
    say(browser, HOSTILE)
    browser.execute_script("[...document.querySelectorAll('button.inside')].at(-1).click()")
    first = browser.current_window_handle
    wait(lambda: len(browser.window_handles) == 2, seconds=60)
    try:
        browser.switch_to.window(next(each for each in browser.window_handles if each != first))
        wait(lambda: "How the reply came about" in browser.title)
        assert browser.execute_script("return origin") == "null"
        assert browser.execute_script("return window.hacked === undefined && !document.getElementById('bold')")
        assert browser.current_url.startswith(f"{server.url}/api/explain/")
        picture(browser, "inside")
        browser.close()
    finally:
        browser.switch_to.window(first)


def test_what_slips_through_is_not_run(browser) -> None:
    """Even if a text became an element, the policy would not let it do anything."""
    browser.execute_script("document.body.insertAdjacentHTML('beforeend', arguments[0])", HOSTILE)
    time.sleep(0.3)
    assert browser.execute_script("return window.hacked === undefined")
    refused = complaints(browser)
    assert any("Content Security Policy" in each for each in refused)


def test_transcripts_go_down_and_up(browser, server: Server, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By

    reply = say(browser, "Do you like tea?")
    text = browser.execute_script("return JSON.stringify(transcript())")
    path = tmp_path / "talk.json"
    path.write_text(text)
    assert [turn.text for turn in read_transcript(path).turns] == ["Do you like tea?", reply]
    press(browser, "new")
    browser.find_element(By.ID, "up").send_keys(str(path))
    wait(lambda: len(said(browser)) == 2)
    assert said(browser)[1] == ("model", reply)
    assert browser.execute_script("return JSON.stringify(transcript())") == text
    browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path / "down")}
    )
    press(browser, "down")
    wait(lambda: (tmp_path / "down" / "talk.json").exists())
    assert json.loads((tmp_path / "down" / "talk.json").read_text()) == json.loads(text)
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"format": "another"}')
    browser.find_element(By.ID, "up").send_keys(str(wrong))
    wait(lambda: browser.execute_script("return !document.getElementById('alert').hidden"))
    assert "no transcript" in browser.execute_script("return document.getElementById('alert').textContent")
    assert len(said(browser)) == 2
    complaints(browser)  # the 400


def test_conversations_are_kept_and_resumed(browser, server: Server, db: Path) -> None:
    first = say(browser, "I have a dog.")
    press(browser, "new")
    say(browser, "I have a cat.")
    open_page(browser, server)
    titles = browser.execute_script("return [...document.querySelectorAll('#history .open')].map((e) => e.textContent)")
    assert titles[0].startswith("I have a cat. - 2 turns")
    assert titles[1].startswith("I have a dog. - 2 turns")
    browser.execute_script("document.querySelectorAll('#history .open')[1].click()")
    wait(lambda: said(browser) == [("you", "I have a dog."), ("model", first)])
    say(browser, "His name is Rex.")
    wait(lambda: Talks(db).list()[0].turns == 4)
    assert Talks(db).list()[0].title == "I have a dog."
    press(browser, "undo")
    wait(lambda: Talks(db).list()[0].turns == 2)
    elsewhere = Talks(db)
    elsewhere.save(elsewhere.list()[0].id, Transcript("parlai", (), (Turn("user", "changed"),)))
    focus(browser, "say")
    browser.execute_script("document.getElementById('say').value = ''")
    say(browser, "Hello?")
    wait(lambda: browser.execute_script("return !document.getElementById('alert').hidden"))
    assert "changed elsewhere" in browser.execute_script("return document.getElementById('alert').textContent")
    complaints(browser)  # the 409


@pytest.mark.parametrize(
    ("name", "width", "height", "dark"),
    [("phone", PHONE, 844, False), ("dark", 1200, 850, True), ("phone-dark", PHONE, 844, True)],
)
def test_it_fits_and_can_be_read(browser, server: Server, name, width, height, dark) -> None:
    """Nothing is wider than the window, and text and ground differ by what WCAG asks of text, 4.5 to 1."""
    open_page(browser, server, width=width, height=height, dark=dark)
    say(browser, "Hi there! What is your favorite food in the whole wide world?")
    picture(browser, name)
    browser.execute_script("for (const box of document.querySelectorAll('details')) box.open = true")
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    picture(browser, f"{name}-open")
    script = """
        const parse = (text) => text.match(/[0-9.]+/g).map(Number);
        const ground = (e) => { for (; e; e = e.parentElement) {
            const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } };
        const light = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => { v /= 255;
            return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        return ['.words', '.who', '.note', 'h1', '#model', '#send', '.setting p', '.setting label', 'summary', '#undo']
            .flatMap((name) => [...document.querySelectorAll(name)].slice(0, 2)).map((e) => {
            const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))];
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); })"""
    assert min(browser.execute_script(script)) >= 4.5


def test_a_key_is_asked_for(started, needs_serve: None) -> None:
    with running_server("--api-key", "sekret") as guarded:
        started.get(guarded.url + "/")
        wait(lambda: started.execute_script("return !document.getElementById('key-box').hidden"))
        focus(started, "key")
        keys(started, "sekret")
        press(started, "key-save")
        wait(lambda: started.execute_script("return about !== null"))
        assert say(started, "Hi!")
        assert started.execute_script("return document.getElementById('key-box').hidden")
        complaints(started)
