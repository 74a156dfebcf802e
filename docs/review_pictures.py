"""Take the pictures of docs/review.md: the editor, two pictures side by side, a conflict.

    python docs/review_pictures.py --run OUT --out docs

The run must have its photographs in a folder, and they must be free to show, such as generated
scenes. It needs Playwright and Chromium.
"""

import argparse
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

import dhr

NAMES = ("editor", "beside", "conflict")
_QUALITY = 78  # of JPEG
_LOADED = "() => Promise.all([...document.images].map((one) => !one.src || one.decode().catch(() => null)))"
_PATIENCE = 300_000  # milliseconds; the first CAM loads the networks


def take(context: Any, url: str, out: Path) -> list[Path]:
    """Draw on the first photograph of a review, and take the pictures.

    Args:
        context: a context of Playwright's browser.
        url: the address of the review.
        out: folder of the pictures.

    Returns:
        The files, in the order of :data:`NAMES`.
    """
    files = [out / f"review-{name}.jpg" for name in NAMES]
    page, other = _open(context, url), _open(context, url)
    page.bring_to_front()
    _draw(page, 0.3, 0.45)
    _rest(page)
    page.screenshot(path=files[0], type="jpeg", quality=_QUALITY)
    page.keyboard.press("w")
    with page.expect_response("**/cam/*", timeout=_PATIENCE):
        page.select_option("#layer", index=page.locator("#layer option").count() - 1)
    _rest(page)
    page.screenshot(path=files[1], type="jpeg", quality=_QUALITY)
    other.bring_to_front()
    _draw(other, 0.6, 0.7)
    other.wait_for_selector(".conflict")
    _rest(other, "conflict")
    other.screenshot(path=files[2], type="jpeg", quality=_QUALITY)
    other.click("text=Take theirs")
    page.bring_to_front()
    page.keyboard.press("u")
    _rest(page)
    page.close()
    other.close()
    return files


def _open(context: Any, url: str) -> Any:
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("#row-0 img[src]")
    return page


def _rest(page: Any, saves: str = "saved") -> None:
    """Wait until the page has the state ``saves``, its thumbnails are loaded, and all of it is painted."""
    page.wait_for_selector(f"#saves[data-kind={saves}]")
    page.evaluate(_LOADED)
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def _draw(page: Any, left: float, top: float) -> None:
    """Draw a short curve, from a place given as shares of the picture."""
    box = page.locator("#canvas").bounding_box()
    page.mouse.move(box["x"] + left * box["width"], box["y"] + top * box["height"])
    page.mouse.down()
    for x, y in ((0.06, -0.05), (0.13, -0.04), (0.19, 0.02)):
        page.mouse.move(box["x"] + (left + x) * box["width"], box["y"] + (top + y) * box["height"], steps=6)
    page.mouse.up()


def main() -> None:
    """Take the pictures of a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    arguments = parser.parse_args()
    with dhr.review(arguments.run, open_browser=False) as session, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context(viewport={"width": 1280, "height": 720})
        for file in take(context, session.url, arguments.out):
            print(file)  # noqa: T201
        browser.close()


if __name__ == "__main__":
    main()
