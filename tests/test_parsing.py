"""What programs of ours wrote, read back from anybody: kinds and ranges."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhr.parsing import Fields, as_number, as_text, as_whole, parse_json

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 200_000, "nested too deep"),
        ('{"a": ' * 200_000, "nested too deep"),
        ('{"a": 1, "a": 2}', "the key 'a' occurs twice"),
        ("NaN", "NaN is not JSON"),
        ("-Infinity", "-Infinity is not JSON"),
        ("", "Expecting value"),
        ("{", "Expecting property name"),
    ],
)
def test_what_is_no_json_is_a_value_error(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_json(text)


def test_numbers_without_end_are_no_whole_numbers() -> None:
    for digits in (31, 401, 5000):
        value = parse_json("1" + "0" * (digits - 1))
        assert isinstance(value, float)
        with pytest.raises(ValueError, match="expected a whole number"):
            as_whole(value, 0, 10**30)
    with pytest.raises(ValueError, match="expected a finite number; got inf"):
        as_number(parse_json("1" + "0" * 400))
    with pytest.raises(ValueError, match="expected a finite number"):
        as_number(10**400)  # a whole number that no float holds
    assert parse_json("12345678901234567890") == 12345678901234567890


@settings(max_examples=300)
@given(VALUES)
def test_any_value_is_taken_or_refused_in_one_line(value: Any) -> None:
    fields = Fields({"a": value})
    calls: list[Callable[[], Any]] = [
        lambda: fields.text("a", 5),
        lambda: fields.texts("a", 2),
        lambda: fields.whole("a", 0, 100),
        lambda: fields.number("a", 0, 1),
        lambda: fields.flag("a"),
        lambda: fields.entries("a", 2),
        lambda: fields.object("a"),
        lambda: fields.fields("a"),
    ]
    for call in calls:
        try:
            found = call()
        except ValueError as error:
            assert str(error).startswith("a: expected") and len(str(error)) < 120
            assert "\n" not in str(error)
            continue
        if isinstance(found, float):
            assert 0 <= found <= 1 and not isinstance(value, bool)
        elif isinstance(found, int) and not isinstance(found, bool):
            assert 0 <= found <= 100 and not isinstance(value, bool)


def test_what_is_missing_is_named_with_its_place() -> None:
    with pytest.raises(ValueError, match="a: expected, but it is missing"):
        Fields({}).text("a")
    with pytest.raises(ValueError, match=r"a\.b: expected true or false; got 1"):
        Fields({"a": {"b": 1}}).fields("a").flag("b")
    with pytest.raises(ValueError, match="expected an object; got a list"):
        Fields([])
    assert "a" not in Fields({"a": None}) and Fields({"a": None}).names() == ["a"]


def test_the_usual_values_are_taken() -> None:
    record = Fields(json.loads('{"n": 3, "x": 0.5, "t": "cat", "l": ["a", "b"], "f": false, "o": {"k": 1}}'))
    assert record.whole("n", 0, 9) == 3 and record.number("n") == 3.0
    assert math.isclose(record.number("x", 0, 1), 0.5)
    assert (record.text("t"), record.texts("l"), record.flag("f")) == ("cat", ("a", "b"), False)
    assert record.fields("o").whole("k", 1, 1) == 1 and record.object("o") == {"k": 1}
    assert as_text("a" * 5, longest=5) == "aaaaa"
    with pytest.raises(ValueError, match="expected at most 4 characters, got 5"):
        as_text("a" * 5, longest=4)
