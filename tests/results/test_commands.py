"""Commands read rows as they read files: the same scores, exports, pages and decisions."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dhr as api
from dhr.corrections import Corrections
from dhr.corrections.beside import masks_at
from dhr.data import open_data, read_mask
from dhr.data.palette import class_palette
from dhr.job.scan import Scan
from dhr.job.taught_masks import Masks, masks_digest, usable_masks
from dhr.records.correction import Correction
from dhr.results.places import mask_folder


@pytest.fixture
def both(finished: Any, packed: Callable[..., Path], tmp_path: Path) -> dict[str, Path]:
    """A finished run with files, and the same with rows."""
    shutil.copytree(finished.out, tmp_path / "rowed")
    packed(tmp_path / "rowed")
    return {"files": finished.out, "rows": tmp_path / "rowed"}


def save(out: Path, data: Any, number: int) -> tuple[str, np.ndarray]:
    """Save a mended mask: the first tag everywhere."""
    sample, corrections = data.samples[number], Corrections.of(out)
    masks = masks_at(mask_folder(out))
    mask = np.full_like(read_mask(masks.mask(sample.name)), sample.tags[0])
    tags = tuple(data.classes.names[tag] for tag in sample.tags)
    labels = {name: data.classes.names.index(name) for name in tags}
    correction = Correction("mended", data.digest(sample), tags, tags, labels)
    corrections.save(sample.name, correction, mask, class_palette(data.classes), expected=0)
    return sample.name, mask


@pytest.mark.parametrize("mended", [False, True])
def test_scores_and_report_are_the_same(both: dict[str, Path], finished: Any, mended: bool, dhr: Any) -> None:
    found, data = {}, open_data(finished.data)
    for kind, out in both.items():
        if mended:
            save(out, data, 1)
        file = out.parent / f"{kind}.json"
        ended = dhr(["evaluate", "--data", finished.data, "--masks", mask_folder(out), "--json", file])
        assert ended.code == 0, ended.err
        found[kind] = json.loads(file.read_text().replace(str(mask_folder(out)), "MASKS"))
        page = (out / "report.html").read_text()
        assert page.count("<article") == 5 and ("Machine&#x27;s mask" in page) == mended
        assert ("Files of rows" in page) == (kind == "rows")
    assert found["files"] == found["rows"]
    assert any(check["kind"] == "people" for check in found["rows"]["checks"]) == mended


def test_the_output_folder_may_be_named(both: dict[str, Path], finished: Any, dhr: Any) -> None:
    assert dhr(["evaluate", "--data", finished.data, "--masks", both["rows"]]).code == 0


@pytest.mark.parametrize("to", ["png", "coco", "yolo"])
def test_exports_are_the_same(both: dict[str, Path], finished: Any, to: str, contents: Any, tmp_path: Path) -> None:
    data, found = open_data(finished.data), []
    for kind, out in both.items():
        save(out, data, 0)
        place = tmp_path / kind / "export.json" if to == "coco" else tmp_path / kind
        where = {"file": place} if to == "coco" else {"out": place}
        done = api.export(finished.data, mask_folder(out), to=to, **where)
        assert done.masks == 5 and not done.left_out
        found.append(contents(tmp_path / kind))
        assert {name for name in found[-1] if not name.endswith(".json")} or to == "coco"
    for names in found:  # the ledger names the folder of the masks
        names.pop("export.json", None) if to != "coco" else None
    assert found[0] == found[1]


def test_a_training_reads_the_same_masks(both: dict[str, Path], finished: Any) -> None:
    data = open_data(finished.data)
    scan = Scan(tuple(data.samples), (), "", {}, {}, {})
    found = []
    for out in both.values():
        save(out, data, 2)
        masks = Masks(mask_folder(out), data.classes, scan.samples)
        usable, problems, notes = usable_masks(data, scan, masks)
        found.append((usable, problems, notes, masks_digest(scan, masks), [masks(one).tolist() for one in usable]))
    assert found[0] == found[1] and len(found[0][0]) == 5
