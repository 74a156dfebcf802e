"""Data sets whose tags teach little: they have masks, with all tagged classes, and the record says what was decided."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhr.data.folder import FolderDataSet
from dhr.data.images import read_mask

Tags = list[list[str]]


def one_photograph_has_it(tags: Tags) -> Tags:
    """A class with one photograph, tagged beside the others there."""
    return [["dot", *tags[0]], *tags[1:]]


def all_have_it(tags: Tags) -> Tags:
    return [["dot", *one] for one in tags]


def two_are_always_together(tags: Tags) -> Tags:
    return [["dot", "dash", *one] if index % 2 else one for index, one in enumerate(tags)]


def all_have_the_same(tags: Tags) -> Tags:
    return [["dot", "dash"] for _ in tags]


def half_are_wrong(tags: Tags) -> Tags:
    return [[names[-1] for names in tags[1:] + tags[:1]] if index % 2 else one for index, one in enumerate(tags)]


def retag(data: Path, change: Callable[[Tags], Tags], keep: int | None = None, classes: Sequence[str] = ()) -> None:
    """Change the tags of a data folder, keep some of its photographs, and add classes."""
    found = FolderDataSet(data)
    names = [[found.classes.names[tag] for tag in sample.tags] for sample in found.samples]
    rows = zip(found.samples, change(names), strict=True)
    lines = [f"{sample.name}.png,{';'.join(dict.fromkeys(tags))}" for sample, tags in rows][:keep]
    (data / "tags.csv").write_text("\n".join(["image,tags", *lines]) + "\n", encoding="utf-8")
    known = [*found.classes.names, "dot", "dash", *classes]
    (data / "classes.txt").write_text("\n".join(known) + "\n", encoding="utf-8")


def check(case: Any) -> dict[str, Any]:
    """All photographs with tags have a mask of these classes alone, each of them with pixels; return the record."""
    data = FolderDataSet(case.data)
    for sample in data.samples:
        if sample.tags:
            found = {*np.unique(read_mask(case.out / "masks" / f"{sample.name}.png")).tolist()}
            wanted = {*sample.tags, *([0] if data.classes.background else [])}
            assert {*sample.tags} <= found <= wanted, sample
    record: dict[str, Any] = case.record()
    assert record["counts"]["with a vanished class"] == 0
    told = record["survey"]
    assert 0 <= told["trust"] <= 1 and 0 <= told["weight"] <= 1
    assert [*told["agreement"]] == [*data.classes.names]
    return record


@pytest.mark.parametrize(
    "change", [one_photograph_has_it, all_have_it, two_are_always_together, all_have_the_same, half_are_wrong]
)
def test_tags_that_teach_little(fresh: Any, dhr: Any, change: Callable[[Tags], Tags]) -> None:
    retag(fresh.data, change)
    assert dhr(fresh.run()).code == 0
    check(fresh)


def test_a_single_photograph(fresh: Any, dhr: Any) -> None:
    retag(fresh.data, lambda tags: tags, keep=1)
    for path in (fresh.data / "images").rglob("*.png"):
        if path.stem != "scene-000000":
            path.unlink()
            (fresh.data / "truth" / path.relative_to(fresh.data / "images")).unlink()
    assert dhr(fresh.run()).code == 0
    assert check(fresh)["survey"]["weight"] == 0, "no other photograph can tell"


def test_two_hundred_classes(fresh: Any, dhr: Any) -> None:
    more = [f"thing {number}" for number in range(190)]
    retag(fresh.data, lambda tags: [[*one, more[37 * index]] for index, one in enumerate(tags)], classes=more)
    assert dhr(fresh.run()).code == 0
    record = check(fresh)
    assert len(record["classes"]) > 200
