"""What ``dhr evaluate`` and ``dhr adjacency`` say, or refuse, before a score that would say nothing."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dhr.data import FolderDataSet, palette, write_mask
from dhr.errors import DataError
from dhr.evaluate import EvaluateConfig, evaluate

Labels = np.ndarray
NAMES = "pqrstu"


@dataclass(frozen=True)
class Folder:
    """A data folder with ground truth, and folders of masks beside it."""

    root: Path

    @property
    def truth(self) -> Path:
        return self.root / "data" / "truth"

    def truths(self, change: Callable[[Labels], Labels]) -> "Folder":
        """Change all ground truth."""
        for path in self.truth.glob("*.png"):
            write_mask(path, change(np.array(Image.open(path))).astype(np.uint8))
        return self

    def masks(self, name: str, change: Callable[[Labels], Labels] = lambda labels: labels) -> Path:
        """A folder of masks made from the labels that are right."""
        folder = self.root / name
        folder.mkdir()
        for number, letter in enumerate(NAMES):
            write_mask(folder / f"{letter}.png", change(right(number, self.classes)).astype(np.uint8))
        return folder

    @property
    def classes(self) -> Sequence[str]:
        return (self.root / "data" / "classes.txt").read_text(encoding="utf-8").split()

    def call(self, pred: Path, *more: str | Path) -> list[str | Path]:
        return ["evaluate", "--data", self.root / "data", "--masks", pred, *more]


def right(number: int, classes: Sequence[str]) -> Labels:
    """Two stripes: the first class or the background, and one of the others."""
    labels = np.zeros((6, 9), np.uint8)
    labels[:, 3:7] = 1 + number % (len(classes) - 1)
    return labels


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Folder]:
    def make(*classes: str) -> Folder:
        data = tmp_path / "data"
        (data / "images").mkdir(parents=True)
        (data / "classes.txt").write_text("\n".join(classes), encoding="utf-8")
        lines = ["image,tags"]
        for number, letter in enumerate(NAMES):
            labels = right(number, classes)
            Image.new("RGB", labels.shape[::-1]).save(data / "images" / f"{letter}.png")
            write_mask(data / "truth" / f"{letter}.png", labels)
            shown = [classes[label] for label in np.unique(labels) if classes[label] != "background"]
            lines.append(f"{letter}.png,{';'.join(shown)}")
        (data / "tags.csv").write_text("\n".join(lines), encoding="utf-8")
        return Folder(tmp_path)

    return make


def checks(path: Path) -> list[str]:
    return [check["kind"] for check in json.loads(path.read_text(encoding="utf-8"))["checks"]]


@pytest.fixture
def one_line() -> Callable[..., None]:
    """Refused in one line that has these words."""

    def check(ended: Any, *words: str) -> None:
        assert ended.code == 2, ended
        assert ended.err.count("\n") == 1 and "Traceback" not in ended.err
        for word in words:
            assert word in ended.err, ended.err

    return check


@pytest.mark.parametrize("classes", [("background", "mug", "cup"), ("sky", "grass", "road")])
def test_what_is_right_is_scored_without_a_word(
    folder: Callable[..., Folder], dhr: Any, tmp_path: Path, classes: tuple[str, ...]
) -> None:
    given = folder(*classes)
    ended = dhr(given.call(given.masks("right"), "--json", tmp_path / "s.json"))
    assert ended.code == 0 and "Note" not in ended.out and checks(tmp_path / "s.json") == []
    assert json.loads((tmp_path / "s.json").read_text())["miou"] == 100


VOID_MASKS = {
    "0 and 255": lambda labels: np.where(labels > 0, 255, 0),
    "void throughout": lambda labels: np.full_like(labels, 255),
}


@pytest.mark.parametrize("kind", [*VOID_MASKS, "background"])
@pytest.mark.parametrize("how", ["one", "several", "run", "truth", "adjacency", "adjacency of a folder"])
def test_ground_truth_without_a_pixel_of_any_tag_is_refused(
    folder: Callable[..., Folder], dhr: Any, one_line: Any, kind: str, how: str
) -> None:
    given = folder("background", "mug")
    masks = given.masks("masks", np.zeros_like if how == "run" else lambda labels: labels)
    given.truths(VOID_MASKS.get(kind, np.zeros_like))
    if how == "run":
        (given.root / "run.json").write_text("{}", encoding="utf-8")
    call = {
        "several": [*given.call(masks), given.masks("more")],
        "truth": ["evaluate", "--ground-truth", given.truth, "--masks", masks],
        "adjacency": ["adjacency", "--data", given.root / "data"],
        "adjacency of a folder": ["adjacency", "--ground-truth", given.truth, "--masks", masks],
    }.get(how, given.call(masks))
    words = "they show only the background (0)" if kind == "background" else "255, which is void"
    one_line(dhr(call), "ground truth: no pixel of any", words, "store 'mug' as 1")


def test_a_few_photographs_without_their_tags_are_named(
    folder: Callable[..., Folder], dhr: Any, tmp_path: Path
) -> None:
    given = folder("background", "mug")
    masks = given.masks("masks")
    for letter in "pq":
        write_mask(given.truth / f"{letter}.png", VOID_MASKS["0 and 255"](right(0, given.classes)).astype(np.uint8))
    ended = dhr(given.call(masks, "--json", tmp_path / "s.json"))
    assert ended.code == 0 and checks(tmp_path / "s.json") == ["nothing_tagged"]
    note = next(line for line in ended.out.splitlines() if line.startswith("Note: "))
    assert "2 of 6 tagged photographs: 'p', 'q'; pixels are 255" in note
    assert ended.out.index("Note: ") < ended.out.index("mIoU")  # before the score


def test_a_numbering_from_1_is_named_and_where_it_is_certain_refused(
    folder: Callable[..., Folder], dhr: Any, one_line: Any, tmp_path: Path
) -> None:
    given = folder("sky", "grass", "road", "sea", "sand")
    masks = given.masks("masks", lambda labels: np.minimum(labels, 3))
    given.truths(lambda labels: np.where(labels < 4, labels + 1, 0))
    ended = dhr(given.call(masks, "--json", tmp_path / "s.json"))
    assert ended.code == 0 and checks(tmp_path / "s.json")[0] == "numbering"
    assert "numbered from 1, with 0 for unlabelled" in ended.out and "subtract 1 from each label" in ended.out
    lines = ["image,tags", *(f"{letter}.png,{given.classes[1 + 2 * (n % 2)]}" for n, letter in enumerate(NAMES))]
    (given.root / "data" / "tags.csv").write_text("\n".join(lines), encoding="utf-8")
    for number, letter in enumerate(NAMES):  # one class a photograph: as stored, tags and ground truth share nothing
        write_mask(given.truth / f"{letter}.png", np.full((6, 9), 2 + 2 * (number % 2), np.uint8))
    one_line(dhr(given.call(masks)), "numbered from 1", "6 of 6 photographs; as stored, of 0")
    one_line(dhr(["adjacency", "--data", given.root / "data"]), "numbered from 1")


def test_classes_that_are_nowhere_or_not_tagged_are_named_with_counts(
    folder: Callable[..., Folder], dhr: Any, tmp_path: Path
) -> None:
    given = folder("background", "mug", "cup", "jug")
    masks = given.masks("masks")
    given.truths(lambda labels: np.where(labels == 3, 255, labels))
    lines = (given.root / "data" / "tags.csv").read_text(encoding="utf-8").replace("cup", "jug")
    (given.root / "data" / "tags.csv").write_text(lines, encoding="utf-8")
    for command in ("evaluate", "adjacency"):
        ended = dhr([command, *given.call(masks, "--json", tmp_path / "s.json")[1:]])
        assert "these classes are tagged, but no mask shows them: 'jug' (4 photographs)" in ended.out
        assert (
            "masks show these classes in photographs that are not tagged with them: 'cup' (2 photographs, and"
            in ended.out
        )
        assert {"not_in_truth", "not_tagged"} <= set(checks(tmp_path / "s.json"))


def test_masks_of_another_data_set_are_noticed(folder: Callable[..., Folder], dhr: Any) -> None:
    given = folder("background", "mug", "cup", "jug")
    ended = dhr(given.call(given.masks("masks", lambda labels: np.where(labels > 0, 1 + labels % 3, 0))))
    assert ended.code == 0
    assert f"masks in {given.root / 'masks'}: no pixel of any tag in 6 of 6 tagged photographs" in ended.out
    assert (
        "masks show classes that are not tagged in 6 of 6 photographs; check that these are the right masks"
        in ended.out
    )


def test_classes_are_matched_by_name(folder: Callable[..., Folder], dhr: Any, one_line: Any, tmp_path: Path) -> None:
    given = folder("sky", "grass", "road", "sea", "sand")
    moved = given.masks("moved", lambda labels: labels + 1)
    table = moved / "classes.txt"
    table.write_text("background\n" + "\n".join(given.classes), encoding="utf-8")
    for how in (given.call(moved), ["evaluate", "--ground-truth", given.truth, "--masks", moved]):
        ended = dhr([*how, "--json", tmp_path / "s.json"])
        assert ended.code == 0 and "matched with the data set's by name" in ended.out
        assert json.loads((tmp_path / "s.json").read_text())["miou"] == 100
        assert "classes" in checks(tmp_path / "s.json")
    ended = dhr(["adjacency", "--data", given.root / "data", "--masks", moved, "--json", tmp_path / "a.json"])
    assert ended.code == 0 and "matched with the data set's by name" in ended.out
    assert json.loads((tmp_path / "a.json").read_text())["vanishing"]["touching"]["low"] == 0
    table.write_text("cat\ndog\nowl\nfox\nelk\nbat", encoding="utf-8")
    one_line(dhr(given.call(moved)), "expected masks of the classes 'sky'", "got those of", "'cat'")
    table.write_text("background\nSKY\ngrass\nstreet\nsea\nsand", encoding="utf-8")
    one_line(dhr(given.call(moved)), "got 'street' of classes.txt")


def test_edited_masks_are_read_or_refused_alike_in_masks_and_ground_truth(
    folder: Callable[..., Folder], dhr: Any, one_line: Any
) -> None:
    given = folder("background", "mug", "cup")
    masks = given.masks("masks")
    for place in (given.truth, masks):
        rgb = palette()[right(0, given.classes)]
        Image.fromarray(rgb).save(place / "p.png")
        ended = dhr(given.call(masks))
        assert ended.code == 0 and " 100.0 " in ended.out, place
        rgb[0, 0] = (9, 9, 200)
        Image.fromarray(rgb).save(place / "p.png")
        one_line(dhr(given.call(masks)), "the colour (9, 9, 200) of no class in 1 pixels", "save it as")
        write_mask(place / "p.png", right(0, given.classes))


def test_ground_truth_alone_whose_palette_differs_from_its_numbers_is_named(
    folder: Callable[..., Folder], dhr: Any, tmp_path: Path
) -> None:
    given = folder("background", "mug", "cup")
    masks = given.masks("masks")
    for path in given.truth.glob("*.png"):
        image = Image.open(path)
        image.putpalette(np.roll(palette(), -1, axis=0).tobytes())
        image.save(path)
    for command in ("evaluate", "adjacency"):
        call = [command, "--ground-truth", given.truth, "--masks", masks, "--json", tmp_path / "s.json"]
        ended = dhr(call)
        assert ended.code == 0 and "in all masks alike; the pixel values count" in ended.out
        assert "classes" in checks(tmp_path / "s.json")


def test_files_that_are_no_ground_truth_are_named(
    folder: Callable[..., Folder], dhr: Any, one_line: Any, tmp_path: Path
) -> None:
    given = folder("background", "mug")
    masks = given.masks("masks")
    for letter in "pq":
        (given.truth / f"{letter}.png").rename(given.truth / f"{letter}_mask.png")
    Image.open(given.truth / "r.png").convert("RGB").save(given.truth / "r.jpg")
    ended = dhr(given.call(masks, "--json", tmp_path / "s.json"))
    assert ended.code == 1  # two photographs are not scored, and should be
    assert "p_mask.png: no photograph is called 'p_mask'" in ended.out and "r.jpg: expected a mask in PNG" in ended.out
    assert set(checks(tmp_path / "s.json")) == {"stray_truth"}
    for path in given.truth.glob("*.png"):
        path.unlink()
    one_line(dhr(given.call(masks)), "none of the 6 photographs has a ground-truth mask (not used: ", "r.jpg")
    one_line(dhr(["evaluate", "--ground-truth", given.truth, "--masks", masks]), "expected PNG masks", "r.jpg")
    (given.truth / "p.png").write_bytes((masks / "p.png").read_bytes())
    ended = dhr(["evaluate", "--ground-truth", given.truth, "--masks", masks, "--allow-extra"])
    assert "r.jpg: expected a mask in PNG, got .jpg" in ended.out


def test_masks_in_jpeg_are_named(folder: Callable[..., Folder], dhr: Any, one_line: Any) -> None:
    given = folder("background", "mug")
    masks = given.masks("masks")
    for path in masks.glob("*.png"):
        Image.open(path).convert("RGB").save(path.with_suffix(".jpg"))
        path.unlink()
    one_line(dhr(given.call(masks)), "6 of 6 masks are missing", "p.jpg: expected a mask in PNG, got .jpg, which may")


def test_in_python_scores_carry_what_was_found(folder: Callable[..., Folder]) -> None:
    given = folder("background", "mug")
    masks = given.masks("masks")
    write_mask(given.truth / "p.png", np.zeros((6, 9), np.uint8))
    scores = evaluate(FolderDataSet(given.root / "data"), masks, EvaluateConfig(workers=1))
    assert [check.kind for check in scores.checks] == ["nothing_tagged"]
    given.truths(np.zeros_like)
    with pytest.raises(DataError, match="no pixel of any tag"):
        evaluate(FolderDataSet(given.root / "data"), masks)
