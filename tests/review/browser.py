"""A page for review in a real browser, and what a test does with it."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions", "--no-first-run")
DESK = "(await import('./static/main.js')).desk"
PATIENCE = 120.0  # seconds, for a busy machine
Point = tuple[float, float]


FOCUSED = """() => {
  const at = document.activeElement;
  return at === document.body ? "" : at.id || at.dataset.command || at.dataset.value || at.title || at.textContent;
}"""


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; without Chromium or Playwright the test is skipped."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed; it is in dhr[dev]")
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}; apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        yield browser
        browser.close()


class Tab:
    """An open page. Errors of its scripts are collected, and so is everything that its console complains about."""

    def __init__(self, context: Any, url: str, ready: str = "document.querySelector('#name').textContent") -> None:
        self.errors: list[str] = []
        self.page = context.new_page()
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console", lambda line: line.type == "error" and self.errors.append(f"{line.text} {line.location['url']}")
        )
        self.page.goto(url)
        self.until(ready)

    def desk(self, expression: str) -> Any:
        """Evaluate an expression of the page's ``desk``."""
        return self.page.evaluate(f"async () => {{ const desk = {DESK}; return {expression}; }}")

    def until(self, condition: str) -> None:
        """Wait until an expression is true. Playwright's own way needs `eval`, which the page forbids."""
        end = time.monotonic() + PATIENCE
        while not self.page.evaluate(f"async () => Boolean({condition})"):
            assert time.monotonic() < end, f"{condition}; the page shows {self.page.inner_text('body')!r}"
            time.sleep(0.02)

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def ids(self) -> np.ndarray:
        """The mask as the page has it."""
        width, height = self.desk("[desk.drawing.width, desk.drawing.height]")
        return np.array(self.desk("Array.from(desk.drawing.ids)"), np.uint8).reshape(height, width)

    def places(self, points: Sequence[Point]) -> list[Point]:
        """Where points of the photograph are on the page, in front and after its next frames."""
        self.page.bring_to_front()
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return [tuple(one) for one in self.desk(f"{json.dumps(points)}.map((p) => desk.view.surface.toPage(...p))")]

    def drag(self, *points: Point) -> None:
        """Press at the first point, move to the others, lift at the last."""
        first, *others = self.places(points)
        self.page.mouse.move(*first)
        self.page.mouse.down()
        for place in others:
            self.page.mouse.move(*place)
        self.page.mouse.up()

    def click(self, *points: Point) -> None:
        for place in self.places(points):
            self.page.mouse.click(*place)

    def wait(self, saves: str = "Saved") -> None:
        """Wait until the line about saves is this one."""
        self.until(f"document.querySelector('#saves').textContent === {json.dumps(saves)}")

    def wait_for(self, selector: str, part: str) -> None:
        """Wait until an element's text has a part."""
        self.until(f"document.querySelector({json.dumps(selector)})?.textContent.includes({json.dumps(part)})")

    def focus(self) -> str:
        """Name the element that has the focus: its id, command or text; empty if the focus is lost."""
        return str(self.page.evaluate(FOCUSED))

    def close(self, expected: str = "") -> None:
        """Close the page; scripts must have run without an error but those that contain ``expected``.

        Chromium's console names each picture that could not be loaded, whenever it comes.
        """
        shown = self.page.inner_text("#banners")
        self.page.close()
        errors = [one for one in self.errors if not expected or expected not in one]
        assert not errors, (errors, shown)


def stroke(mask: np.ndarray, value: int, size: int, *points: Point) -> np.ndarray:
    """A mask after a stroke with a round brush: all pixels whose centres are within half its width of the line."""
    height, width = mask.shape
    rows, columns = np.mgrid[:height, :width] + 0.5
    inside = np.zeros(mask.shape, bool)
    for (x0, y0), (x1, y1) in zip(points, points[1:] or points, strict=False):
        dx, dy = x1 - x0, y1 - y0
        along = ((columns - x0) * dx + (rows - y0) * dy) / ((dx * dx + dy * dy) or 1)
        along = along.clip(0, 1)
        inside |= np.hypot(columns - x0 - along * dx, rows - y0 - along * dy) <= size / 2
    return np.where(inside, value, mask).astype(np.uint8)
