"""Exports to Label Studio and CVAT, read again as data: the same classes and the same pixels."""

import importlib
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dhr.data import open_data
from dhr.data.samples import VOID, DataSet

TOOLS = {"labelstudio": "label-studio", "cvat": "cvat"}


@pytest.fixture(params=TOOLS)
def again(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., DataSet]:
    """Exports masks, puts the photographs beside the export, and opens it."""
    if request.param == "labelstudio":
        pytest.importorskip("label_studio_sdk.converter.brush")

    number = count()

    def read(masks: Any, **settings: object) -> DataSet:
        out = tmp_path / f"out-{next(number)}"
        masks.export(request.param, out, **settings)
        (out / "images").symlink_to(masks.root / "images")
        return open_data(out, format=TOOLS[request.param])

    return read


def check(masks: Any, data: DataSet) -> None:
    """Void comes back as background where there is one, and as void where there is none."""
    background = masks.names[0] == "background"
    assert (data.classes.names, data.classes.background) == (masks.names, background)
    assert {one.name for one in data.samples} == masks.labels.keys() and not data.problems
    for sample in data.samples:
        labels = masks.labels[sample.name]
        expected = np.where(labels == VOID, 0, labels) if background else labels
        assert np.array_equal(data.read_ground_truth(sample), expected)
        assert set(sample.tags) == set(np.unique(expected).tolist()) - ({VOID, 0} if background else {VOID})


@pytest.mark.parametrize("instances", [False, True])
def test_masks_come_back(masks: Any, again: Callable[..., DataSet], instances: bool) -> None:
    check(masks, again(masks, instances=instances))


def test_parts_of_an_export_come_back_together(
    masks: Any, again: Callable[..., DataSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.import_module("dhr.export.labelstudio"), "MOST", 2_000)
    check(masks, again(masks))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 12), st.booleans())
def test_any_masks_come_back(
    plain: Callable[..., Any], again: Callable[..., DataSet], seed: int, height: int, width: int, background: bool
) -> None:
    random = np.random.default_rng(seed)
    choice = [0, 1, 2, 2, VOID]
    labels = {name: random.choice(choice, (height, width)).astype(np.uint8) for name in ("a", "trip/ü b%20")}
    for one in labels.values():
        one.flat[0] = 1  # without a background, a mask of void alone has no tags
    names = ("background", "猫", "a & b") if background else ("猫", "a & b", "<c>")
    masks = plain(labels, names)
    check(masks, again(masks))


def test_masks_of_background_alone_come_back(plain: Callable[..., Any], again: Callable[..., DataSet]) -> None:
    masks = plain({"a": np.zeros((3, 4), np.uint8)}, ("background", "cat"))
    check(masks, again(masks))
