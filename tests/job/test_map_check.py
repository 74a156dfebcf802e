"""All files of maps are looked at before a mask is made: numbers, shapes, classes without a pixel."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dhr.data import write_mask

SIZE = (40, 56)
TAGS = {"p0": (1,), "p1": (2,), "p2": (1, 2)}
NAMES = ("background", "red", "blue")
COLOURS = np.array([[60, 60, 60], [200, 30, 30], [30, 30, 200]], np.uint8)


def one_line(ended: Any, *words: str) -> None:
    assert ended.code == 2, ended
    assert ended.err.startswith("dhr: ") and ended.err.count("\n") == 1, ended.err
    for word in words:
        assert word in ended.err, ended.err


def truth(tags: tuple[int, ...]) -> np.ndarray:
    """A block of each tag on background."""
    mask = np.zeros(SIZE, np.uint8)
    for place, tag in enumerate(tags):
        mask[8:32, 6 + 24 * place : 24 + 24 * place] = tag
    return mask


@pytest.fixture
def case(tmp_path: Path, new_case: Any) -> Any:
    data = tmp_path / "data"
    (data / "images").mkdir(parents=True)
    lines = ["image,tags"]
    for name, tags in TAGS.items():
        Image.fromarray(COLOURS[truth(tags)]).save(data / "images" / f"{name}.png")
        write_mask(data / "truth" / f"{name}.png", truth(tags))
        lines.append(f"{name}.png,{';'.join(NAMES[tag] for tag in tags)}")
    (data / "tags.csv").write_text("\n".join(lines) + "\n")
    (data / "classes.txt").write_text("\n".join(NAMES) + "\n")
    return new_case(data, tmp_path / "out")


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    folder = tmp_path / "maps"
    folder.mkdir()
    return folder


def run(case: Any, maps: Path, *more: str) -> list[str]:
    files = ("--wss.kind", "files", "--wss.backbone", "none", "--wss.maps", str(maps), "--no-stages")
    return case.run(*files, "--method.survey", "0", *more)


def save(folder: Path, name: str, keys: list[int], maps: list[np.ndarray]) -> None:
    np.save(folder / f"{name}.npy", {"keys": np.array(keys), "cam": np.stack(maps).astype(np.float32)})  # type: ignore[arg-type]


def of(tags: tuple[int, ...], *ids: int) -> list[np.ndarray]:
    """Maps of some ids."""
    return [(truth(tags) == one).astype(np.float32) for one in ids]


def agreement(case: Any, labels: Any) -> float:
    """Share of the tags' pixels that have their class."""
    shares = []
    for name, tags in TAGS.items():
        mask = labels(case.out / "masks" / f"{name}.png")
        shares += [(mask[truth(tags) == tag] == tag).mean() for tag in tags]
    return float(np.mean(shares))


def test_a_background_first_is_refused_and_the_remedy_works(case: Any, maps: Path, dhr: Any, labels: Any) -> None:
    for name, tags in TAGS.items():
        save(maps, name, [0, *tags], of(tags, 0, *tags))
    one_line(dhr(run(case, maps)), "--wss.numbering table", "3 of 3")
    assert not (case.out / "masks").exists()
    ended = dhr(run(case, maps, "--wss.numbering", "table"))
    assert ended.code == 0, ended.err
    assert agreement(case, labels) > 0.9
    one_line(dhr(run(case, maps)), "another run", "numbering")  # now the folder is of these settings


def test_arrays_with_a_background_first(case: Any, maps: Path, dhr: Any, labels: Any) -> None:
    for name, tags in TAGS.items():
        np.save(maps / f"{name}.npy", np.stack(of(tags, 0, *tags)))
    one_line(dhr(run(case, maps)), "one map more", "--wss.numbering table")
    assert dhr(run(case, maps, "--wss.numbering", "table")).code == 0
    assert agreement(case, labels) > 0.9


def test_arrays_that_may_be_either_are_refused(case: Any, maps: Path, dhr: Any) -> None:
    """One tag, two maps: of both classes, or of background and tag."""
    (case.data / "tags.csv").write_text("image,tags\np0.png,red\n")
    np.save(maps / "p0.npy", np.stack(of((1,), 0, 1)))
    one_line(dhr(run(case, maps)), "may hold", "--wss.numbering table")


def test_masks_whose_255_stands_for_the_class_are_refused(case: Any, maps: Path, dhr: Any) -> None:
    for name, tags in TAGS.items():
        write_mask(maps / f"{name}.png", np.where(truth(tags) > 0, np.uint8(255), np.uint8(0)))
    one_line(dhr(run(case, maps)), "'red'", "255 is void", "must be 1")
    assert not (case.out / "masks").exists()


def test_photographs_without_a_pixel_of_their_classes_are_named(case: Any, maps: Path, dhr: Any) -> None:
    for name, tags in TAGS.items():
        save(maps, name, [tag - 1 for tag in tags], of(tags, *tags))
    save(maps, "p0", [0], [np.zeros(SIZE)])  # of no class: left out
    save(maps, "p2", [0, 1], [truth((1, 2)) == 1, np.zeros(SIZE)])  # of one class: told
    ended = dhr(run(case, maps))
    assert ended.code == 1, ended
    assert "p0.png: no value above 0 in the map of 'red'" in ended.out
    assert "1 photographs have no pixel of a class" in ended.out and "p2.png (blue)" in ended.out
    assert sorted(path.stem for path in (case.out / "masks").iterdir()) == ["p1", "p2"]
    assert case.record()["notes"]


def test_rows_and_columns_that_are_exchanged_are_named(case: Any, maps: Path, dhr: Any) -> None:
    for name, tags in TAGS.items():
        save(maps, name, [tag - 1 for tag in tags], of(tags, *tags))
    save(maps, "p0", [0], [truth((1,)).T])
    save(maps, "p1", [1], [np.ones((20, 60))])
    ended = dhr(run(case, maps))
    assert ended.code == 1, ended
    assert "56 rows and 40 columns, the photograph 40 and 56: rows and columns are swapped" in ended.out
    assert "20 rows and 60 columns" in ended.out
    for name, tags in TAGS.items():
        save(maps, name, [tag - 1 for tag in tags], [one.T for one in of(tags, *tags)])
    other = case.out.with_name("other")
    one_line(dhr([*run(case, maps), "--out", str(other)]), "rows and columns are swapped")


@pytest.mark.parametrize("grid", [(10, 14), (3, 4), (20, 28), (5, 7), (80, 112)])
def test_grids_of_the_photographs_aspect_are_read(grid: tuple[int, int], case: Any, maps: Path, dhr: Any) -> None:
    for name, tags in TAGS.items():
        save(maps, name, [tag - 1 for tag in tags], [np.random.default_rng(0).random(grid) for _ in tags])
    ended = dhr(run(case, maps))
    assert ended.code == 0, ended
    assert "aspect" not in ended.out


def test_squares_that_photographs_were_stretched_to_are_told(case: Any, maps: Path, dhr: Any) -> None:
    for name, tags in TAGS.items():
        save(maps, name, [tag - 1 for tag in tags], [np.random.default_rng(0).random((32, 32)) for _ in tags])
    ended = dhr(run(case, maps))
    assert ended.code == 0, ended
    assert "All maps are 32x32, unlike the photographs" in ended.out


def test_files_of_no_photograph_and_photographs_without_a_file_are_named(case: Any, maps: Path, dhr: Any) -> None:
    for name, tags in TAGS.items():
        save(maps, name, [tag - 1 for tag in tags], of(tags, *tags))
    (maps / "p1.npy").rename(maps / "gone.npy")
    if hasattr(os, "mkfifo"):
        (maps / "p2.npy").unlink()
        os.mkfifo(maps / "p2.npy")
    ended = dhr(run(case, maps))
    assert ended.code == 1, ended
    assert "p1.png: expected its maps in" in ended.out and "got no file" in ended.out
    assert "1 file of maps without a photograph in this run: 'gone.npy'" in ended.out
    assert (case.out / "masks" / "p0.png").is_file()


def test_names_in_either_form_of_unicode_are_found(case: Any, maps: Path, dhr: Any) -> None:
    (case.data / "images" / "p0.png").rename(case.data / "images" / "caf\u00e9.png")
    (case.data / "tags.csv").write_text(
        "image,tags\ncaf\u00e9.png,red\np1.png,blue\np2.png,red;blue\n", encoding="utf-8"
    )
    for name, tags in TAGS.items():
        save(maps, "cafe\u0301" if name == "p0" else name, [tag - 1 for tag in tags], of(tags, *tags))
    ended = dhr(run(case, maps))
    assert ended.code == 0, ended
    assert "belong to no photograph" not in ended.out


def test_a_finished_run_of_maps_needs_them_no_more(case: Any, maps: Path, dhr: Any) -> None:
    for name, tags in TAGS.items():
        save(maps, name, [tag - 1 for tag in tags], of(tags, *tags))
    assert dhr(run(case, maps)).code == 0
    for path in maps.iterdir():
        path.unlink()
    maps.rmdir()
    ended = dhr(run(case, maps))
    assert ended.code == 0 and "3 of the masks were there already" in ended.out
