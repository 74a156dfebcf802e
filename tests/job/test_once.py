"""Every photograph goes through every network once; the drafts that a run keeps change none of its masks."""

import itertools
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from dhr.cli import main
from dhr.features import reader
from dhr.job.kept import Keeper, Space
from dhr.job.settings import RunConfig
from dhr.sources.classifier import ClassifierSource
from dhr.sources.student import StudentSource

STUDENT = (
    *("--recursion", "--student.width", "16", "--student.low-level", "8", "--student.rates", "[1,2]"),
    *("--student-training.steps", "2", "--student-training.batch", "2", "--student-training.crop", "32"),
    *("--student-training.boundary", "none", "--student-training.start", "0"),
)
PHOTOGRAPHS = 5
ALONE = ("--batch", "1")


class Killed(BaseException):
    """Ends a run as a kill would, without a chance to clean up."""


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts the photographs that each network computes."""
    counts: Counter[str] = Counter()

    def counted(owner: Any, method: str, name: str) -> None:
        compute = getattr(owner, method)

        def run(self: Any, images: torch.Tensor, *arguments: Any) -> Any:
            counts[name] += len(images)
            return compute(self, images, *arguments)

        monkeypatch.setattr(owner, method, run)

    counted(ClassifierSource, "see", "source")
    counted(StudentSource, "see", "student")
    compute = reader.uss_maps

    def uss(images: torch.Tensor, *arguments: Any) -> Any:
        counts["uss"] += len(images)
        return compute(images, *arguments)

    monkeypatch.setattr(reader, "uss_maps", uss)
    return counts


@pytest.fixture(scope="module")
def one_by_one(_finished: Any, new_case: Any, made: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run of single photographs makes, but the records, which hold their paths."""
    case = new_case(_finished.data, tmp_path_factory.mktemp("alone") / "out")
    assert main(case.run(*ALONE)) == 0
    return {name: content for name, content in made(case.out).items() if not name.startswith("items/")}


def interrupted_in_the_masks(case: Any, dhr: Any, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Make a run of single photographs that ends before its first mask; return its drafts."""

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("dhr.job.mask_files.write_json", killed)
        dhr(case.run(*ALONE))
    return sorted((case.out / "work" / "survey").rglob("*.safetensors"))


def test_a_run_computes_every_photograph_once(fresh: Any, dhr: Any, made: Any, _finished: Any, seen: Any) -> None:
    assert dhr(fresh.run()).code == 0
    assert seen == {"source": PHOTOGRAPHS, "uss": PHOTOGRAPHS}
    assert made(fresh.out).keys() == made(_finished.out).keys()
    assert len([*(fresh.out / "work").rglob("*.safetensors")]) == PHOTOGRAPHS
    for path in (fresh.out / "masks").rglob("*.png"):
        path.unlink()
    assert dhr(fresh.run()).code == 0
    again, expected = (made(out) for out in (fresh.out, _finished.out))
    assert all(again[name] == content for name, content in expected.items() if not name.startswith("items/"))
    assert seen == {"source": PHOTOGRAPHS, "uss": PHOTOGRAPHS}, "masks are made from the drafts that a run keeps"


@pytest.mark.parametrize("space", ["8GB", "0"])
def test_with_recursion_the_student_takes_the_features_of_the_first_masks(
    space: str, fresh: Any, dhr: Any, seen: Any
) -> None:
    assert dhr(fresh.run(*STUDENT, "--work-space", space)).code == 0
    assert seen["student"] == PHOTOGRAPHS
    assert seen["uss"] == (PHOTOGRAPHS if space == "8GB" else 3 * PHOTOGRAPHS)
    assert len([*(fresh.out / "work").rglob("*.safetensors")]) == (PHOTOGRAPHS if space == "8GB" else 0)


def test_without_space_all_is_computed_twice_with_the_same_masks(fresh: Any, dhr: Any, made: Any, seen: Any) -> None:
    assert dhr(fresh.run()).code == 0
    expected = made(fresh.out)
    seen.clear()
    with pytest.MonkeyPatch.context() as patch:
        turns = itertools.count()
        patch.setattr(Space, "take", lambda self, size: next(turns) < 2)
        fresh.out.rename(fresh.out.with_name("first"))
        assert dhr(fresh.run()).code == 0
    assert made(fresh.out) == expected
    assert seen == {"source": 2 * PHOTOGRAPHS, "uss": 2 * PHOTOGRAPHS}, "a batch is computed as a whole"
    seen.clear()
    fresh.out.rename(fresh.out.with_name("second"))
    assert dhr(fresh.run("--work-space", "0")).code == 0
    assert made(fresh.out) == expected
    assert seen == {"source": 2 * PHOTOGRAPHS, "uss": 2 * PHOTOGRAPHS}


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _nan(path: Path) -> None:
    tensors = load_file(path)
    tensors["intra"][0, 0] = torch.nan
    save_file(tensors, path)


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _gone(path: Path) -> None:
    path.unlink()


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("damage", [_cut, _nan, _flipped, _gone, _link])
def test_a_damaged_draft_is_computed_again(
    damage: Callable[[Path], None], fresh: Any, dhr: Any, made: Any, one_by_one: Any, seen: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    kept = interrupted_in_the_masks(fresh, dhr, monkeypatch)
    assert len(kept) == PHOTOGRAPHS
    for path in kept[:2]:
        damage(path)
    seen.clear()
    assert dhr(fresh.run(*ALONE)).code == 0
    assert seen == {"source": 2, "uss": 2}
    found = {name: content for name, content in made(fresh.out).items() if not name.startswith("items/")}
    assert found == one_by_one


def test_a_draft_of_other_tags_or_content_is_not_used(
    fresh: Any, dhr: Any, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted_in_the_masks(fresh, dhr, monkeypatch)
    lines = (fresh.data / "tags.csv").read_text().splitlines()
    names = lines[1].split(",")[1].split(";")
    lines[1] = lines[1].split(",")[0] + "," + names[0]
    assert len(names) > 1
    (fresh.data / "tags.csv").write_text("\n".join(lines) + "\n")
    first, second, *_ = sorted((fresh.data / "images").glob("*.png"))[-2:]
    first.write_bytes(second.read_bytes())
    seen.clear()
    assert dhr(fresh.run("--keep-classifier", *ALONE)).code == 0
    assert seen == {"source": 2, "uss": 2}


def test_a_run_without_a_survey_does_not_use_drafts_of_other_settings(
    fresh: Any, dhr: Any, made: Any, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ("--method.survey", "0", "--method.eps", "0.4", *ALONE)
    assert dhr(fresh.run(*other)).code == 0
    expected = made(fresh.out)
    fresh.out.rename(fresh.out.with_name("other"))
    interrupted_in_the_masks(fresh, dhr, monkeypatch)
    seen.clear()
    assert dhr(fresh.run(*other, "--redo", "masks")).code == 0
    assert seen == {"source": PHOTOGRAPHS, "uss": PHOTOGRAPHS}
    masks = {name: content for name, content in made(fresh.out).items() if name.startswith(("masks/", "stages/"))}
    assert masks and all(content == expected[name] for name, content in masks.items())


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("order", lambda tensor: torch.zeros_like(tensor)),
        ("ids", lambda tensor: tensor + 1),
        ("base", lambda tensor: tensor + 100),
        ("cams", lambda tensor: tensor[..., :-1]),
        ("cams", lambda tensor: tensor[0]),
        ("intra", lambda tensor: tensor.double()),
        ("uss", lambda tensor: tensor[:-1]),
        ("seed", lambda tensor: tensor * torch.inf),
        ("extra", lambda tensor: torch.zeros(1)),
    ],
)
def test_tensors_that_cannot_be_a_draft_are_refused_whatever_their_checksum(
    name: str, change: Any, fresh: Any, dhr: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dhr.data import FolderDataSet
    from dhr.job import kept as module
    from dhr.job.folder import OutputFolder

    interrupted_in_the_masks(fresh, dhr, monkeypatch)
    data = FolderDataSet(fresh.data)
    sample = data.samples[0]
    folder = OutputFolder(fresh.out)
    path = folder.survey_cells(sample.name)
    tensors, digest = load_file(path), data.digest(sample)
    keeper = Keeper(folder, data.classes, len(tensors["uss"]))
    assert keeper.read(sample, digest) is not None and keeper.read(sample, "another") is None
    tensors[name] = change(tensors.get(name, torch.zeros(1))).contiguous()
    checksum = module._checksum(tensors, digest)
    save_file(tensors, path, {"dhr": json.dumps({"checksum": checksum})})
    assert keeper.read(sample, digest) is None


@pytest.mark.parametrize("space", ["many", "-1", "8XB", ""])
def test_a_space_that_is_not_a_size_is_refused(space: str, fresh: Any, dhr: Any) -> None:
    ended = dhr(fresh.run("--work-space", space))
    assert ended.code == 2 and "--work-space must be a size" in ended.err and ended.err.count("\n") == 1
    assert RunConfig(work_space="1.5 GB").work_bytes() == 1_500_000_000


def test_space_is_given_until_it_is_full() -> None:
    space = Space(10)
    assert [space.take(size) for size in (6, 5, 4, 1)] == [True, False, True, False]
