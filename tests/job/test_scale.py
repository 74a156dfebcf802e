"""The cost of a photograph does not grow with their number: counted, because seconds depend on the machine."""

import gc
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import dhr as api
from dhr.job import person_masks
from dhr.records.item import ItemRecord, read_item
from dhr.report import build

FEW, SOME, MANY = 6, 12, 24


class Opened:
    """Counts the files of a folder that this process opens, while it is watched. An audit hook cannot be removed."""

    def __init__(self) -> None:
        self.root, self.found = "", Counter[str]()
        sys.addaudithook(self._see)

    def _see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.root and event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(self.root):
            self.found[Path(arguments[0]).suffix] += 1

    def during(self, root: Path, work: Callable[[], Any]) -> Counter[str]:
        """Files by their suffix."""
        self.root, self.found = str(root), Counter()
        try:
            work()
        finally:
            self.root = ""
        return self.found


@pytest.fixture(scope="session")
def opened() -> Opened:
    return Opened()


@pytest.fixture(scope="module")
def runs(scenes: Any, new_case: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Any]]:
    """Finished runs of few, some and many photographs, with the classifier of the first."""
    from dhr.cli import main

    found: dict[int, Any] = {}
    for count in (FEW, SOME, MANY):
        root = tmp_path_factory.mktemp("runs")
        case = found[count] = new_case(scenes(root / "data", count=count), root / "out")
        assert main(command(case, found[FEW])) == 0
    yield found
    for case in found.values():
        shutil.rmtree(case.out)


def command(case: Any, first: Any) -> list[str]:
    classifier = () if case is first else ("--classifier.file", str(first.out / "classifier.safetensors"))
    return case.run("--method.survey", "0", "--boundary.kind", "none", *classifier)


def test_a_finished_run_opens_three_files_per_photograph(runs: Any, dhr: Any, opened: Opened) -> None:
    """The photograph and the mask for their digests, and the record."""
    found = {}
    for count, case in runs.items():
        assert dhr(command(case, runs[FEW])).code == 0  # fills caches
        found[count] = opened.during(case.data.parent, lambda case=case: dhr(command(case, runs[FEW])))
    more = found[MANY] - found[SOME]
    assert more == {".png": 2 * (MANY - SOME), ".json": MANY - SOME}
    for count, files in found.items():
        assert files.total() <= 3 * count + 12, files


@pytest.mark.parametrize("work", ["run", "report", "evaluate", "export", "open"])
def test_work_is_linear(work: str, runs: Any, dhr: Any, calls: Any, unchecked: None, tmp_path: Path) -> None:
    """Function calls from some to many photographs are at most twice those from few to some."""
    from dhr.report.build import write_report

    def function(case: Any) -> Callable[[], object]:
        data, masks, out = str(case.data), case.out / "masks", tmp_path / "export"
        return {
            "run": lambda: dhr(command(case, runs[FEW])),
            "report": lambda: write_report(case.out, api.open_data(data)),
            "evaluate": lambda: api.evaluate(data, masks, config={"resamples": 0, "workers": 1}),
            "export": lambda: (api.export(data, masks, out, to="png"), shutil.rmtree(out)),
            "open": lambda: api.open_data(data),
        }[work]

    few, some, many = (calls(function(case)) for case in runs.values())
    assert 0 < many - some < 1.15 * (MANY - SOME) / (SOME - FEW) * (some - few)


def test_records_are_not_kept(runs: Any, dhr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, alive = [], []

    def read(path: Path) -> ItemRecord | None:
        record = read_item(path)
        paths.append(path)
        if len(paths) % FEW == 1:
            alive.append(sum(isinstance(one, ItemRecord) for one in gc.get_objects()))
        return record

    monkeypatch.setattr(person_masks, "read_item", read)
    assert dhr(command(runs[MANY], runs[FEW])).code == 0
    assert len(paths) == MANY and max(alive) <= min(alive) + 1


def test_a_report_stops_growing(runs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_ROWS", FEW)
    sizes = {
        count: build.write_report(case.out, api.open_data(str(case.data))).stat().st_size
        for count, case in runs.items()
    }
    assert sizes[MANY] < 1.25 * sizes[SOME] and sizes[MANY] < 1.25 * sizes[FEW]
    assert f"Showing the {FEW} least certain of {MANY}" in (runs[MANY].out / "report.html").read_text()
