"""Errors and problems quote what files of others say; they stay one line that any terminal can show."""

import io
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhr import errors
from dhr.cli.terminal import Terminal
from dhr.records.problem import Problem

KINDS = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.DhrError)]
TEXTS = st.text(st.characters(), min_size=1)  # control characters and lone surrogates, too


def one_line(text: str) -> bool:
    text.encode("utf-8")  # nothing that an output cannot encode
    return len(text.splitlines()) == 1 and not {"\x1b", "\x7f", "\x00"} & {*text}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(text=TEXTS)
def test_a_message_is_one_line(kind: type[errors.DhrError], text: str) -> None:
    error = kind(text, 1) if kind is errors.ConflictError else kind(text)
    assert one_line(str(error)) and one_line(f"{error}")
    assert not text.isprintable() or str(error) == text


@given(source=TEXTS, reason=TEXTS)
def test_a_problem_is_one_line(source: str, reason: str) -> None:
    problem = Problem(source, reason)
    assert one_line(problem.source) and one_line(problem.reason)
    assert pickle.loads(pickle.dumps(problem)) == problem


@given(text=TEXTS)
def test_a_note_is_one_line(text: str) -> None:
    terminal = Terminal(file=io.StringIO())
    terminal.note(text)
    assert one_line(terminal.file.getvalue().removesuffix("\n"))
