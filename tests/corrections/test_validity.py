"""A correction holds for its photograph, its tags and the names of its classes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhr.corrections import Correction, in_classes, tags_in, valid
from dhr.data.samples import ClassTable, Sample

TABLE = ClassTable(("background", "cat", "dog", "sky"), True)
MADE = Correction("mended", "5" * 64, ("cat", "sky"), ("cat", "dog"), {"background": 0, "cat": 1, "dog": 2})
RENAMED = ClassTable(("background", "cat", "pup", "sky"), True)
SAMPLE = Sample("a", "a.jpg", (1, 3), has_ground_truth=False)


def test_it_holds_for_what_it_was_made_for() -> None:
    assert valid(MADE, SAMPLE, "5" * 64, TABLE) is None
    assert valid(replace(MADE, given=("sky", "cat")), SAMPLE, "5" * 64, TABLE) is None


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ({"digest": "6" * 64}, "the photograph changed"),
        ({"sample": replace(SAMPLE, tags=(1,))}, "the tags in the data set changed"),
        ({"classes": RENAMED}, "the class dog is gone, its number is that of pup now"),
        ({"classes": ClassTable(("background", "cat", "dog", "air"), True)}, "the class sky is gone"),  # only a tag
        ({"classes": ClassTable(("background", "cat"), True), "sample": replace(SAMPLE, tags=(1,))}, "the class dog"),
        ({"classes": ClassTable(("dog", "cat", "background", "sky"), True)}, "dog is the background now"),
    ],
)
def test_it_is_outdated_with_the_reason(now: dict[str, Any], reason: str) -> None:
    found = {"sample": SAMPLE, "digest": "5" * 64, "classes": TABLE} | now
    assert (valid(MADE, **found) or "").startswith(reason)


@given(st.permutations(["cat", "dog", "sky", "fog", "sea"]))
def test_classes_are_matched_by_name(names: list[str]) -> None:
    table = ClassTable(("background", *names), True)
    sample = replace(SAMPLE, tags=tuple(sorted(map(table.names.index, MADE.given))))
    assert valid(MADE, sample, "5" * 64, table) is None
    assert {table.names[tag] for tag in tags_in(MADE, table)} == {*MADE.tags}
    mask = np.array([[0, 1, 2, 255]], np.uint8)
    now = in_classes(mask, MADE, table)
    assert [table.names[id] for id in now[0, :3]] == ["background", "cat", "dog"] and now[0, 3] == 255
