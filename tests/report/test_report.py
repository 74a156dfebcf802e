import base64
import hashlib
import json
import math
import os
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest

from dhr.data.images import write_mask
from dhr.data.samples import ClassTable, Problem, Sample
from dhr.errors import ItemError
from dhr.evaluate import STAGES, EvaluateConfig, evaluate_stages, stage_folder
from dhr.report.build import write_report

EVIL = "<script>alert('x')</script>\"&amp;"


TABLE = ClassTable(("cat", "dog", EVIL), background=False)


@dataclass
class Pictures:
    """A data set in memory that says what was opened."""

    images: dict[str, np.ndarray | None]
    classes: ClassTable = TABLE
    tags: tuple[int, ...] = (0, 1)
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    opened: list[str] = field(default_factory=list)

    @property
    def samples(self) -> list[Sample]:
        return [Sample(name, f"{name}.jpg", self.tags, True) for name in self.images]

    def digest(self, sample: Sample) -> str:
        return "0" * 64

    def read_image(self, sample: Sample) -> np.ndarray:
        image = self.images[sample.name]
        if image is None:
            raise ItemError(f"{sample.name}: damaged {EVIL}")
        return image

    def read_ground_truth(self, sample: Sample) -> np.ndarray:
        self.opened.append(sample.name)
        return truth_of(self.images[sample.name])


class Page(HTMLParser):
    """What the tests ask of a page. Fails on tags that are not closed in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []
        self.titles: list[str] = []
        self.sources: list[str] = []
        self.links: list[str] = []
        self.alts: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for key, value in attrs:
            assert not key.startswith("on"), key
            if key == "href":
                self.links.append(value or "")
            if key == "alt":
                self.alts.append(value or "")
            if key == "src":
                self.sources.append(value or "")
        if tag not in ("meta", "img", "col", "wbr", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if (self.open and self.open[-1] == "h3") or self.open[-2:] == ["h3", "bdi"]:
            self.titles.append(data)
        if not {"style", "script"} & set(self.open):
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())


def truth_of(image: np.ndarray | None) -> np.ndarray:
    assert image is not None
    truth = np.zeros(image.shape[:2], dtype=np.uint8)
    truth[:, truth.shape[1] // 2 :] = 1
    return truth


def picture(height: int = 30, width: int = 40) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def record(out: Path, name: str, **values: object) -> None:
    path = out / "items" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    base = {"image": f"{name}.jpg", "tags": ["cat", "dog"], "width": 40, "height": 30, "quality": 0.5}
    path.write_text(json.dumps({**base, "ratios": {"cat": 0.9, "dog": 0.1}, "vanished": [], "seconds": 0.1, **values}))


def finish(out: Path, data: Pictures, stages: tuple[str, ...] = STAGES, cams: bool = True) -> None:
    """Everything that a run leaves."""
    out.mkdir(parents=True, exist_ok=True)
    run = {
        "status": "finished",
        "dhr": "0.1.0",
        "command": ["dhr", "run", "--data", f"in/{EVIL}"],
        "seed": 7,
        "preset": "default",
        "settings": {"method": {"note": EVIL}},
        "stages": [{"name": "classifier", "seconds": 61.0, "peak_memory_mb": 512.0}, {"name": EVIL, "seconds": None}],
        "counts": {"photographs": len(data.images) + 1, "masks": len(data.images), "skipped": 1},
        "skipped": [{"source": f"in/{EVIL}", "reason": f"no picture {EVIL}"}],
        "seconds": 75.0,
    }
    (out / "run.json").write_text(json.dumps(run))
    for index, (name, image) in enumerate(data.images.items()):
        shape = (30, 40) if image is None else image.shape[:2]
        for stage in stages:
            write_mask(stage_folder(out, stage) / f"{name}.png", np.full(shape, index % 2, dtype=np.uint8))
        if cams:
            path = out / "cams" / f"{name}.npz"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, cams=np.ones((2, 3, 4), dtype=np.float16), classes=np.array([0, 1]))
        record(out, name, quality=1 - index / 100)


def test_a_whole_report_is_one_well_formed_page_that_loads_nothing(tmp_path: Path) -> None:
    data = Pictures({"a": picture(), "sub/b": picture(50, 20), "c": picture(1, 1)})
    finish(tmp_path, data)
    path = write_report(tmp_path, data, evaluate_stages(data, tmp_path))
    page, text = Page(path), path.read_text()
    assert path == tmp_path / "report.html"
    assert (
        page.tags.count("script") == 1
        and page.sources
        and all(re.fullmatch(r"data:image/(png|jpeg);base64,[\w+/=]+", source) for source in page.sources)
    )
    assert not re.search(r"https?:|[\"'(]//|url\(|@import", re.sub(r"base64,[\w+/=]+", "", text))
    script = text[text.index("<script>") + len("<script>") : text.index("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in text and f"script-src 'sha256-{digest}'" in text  # no other script runs
    assert len(page.sources) == 3 * (1 + len(STAGES) + 1 + 2)  # photograph, stages, truth, CAMs
    for words in ("default", "1 min 15 s", "512 MB", "Step 2", "Ground truth", "All 3, worst first", "CAM of dog"):
        assert words in page.words, words


def test_the_truth_is_opened_only_with_scores(tmp_path: Path) -> None:
    data = Pictures({"a": picture(), "b": picture()})
    finish(tmp_path, data)
    page = Page(write_report(tmp_path, data))
    assert data.opened == []
    assert "Ground truth" not in page.words and "mIoU" not in page.words
    assert page.titles == ["b", "a"]  # least certain first
    scores = evaluate_stages(data, tmp_path)
    data.opened.clear()
    assert "Ground truth" in Page(write_report(tmp_path, data, scores)).words
    assert data.opened == ["a", "b"] or data.opened == ["b", "a"]


def test_rows_are_worst_first_with_scores(tmp_path: Path) -> None:
    data = Pictures({name: picture() for name in "abc"})
    finish(tmp_path, data)
    for name, wrong in (("a", 5), ("b", 15), ("c", 10)):
        mask = truth_of(data.images[name])
        mask[:wrong] = 2
        write_mask(tmp_path / "masks" / f"{name}.png", mask)
    page = Page(write_report(tmp_path, data, evaluate_stages(data, tmp_path)))
    assert page.titles == ["b", "c", "a"]


def test_what_users_named_is_escaped(tmp_path: Path) -> None:
    name = "x<script>alert(1)<\u2215script>'\"&"
    data = Pictures({name: None})
    finish(tmp_path, data)
    record(tmp_path, name, tags=["cat", EVIL], vanished=[EVIL], ratios={EVIL: 0.0})
    path = write_report(tmp_path / ".", data)
    page = Page(path)
    assert page.tags.count("script") == 1 and "b" in page.tags
    assert EVIL in page.words  # shown as it is
    assert page.titles == [name]
    assert "cannot be read" in page.words


def test_the_budget_is_kept_and_the_page_says_what_is_left_out(tmp_path: Path) -> None:
    data = Pictures({f"i{index:02}": picture(150, 200) for index in range(12)})
    finish(tmp_path, data)
    whole = write_report(tmp_path, data).stat().st_size
    empty = write_report(tmp_path, data, budget=1).stat().st_size
    assert "Showing the 0 least certain of 12" in Page(tmp_path / "report.html").words
    for share in (0.2, 0.5, 0.99):
        budget = int(empty + share * (whole - empty))
        path = write_report(tmp_path, data, budget=budget)
        page = Page(path)
        assert path.stat().st_size <= budget
        assert page.titles == [f"i{index:02}" for index in range(11, -1, -1)][: len(page.titles)]
        assert f"Showing the {len(page.titles)} least certain of 12" in page.words
        assert 12 * share - 2 <= len(page.titles) < 12
    assert len(Page(write_report(tmp_path, data, budget=whole + 100)).titles) == 12


@pytest.mark.parametrize("stages", [(), ("mask",), ("cam", "mask")])
def test_stages_that_are_not_there_leave_no_picture(tmp_path: Path, stages: tuple[str, ...]) -> None:
    data = Pictures({"a": picture()})
    finish(tmp_path, data, stages, cams=False)
    assert len(Page(write_report(tmp_path, data)).sources) == 1 + len(stages)


def test_failures_that_run_json_does_not_name_are_counted(tmp_path: Path) -> None:
    data = Pictures({"a": picture()})
    finish(tmp_path, data)
    record = json.loads((tmp_path / "run.json").read_text())
    record |= {"rows": True, "counts": {**record["counts"], "skipped": 12_345}}
    (tmp_path / "run.json").write_text(json.dumps(record))
    words = Page(write_report(tmp_path, data)).words
    assert "Skipped 12,345" in words and "and 12,344 more; the column reason of the rows names all" in words


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"stages": 3, "skipped": [1], "settings": null, "seconds": "x"}']
)
def test_damaged_records_do_not_stop_the_report(tmp_path: Path, content: bytes) -> None:
    data = Pictures({"a": picture(), "b": picture()})
    finish(tmp_path, data)
    (tmp_path / "run.json").write_bytes(content)
    (tmp_path / "items" / "b.json").write_bytes(b"[]")
    (tmp_path / "masks" / "a.png").write_bytes(b"no picture")
    (tmp_path / "cams" / "a.npz").write_bytes(b"no archive")
    page = Page(write_report(tmp_path, data))
    assert page.titles == ["a"]
    assert "record cannot be read" in page.words
    assert "has not finished" in page.words


@pytest.mark.parametrize(
    "arrays",
    [
        {"cams": np.ones((2, 3, 4), dtype=np.float16)},
        {"cams": np.ones((2, 3, 4), dtype=np.float16), "classes": np.array([0])},
        {"cams": np.ones((2, 3), dtype=np.float16), "classes": np.array([0, 1])},
        {"cams": np.ones((2, 0, 4), dtype=np.float16), "classes": np.array([0, 1])},
        {"cams": np.ones((1, 3, 4), dtype=np.float16), "classes": np.array([99])},
        {"cams": np.array([{}], dtype=object), "classes": np.array([0])},  # pickled: never loaded
    ],
)
def test_odd_cams_leave_no_picture(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    data = Pictures({"a": picture()})
    finish(tmp_path, data, ())
    np.savez(tmp_path / "cams" / "a.npz", **arrays)
    assert len(Page(write_report(tmp_path, data)).sources) == 1


def test_cams_are_unpacked_only_if_they_are_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of some kilobytes can stand for gigabytes."""
    data = Pictures({"a": picture()})
    finish(tmp_path, data, ())
    monkeypatch.setattr("dhr.report.cams._MOST", 100_000)
    path = tmp_path / "cams" / "a.npz"
    for size, pictures in ((100, 2), (1000, 1)):
        np.savez_compressed(path, cams=np.zeros((1, size, 400), np.float16), classes=np.array([0]))
        assert path.stat().st_size < 5000
        assert len(Page(write_report(tmp_path, data)).sources) == pictures
    path.unlink()
    os.mkfifo(path)
    assert len(Page(write_report(tmp_path, data)).sources) == 1


NUMBERS = ["1" + "0" * 400, "-1", "true", '"x"', "1e999", "null", "[]", "0.5"]


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_that_cannot_be_count_as_unknown(number: str, tmp_path: Path) -> None:
    data = Pictures({"a": picture()})
    finish(tmp_path, data)
    text = (
        f'{{"tags": ["cat", 1], "quality": {number}, "width": {number}, "height": {number}, '
        f'"ratios": {{"cat": {number}}}, "vanished": [{number}]}}'
    )
    (tmp_path / "items" / "a.json").write_text(text)
    (tmp_path / "run.json").write_text(
        f'{{"seconds": {number}, "counts": {{"masks": {number}}}, "stages": [{{"name": "x", "seconds": {number}}}]}}'
    )
    assert Page(write_report(tmp_path, data)).titles == ["a"]


def test_nothing_finished(tmp_path: Path) -> None:
    page = Page(write_report(tmp_path / "new", Pictures({"a": picture()})))
    assert "No photograph is finished" in page.words


def test_sixty_tags_long_names_and_missing_values(tmp_path: Path) -> None:
    names = tuple(f"{'long' * 30} {index}" for index in range(60))
    name = "/".join(["n" * 200] * 6)
    data = Pictures({name: picture(1, 3000)}, ClassTable(("background", *names), True), tags=tuple(range(1, 61)))
    finish(tmp_path, data, ("mask",), cams=False)
    (tmp_path / "cams" / f"{name}.npz").parent.mkdir(parents=True)
    np.savez(tmp_path / "cams" / f"{name}.npz", cams=np.zeros((60, 2, 2), dtype=np.float32), classes=np.arange(1, 61))
    record(tmp_path, name, tags=list(names), quality=None, ratios={names[0]: 1e-5, names[1]: None}, width=None)
    page = Page(write_report(tmp_path, data))
    assert "and 20 more" in page.words and "and 48 CAMs more" in page.words
    assert "< 0.1 %" in page.words
    assert len(page.sources) == 2 + 12


def test_255_classes_fold_away(tmp_path: Path) -> None:
    data = Pictures({"a": picture(15, 17)}, ClassTable(tuple(f"c{index}" for index in range(255)), False))
    finish(tmp_path, data, ("mask",))
    truth = np.arange(255, dtype=np.uint8).reshape(15, 17)
    write_mask(tmp_path / "masks" / "a.png", truth)
    data.read_ground_truth = lambda sample: truth  # type: ignore[method-assign]
    assert "The other 223 classes" in Page(write_report(tmp_path, data, evaluate_stages(data, tmp_path))).words


def test_records_outside_a_split_are_counted(tmp_path: Path) -> None:
    everything = Pictures({"a": picture(), "b": picture()})
    finish(tmp_path, everything)
    page = Page(write_report(tmp_path, Pictures({"a": picture()})))
    assert page.titles == ["a"]
    assert "1 more photograph outside this data set" in page.words


def test_names_that_are_not_unicode(tmp_path: Path) -> None:
    name = "caf\udce9"
    data = Pictures({name: picture()})
    record(tmp_path, name)
    assert Page(write_report(tmp_path, data)).titles == ["caf?"]


def test_missing_masks_are_named_with_the_scores(tmp_path: Path) -> None:
    data = Pictures({"a": picture(), "b": picture()})
    finish(tmp_path, data)
    (tmp_path / "masks" / "b.png").unlink()
    page = Page(write_report(tmp_path, data, evaluate_stages(data, tmp_path, EvaluateConfig(allow_missing=True))))
    assert "1 photograph without a mask: not in the scores." in page.words
    assert page.titles == ["a", "b"]  # what has no score comes last
    assert not math.isnan(evaluate_stages(data, tmp_path, EvaluateConfig(allow_missing=True))["mask"].miou)


def test_every_picture_has_a_text_of_its_own(tmp_path: Path) -> None:
    data = Pictures({"a": picture(), "sub/b": picture(50, 20)})
    finish(tmp_path, data)
    page = Page(write_report(tmp_path, data, evaluate_stages(data, tmp_path)))
    assert len(page.alts) == len(set(page.alts)) == len(page.sources)
    assert all("a" in alt.split() or "a:" in alt.split() or "sub/b" in alt for alt in page.alts)
    for alt in (
        "Photograph a",
        "CAM of dog in sub/b",
        "Final mask of a: cat 100\u2009%",
        "Step 1, seeds of sub/b: dog 100\u2009%",
        "Ground truth of a: cat 50\u2009%, dog 50\u2009%",
    ):
        assert alt in page.alts, alt


def test_links_lead_to_the_files(tmp_path: Path) -> None:
    names = ["a", "sub/javascript:b", 'c #?%"<\udce9']
    data = Pictures({name: picture() for name in names})
    finish(tmp_path / "out", data)
    photograph = tmp_path / "photo graph.jpg"
    photograph.write_bytes(b"")
    samples = [Sample(name, str(photograph), (0,), False) for name in names]
    page = Page(write_report(tmp_path / "out", Moved(data.images, moved=samples)))
    targets = [(tmp_path / "out" / unquote(link, errors="surrogateescape")).resolve() for link in page.links[1:]]
    assert len(targets) == 9 and all(target.is_file() for target in targets)
    assert all(urlsplit(link)[:2] == ("", "") and not urlsplit(link).query for link in page.links)
    assert set(targets) >= {photograph, tmp_path / "out" / "masks" / "a.png", tmp_path / "out" / "items" / "a.json"}


@dataclass
class Moved(Pictures):
    moved: list[Sample] = field(default_factory=list)

    @property
    def samples(self) -> list[Sample]:
        return self.moved


def test_the_page_can_be_filtered_by_class_and_state(tmp_path: Path) -> None:
    data = Pictures({name: picture() for name in ("a", "b", "c", *(f"d{index}" for index in range(8)))})
    finish(tmp_path, data)
    record(tmp_path, "a", quality=0.59, vanished=["dog"], ratios={"cat": 1.0, "dog": 0.0})
    record(tmp_path, "b", quality=0.6, tags=["dog"], ratios={"dog": 1.0})
    record(tmp_path, "c", quality=None, tags=[EVIL], ratios={})
    for index in range(8):
        record(tmp_path, f"d{index}", quality=0.7)
    text = write_report(tmp_path, data).read_text()
    assert '<article data-classes="0 1" data-gone="1" data-quality="0.59" data-doubtful>' in text
    assert '<article data-classes="1" data-quality="0.6">' in text and '<article data-classes="2">' in text
    ranks = re.findall(r"quality rank <b>(\d+)</b> of 10", text)
    assert ranks == ["1", "2", *["3"] * 8] and text.count("lowest tenth in quality") == 2  # of a, and in the filter
    assert re.search(r'<form class="tools"[^>]* hidden>', text)  # without scripts there is nothing that does nothing
    assert text.count("<label>") == 4 and 'lang="en"' in text
    options = re.findall(r'<option value="(\d+)">(.*?)</option>', text)
    assert [int(index) for index, _ in options] == [2, 0, 1] and options[1] == ("0", "cat")


def test_what_an_update_changed_is_shown(tmp_path: Path) -> None:
    data = Pictures({name: picture() for name in "abc"})
    finish(tmp_path, data)
    run = json.loads((tmp_path / "run.json").read_text())
    run["taught"] = {"digest": "d", "masks": 1, "changed": 2, "pixels": 390}
    (tmp_path / "run.json").write_text(json.dumps(run))
    record(tmp_path, "a", changed=30)
    record(tmp_path, "b", changed=360)
    record(tmp_path, "c", changed=0)
    path = write_report(tmp_path, data)
    words, text = Page(path).words, path.read_text()
    assert "learned from 1 corrected mask. Then 2 other masks changed, in 390 pixels in all." in words
    assert "2.5\u2009% of the pixels changed" in text.replace("<b>", "").replace("</b>", "")
    assert re.findall(r'data-changed="(.*?)"', text) == ["0.025", "0.3"] and "most changed first" in text
    run.pop("taught")
    (tmp_path / "run.json").write_text(json.dumps(run))
    for name in "ab":
        record(tmp_path, name)
    text = write_report(tmp_path, data).read_text()
    assert "data-changed" not in text and "most changed" not in text and "learned from" not in text


def test_photographs_without_tags_have_a_report_too(tmp_path: Path) -> None:
    data = Pictures({"a": picture(), "b": picture()}, tags=())
    finish(tmp_path, data, ("mask",), cams=False)
    run = {"command": "predict", "status": "finished", "identity": {"settings": {"flip": True}}, "masks": 2}
    (tmp_path / "run.json").write_text(json.dumps(run))
    for name, quality in (("a", 0.9), ("b", 0.4)):
        record(tmp_path, name, tags=[], ratios={"cat": 0.25, "dog": 0.75}, quality=quality)
    page = Page(write_report(tmp_path, data))
    assert page.titles == ["b", "a"] and "a class vanished" not in page.words
    assert "The number counts the masks that show the class." in page.words and '"flip": true' in page.words
    assert "dog 75.0 %cat 25.0 %" in page.words  # the largest first
