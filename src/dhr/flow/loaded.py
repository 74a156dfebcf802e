"""A result, or the failure in its place."""

from dataclasses import dataclass
from typing import Generic, TypeVar, cast

R = TypeVar("R")


@dataclass(frozen=True)
class Loaded(Generic[R]):
    """A result, or the failure in its place."""

    _value: R | None = None
    _error: BaseException | None = None

    def get(self) -> R:
        """Return the result.

        Raises:
            BaseException: the failure.
        """
        if self._error is not None:
            raise self._error
        return cast(R, self._value)  # which may be None itself
