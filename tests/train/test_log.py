"""The log: what TensorBoard reads is what the table has, also after a training was taken up again."""

import csv
from pathlib import Path

import pytest

from dhr.errors import OutputError
from dhr.train.log import Log


def test_both_tell_the_same(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log = Log(tmp_path, 0, ("L_cls", "L_seg"))
    for step in (10, 20, 30):
        log.add(step, (0.5 / step, 1.0 / step), 1e-3, step // 10)
        log.write()
    again = Log(tmp_path, 20, ("L_cls", "L_seg"))  # killed before the checkpoint of step 30
    for step in (30, 40):
        again.add(step, (0.25 / step, 2.0 / step), 1e-4, 0)
    again.close()
    with (tmp_path / "log.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["step"], row["empty"]) for row in rows] == [("10", "1"), ("20", "2"), ("30", "0"), ("40", "0")]
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"loss/cls", "loss/seg", "lr", "empty crops"}
    for name, column in (("loss/cls", "L_cls"), ("loss/seg", "L_seg"), ("lr", "lr"), ("empty crops", "empty")):
        seen = [(event.step, event.value) for event in events.Scalars(name)]
        assert seen == [(int(row["step"]), pytest.approx(float(row[column]), abs=1e-6)) for row in rows]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_an_error_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(tmp_path, 0, ("L",))
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr(log._events._records, "_writer", full)
        with pytest.raises(OutputError, match=r"tensorboard: No space left on device; free the disk"):
            log.add(1, (0.5,), 1e-3, 0)
    log.close()


def test_a_folder_that_cannot_be_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("")
    with pytest.raises(OutputError, match="tensorboard"):
        Log(tmp_path, 0, ("L",))
