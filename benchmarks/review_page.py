"""How quick the page of `dhr review` is in Chromium: first picture, next photograph, frames while a stroke is drawn.

Times are those of the page's own clock. The photographs are drawn at random, and their masks are blobs, so neither can
be compressed to almost nothing. A frame is late if it comes more than 1/60 s and a tenth after the one before.
"""

import argparse
import json
import math
import statistics
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import commit, machine

from dhr.api.memory import MemoryDataSet
from dhr.data import write_mask
from dhr.files import digest_regular, write_json
from dhr.job.folder import OutputFolder
from dhr.job.opened_run import OpenedRun
from dhr.job.settings import RunConfig
from dhr.progress import silent
from dhr.records.item import ItemRecord, table_key
from dhr.records.members import to_json
from dhr.records.run import RunRecord
from dhr.review.desk import Desk
from dhr.review.server import Server

CLASSES = tuple(f"class {number}" for number in range(8))
SAVED = "document.querySelector('#saves').textContent === 'Saved'"
LATE = 1000 / 60 * 1.1
"""Milliseconds."""

WATCH = """
window.watch = { first: null, pressed: null, next: [], frames: [], drawing: false };
document.addEventListener("keydown", () => { watch.pressed = performance.now(); }, true);
document.addEventListener("DOMContentLoaded", () => {
  new MutationObserver(() => requestAnimationFrame(() => setTimeout(() => {
    if (watch.first === null) watch.first = performance.now();
    else if (watch.pressed !== null) watch.next.push(performance.now() - watch.pressed);
  }))).observe(document.querySelector("#name"), { childList: true });
});
const frame = (now) => { if (watch.drawing) watch.frames.push(now); requestAnimationFrame(frame); };
requestAnimationFrame(frame);
"""
"""A script that runs before the page: a name changes when another photograph is shown."""


@dataclass(frozen=True)
class Spread:
    """Milliseconds: median, quartiles, largest."""

    values: list[float]

    def record(self) -> dict[str, Any]:
        """Return it for JSON."""
        if not self.values:
            return {"median": None, "spread": None, "largest": None, "count": 0}
        several = self.values if len(self.values) > 1 else self.values * 2
        low, middle, high = statistics.quantiles(several, n=4, method="inclusive")
        return {"median": middle, "spread": [low, high], "largest": max(self.values), "count": len(self.values)}


def write_run(root: Path, count: int, width: int, height: int) -> OpenedRun:
    """Write a run of made photographs, without networks."""
    random, folder = np.random.default_rng(0), OutputFolder(root)
    images, masks = [], []
    for _ in range(count):
        coarse = random.integers(0, 255, (-(-height // 8), -(-width // 8), 3), np.uint8)
        images.append(coarse.repeat(8, 0).repeat(8, 1)[:height, :width])
        rows, columns = np.mgrid[:height, :width]
        waves = sum(np.sin(rows * a + columns * b) for a, b in random.normal(0, 20 / width, (6, 2)))
        masks.append(((waves - waves.min()) / np.ptp(waves) * 7.99).astype(np.uint8))
    data = MemoryDataSet(images, [CLASSES] * count, CLASSES)
    for sample, mask in zip(data.samples, masks, strict=True):
        write_mask(folder.mask(sample.name), mask)
        shares = {name: float((mask == number).mean()) for number, name in enumerate(CLASSES)}
        item = ItemRecord(
            digest=data.digest(sample), width=width, height=height, tags=CLASSES, ratios=shares, vanished=(),
            quality=0.5, mask=digest_regular(folder.mask(sample.name)), table=table_key(CLASSES, False),
        )  # fmt: skip
        write_json(folder.item(sample.name), to_json(item))
    folder.write_record(RunRecord(status="finished", classes=CLASSES, background=False))
    record = folder.read()
    assert record is not None
    return OpenedRun(folder, record, data, RunConfig())


def until(page: Any, condition: str) -> None:
    """Wait for an expression of the page; its policy forbids Playwright's own way."""
    while not page.evaluate(f"() => Boolean({condition})"):
        time.sleep(0.01)


def draw(page: Any, seconds: float) -> list[float]:
    """Draw one long stroke over the picture; return the milliseconds between frames."""
    box = page.locator("#canvas").bounding_box()
    start = time.monotonic()
    pressed = False
    while (share := (time.monotonic() - start) / seconds) < 1:
        x = box["x"] + box["width"] * (0.1 + 0.8 * share)
        page.mouse.move(x, box["y"] + box["height"] * (0.5 + 0.35 * math.sin(40 * share)))
        if not pressed:
            page.mouse.down()
            page.evaluate("() => { watch.drawing = true; }")
            pressed = True
    frames: list[float] = page.evaluate("() => { watch.drawing = false; return watch.frames.splice(0); }")
    page.mouse.up()
    return [after - before for before, after in pairwise(frames)]


def measure(url: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Open the page several times, go through its photographs, and draw."""
    from playwright.sync_api import sync_playwright

    first, following, frames = [], [], []
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=flags)
        for _ in range(arguments.repetitions):
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            page = context.new_page()
            page.add_init_script(WATCH)
            page.goto(url)
            until(page, "watch.first !== null")
            first.append(page.evaluate("() => watch.first"))
            page.wait_for_timeout(arguments.pause)
            frames += draw(page, arguments.seconds)
            page.keyboard.press("u")  # the next repetition begins with the same queue
            until(page, SAVED)
            page.evaluate("() => { watch.next = []; }")
            for number in range(1, arguments.photographs):
                page.wait_for_timeout(arguments.pause)
                page.keyboard.press("j")
                until(page, f"watch.next.length >= {number}")
            following += page.evaluate("() => watch.next")
            context.close()
        version = browser.version
        browser.close()
    late = sum(one > LATE for one in frames) / max(len(frames), 1)
    return {
        "chromium": version,
        "first_ms": Spread(first).record(),
        "next_ms": Spread(following).record(),
        "frame_ms": {**Spread(frames).record(), "late": late},
    }


def main() -> None:
    """Measure, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--photographs", type=int, default=6)
    parser.add_argument("--width", type=int, default=2000)
    parser.add_argument("--height", type=int, default=1500)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a stroke")
    parser.add_argument("--pause", type=float, default=3000, help="milliseconds that a person looks at a photograph")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = write_run(Path(folder), arguments.photographs, arguments.width, arguments.height)
        desk = Desk.of(run)
        desk.photographs.read(silent)
        server = Server(desk, 0)
        try:
            found = measure(server.url, arguments)
        finally:
            server.close()
    size = [arguments.width, arguments.height]
    result = {"commit": commit(), "machine": machine(torch.device("cpu")), "size": size, **found}
    arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for name in ("first_ms", "next_ms", "frame_ms"):
        print(name, found[name])


if __name__ == "__main__":
    main()
