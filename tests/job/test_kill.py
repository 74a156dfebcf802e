"""A run may be killed at any moment; the same command goes on, and ends with the same masks."""

import json
import signal
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load

from dhr.files import TEMPORARY_SUFFIX

KILLS = 50


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody killed."""

    data: Path
    made: dict[str, Any]
    scan: bytes
    moments: tuple[str, ...]


@pytest.fixture(scope="module")
def undisturbed(
    forks: Any, scenes: Any, made: Any, new_case: Any, tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    root = tmp_path_factory.mktemp("undisturbed")
    case = new_case(scenes(root / "data", count=3), root / "out")
    ended = forks(case.run(), watch="moments")
    assert ended.code == 0, ended.err
    return Undisturbed(case.data, made(case.out), (case.out / "work" / "scan.json").read_bytes(), ended.trace)


def spread(moments: Sequence[str], count: int) -> list[int]:
    """Numbers, from 1, of ``count`` moments: one of each kind, the rest evenly over all."""
    kinds: dict[str, list[int]] = defaultdict(list)
    for number, kind in enumerate(moments, start=1):
        kinds[kind].append(number)
    chosen = {numbers[len(numbers) // 2] for numbers in kinds.values()}
    assert len(chosen) < count < len(moments), f"{len(kinds)} kinds, {len(moments)} moments"
    rest = [number for number in range(1, len(moments) + 1) if number not in chosen]
    more = count - len(chosen)
    return sorted({*chosen, *(rest[index * len(rest) // more] for index in range(more))})


def check_whole(out: Path, undisturbed: Undisturbed, made: Callable[[Path], dict[str, Any]], contents: Any) -> None:
    """Assert that every file under a final name is whole, and as the undisturbed run made it."""
    for name, content in made(out).items():
        assert content == undisturbed.made[name], f"{name} is not what an undisturbed run makes"
    for name, content in contents(out).items():
        if name.endswith(TEMPORARY_SUFFIX) or name == "run.lock":
            continue
        assert content, f"{name} is empty"
        match Path(name).suffix:
            case ".png":
                Image.open(BytesIO(content)).load()
            case ".npz":
                assert set(np.load(BytesIO(content))) == {"cams", "classes"}
            case ".safetensors":
                assert load(content)
            case ".html":
                assert content.rstrip().endswith(b"</html>")
            case ".checkpoint":
                length = int.from_bytes(content[:8], "little")  # of the header of safetensors
                state = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["state"])
                assert load(content) and state["step"] in (1, 2)
            case ".json":
                if name == "work/scan.json":
                    assert content == undisturbed.scan
                elif name == "run.json":
                    assert b'"status"' in content and content.endswith(b"}\n")
            case _:
                raise AssertionError(f"{name} is of no run")


def check_finished(case: Any, undisturbed: Undisturbed, made: Callable[[Path], dict[str, Any]]) -> None:
    """Assert that the run came to the same end as the undisturbed one, and left nothing behind."""
    assert made(case.out) == undisturbed.made
    assert case.record()["status"] == "finished"
    assert case.record()["counts"]["masks"] == 3
    left = [
        path.name
        for path in case.out.rglob("*")
        if path.name.endswith(TEMPORARY_SUFFIX) or path.suffix == ".checkpoint"
    ]
    assert not left


def test_two_undisturbed_runs_are_the_same(
    undisturbed: Undisturbed, forks: Any, made: Any, new_case: Any, tmp_path: Path
) -> None:
    case = new_case(undisturbed.data, tmp_path / "out")
    assert forks(case.run()).code == 0
    assert len([name for name in undisturbed.made if name.startswith("masks/")]) == 3
    check_finished(case, undisturbed, made)


def test_moments_of_all_kinds_are_hit(undisturbed: Undisturbed) -> None:
    chosen = spread(undisturbed.moments, KILLS)
    kinds = {undisturbed.moments[number - 1] for number in chosen}
    assert len(chosen) == KILLS
    assert kinds == set(undisturbed.moments)
    for file in (
        "masks",
        "seed",
        "cams",
        "survey",
        "items",
        "run.json",
        "classifier.checkpoint",
        "classifier.safetensors",
    ):
        assert {f"half of {file}", f"before renaming to {file}"} <= kinds
    assert {"after renaming", "before flushing to the disk", "after a training step", "after deleting a file"} <= kinds


@pytest.mark.parametrize("index", range(KILLS))
def test_a_killed_run_goes_on(
    index: int, undisturbed: Undisturbed, forks: Any, made: Any, contents: Any, new_case: Any, tmp_path: Path
) -> None:
    case = new_case(undisturbed.data, tmp_path / "out")
    number = spread(undisturbed.moments, KILLS)[index]
    killed = forks(case.run(), watch="moments", kill_at=number)
    assert killed.code == -signal.SIGKILL, killed.err
    assert killed.trace == undisturbed.moments[:number]
    if case.out.exists():
        check_whole(case.out, undisturbed, made, contents)
    resumed = forks(case.run())
    assert resumed.code == 0, f"killed {killed.trace[-1]}: {resumed.err}"
    check_finished(case, undisturbed, made)


@pytest.mark.parametrize("number", [signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)])
@pytest.mark.parametrize("index", range(3))
def test_a_run_that_is_asked_to_end_goes_on(
    index: int, number: signal.Signals, undisturbed: Undisturbed, forks: Any, made: Any, new_case: Any, tmp_path: Path
) -> None:
    """It ends with one line and its own code, keeps what was finished, and lets the folder go."""
    case = new_case(undisturbed.data, tmp_path / "out")
    moment = (1 + 2 * index + (number != signal.SIGTERM)) * len(undisturbed.moments) // 7
    asked = forks(case.run(), watch="moments", kill_at=moment, kill_by=number)
    assert (asked.code, asked.err) == (
        128 + number,
        f"dhr: ended by {number.name}; the same command goes on where it stopped\n",
    )
    for name, content in made(case.out).items():
        assert content == undisturbed.made[name]
    resumed = forks(case.run())
    assert resumed.code == 0, resumed.err
    check_finished(case, undisturbed, made)


@pytest.mark.parametrize("stride", [pytest.param(15, marks=pytest.mark.slow), 40])
def test_a_run_killed_again_and_again_gets_to_its_end(
    stride: int, undisturbed: Undisturbed, forks: Any, made: Any, contents: Any, new_case: Any, tmp_path: Path
) -> None:
    case = new_case(undisturbed.data, tmp_path / "out")
    kills = 0
    while (ended := forks(case.run(), watch="moments", kill_at=stride * (1 + kills // 4))).code != 0:
        assert ended.code == -signal.SIGKILL, ended.err
        if case.out.exists():
            check_whole(case.out, undisturbed, made, contents)
        kills += 1
        assert kills < 200
    assert kills >= 6
    check_finished(case, undisturbed, made)
