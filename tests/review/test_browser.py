"""The page for review in Chromium: what is drawn is what is saved, and nothing is lost."""

import csv
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

import dhr
from dhr.api.memory import MemoryDataSet
from dhr.cli import main
from dhr.data import write_mask
from dhr.files import digest_regular
from dhr.job.folder import OutputFolder
from dhr.job.opened_run import OpenedRun
from dhr.job.settings import RunConfig
from dhr.records.item import ItemRecord, table_key
from dhr.records.members import to_json
from dhr.records.run import RunRecord
from dhr.review.desk import Desk
from dhr.review.server import Server

from ..models.sams import write_tiny_sam

sys.path.insert(0, str(Path(__file__).parent))

from browser import DESK, PATIENCE, Point, Tab, chromium, stroke

HOSTILE = "<img src=x onerror=hit()>&amp;'"
CLASS = "<i>water</i>"


@dataclass
class World:
    """A finished run, its server, and a browser."""

    out: Path
    data: Path
    url: str
    context: Any

    def open(self, name: str, url: str = "") -> Tab:
        """Open the page at a photograph."""
        numbers = {entry["name"]: entry["id"] for entry in self.entries()}
        return Tab(self.context, f"{url or self.url}#{numbers[name]}")

    def entries(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.context.request.get(f"{self.url}api/queue?limit=500").json()["entries"]
        return found

    def saved(self, name: str, folder: str = "corrections/masks") -> np.ndarray:
        with Image.open(self.out / folder / f"{name}.png") as image:
            assert image.mode == "P"
            return np.array(image)

    def record(self, name: str) -> dict[str, Any]:
        text = (self.out / "corrections" / "items" / f"{name}.json").read_text(encoding="utf-8")
        found: dict[str, Any] = json.loads(text)
        return found


def change_data(data: Path) -> None:
    """Give a photograph and a class names that are HTML, and let a photograph lie on its side, as cameras do."""
    images = data / "images"
    (images / "scene-000001.png").rename(images / f"{HOSTILE}.png")
    with Image.open(images / "scene-000002.png") as image:
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned by a quarter, clockwise
        Image.fromarray(np.rot90(np.array(image))).save(images / "scene-000002.jpg", exif=exif, quality=95)
    (images / "scene-000002.png").unlink()
    rows = [*csv.reader((data / "tags.csv").read_text(encoding="utf-8").splitlines())]
    names = {"scene-000001.png": f"{HOSTILE}.png", "scene-000002.png": "scene-000002.jpg"}
    with (data / "tags.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows((names.get(name, name), tags.replace("water", CLASS)) for name, tags in rows)
    classes = (data / "classes.txt").read_text(encoding="utf-8")
    (data / "classes.txt").write_text(classes.replace("water\n", f"{CLASS}\n"), encoding="utf-8")


@pytest.fixture(scope="module")
def context() -> Iterator[Any]:
    with chromium() as browser:
        found = browser.new_context(viewport={"width": 1280, "height": 800})
        found.set_default_timeout(1000 * PATIENCE)
        yield found


@pytest.fixture(scope="module")
def world(
    context: Any, tmp_path_factory: pytest.TempPathFactory, scenes: Callable[..., Path], new_case: Callable[..., Any]
) -> Iterator[World]:
    root = tmp_path_factory.mktemp("review")
    data = scenes(root / "data", count=8, size=(72, 96))
    change_data(data)
    case = new_case(data, root / "out")
    sam = write_tiny_sam(root / "sam")
    assert main(case.run("--quiet", "--boundary.kind", "sam", "--boundary.sam.model", str(sam))) == 0
    with dhr.review(case.out, open_browser=False) as session:
        yield World(case.out, data, session.url, context)


def set_size(tab: Tab, size: int) -> None:
    tab.page.locator("#size").evaluate("(slider, size) => { slider.value = size; }", size)
    tab.page.locator("#size").dispatch_event("input")
    tab.page.keyboard.press("h")


def test_strokes_are_saved_as_they_were_drawn(world: World) -> None:
    name, line = "scene-000000", ((20.5, 30.5), (60.5, 30.5), (60.5, 50.5), (31.5, 40.5))
    tab = world.open(name)
    machine = tab.ids()
    assert (machine == world.saved(name, "masks")).all()
    set_size(tab, 7)
    tab.keys("2")
    value = tab.desk("desk.value")
    tab.drag(*line)
    tab.wait()
    assert tab.text("#said") == f"{name}: mended."
    one = stroke(machine, value, 7, *line)
    assert (tab.ids() == one).all() and (world.saved(name) == one).all() and (one != machine).any()
    assert world.record(name)["state"] == "mended" and (world.saved(name, "corrections/machine") == machine).all()
    tab.keys("v")
    tab.drag((10.5, 10.5))
    two = stroke(one, 255, 7, (10.5, 10.5))
    tab.keys("e")
    tab.drag((50.5, 10.5), (50.5, 60.5))
    three = np.where(stroke(np.zeros_like(two), 1, 7, (50.5, 10.5), (50.5, 60.5)) == 1, machine, two)
    tab.wait()
    assert (world.saved(name) == three).all()
    for wanted in (two, one, machine):
        tab.keys("Control+z")
        assert (tab.ids() == wanted).all()
    tab.wait()
    assert not (world.out / "corrections/items" / f"{name}.json").exists()  # back to undecided
    assert (world.saved(name, "masks") == machine).all()
    tab.keys("Control+Shift+z", "Control+y", "Control+y", "Control+y")
    tab.wait()
    assert (world.saved(name) == three).all()
    tab.keys("a")  # a mask that was changed stays mended
    tab.wait()
    tab.close()
    again = world.open(name)
    assert again.text("#state") == "mended" and (again.ids() == three).all()
    again.keys("u")
    again.wait()
    assert (again.ids() == machine).all() and again.text("#state") == "undecided"
    again.close()


def test_shapes_fill_what_they_surround(world: World) -> None:
    name = "scene-000003"
    tab = world.open(name)
    before = tab.ids()
    value = tab.desk("desk.value")
    tab.keys("l")
    tab.click((10, 10), (40, 10), (40, 30), (10, 30))
    tab.keys("Enter")
    wanted = before.copy()
    wanted[10:30, 10:40] = value
    assert (tab.ids() == wanted).all()
    tab.keys("v", "f")
    tab.click((25.5, 20.5))
    labels, _ = ndimage.label(wanted == value)
    wanted = np.where(labels == labels[20, 25], 255, wanted)
    assert (tab.ids() == wanted).all()
    x, y = 90.5, 65.5
    tab.page.mouse.move(*tab.places([(x, y)])[0])
    tab.keys("Shift+1")  # the region under the pointer
    first = tab.desk("desk.choices()[0].value")
    labels, _ = ndimage.label(wanted == wanted[65, 90])
    wanted = np.where(labels == labels[65, 90], first, wanted)
    assert (tab.ids() == wanted).all()
    tab.keys("g")
    tab.until("(await import('./static/main.js')).desk.computed.superpixels()")
    width, cells = before.shape[1], np.array(tab.desk("Array.from(desk.computed.superpixels())"))
    tab.click((50.5, 40.5))
    wanted[cells.reshape(before.shape) == cells[40 * width + 50]] = 255
    tab.wait()
    assert (tab.ids() == wanted).all() and (world.saved(name) == wanted).all()
    tab.close()


def test_classes_are_added_and_removed(world: World) -> None:
    name = "scene-000006"
    tab = world.open(name)
    given, before = tab.desk("desk.drawing.given"), tab.ids()
    names = {one["id"]: one["name"] for one in tab.desk("desk.session.classes")}
    extra = next(one for one in names if one not in given)
    tab.keys("t")
    tab.page.keyboard.type(names[extra].upper())
    tab.keys("Enter")
    tab.wait()
    assert sorted(world.record(name)["tags"]) == sorted(names[one] for one in (*given, extra))
    assert tab.desk("desk.value") == extra and tab.desk("document.activeElement.id") == "canvas"
    tab.desk(f"desk.choose({given[0]})")
    tab.keys("d")
    tab.wait()
    assert (world.saved(name) == np.where(before == given[0], 255, before)).all()
    assert names[given[0]] not in world.record(name)["tags"]
    tab.keys("Control+z", "Control+z")
    tab.wait()
    assert tab.desk("desk.drawing.tags") == given and tab.text("#state") == "undecided"
    tab.close()


def test_everything_works_with_the_keyboard(world: World) -> None:
    tab = world.open("trip/scene-000007")
    before, value = tab.ids(), tab.desk("desk.value")
    tab.keys("h", "ArrowRight")
    set_size(tab, 5)
    x, y = tab.desk("desk.cursor")
    tab.keys("Space", "ArrowDown", "Space")
    end: Point = tuple(tab.desk("desk.cursor"))
    place = tuple(np.floor((x, y)) + 0.5), tuple(np.floor(end) + 0.5)
    tab.wait()
    assert end[1] > y and (tab.ids() == stroke(before, value, 5, *place)).all()
    tab.keys("?")
    assert tab.page.locator("#help").is_visible() and "Smaller brush" in tab.text("#keys")
    tab.keys("Escape", "/")
    tab.page.keyboard.type("000004")
    tab.wait_for("#found", "1 photograph")
    tab.page.wait_for_selector("#row-0")
    tab.keys("Escape", "i", "ArrowDown", "Enter")
    tab.wait_for("#name", "scene-000004")
    tab.keys("x")
    tab.wait()
    assert world.record("scene-000004")["state"] == "rejected" and "last photograph" in tab.text("#said")
    tab.keys("s")
    assert "stays rejected" in tab.text("#said") or "last photograph" in tab.text("#said")
    tab.keys("Control+z", "s")
    tab.wait()
    assert world.record("scene-000004")["state"] == "skipped"
    seen = set()
    for _ in range(60):  # Tab reaches every control, and each has a name and a visible focus
        tab.keys("Tab")
        seen.add(tab.page.evaluate("document.activeElement.id || document.activeElement.dataset.command"))
    assert {"search", "filter-state", "list", "brush", "size", "canvas", "accept", "add-class", "opacity"} <= seen
    tab.close()


def test_names_are_shown_as_text(world: World) -> None:
    tab = world.open(HOSTILE)
    assert tab.text("#name") == HOSTILE
    tab.page.select_option("#filter-state", "")
    tab.page.wait_for_selector("#row-7")
    assert HOSTILE in [tab.text(f"#row-{row} .name") for row in range(8)]
    options = tab.page.locator("#filter-class option").all_inner_texts()
    assert CLASS in options and tab.page.locator("#row-0 img[src=x], i").count() == 0
    tab.page.mouse.click(*tab.places([(40, 40)])[0], button="right")
    tab.page.wait_for_selector("#region button")
    tab.close()


def test_a_photograph_on_its_side_is_drawn_upright(world: World) -> None:
    tab = world.open("scene-000002")
    assert tab.desk("[desk.drawing.width, desk.drawing.height]") == [96, 72]
    assert tab.desk("[desk.drawing.image.width, desk.drawing.image.height]") == [96, 72]
    before = tab.ids()
    set_size(tab, 3)
    tab.keys("v")
    tab.drag((5.5, 66.5), (90.5, 66.5))
    tab.wait()
    assert (world.saved("scene-000002") == stroke(before, 255, 3, (5.5, 66.5), (90.5, 66.5))).all()
    corner = "desk.view.surface.context.getImageData(...desk.view.surface.toCanvas(5, 5).map(Math.round), 1, 1).data"
    tab.keys("m")
    tab.places([])  # after the next frames
    with Image.open(world.data / "images/scene-000002.jpg") as image:
        upright = np.rot90(np.array(image), -1)
    shown = np.array(tab.desk(f"Array.from({corner})"))[:3]
    assert np.abs(shown.astype(int) - upright[5, 5]).max() < 40
    tab.close()


def test_two_pages_do_not_overwrite_each_other(world: World) -> None:
    name = "scene-000005"
    one, two = world.open(name), world.open(name)
    before = one.ids()
    for tab in (one, two):
        set_size(tab, 5)
        tab.keys("v")
    one.drag((10.5, 10.5), (40.5, 10.5))
    one.wait()
    two.drag((10.5, 50.5), (40.5, 50.5))
    two.wait("Not saved: choose below")
    mine = stroke(before, 255, 5, (10.5, 10.5), (40.5, 10.5))
    theirs = stroke(before, 255, 5, (10.5, 50.5), (40.5, 50.5))
    assert (world.saved(name) == mine).all() and name in two.text(".conflict")
    two.page.click("text=Keep mine")
    two.wait()
    assert (world.saved(name) == theirs).all()
    one.drag((60.5, 20.5))
    one.wait("Not saved: choose below")
    one.page.click("text=Take theirs")
    one.wait()
    assert (one.ids() == theirs).all() and (world.saved(name) == theirs).all()
    one.keys("Control+z")  # mine is not lost
    one.wait()
    assert (world.saved(name) == stroke(mine, 255, 5, (60.5, 20.5))).all()
    two.page.evaluate("window.dispatchEvent(new Event('focus'))")  # the other page notices by itself
    two.wait_for("#said", "changed in another window")
    assert (two.ids() == one.ids()).all()
    for tab in (one, two):
        tab.close(expected="409 (Conflict)")


def start(world: World, port: int) -> tuple["subprocess.Popen[str]", str]:
    """Start a server in a process of its own; return its address."""
    command = [sys.executable, "-m", "dhr", "review", "--run", str(world.out), "--port", str(port), "--no-open-browser"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert server.stdout
    told = []
    for line in server.stdout:
        told.append(line)
        if found := re.search(r"http://\S+/", line):
            return server, found[0]
    raise AssertionError(f"the server ended: {told}")


def test_a_server_that_is_killed_loses_nothing(world: World) -> None:
    name = "scene-000004"
    server, url = start(world, 0)
    tab = world.open(name, url)
    before = tab.ids()
    set_size(tab, 5)
    tab.keys("v")
    import resource

    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (16, resource.RLIM_INFINITY))  # as if the disk were full
    tab.drag((10.5, 20.5), (40.5, 20.5))
    tab.wait_for("#lost", "Not saved")
    assert "too large" in tab.text("#lost") and "kept in this page" in tab.text("#lost")
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    tab.wait()  # it tries again by itself
    before = stroke(before, 255, 5, (10.5, 20.5), (40.5, 20.5))
    assert (world.saved(name) == before).all() and not tab.page.locator("#lost").is_visible()
    server.send_signal(signal.SIGSTOP)  # it takes the save, and never answers
    tab.drag((10.5, 10.5), (40.5, 10.5))
    tab.drag((10.5, 30.5), (40.5, 30.5))
    tab.wait("Saving…")
    server.kill()
    server.wait()
    tab.wait("Not saved")
    tab.wait_for("#lost", "kept in this page")
    tab.drag((10.5, 50.5), (40.5, 50.5))
    port = int(re.findall(r":(\d+)/", url)[0])
    server, url = start(world, port)  # the same port, with another secret
    try:
        tab.wait_for("#lost", "address")
        other = Tab(world.context, url)  # its owner opens the new address, and the old page goes on
        tab.wait()
        wanted = before
        for row in (10.5, 30.5, 50.5):
            wanted = stroke(wanted, 255, 5, (10.5, row), (40.5, row))
        assert (world.saved(name) == wanted).all() and not tab.page.locator("#lost").is_visible()
        tab.page.route("**/save", lambda route: (route.fetch(), route.abort()))  # saved, but the answer is lost
        tab.drag((60.5, 10.5))
        tab.wait("Not saved")
        tab.page.unroute("**/save")
        tab.wait()  # it is no conflict: nobody else changed it
        assert (world.saved(name) == stroke(wanted, 255, 5, (60.5, 10.5))).all()
        tab.close(expected="Failed to load resource")  # each lost request
        other.close()
    finally:
        server.kill()
        server.wait()


def test_fingers_and_pen(world: World) -> None:
    """One finger draws, two zoom and draw nothing; once a pen was used, a finger moves the picture."""
    context = world.context.browser.new_context(viewport={"width": 820, "height": 900}, has_touch=True)
    name = "scene-000006"
    tab = Tab(context, f"{world.url}#{next(one['id'] for one in world.entries() if one['name'] == name)}")
    devtools = context.new_cdp_session(tab.page)

    def touch(kind: str, *places: Point) -> None:
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def camera() -> tuple[float, float]:
        scale, x = tab.desk("[desk.view.camera.scale, desk.view.camera.x]")
        return scale, x

    before = tab.ids()
    set_size(tab, 5)
    tab.keys("v")
    one, two = tab.places([(20.5, 20.5), (60.5, 20.5)])
    touch("touchStart", one)
    touch("touchMove", two)
    touch("touchEnd")
    tab.wait()
    drawn = stroke(before, 255, 5, (20.5, 20.5), (60.5, 20.5))
    assert (tab.ids() == drawn).all()
    scale, _ = camera()
    touch("touchStart", one)
    touch("touchStart", one, two)
    touch("touchMove", (one[0] - 60, one[1]), (two[0] + 60, two[1]))
    touch("touchEnd")
    assert camera()[0] > scale and (tab.ids() == drawn).all()
    pen = {"x": two[0], "y": two[1] + 150, "button": "left", "pointerType": "pen", "clickCount": 1}
    devtools.send("Input.dispatchMouseEvent", {"type": "mousePressed", "buttons": 1, **pen})
    devtools.send("Input.dispatchMouseEvent", {"type": "mouseReleased", **pen})
    tab.wait()
    drawn, (_, x) = tab.ids(), camera()
    touch("touchStart", one)
    touch("touchMove", (one[0] + 50, one[1]))
    touch("touchEnd")
    assert camera()[1] < x and (tab.ids() == drawn).all()
    tab.keys("u")
    tab.wait()
    tab.close()
    context.close()


def test_refining_keeps_what_was_drawn(world: World) -> None:
    name = "scene-000000"
    tab = world.open(name)
    before = tab.ids()
    set_size(tab, 9)
    value = tab.desk("desk.drawing.tags.find((tag) => tag !== desk.drawing.ids[20 * 96 + 45])")
    tab.desk(f"desk.choose({value})")
    tab.drag((20.5, 20.5), (70.5, 20.5))
    drawn = stroke(before, value, 9, (20.5, 20.5), (70.5, 20.5))
    tab.wait()
    tab.keys("r")
    tab.wait_for("#said", "Refined")
    tab.wait()
    after = tab.ids()
    held = stroke(np.zeros_like(before), 1, 9, (20.5, 20.5), (70.5, 20.5)) == 1
    assert (after[held] == value).all() and (after != drawn).any() and (world.saved(name) == after).all()
    tab.keys("Control+z")
    assert (tab.ids() == drawn).all()
    tab.keys("Control+z")
    tab.wait()
    assert tab.text("#state") == "undecided" and (world.saved(name, "masks") == before).all()
    tab.close()


def test_the_pictures_of_the_docs_can_be_taken(world: World, tmp_path: Path) -> None:
    sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
    from review_pictures import take

    for file in take(world.context, world.url, tmp_path):
        with Image.open(file) as image:
            assert image.size == (1280, 800) and np.ptp(np.array(image)) > 200
        assert file.stat().st_size < 150_000


EVERY_KEY = (
    ("F", "f", "desk.tool === desk.tools.fill"),
    ("E", "e", "desk.tool === desk.tools.eraser"),
    ("G", "g", "desk.tool === desk.tools.superpixels"),
    ("C", "c", "desk.tool === desk.tools.click"),
    ("B", "b", "desk.tool === desk.tools.brush"),
    ("[", "[", "desk.size"),
    ("]", "]", "desk.size"),
    ("{", "{", "desk.view.opacity"),
    ("}", "}", "desk.view.opacity"),
    ("M", "m", "desk.view.shown"),
    ("O", "o", "desk.view.style"),
    ("W", "w", "document.querySelector('#beside').hidden"),
    ("Q", "q", "document.querySelector('#layer').value"),
    ("+ =", "+", "desk.view.camera.scale"),
    ("-", "-", "desk.view.camera.scale"),
    ("Z", "z", "desk.view.camera.fitted"),
    ("V", "v", "desk.value"),
    (".", ".", "desk.value"),
    (",", ",", "desk.value"),
    ("1 … 9 0", "1", "desk.value"),
    ("I", "i", "document.activeElement.id"),
    ("/", "/", "document.activeElement.id"),
    ("Esc", "Escape", "document.activeElement.id"),
    ("T", "t", "document.activeElement.id"),
    ("", "Escape", "document.activeElement.id"),
    ("← → ↑ ↓", "ArrowLeft", "desk.cursor"),
    ("Space", "Space", "desk.pointer.pressed"),
    ("", "Space", "desk.drawing.state"),
    ("Ctrl Z", "Control+z", "desk.drawing.state"),
    ("Ctrl Shift Z Ctrl Y", "Control+y", "desk.drawing.state"),
    ("Shift 1 … 9", "Shift+Digit", "desk.drawing.version"),
    ("Y", "y", "document.querySelector('#region').matches(':popover-open')"),
    ("", "v", "document.querySelector('#region').matches(':popover-open')"),
    ("L", "l", "desk.tool === desk.tools.polygon"),
    ("", "Space", "desk.tool.points.length"),
    ("Backspace", "Backspace", "desk.tool.points.length"),
    ("D", "d", "desk.drawing.tags.length"),
    ("U", "u", "desk.drawing.state"),
    ("R", "r", "document.querySelector('#said').textContent"),
    ("?", "?", "document.querySelector('#help').open"),
    ("", "Escape", "document.querySelector('#help').open"),
    ("S", "s", "desk.drawing.id"),
    ("K P", "k", "desk.drawing.id"),
    ("J N", "j", "desk.drawing.id"),
    ("", "p", "desk.drawing.id"),
    ("X", "x", "desk.drawing.id"),
    ("", "k", "desk.drawing.id"),
    ("A Enter", "Enter", "desk.drawing.id"),
    ("", "k", "desk.drawing.id"),
    ("", "u", "desk.drawing.state"),
    ("H", "h", "document.activeElement.id"),
)
"""As the help shows it, a key, and an expression whose value the key must change."""


def test_every_action_has_a_key_that_works(world: World) -> None:
    tab = Tab(world.context, world.url)
    tab.page.select_option("#filter-state", "")
    tab.page.click("#row-0")
    tab.until(f"({DESK}).queue.index === 0 && ({DESK}).opening === null")
    tab.keys("u", "h")
    helped = tab.page.evaluate(
        "[...document.querySelectorAll('#keys dt')].map((one) => one.textContent.replace(/\\s+/g, ' '))"
    )
    assert sorted(helped) == sorted(shown for shown, _, _ in EVERY_KEY if shown)
    for shown, key, changing in EVERY_KEY:
        if shown == "H":
            tab.page.locator("#opacity").focus()
        if shown.startswith("Shift"):
            key += str(
                tab.desk(
                    "desk.choices().find((one) => one.key > '0' && one.value !== desk.drawing.at(desk.cursor)).key"
                )
            )
        before = tab.desk(f"JSON.stringify({changing})")
        tab.keys(key)
        tab.until(f"JSON.stringify(((desk) => {changing})({DESK})) !== {json.dumps(before)}")
        tab.until(f"({DESK}).opening === null && !({DESK}).computed.refining")
    tab.wait()
    tab.close()


def test_the_focus_is_never_lost(world: World) -> None:
    tab = world.open("scene-000003")
    commands = tab.page.evaluate("[...document.querySelectorAll('[data-command]')].map((one) => one.dataset.command)")
    assert len(commands) > 20
    tab.keys("v", "h", "ArrowRight", "Space", "ArrowDown", "Space")
    for command in commands:
        button = tab.page.locator(f"[data-command={command}]")
        if button.is_visible():
            button.focus()
            tab.keys("Enter")
            if command in ("next", "previous", "accept", "reject", "skip"):
                tab.until(f"({DESK}).opening === null")
            if command == "help":
                assert tab.focus() == "Close"
                tab.keys("Escape")
            assert tab.focus(), command
    for command in ("undo", "redo"):  # also when nothing is left to do
        tab.page.locator(f"[data-command={command}]").focus()
        for _ in range(3):
            tab.keys("Enter")
            assert tab.focus() == command
    tab.until(f"!({DESK}).computed.refining")
    for left in range(tab.page.locator(".remove").count() - 1, -1, -1):
        tab.page.locator(".remove").first.focus()
        tab.keys("Enter")
        assert tab.focus() == "add-class" if left else tab.focus().startswith("Remove ")
    assert "needs a class" in tab.text("#said") and tab.page.locator(".remove").count() == 1
    assert not tab.page.locator(".banner >> visible=true").count(), tab.text("#banners")
    tab.desk("desk.page.warn('A warning.')")
    tab.page.locator(".banner >> text=Close").focus()
    tab.keys("Enter")
    assert tab.focus() == "canvas"
    tab.keys("ArrowLeft", "y")
    assert tab.page.locator("#region").is_visible()
    tab.keys("ArrowDown", "End", "Home", "ArrowUp", "Tab")
    assert tab.focus() == "canvas" and not tab.page.locator("#region").is_visible()
    tab.keys("u", "j", "u")
    tab.wait()
    tab.close()


def test_controls_have_names(world: World) -> None:
    """As Chromium tells them to a screen reader, in front of each picture, dialog and menu."""
    tab = world.open("scene-000003")
    tree = tab.page.context.new_cdp_session(tab.page)
    roles = {"button", "combobox", "searchbox", "textbox", "slider", "listbox", "option", "menuitem", "menu", "dialog",
             "progressbar", "application", "Canvas", "group", "navigation", "complementary"}  # fmt: skip
    seen = set()
    for keys in (("w",), ("?",), ("Escape", "h", "ArrowLeft", "y")):
        tab.keys(*keys)
        for node in tree.send("Accessibility.getFullAXTree")["nodes"]:
            role, name = node.get("role", {}).get("value"), node.get("name", {}).get("value", "")
            if role in roles and not node["ignored"]:
                seen.add(role)
                assert name.strip(), node
    assert seen >= {"button", "combobox", "searchbox", "slider", "listbox", "option", "menuitem", "menu", "dialog"}
    tab.close()


def test_a_small_window_shows_everything(world: World) -> None:
    """At 200 and 400 % of a common screen, and on narrow ones, nothing lies beside the page or is too small."""
    tab = world.open("scene-000003")
    for width, height in ((1280, 800), (980, 500), (768, 1024), (640, 400), (390, 800), (320, 256)):
        tab.page.set_viewport_size({"width": width, "height": height})
        found = tab.page.evaluate(BESIDE)
        assert not found["beside"] and found["height"] >= 150, (width, height, found)
    tab.page.set_viewport_size({"width": 768, "height": 1024})
    menu = tab.page.locator("[data-command=list]")
    photographs = tab.page.locator("#list")
    menu.click()
    photographs.wait_for(state="visible")
    assert menu.get_attribute("aria-expanded") == "true"
    menu.click()
    photographs.wait_for(state="hidden")
    assert tab.focus() == "canvas"
    for place in ((450, 500), (600, 1015)):  # on the picture, and beside the classes: it closes, and nothing is drawn
        menu.click()
        photographs.wait_for(state="visible")
        tab.page.mouse.click(*place)
        photographs.wait_for(state="hidden")
    assert not tab.desk("desk.drawing.canUndo")
    tab.close()


BESIDE = """() => ({
  beside: [...document.querySelectorAll("button, input, select, canvas, h1, p")].filter((one) => {
    const { left, right, width } = one.getBoundingClientRect();
    return one.checkVisibility() && width && (left < 0 || right > innerWidth + 0.5);
  }).map((one) => one.outerHTML.slice(0, 80)),
  height: document.querySelector("#canvas").clientHeight,
})"""
"""Controls that lie beside the page, and the height of the picture."""


def test_outlines_can_be_seen_at_any_zoom(world: World) -> None:
    tab = world.open("scene-000003")
    mask = tab.ids()
    for scale, reach in ((1, 1), (0.12, 8)):
        tab.desk(f"desk.view.zoom({scale} / desk.view.camera.scale)")
        tab.until(f"({DESK}).drawing.reach === {reach}")
        rgba = tab.desk("Array.from(desk.drawing.overlay.context.getImageData(0, 0, 96, 72).data)")
        solid = np.array(rgba, np.uint8).reshape(72, 96, 4)[..., 3] == 255
        edge = np.zeros(mask.shape, bool)
        for one, other in ((np.s_[reach:], np.s_[:-reach]), (np.s_[:, reach:], np.s_[:, :-reach])):
            edge[one] |= mask[one] != mask[other]
            edge[other] |= mask[one] != mask[other]
        kinds = (mask > 0) & (mask < 255)
        assert (solid == edge)[kinds].all() and edge[kinds].any() and not edge[kinds].all()
    tab.close()


def test_what_cannot_be_shown_can_be_decided(world: World) -> None:
    """A decision whose record is damaged is put aside; a photograph that is another one now can be rejected."""
    name = "scene-000006"
    tab = world.open(name)
    tab.keys("x")
    tab.wait()
    tab.close()
    record, photograph = world.out / "corrections/items" / f"{name}.json", world.data / "images" / f"{name}.png"
    record.write_text("{")
    tab = world.open(name)
    assert "is damaged" in tab.text("#empty") and tab.text("#state") == "damaged"
    tab.keys("x", "v", "a", "r")
    assert tab.text("#said").startswith("The mask of this photograph cannot") and record.read_text() == "{"
    tab.keys("u")
    tab.until(f"({DESK}).drawing")
    tab.wait()
    assert tab.text("#state") == "undecided" and not record.exists()
    tab.close(expected="Failed to load resource")
    content = photograph.read_bytes()
    try:
        with Image.open(photograph) as image:
            image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(photograph)
        tab = world.open(name)
        assert "changed after its mask was made" in tab.text("#empty")
        tab.keys("x")
        tab.wait()
        assert world.record(name)["state"] == "rejected"
        tab.close(expected="409 (Conflict)")
    finally:
        photograph.write_bytes(content)
    tab = world.open(name)  # a rejection is of one content
    tab.wait_for("#state", "undecided")
    tab.keys("u")
    tab.wait()
    tab.close()


def test_sam_finds_a_region(world: World) -> None:
    """A click, a point beside the thing, and a box; Enter or a button takes the region, Escape discards it."""
    tab = world.open("scene-000005")
    before, value = tab.ids(), tab.desk("desk.value")
    tab.keys("c")
    tab.click((30.5, 30.5))
    tab.wait_for("#said", "SAM found")
    one = answered(tab)
    assert one.any() and (tab.ids() == before).all()  # nothing is given yet
    tab.keys("Escape")
    assert not tab.page.locator("#pending").is_visible() and tab.desk("desk.tool.points") == []
    tab.click((30.5, 30.5))
    tab.until(f"({DESK}).tool.answer")
    assert (answered(tab) == one).all()
    tab.page.keyboard.down("Alt")
    tab.click((70.5, 50.5))
    tab.page.keyboard.up("Alt")
    tab.until(f"({DESK}).tool.points.length === 2 && !({DESK}).tool.asked")
    assert tab.desk("desk.tool.points[1][2]") is False
    tab.drag((10.5, 10.5), (60.5, 60.5))
    tab.until(f"({DESK}).tool.box && !({DESK}).tool.asked")
    two = answered(tab)
    tab.page.click("[data-command=take]")
    wanted = np.where(two, value, before)
    tab.wait()
    assert (tab.ids() == wanted).all() and (world.saved("scene-000005") == wanted).all() and (one != two).any()
    tab.keys("u")
    tab.wait()
    tab.close()


def answered(tab: Tab) -> np.ndarray:
    """The region that SAM found."""
    return np.array(tab.desk("Array.from(desk.tool.answer)"), bool).reshape(tab.ids().shape)


COUNT = 10_000
SIDE = 24
NAMES = ("left", "right")


def write_many(out: Path) -> OpenedRun:
    """Write a run of 10,000 tiny photographs, of which four differ."""
    folder, kinds = OutputFolder(out), [np.full((SIDE, SIDE, 3), 60 * kind, np.uint8) for kind in range(4)]
    data = MemoryDataSet([kinds[number % 4] for number in range(COUNT)], [NAMES] * COUNT, NAMES)
    mask = np.repeat(np.uint8([[0, 1]]), SIDE, 0).repeat(SIDE // 2, 1)
    first = folder.mask(data.samples[0].name)
    write_mask(first, mask)
    texts = {}
    for number, sample in enumerate(data.samples):
        kind = int(sample.name) % 4
        if kind not in texts:
            item = ItemRecord(
                digest=data.digest(sample), width=SIDE, height=SIDE, tags=NAMES, ratios={"left": 0.5, "right": 0.5},
                vanished=(), quality=kind / 4, mask=digest_regular(first), table=table_key(NAMES, False),
            )  # fmt: skip
            texts[kind] = json.dumps(to_json(item))
        path = folder.item(sample.name)
        if number == 0:
            path.parent.mkdir(parents=True)
        else:
            folder.mask(sample.name).hardlink_to(first)
        path.write_text(texts[kind], encoding="utf-8")
    folder.write_record(RunRecord(status="finished", classes=NAMES, background=False))
    record = folder.read()
    assert record is not None
    return OpenedRun(folder, record, data, RunConfig())


@pytest.mark.usefixtures("unchecked")
def test_a_long_queue_shows_only_what_is_in_view(context: Any, tmp_path: Path) -> None:
    desk, goes_on = Desk.of(write_many(tmp_path / "out")), Event()
    server = Server(desk, 0)
    reader = Thread(target=desk.photographs.read, args=(lambda step: step.done < 4000 or goes_on.wait(PATIENCE),))
    reader.start()
    try:
        tab = Tab(context, server.url, "document.querySelector('#progress-text').textContent.startsWith('4,000 ')")
        assert tab.text("#progress-text") == "4,000 of 10,000 records read" and "are being read" in tab.text("#empty")
        goes_on.set()
        tab.until("document.querySelector('#name').textContent")
        tab.wait_for("#found", "10,000 photographs")
        asked: list[str] = []
        tab.page.on("request", lambda request: asked.append(request.url))
        rows = tab.page.locator(".row")
        assert rows.count() < 20
        tab.keys("c")  # this run was made without SAM
        assert "needs SAM" in tab.text("#said")
        for key in "aax":  # a photograph that is not shown yet cannot be decided
            name = tab.text("#name")
            tab.keys(key)
            tab.until(f"document.querySelector('#name').textContent !== {name!r}")
        tab.wait()
        tab.wait_for("#progress-text", "3 of 10,000 decided, 9,997 left")
        tab.keys("i", "End")
        tab.until("document.querySelector('#row-9999 img')?.complete")
        assert rows.count() < 20 and sum("/thumb" in one for one in asked) < 60
        tab.page.evaluate(
            "() => { for (let i = 0; i < 40; i++) document.querySelector('#list').scrollTop = i * 9000; }"
        )
        tab.until("document.querySelector('#row-4620')")
        whole = [
            entry["id"]
            for entry in context.request.get(f"{server.url}api/queue?state=undecided&limit=500&offset=4500").json()[
                "entries"
            ]
        ]
        shown = tab.desk("[...document.querySelectorAll('.row')].map((row) => [Number(row.id.slice(4)), row.entry.id])")
        assert len(shown) > 5  # three are decided, and the server no longer counts them
        assert all(whole[row - 3 - 4500] == number for row, number in shown)
        tab.close()
    finally:
        goes_on.set()
        reader.join()
        server.close()


def test_texts_and_controls_can_be_seen(world: World) -> None:
    """Contrast of WCAG AA in light and dark, by its formula: all texts in view, also of help and warnings; controls."""
    tab = world.open("scene-000003")
    tab.desk("desk.page.warn('A warning.')")
    for scheme in ("light", "dark"):
        tab.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found, edges = tab.page.evaluate(TEXTS), tab.page.evaluate(EDGES)
        tab.keys("?")
        found += tab.page.evaluate(TEXTS)
        tab.keys("Escape")
        assert len(found) > 100 and len(edges) > 20
        weak = [text for text, ink, paper in found if contrast(ink, paper) < 4.5]
        assert not weak, (scheme, weak)
        weak = [text for text, edge, paper in edges if contrast(edge, paper) < 3]
        assert not weak, (scheme, weak)
        assert tab.page.evaluate(MOVING) == []
    tab.close()


SOLID = """const solid = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/, 0\\)$/.test(colour) && colour !== "transparent") return colour;
    }
    return "rgb(255, 255, 255)";
  };"""
"""The colour behind an element."""

EDGES = f"""() => {{
  {SOLID}
  const controls = "button:not(.plain, .remove, [aria-disabled=true]), input:not([type=range]), select";
  const shown = [...document.querySelectorAll(controls)].filter((one) => one.checkVisibility());
  return shown.map((one) => [one.outerHTML, getComputedStyle(one).borderTopColor, solid(one.parentElement)]);
}}"""
"""The controls of the page, with the colours of their edges and of what lies around them."""

MOVING = """() => [...document.querySelectorAll("*")].filter((one) => {
  const { transitionDuration, animationName } = getComputedStyle(one);
  return transitionDuration !== "0s" || animationName !== "none";
}).map((one) => one.id || one.tagName)"""
"""Elements that move by themselves."""

TEXTS = f"""() => {{
  {SOLID}
  const shown = [...document.querySelectorAll("body *")].filter((one) => one.checkVisibility()
    && [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()));
  return shown.map((one) => [one.textContent, getComputedStyle(one).color, solid(one)]);
}}"""
"""The texts of the page, with the colours of ink and paper."""


def contrast(ink: str, paper: str) -> float:
    """Ratio of two colours' luminances (WCAG 2.2)."""

    def luminance(colour: str) -> float:
        parts = [int(one) / 255 for one in re.findall(r"\d+", colour)[:3]]
        linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    low, high = sorted((luminance(ink), luminance(paper)))
    return (high + 0.05) / (low + 0.05)
