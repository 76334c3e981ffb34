"""A real browser, Chromium without a window: for pages and pictures to be looked at.

It needs Debian's packages `chromium` and `chromium-driver` and the library selenium (`pip install '.[browser]'`).
Nothing is downloaded, and the pages are files.
"""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PHONE, DESK = 390, 1200
"""Widths in CSS pixels."""


def why_no_browser() -> str:
    """Say what is missing for a browser; an empty text where nothing is."""
    if importlib.util.find_spec("selenium") is None:
        return "selenium is not installed: pip install '.[browser]'"
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"there is no {program}: apt-get install chromium chromium-driver"
    return ""


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Start Chromium, and end it."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for switch in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "hide-scrollbars"):
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(shutil.which("chromedriver"))))
    try:
        yield driver
    finally:
        driver.quit()


def show(driver: Any, path: Path, *, width: int = DESK, height: int = 900, dark: bool = False) -> None:
    """Open a file at a width, in light or dark colors."""
    wishes = {"prefers-color-scheme": "dark" if dark else "light", "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in wishes.items()]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    sizes = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width == PHONE}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", sizes)
    driver.get(path.resolve().as_uri())


def complaints(driver: Any) -> list[str]:
    """What the browser has complained about since it was asked last."""
    return [str(entry["message"]) for entry in driver.get_log("browser")]


def photograph(driver: Any, target: Path, most: int = 6000) -> None:
    """Save what is shown as a PNG, down to its foot or to `most` pixels."""
    script = "const root = document.documentElement; return [root.scrollWidth, root.scrollHeight]"
    width, height = driver.execute_script(script)
    sizes = {"width": width, "height": min(most, height), "deviceScaleFactor": 1, "mobile": width == PHONE}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", sizes)
    driver.save_screenshot(str(target))
