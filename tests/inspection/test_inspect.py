"""``dhr inspect``: what it counts, what it says, and what it does with data sets that are broken or hostile."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dhr.data import ClassTable, SceneDataSet, open_data, write_mask
from dhr.data.samples import Sample
from dhr.inspection import inspect_data, notes, write_page
from dhr.inspection.choice import PICTURES, chosen

HOSTILE = '<img src=x onerror="alert(1)">'


def photograph(path: Path, shade: int, size: tuple[int, int] = (6, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), shade, np.uint8)).save(path)


def folder(root: Path, tags: dict[str, str], classes: str = "background\ncat\ndog\nowl\n") -> Path:
    for shade, name in enumerate(tags):
        photograph(root / "images" / f"{name}.png", shade)
    lines = [f"{name}.png,{text}" for name, text in tags.items()]
    (root / "tags.csv").write_text("\n".join(["image,tags", *lines]) + "\n", encoding="utf-8")
    (root / "classes.txt").write_text(classes, encoding="utf-8")
    return root


def said(root: Path) -> str:
    return "\n".join(note.text for note in notes(inspect_data(open_data(root))))


class Page(HTMLParser):
    """Tags and texts of a page; every element that is not closed fails."""

    OPEN = ("meta", "img", "wbr", "col", "input")

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.stack, self.tags, self.text = list[str](), list[tuple[str, dict[str, str | None]]](), ""
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert not self.stack

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.OPEN:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.stack):
            self.text += data


# What it counts


def test_counts_are_those_of_a_slow_count(tmp_path: Path) -> None:
    data = SceneDataSet(12, seed=1, size=(32, 40))
    found = inspect_data(data)
    tags = [sample.tags for sample in data.samples]
    for one in found.classes:
        assert one.photographs == sum(one.id in own for own in tags)
        assert one.alone == sum(own == (one.id,) for own in tags)
        truths = [data.read_ground_truth(sample) for sample in data.samples]
        assert one.truth_pixels == sum(int((truth == one.id).sum()) for truth in truths)
        assert one.in_truth == sum(bool((truth == one.id).any()) for truth in truths)
        assert one.only_tagged == sum(
            one.id in own and not (truth == one.id).any() for own, truth in zip(tags, truths, strict=True)
        )
        for other in found.classes:
            assert found.together[one.id, other.id] == sum({one.id, other.id} <= set(own) for own in tags)
    assert sum(found.tags.values()) == found.photographs == 12
    assert found.sizes == {(32, 40): 12} and found.listed_truth == found.read_ground_truth == 12
    assert not found.problems and not found.duplicates


def test_the_number_of_threads_changes_nothing(finished: Any) -> None:
    data = open_data(finished.data)
    first, second = inspect_data(data, workers=1), inspect_data(data, workers=3)
    assert first.to_json() == second.to_json() and notes(first) == notes(second)
    assert {name: picture.photograph.tobytes() for name, picture in first.pictures.items()} == {
        name: picture.photograph.tobytes() for name, picture in second.pictures.items()
    }


@given(
    st.lists(st.sets(st.integers(0, 5), min_size=1, max_size=4), min_size=1, max_size=60),
)
@settings(max_examples=60, deadline=None)
def test_each_tagged_class_is_shown_and_none_that_is_not(tags: list[set[int]]) -> None:
    samples = [Sample(f"{i:03}", "", tuple(sorted(own)), False) for i, own in enumerate(tags)]
    shown = chosen(samples, 6)
    assert set(shown) == set.union(*tags)
    for tag, names in shown.items():
        assert 1 <= len(names) <= 4 and len(set(names)) == len(names)
        assert all(tag in tags[int(name)] for name in names)
    assert sum(map(len, shown.values())) <= PICTURES


# What it says


def test_classes_that_always_come_together_are_named(tmp_path: Path) -> None:
    root = folder(tmp_path, {"a": "cat;dog", "b": "cat;dog", "c": "owl"})
    assert "cat and dog always come together, in 2 photographs" in said(root)
    root = folder(tmp_path, {"a": "cat;dog", "b": "cat;dog", "c": "owl", "d": "dog"})
    text = said(root)
    assert "always come together" not in text and "cat (2) with dog" in text


def test_a_class_in_every_photograph_is_named(tmp_path: Path) -> None:
    assert "Every photograph is tagged with cat" in said(folder(tmp_path, {"a": "cat;dog", "b": "cat", "c": "cat;owl"}))


def test_one_tag_without_a_background_is_told(tmp_path: Path) -> None:
    tags = {"a": "cat", "b": "dog;cat"}
    assert "1 photograph with one tag" in said(folder(tmp_path / "a", tags, "cat\ndog\n"))
    assert "with one tag" not in said(folder(tmp_path / "b", tags))


def test_classes_of_few_photographs_and_of_none_are_named(tmp_path: Path) -> None:
    text = said(folder(tmp_path, {f"p{i}": "cat;dog" if i < 2 else "cat" for i in range(12)}))
    assert "Under 10 photographs: dog (2)" in text and "In no photograph: owl" in text and "cat (12)" not in text


def test_the_same_content_is_found(tmp_path: Path) -> None:
    root = folder(tmp_path, {"a": "cat", "b": "cat", "c": "dog"})
    (root / "images" / "b.png").write_bytes((root / "images" / "a.png").read_bytes())
    found = inspect_data(open_data(root))
    assert [(group.names, group.same_tags) for group in found.duplicates] == [(("a", "b"), True)]
    (root / "images" / "c.png").write_bytes((root / "images" / "a.png").read_bytes())
    found = inspect_data(open_data(root))
    assert [(group.names, group.same_tags) for group in found.duplicates] == [(("a", "b", "c"), False)]
    assert "but other tags: a = b = c" in "\n".join(note.text for note in notes(found))


def test_tags_and_truth_that_do_not_agree_are_named(tmp_path: Path) -> None:
    root = folder(tmp_path, {"a": "cat", "b": "dog"})
    write_mask(root / "truth" / "a.png", np.full((6, 8), 2, np.uint8))
    text = said(root)
    assert "are tagged, but not in the ground truth, with the number of photographs: cat (1)" in text
    assert "are in the ground truth, but not tagged, with the number of photographs: dog (1)" in text
    assert "1 of 2 photographs have a ground-truth mask" in text


# Through the command


def test_a_sound_data_set(finished: Any, dhr: Any, tmp_path: Path) -> None:
    ended = dhr(["inspect", "--data", finished.data, "--out", tmp_path / "page", "--json", tmp_path / "i.json"])
    assert ended.code == 0, ended
    assert "5 photographs" in ended.out and "5 with ground truth" in ended.out
    assert max(map(len, ended.out.split("!")[0].split("Page:")[0].split("- ")[0].splitlines())) <= 80
    page = Page(tmp_path / "page" / "inspect.html")
    assert not any(tag in ("link", "iframe") for tag, _ in page.tags)
    assert all((attrs["src"] or "").startswith("data:") for tag, attrs in page.tags if tag == "img")
    assert "Ground truth" in page.text
    alts = [attrs["alt"] or "" for tag, attrs in page.tags if tag == "img"]
    assert all(
        re.match(r"Photograph \S+, tagged \S+$|Ground truth of \S+$|Matrix: .* Most often: ", alt) for alt in alts
    )
    tagged = {one["data-classes"] for tag, one in page.tags if tag == "article"}
    choices = {one["value"] for tag, one in page.tags if tag == "option" and (one["value"] or "").isdigit()}
    assert tagged == choices and len(tagged) > 1


def test_what_is_broken_is_named_and_the_rest_is_counted(fresh: Any, dhr: Any, tmp_path: Path) -> None:
    images = sorted((fresh.data / "images").glob("*.png"))
    images[0].write_bytes(images[0].read_bytes()[:200])
    truth = fresh.data / "truth" / f"{images[1].stem}.png"
    write_mask(truth, np.zeros((3, 3), np.uint8))
    with (fresh.data / "tags.csv").open("a") as file:
        file.write("nobody.png,dog\n")
    ended = dhr(["inspect", "--data", fresh.data, "--file", tmp_path / "i.html", "--json", tmp_path / "i.json"])
    assert ended.code == 1, ended
    values = json.loads((tmp_path / "i.json").read_text(encoding="utf-8"))
    text = " ".join(f"{one['source']} {one['reason']}" for one in values["problems"])
    assert len(values["problems"]) == 3
    assert str(images[0]) in text and str(truth) in text and "tags.csv line 7" in text
    assert values["photographs"] == 5 and values["truth"]["read"] == 3
    page = Page(tmp_path / "i.html")
    assert "3x3" in page.text and "nobody.png" in page.text


def test_without_truth(fresh: Any, dhr: Any, tmp_path: Path) -> None:
    for path in (fresh.data / "truth").rglob("*.png"):
        path.unlink()
    ended = dhr(["inspect", "--data", fresh.data, "--file", tmp_path / "i.html"])
    assert ended.code == 0 and "No photograph has a ground-truth mask" in ended.out and "in truth" not in ended.out
    assert "Ground truth" not in Page(tmp_path / "i.html").text


def test_a_data_set_that_cannot_be_opened_is_one_line(dhr: Any, tmp_path: Path) -> None:
    (tmp_path / "empty" / "images").mkdir(parents=True)
    (tmp_path / "empty" / "tags.csv").write_text("image,tags\n")
    (tmp_path / "empty" / "classes.txt").write_text("background\ncat\n")
    for data in ("nowhere", "empty"):
        ended = dhr(["inspect", "--data", tmp_path / data, "--file", tmp_path / "i.html"])
        assert ended.code == 2 and ended.err.startswith("dhr: ") and ended.err.count("\n") == 1, ended
        assert not (tmp_path / "i.html").exists()


def test_no_photograph_can_be_read(fresh: Any, dhr: Any, tmp_path: Path) -> None:
    for path in (fresh.data / "images").rglob("*.png"):
        path.write_bytes(b"nothing")
    ended = dhr(["inspect", "--data", fresh.data, "--file", tmp_path / "i.html", "--json", tmp_path / "i.json"])
    assert ended.code == 1 and "Broken: 5" in ended.out
    assert "No photograph can be read" in Page(tmp_path / "i.html").text


def test_names_that_are_html_stay_text(dhr: Any, tmp_path: Path) -> None:
    root = folder(tmp_path / "set", {"a": "cat", "b&lt;": f'"{HOSTILE};[red]x"'.replace('""', '"')}, "cat\n")
    (root / "classes.txt").write_text(f"background\ncat\n{HOSTILE}\n[red]x\n", encoding="utf-8")
    quoted = HOSTILE.replace('"', '""')
    (root / "tags.csv").write_text(f'image,tags\na.png,cat\nb&lt;.png,"{quoted};[red]x"\n', encoding="utf-8")
    ended = dhr(["inspect", "--data", root, "--file", tmp_path / "i.html"])
    assert ended.code == 0, ended
    page = Page(tmp_path / "i.html")
    assert HOSTILE in page.text and "[red]x" in page.text and "b&lt;" in page.text
    assert not any("onerror" in attrs for _, attrs in page.tags)
    assert "[red]x" in re.sub(r"\s+", "", ended.out)


def test_the_page_has_a_largest_size(tmp_path: Path) -> None:
    classes = 30
    root = tmp_path / "set"
    random = np.random.default_rng(0)
    names = [f"class{i}" for i in range(classes)]
    for index in range(classes):
        path = root / "images" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(path)
    lines = [f"{index}.png,class{index}" for index in range(classes)]
    (root / "tags.csv").write_text("\n".join(["image,tags", *lines]) + "\n")
    (root / "classes.txt").write_text("\n".join(names) + "\n")
    found = inspect_data(open_data(root))
    write_page(tmp_path / "all.html", found, "x", {})
    whole = (tmp_path / "all.html").stat().st_size
    budget = whole - 60_000
    write_page(tmp_path / "some.html", found, "x", {}, budget)
    assert (tmp_path / "some.html").stat().st_size <= budget
    assert "left out, so that the page stays small" in Page(tmp_path / "some.html").text
    assert "left out" not in Page(tmp_path / "all.html").text


def test_the_page_is_never_written_among_the_photographs(fresh: Any, dhr: Any) -> None:
    ended = dhr(["inspect", "--data", fresh.data, "--out", fresh.data / "images"])
    assert ended.code == 2 and "among the photographs" in ended.err


def test_a_class_table_of_one(tmp_path: Path) -> None:
    found = inspect_data(open_data(folder(tmp_path, {"a": "cat"}, "background\ncat\n")))
    assert found.table == ClassTable(("background", "cat"), True)
    write_page(tmp_path / "i.html", found, "x", {"format": "folder"})
    assert "cat" in Page(tmp_path / "i.html").text


def test_a_page_beside_a_data_set_in_tables(formats: Any, dhr: Any, tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    root = formats.FORMATS["huggingface"](tmp_path / "set")
    ended = dhr(["inspect", "--data", root, "--file", tmp_path / "i.html"])
    assert ended.code == 0, ended
    assert "photographs" in Page(tmp_path / "i.html").text


@pytest.mark.parametrize(
    "kind", ["voc", "context", "ade", "stuff", "coco", "release", "folder", "cvat", "label-studio", "class-folders"]
)
def test_every_layout(kind: str, formats: Any, dhr: Any, tmp_path: Path) -> None:
    if kind == "coco":
        pytest.importorskip("pycocotools")
    root = formats.FORMATS[kind](tmp_path / "set")
    ended = dhr(["inspect", "--data", root, "--format", kind, "--file", tmp_path / "i.html"])
    assert ended.code in (0, 1), ended
    assert "photographs" in Page(tmp_path / "i.html").text


@pytest.mark.parametrize(("broken", "fields"), [(20, 1), (21, 2)])
def test_a_long_list_of_photographs_can_be_searched(broken: int, fields: int, tmp_path: Path) -> None:
    root = folder(tmp_path / "set", {f"p{number}": "cat" for number in range(22)})
    for number in range(broken):
        (root / "images" / f"p{number}.png").write_bytes(b"nothing")
    write_page(tmp_path / "i.html", inspect_data(open_data(root)), "x", {})
    page = Page(tmp_path / "i.html")
    lists = [one["data-list"] for tag, one in page.tags if tag == "form"]
    assert len(lists) == fields and set(lists) <= {one.get("id") for _, one in page.tags}
