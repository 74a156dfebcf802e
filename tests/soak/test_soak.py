"""A few rounds of each part of a soak; `make soak` does as many as there is time for."""

import random
from pathlib import Path
from typing import Any

import pytest

from ..data.test_fuzz import mutated
from .bombs import BOMBS
from .parts import PARTS, SHARES
from .record import Record, Tally
from .session import Session
from .targets import TARGETS, Bench

CORPUS = Path(__file__).with_name("corpus")
ROUNDS = {
    "kills": (2, 3, 5),  # predict, features, export to one file
    "reviews": (0,),
    "faults": (3, 6, 16, 26),
    "edits": (1,),
    "pairs": (3,),
    "bombs": (0, 1),
}
"""Seeds: those of quick commands."""


@pytest.fixture(scope="module")
def session(forks: Any, tmp_path_factory: pytest.TempPathFactory) -> Session:
    root = tmp_path_factory.mktemp("soak")
    return Session(forks, root, root)


@pytest.mark.parametrize(("part", "seed"), [(part, seed) for part, seeds in ROUNDS.items() for seed in seeds])
def test_a_round(part: str, seed: int, session: Session) -> None:
    counts = PARTS[part](session, seed)
    assert counts["rounds"] == 1


@pytest.mark.filterwarnings("ignore")  # Pillow's, of damaged metadata
@pytest.mark.parametrize("name", TARGETS)
def test_changed_files_of_each_kind(name: str, tmp_path: Path) -> None:
    bench, chance = bench_of(name, tmp_path), random.Random(1)
    for good in bench.inputs():
        assert bench.read(good) == "read"
    for _ in range(25):
        good = chance.choice(bench.inputs())
        bench.read(good[:1] + mutated(good[1:], chance))
    for found in sorted(CORPUS.glob(f"{name.replace(' ', '-')}/*")):
        bench.read(found.read_bytes())


def bench_of(name: str, tmp_path: Path) -> Bench:
    folder = tmp_path / "fuzz-here"
    folder.mkdir()
    return Bench(name, folder)


def test_an_end_that_is_no_error_of_dhr_is_found(tmp_path: Path) -> None:
    bench = bench_of("tags", tmp_path)
    bench.target = type(bench.target)(bench.target.seeds, lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bench.read(bench.inputs()[0])


def test_all_parts_have_time_and_rounds() -> None:
    assert PARTS.keys() == SHARES.keys() == ROUNDS.keys() | {"fuzz"}
    assert len(BOMBS) > 70


def test_counts_go_on(tmp_path: Path) -> None:
    record = Record(tmp_path / "soak.json")
    tally = record.parts.setdefault("kills", Tally())
    tally.next, tally.seconds = 3, 1.5
    tally.counts["killed"] += 2
    tally.fail(2, "a file was lost")
    record.write()
    again = Record.read(record.path)
    assert again.parts == record.parts and again.failures == 1 and len(again.days) == 1
    again.parts["kills"].counts["killed"] += 1
    again.write()
    assert Record.read(record.path).parts["kills"].counts["killed"] == 3
