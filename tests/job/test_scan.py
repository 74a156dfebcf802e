"""The scan reads ahead in threads; its record is that of reading one photograph after another."""

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from dhr.data.image_files import digest_image
from dhr.data.images import read_rgb
from dhr.data.samples import ClassTable, Problem, Sample
from dhr.errors import ItemError
from dhr.job.folder import OutputFolder
from dhr.job.scan import scan
from dhr.progress import Step, silent
from dhr.records.scan import Scanned


class Files:
    """Tagged photographs of a folder."""

    classes = ClassTable(("background", "cat"), background=True)
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    def __init__(self, paths: list[Path]) -> None:
        self.samples = tuple(Sample(path.stem, str(path), (1,), False) for path in paths)
        self.never = threading.Event()

    def digest(self, sample: Sample) -> str:
        return digest_image(Path(sample.source))

    def read_image(self, sample: Sample) -> np.ndarray:
        if sample.name == "hangs":
            self.never.wait()
        return read_rgb(Path(sample.source))

    def read_ground_truth(self, sample: Sample) -> np.ndarray:
        raise ItemError("it has none")


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    rng, folder = np.random.default_rng(0), tmp_path / "photographs"
    folder.mkdir()
    paths = []
    for number in range(30):
        paths.append(folder / f"{number:02d}.png")
        height, width = (1, 1000) if number == 7 else rng.integers(5, 60, 2)
        Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8)).save(paths[-1])
    paths[4].write_bytes(paths[4].read_bytes()[:-40])
    paths[9].write_bytes(b"")
    return paths


def test_order_and_problems_are_those_of_reading_one_after_another(photographs: list[Path], tmp_path: Path) -> None:
    steps: list[Step] = []
    found = scan(Files(photographs), OutputFolder(tmp_path / "out"), steps.append)
    assert [step.done for step in steps] == list(range(1, 31))
    assert [problem.source for problem in found.problems] == [str(photographs[4]), str(photographs[9])]
    assert [sample.name for sample in found.samples] == [
        path.stem for index, path in enumerate(photographs) if index not in (4, 9)
    ]
    assert list(found.now) == [path.stem for path in photographs]
    for path in photographs:
        try:
            size, reason = read_rgb(path).shape[:2], None
        except ItemError as error:
            size, reason = None, str(error)
        assert found.now[path.stem] == Scanned(digest_image(path), reason, size, ("cat",))
    assert found.seen["07"].width == 1000


def test_a_photograph_that_hangs_is_named_and_read_again_next_time(
    photographs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dhr.flow.ahead.PATIENCE", 0.2)
    photographs[3] = photographs[3].rename(photographs[3].with_name("hangs.png"))
    data, folder = Files(photographs), OutputFolder(tmp_path / "out")
    found = scan(data, folder, silent)
    reasons = {problem.source: problem.reason for problem in found.problems}
    assert "took longer than 0.2 seconds" in reasons[str(photographs[3])] and len(reasons) == 3
    found.save(folder)
    data.never.set()
    again = scan(data, folder, silent)
    assert len(again.problems) == 2 and "hangs" in again.seen


def test_huge_photographs_are_decoded_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for path in paths:
        Image.new("RGB", (40, 30)).save(path)
    monkeypatch.setattr("dhr.data.images._HUGE", 1000)
    lock, counts = threading.Lock(), [0, 0]
    load = PngImageFile.load

    def counted(image: PngImageFile) -> object:
        with lock:
            counts[0] += 1
            counts[1] = max(counts)
        try:
            threading.Event().wait(0.02)  # others would come in between
            return load(image)
        finally:
            with lock:
                counts[0] -= 1

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", counted)
    found = scan(Files(paths), OutputFolder(tmp_path / "out"), silent)
    assert len(found.samples) == 6 and counts[1] == 1
