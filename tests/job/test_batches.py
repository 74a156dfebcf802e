"""Runs in batches meet bad photographs, a full disk, Ctrl-C and too little memory; finished work is never lost."""

import errno
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dhr.errors import OutputError, PlaceError
from dhr.file_checks import cannot_write
from dhr.job import folder as folders
from dhr.job import mask_files, survey
from dhr.job.mask_stage import MaskStage
from dhr.job.masks import MaskMaker
from dhr.sources.classifier import ClassifierSource


def pixels(made: dict[str, Any]) -> dict[str, Any]:
    """All but the records, which hold the paths of the photographs."""
    return {name: content for name, content in made.items() if not name.startswith("items/")}


def with_photograph(data: Path, name: str, size: tuple[int, int]) -> None:
    """Add a photograph of a size (width, height) with the tags of the first one, and its ground truth."""
    Image.new("RGB", size, (90, 140, 60)).save(data / "images" / name)
    Image.new("P", size, 1).save(data / "truth" / name)
    lines = (data / "tags.csv").read_text().splitlines()
    (data / "tags.csv").write_text("\n".join([*lines, f"{name},{lines[1].split(',')[1]}"]) + "\n")


def test_a_truncated_and_a_narrow_photograph_among_others(fresh: Any, dhr: Any, labels: Any) -> None:
    with_photograph(fresh.data, "narrow.png", (1, 1000))
    with_photograph(fresh.data, "flat.png", (1000, 1))
    broken = sorted((fresh.data / "images").glob("*.png"))[-1]
    broken.write_bytes(broken.read_bytes()[:-200])
    ended = dhr(fresh.run("--batch", "4"))
    assert ended.code == 1 and broken.name in ended.out
    assert labels(fresh.out / "masks" / "narrow.png").shape == (1000, 1)
    assert labels(fresh.out / "masks" / "flat.png").shape == (1, 1000)
    assert fresh.record()["counts"]["masks"] == 6
    assert [one["source"] for one in fresh.record()["skipped"]] == [str(broken)]


@pytest.mark.slow
def test_a_photograph_of_100_megapixels_among_small_ones(fresh: Any, forks: Any, labels: Any) -> None:
    usual = forks(fresh.run("--image.long-side", "64"))
    with_photograph(fresh.data, "huge.png", (10_000, 10_000))
    ended = forks(fresh.run("--image.long-side", "64", "--no-stages", "--out", str(fresh.out.with_name("huge"))))
    assert ended.code == 0, ended.err
    assert labels(fresh.out.with_name("huge") / "masks" / "huge.png").shape == (10_000, 10_000)
    assert ended.peak_mb < usual.peak_mb + 1300  # a few times its 300 MB


def test_a_photograph_that_changes_during_the_run_is_named(
    fresh: Any, dhr: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = sorted((fresh.data / "images").glob("*.png"))[0]
    fit = ClassifierSource.see

    def seen(self: Any, *arguments: Any) -> Any:
        victim.write_bytes(b"no longer a photograph")
        return fit(self, *arguments)

    monkeypatch.setattr(ClassifierSource, "see", seen)
    ended = dhr(fresh.run("--batch", "2", "--work-space", "0"))
    assert ended.code == 1 and victim.name in ended.out
    assert fresh.record()["counts"]["masks"] == 4


def test_a_disk_that_is_full_ends_the_run_and_keeps_what_is_finished(
    fresh: Any, _finished: Any, dhr: Any, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = folders.write_bytes, []

    def full(path: Path, content: bytes, durable: bool = True) -> None:
        if "masks" in path.parts:
            written.append(path)
            if len(written) > 2:
                raise cannot_write(path, OSError(errno.ENOSPC, "No space left on device"))
        write(path, content, durable)

    with monkeypatch.context() as patch:
        patch.setattr(folders, "write_bytes", full)
        ended = dhr(fresh.run())
    assert ended.code == 2 and "No space left on device" in ended.err and ended.err.splitlines()[-1].startswith("dhr:")
    assert len(list((fresh.out / "items").rglob("*.json"))) == 2
    assert issubclass(OutputError, Exception) and fresh.record()["status"] == "running"
    assert dhr(fresh.run()).code == 0
    assert pixels(made(fresh.out)) == pixels(made(_finished.out))


@pytest.mark.parametrize("file", ["survey", "masks"])
def test_ctrl_c_with_batches_in_flight(file: str, fresh: Any, forks: Any, made: Any, tmp_path: Path) -> None:
    """In a process of its own, while one batch is computed and another is written."""
    call = fresh.run("--batch", "2")
    whole = forks(call, watch="moments")
    assert whole.code == 0
    expected = made(fresh.out)
    fresh.out.rename(tmp_path / "whole")
    moment = 1 + whole.trace.index(f"half of {file}")
    ended = forks(call, watch="moments", kill_at=moment, kill_by=signal.SIGINT)
    assert ended.code == 130 and "Traceback" not in ended.err
    done = made(fresh.out)
    assert all(content == expected[name] for name, content in done.items() if not name.startswith("work/"))
    assert done, "the drafts, at least"
    assert forks(call).code == 0
    assert made(fresh.out) == expected


class Small:
    """A source whose memory suffices for a few photographs at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int, never: str = "") -> None:
        see = ClassifierSource.see
        self.sizes: list[int] = []

        def limited(source: Any, images: Any, samples: Any, grid: Any) -> Any:
            self.sizes.append(len(images))
            if len(images) > most or any(sample.name == never for sample in samples):
                raise torch.OutOfMemoryError("CUDA out of memory")
            return see(source, images, samples, grid)

        monkeypatch.setattr(ClassifierSource, "see", limited)


def test_if_memory_runs_out_batches_are_halved(
    fresh: Any, dhr: Any, made: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert dhr(fresh.run("--batch", "2")).code == 0
    expected = made(fresh.out)
    fresh.out.rename(tmp_path / "two")
    small = Small(monkeypatch, 2)
    ended = dhr(fresh.run("--batch", "8"))
    assert ended.code == 0, ended.err
    assert small.sizes == [5, 4, 2, 2, 1]
    assert "Batch size halved to 2, because memory ran out" in " ".join(ended.out.split())
    assert fresh.record()["batch"] == 2
    assert made(fresh.out) == expected


def test_a_call_that_goes_on_begins_with_the_size_that_was_found(
    fresh: Any, dhr: Any, made: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    small = Small(monkeypatch, 2)
    assert dhr(fresh.run()).code == 0
    expected = made(fresh.out)
    fresh.out.rename(tmp_path / "whole")

    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("dhr.job.survey.fit_survey", stopped)
        assert dhr(fresh.run("--work-space", "0")).code == 130
    small.sizes.clear()
    assert dhr(fresh.run("--work-space", "0")).code == 0
    assert small.sizes == [2, 2, 1]
    assert made(fresh.out) == expected


def test_a_photograph_that_is_too_large_by_itself_is_named(
    fresh: Any, dhr: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dhr(fresh.run("--method.survey", "0")).code == 0
    for path in (fresh.out / "items").rglob("*.json"):
        path.unlink()
    small = Small(monkeypatch, 8, never="scene-000002")
    ended = dhr(fresh.run("--method.survey", "0"))
    assert ended.code == 1 and small.sizes[0] == 5
    (skipped,) = fresh.record()["skipped"]
    assert "scene-000002" in skipped["source"] and "not enough memory" in skipped["reason"]
    assert fresh.record()["counts"]["masks"] == 4
    assert np.all([path.is_file() for path in (fresh.out / "masks").rglob("*.png")])


@pytest.mark.parametrize("number", ["-1", "1.5", "many"])
def test_a_batch_that_is_not_a_number_of_photographs_is_refused(number: str, fresh: Any, dhr: Any) -> None:
    ended = dhr(fresh.run("--batch", number))
    assert ended.code == 2 and "batch" in ended.err and ended.err.count("\n") <= 3


def test_a_call_that_goes_on_divides_the_batches_of_its_setting_alike(
    fresh: Any, dhr: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory suffices again, but the last bits depend on the size of batches."""

    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        Small(patch, 2)
        patch.setattr("dhr.job.survey.fit_survey", stopped)
        assert dhr(fresh.run("--work-space", "0", "--batch", "3")).code == 130
    assert fresh.record()["batch"] == 2
    small = Small(monkeypatch, 8)
    assert dhr(fresh.run("--work-space", "0", "--batch", "3")).code == 0
    assert small.sizes == [2, 1, 2], "3 photographs are 2 and 1, the other 2 fit"
    small.sizes.clear()
    assert dhr(fresh.run("--work-space", "0", "--batch", "5", "--redo", "masks")).code == 0
    assert small.sizes == [5], "another setting counts"


@pytest.mark.parametrize("space", ["8GB", "0"])
def test_a_file_of_the_survey_that_cannot_have_its_name_costs_nothing(
    space: str, fresh: Any, dhr: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = survey.write_bytes

    def taken(path: Path, content: bytes, durable: bool = True) -> None:
        if path.name.startswith("scene-000002"):
            raise PlaceError("a folder has this name")
        write(path, content, durable)

    monkeypatch.setattr(survey, "write_bytes", taken)
    ended = dhr(fresh.run("--work-space", space))
    assert ended.code == 0, ended.err
    assert fresh.record()["counts"]["masks"] == 5 and (fresh.out / "survey.safetensors").is_file()


class Together:
    """Has batches finished together, as on a GPU, with memory for so many photographs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int = 64) -> None:
        begin, finish = MaskStage.__init__, MaskMaker.finish
        self.sizes: list[int] = []

        def begun(stage: Any, *arguments: Any) -> None:
            begin(stage, *arguments)
            stage.together = True

        def limited(maker: Any, made: Any, images: Any, embedding: Any = None) -> Any:
            self.sizes.append(len(images))
            if len(images) > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return finish(maker, made, images, embedding)

        monkeypatch.setattr(MaskStage, "__init__", begun)
        monkeypatch.setattr(MaskMaker, "finish", limited)


@pytest.mark.parametrize("space", ["8GB", "0"])
def test_a_batch_that_is_finished_together_has_the_same_members_in_a_call_that_goes_on(
    space: str, fresh: Any, dhr: Any, made: Any, _finished: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = Together(monkeypatch)
    write, written = mask_files.write_json, []

    def stopped(*arguments: Any) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(arguments)
        write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(mask_files, "write_json", stopped)
        assert dhr(fresh.run("--work-space", space)).code == 130
    assert dhr(fresh.run("--work-space", space)).code == 0
    assert together.sizes == [5, 5]
    assert pixels(made(fresh.out)).keys() == pixels(made(_finished.out)).keys()


@pytest.mark.parametrize("space", ["8GB", "0"])
def test_if_memory_runs_out_for_the_finish_batches_are_halved(
    space: str, fresh: Any, dhr: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = Together(monkeypatch, 2)
    ended = dhr(fresh.run("--work-space", space))
    assert ended.code == 0, ended.err
    assert together.sizes == [5, 4, 2, 2, 1] and fresh.record()["counts"]["masks"] == 5
