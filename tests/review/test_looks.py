"""What the page is shown: session, queue, photographs, pictures, maps."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dhr.api.memory import MemoryDataSet
from dhr.data import write_mask
from dhr.data.palette import class_palette
from dhr.data.samples import VOID
from dhr.files import write_json
from dhr.records.item import read_item
from dhr.records.members import to_json


def names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [entry["name"] for entry in answer.json()["entries"]]


def test_the_session_describes_the_run(same_page: Any) -> None:
    found = same_page.get("api/session").json()
    colours = class_palette(same_page.desk.photographs.classes)
    assert found["run"] == "out" and found["background"] is True and found["ready"] is True
    assert [one["name"] for one in found["classes"]] == list(same_page.classes)
    assert [bytes.fromhex(one["colour"][1:]) for one in found["classes"]] == [one.tobytes() for one in colours[:4]]
    assert found["void"] == {"id": VOID, "colour": "#e0e0c0"}
    assert found["tools"] == {"refine": True, "sam": False, "superpixels": True}
    assert found["counts"] == {"all": 4, "undecided": 4, "accepted": 0, "mended": 0, "rejected": 0, "skipped": 0}


def test_the_queue_shows_doubtful_masks_first(same_page: Any) -> None:
    found = same_page.get("api/queue").json()
    assert found["total"] == 4
    assert {entry["name"] for entry in found["entries"][:2]} == {"p1", "p3"}  # those with vanished classes
    ranks = [entry["rank"] for entry in found["entries"]]
    assert ranks == sorted(ranks, reverse=True) and ranks[0] == 0.75 and ranks[-1] == 0
    worst = next(entry for entry in found["entries"] if entry["name"] == "p3")
    assert worst["vanished"] == ["dog", "cup"] and worst["tags"] == [2, 3]
    assert worst["reason"].startswith("2 classes vanished: dog, cup")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("order=name", ["p0", "p1", "p2", "p3"]),
        ("order=name&offset=1&limit=2", ["p1", "p2"]),
        ("order=name&class=3", ["p0", "p3"]),
        ("search=P2", ["p2"]),
        ("state=accepted", []),
        ("limit=0", []),
        ("offset=99", []),
    ],
)
def test_the_queue_is_filtered(same_page: Any, query: str, expected: list[str]) -> None:
    assert names(same_page.get(f"api/queue?{query}")) == expected


@pytest.mark.parametrize(
    "query",
    ["offset=-1", "limit=501", "class=4", "state=new", "order=size", "offset=1e3", "limit=²", "search=" + 201 * "a"],
)
def test_a_query_that_cannot_be_used_is_refused_in_one_line(same_page: Any, query: str) -> None:
    answer = same_page.get(f"api/queue?{query}")
    assert answer.status_code == 422 and "expected" in answer.json()["error"]


def test_filters_follow_decisions(page: Any) -> None:
    page.post("api/photographs/0/decide", json={"state": "skipped", "revision": 0, "tags": [1]})
    assert names(page.get("api/queue?state=skipped")) == ["p0"]
    assert names(page.get("api/queue?order=name&class=3")) == ["p3"]
    assert len(names(page.get("api/queue?state=undecided"))) == 3


def test_a_photograph_is_described(same_page: Any) -> None:
    found = same_page.get("api/photographs/3").json()
    height, width = same_page.sizes[3]
    assert (found["width"], found["height"], found["scale"]) == (width, height, 1)
    assert (found["name"], found["state"], found["revision"]) == ("p3", "undecided", 0)
    assert found["tags"] == found["given"] == [2, 3] and found["layers"] == ["cam"]
    assert found["cams"] == [2] and found["problem"] == ""


def test_masks_and_layers_come_row_by_row(same_page: Any) -> None:
    for number in range(4):
        np.testing.assert_array_equal(same_page.mask(number), same_page.drawn(number))
        np.testing.assert_array_equal(same_page.mask(number, "machine"), same_page.drawn(number))
        assert (same_page.mask(number, "layer/cam") == VOID).all()
    assert same_page.get("api/photographs/0/layer/mask").status_code == 404
    assert same_page.get("api/photographs/0/layer/base").status_code == 409  # none was kept
    plain = same_page.get("api/photographs/0/mask", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers and plain.content == same_page.drawn(0).tobytes()


def test_cams_that_the_run_kept_come_on_their_grid(same_page: Any) -> None:
    np.testing.assert_array_equal(same_page.mask(0, "cam/1"), [[0, 128, 255]])
    assert same_page.get("api/photographs/0/cam/0").status_code == 404
    assert same_page.get("api/photographs/0/cam/٣").status_code == 404


def of_one_photograph(run: Any, pixels: np.ndarray, stored: Image.Image, **options: Any) -> Any:
    """The run with another first photograph, of class 1 everywhere; its pixels and the image as it is stored."""
    path = Path(run.data.samples[0].source)
    stored.save(path, **options)
    data = MemoryDataSet([path], [["cat"]], run.record.classes)
    height, width = pixels.shape[:2]
    item = read_item(run.folder.item("p0"))
    item = replace(item, digest=data.digest(data.samples[0]), width=width, height=height)
    write_json(run.folder.item("p0"), to_json(item))
    write_mask(run.folder.mask("p0"), np.ones((height, width), np.uint8))
    return replace(run, data=data)


def test_photographs_come_upright(open_page: Callable[..., Any]) -> None:
    """A photograph that is stored on its side has the size of its mask."""
    pixels = np.zeros((32, 24, 3), np.uint8)
    pixels[:8, :, 0] = 255  # red above
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(np.rot90(pixels, 1).copy())  # as a camera on its side stores it
    page = open_page(lambda run: of_one_photograph(run, pixels, turned, exif=exif))
    shown = Image.open(io.BytesIO(page.get("api/photographs/0/image").content)).convert("RGB")
    assert shown.size == (24, 32) == page.mask(0).shape[::-1]
    assert np.asarray(shown)[2, 12, 0] > 200 > 100 > np.asarray(shown)[28, 12, 0]


def test_a_large_photograph_is_shown_smaller_and_its_mask_whole(open_page: Callable[..., Any]) -> None:
    pixels = np.zeros((10, 8192, 3), np.uint8)
    page = open_page(lambda run: of_one_photograph(run, pixels, Image.fromarray(pixels)))
    found = page.get("api/photographs/0").json()
    shown = Image.open(io.BytesIO(page.get("api/photographs/0/image").content))
    assert shown.size == (4096, 5) and found["scale"] == 0.5 and page.mask(0).shape == (10, 8192)
    assert len(page.get("api/photographs/0/superpixels").content) == 2 * 10 * 8192
    saved = page.post("api/photographs/0/save", content=bytes(10 * 8192), decision={"state": "mended", "revision": 0})
    assert saved.status_code == 200 and not page.mask(0).any()


def test_pictures_are_not_sent_twice(page: Any) -> None:
    for kind in ("image", "thumb"):
        first = page.get(f"api/photographs/1/{kind}")
        assert first.status_code == 200 and first.headers["content-type"] == "image/jpeg"
        again = page.get(f"api/photographs/1/{kind}", headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == 304 and not again.content
    write_mask(page.desk.photographs.run.folder.mask("p1"), np.full(page.sizes[1], 1, np.uint8))
    changed = page.get("api/photographs/1/thumb", headers={"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200 and changed.content != first.content


def test_superpixels_have_the_size_of_the_photograph(same_page: Any) -> None:
    answer = same_page.get("api/photographs/2/superpixels")
    height, width = same_page.sizes[2]
    cells = np.frombuffer(answer.content, "<u2").reshape(height, width)
    assert [*np.unique(cells)] == [*range(cells.max() + 1)] and 8 <= cells.max() < height * width // 8


def test_a_photograph_that_changed_is_not_served(page: Any) -> None:
    first, second = (Path(one.source) for one in page.desk.photographs.samples[:2])
    Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(first)
    second.unlink()
    for number, reason in ((0, "changed"), (1, "No such file")):
        assert reason in page.get(f"api/photographs/{number}").json()["problem"]
        for kind in ("image", "mask", "thumb", "layer/cam", "superpixels", "machine"):
            answer = page.get(f"api/photographs/{number}/{kind}")
            assert answer.status_code == 409 and reason in answer.json()["error"], kind
        answer = page.post(f"api/photographs/{number}/decide", json={"state": "accepted", "revision": 0})
        assert answer.status_code == 409 and reason in answer.json()["error"]


@pytest.mark.parametrize("damage", ["record", "mask", "size", "class", "table"])
def test_damage_is_told_in_one_line(page: Any, damage: str) -> None:
    folder = page.desk.photographs.run.folder
    if damage == "record":
        folder.item("p0").write_text("{")
    elif damage == "mask":
        folder.mask("p0").write_bytes(b"\x89PNG\r\n\x1a\n")
    elif damage in ("size", "class"):
        write_mask(folder.mask("p0"), np.full((24, 32) if damage == "class" else (24, 31), 4, np.uint8))
    else:
        write_json(folder.item("p0"), {**json.loads(folder.item("p0").read_text()), "table": "2:00000000"})
    answer = page.get("api/photographs/0/mask")
    assert answer.status_code == 409 and "\n" not in answer.json()["error"] and "p0" in answer.json()["error"]


def test_records_that_are_damaged_at_the_start_are_left_out(open_page: Callable[..., Any]) -> None:
    def damage(run: Any) -> None:
        run.folder.item("p0").write_text("[]")
        run.folder.item("p1").unlink()

    page = open_page(damage)
    assert names(page.get("api/queue?order=name")) == ["p2", "p3"]
    assert page.get("api/photographs/0").status_code == 404
    assert page.get("api/session").json()["counts"]["all"] == 2


def test_masks_of_people_come_last(open_page: Callable[..., Any]) -> None:
    """After a run their records have no quality, which is otherwise the most doubtful."""

    def of_a_person(run: Any) -> None:
        item = read_item(run.folder.item("p1"))
        write_json(run.folder.item("p1"), to_json(replace(item, quality=None, vanished=(), person="mended")))

    assert names(open_page(of_a_person).get("api/queue"))[-1] == "p1"


def test_names_are_text_whatever_they_are(tmp_path: Path, open_page: Callable[..., Any]) -> None:
    """Bytes that are not UTF-8, markup and quotes come back as they are."""

    def renamed(run: Any) -> Any:
        odd = ['<img src=x onerror="alert(1)">', "\udcff\u202egnp"]
        samples = [replace(one, name=name) for one, name in zip(run.data.samples, odd, strict=False)]
        run.data.samples = [*samples, *run.data.samples[2:]]
        for old, new in zip(("p0", "p1"), odd, strict=True):
            run.folder.item(old).rename(run.folder.item(new))
        return run

    page = open_page(renamed)
    shown = names(page.get("api/queue"))
    assert {'<img src=x onerror="alert(1)">', "\udcff\u202egnp"} < {*shown}
    assert page.get("api/queue").headers["content-type"] == "application/json"
