"""The changes of ``make mutants``, and the table of its tests."""

from pathlib import Path

import pytest

from .tests_of import COMPILED, TESTS

ROOT = Path(__file__).parents[2]
CODE = '''
from dataclasses import dataclass

@dataclass(frozen=True)
class Bound:
    low: int | None = 3

def inside(bound: Bound, value: int | float) -> bool | None:
    """Whether 2 < value."""
    return bound.low is None or bound.low < value
'''


def test_code_is_changed_and_annotations_are_not(tmp_path: Path) -> None:
    pytest.importorskip("cosmic_ray", reason="needs pip install -e '.[checks]'")
    from .changes import changes_of

    (tmp_path / "bound.py").write_text(CODE)
    found = [" ".join(change.text.split()) for change in changes_of(tmp_path, "bound.py")]
    field, line = "low: int | None = 3", "return bound.low is None or bound.low < value"
    assert sorted(found) == sorted(
        [
            *(f"{field} -> {field.replace('3', number)}" for number in "24"),
            f"{line} -> {line.replace('is', 'is not')}",
            f"{line} -> {line.replace(' or ', ' and ')}",
            *(f"{line} -> {line.replace('<', sign)}" for sign in ("<=", ">")),
        ]
    )


def test_each_module_of_the_method_has_tests_that_concern_it() -> None:
    modules = {f"{part}/{path.name}" for part in ("ops", "method") for path in (ROOT / "src/dhr" / part).glob("*.py")}
    assert {*TESTS} == modules - COMPILED - {"ops/__init__.py", "method/__init__.py"}
    assert all((ROOT / test).is_file() for tests in TESTS.values() for test in tests)
