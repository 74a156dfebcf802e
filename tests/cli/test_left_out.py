"""What commands print of things that they left out: each reason once, whichever command it is."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhr.data.problems import all_named, group_problems, problem_lines
from dhr.data.samples import Problem

TEXT = st.text(alphabet="ab1 '\".", max_size=12)


@given(st.lists(st.builds(Problem, TEXT, TEXT), max_size=20), st.integers(1, 5))
def test_every_problem_is_in_one_group_and_lines_are_few(problems: list[Problem], most: int) -> None:
    groups = group_problems(problems)
    assert sorted(map(repr, problems)) == sorted(repr(one) for group in groups for one in group.problems)
    lines = problem_lines(problems, most)
    assert len(lines) == min(len(groups), most) + (len(groups) > most)
    if all_named(problems, most):
        assert all(one.source in "\n".join(lines) for one in problems if one.source.isalnum())


def test_reasons_that_differ_in_names_numbers_and_the_own_source_are_one() -> None:
    problems = [Problem(f"images/{name}.png", f"images/{name}.png: no tags in line {line}") for line, name in
                enumerate("abc")]  # fmt: skip
    (group,) = group_problems(problems)
    assert group.line.startswith("images/a.png: no tags in line 0 (and 2 more for the same reason: 'images/b.png'")
    assert len(group_problems([Problem("a", "a cat"), Problem("b", "b dog")])) == 2
    assert (
        len(group_problems([Problem("a", "has no tag"), Problem("b", "has no tag")])) == 1
    )  # a part of a word is none


@pytest.fixture
def many(fresh: Any) -> Any:
    """A data set of five photographs, and forty lines of photographs that are not there."""
    with (fresh.data / "tags.csv").open("a") as file:
        file.write("".join(f"gone{line}.png,{line % 2 * 'mistyped'}\n" for line in range(40)))
    return fresh


def test_each_command_says_a_reason_once(many: Any, dhr: Any, tmp_path: Path) -> None:
    run = dhr(many.run())
    assert run.code == 1 and "all of them are in" in run.out and "run.json" in run.out
    assert len(many.record()["skipped"]) == 40
    commands = [
        ["inspect", "--data", many.data, "--file", tmp_path / "i.html"],
        ["adjacency", "--data", many.data, "--masks", many.out / "masks"],
    ]
    evaluated = dhr(many.evaluate())
    assert evaluated.code == 0
    for ended in (run, evaluated, *map(dhr, commands)):
        assert ended.code == 1 or ended is evaluated, ended
        assert ended.out.count("no image 'gone") == 1, ended.out
        assert "no image 'gone0.png' in images/" in ended.out and "and 39 more for the same reason" in ended.out
        assert ": 40\n" in ended.out


def test_an_error_that_ends_a_command_says_it_once(fresh: Any, dhr: Any) -> None:
    (fresh.data / "tags.csv").write_text("image,tags\n" + "".join(f"gone{line}.png,x\n" for line in range(40)))
    ended = dhr(fresh.run())
    assert ended.code == 2 and ended.err.count("\n") == 1 and ended.err.count("no image 'gone") == 1
    for path in (fresh.data / "images").rglob("*.png"):
        path.write_bytes(b"nothing")
    names = [path.relative_to(fresh.data / "images") for path in (fresh.data / "images").rglob("*.png")]
    first = (fresh.data / "classes.txt").read_text().splitlines()[0]
    (fresh.data / "tags.csv").write_text("image,tags\n" + "".join(f"{name},{first}\n" for name in names))
    ended = dhr(fresh.run())
    assert ended.code == 2 and ended.err.count("\n") == 1 and "and 4 more for the same reason" in ended.err
