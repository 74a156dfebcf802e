"""Under pytest, the types and shapes that all functions of dhr are called with are checked."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import TypeCheckError

from dhr.api.settings import nearest
from dhr.ops.upsample import resize
from dhr.words import one_line

WRONG: tuple[tuple[Callable[[], Any], type[Exception]], ...] = (
    (lambda: resize(torch.zeros(3), (2, 2)), TypeCheckError),  # shapes: jaxtyping
    (lambda: resize(torch.zeros(1, 1, 3, 3), "2"), TypeCheckError),
    (lambda: nearest("a", 3), BeartypeCallHintViolation),  # none: beartype itself
    (lambda: one_line(ValueError("a"), "b"), BeartypeCallHintViolation),
)


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_wrong_arguments_are_refused(number: int) -> None:
    call, error = WRONG[number]
    with pytest.raises(error):
        call()


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_without_checks_the_function_itself_is_called(number: int, unchecked: None) -> None:
    call, error = WRONG[number]
    with pytest.raises((TypeError, ValueError, AttributeError, RuntimeError)) as found:
        call()
    assert not isinstance(found.value, error)
