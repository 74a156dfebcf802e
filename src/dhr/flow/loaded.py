"""A result, or the failure in its place."""

from dataclasses import dataclass
from typing import Generic, TypeVar, cast

R = TypeVar("R")


@dataclass(frozen=True)
class Loaded(Generic[R]):
    """A result, or the failure in its place."""

    _value: R | None = None
    _error: BaseException | None = None

    @property
    def ready(self) -> R | None:
        """The result; None in the place of a failure."""
        return self._value

    @property
    def failure(self) -> BaseException | None:
        """The failure; None beside a result."""
        return self._error

    def get(self) -> R:
        """Return the result.

        Raises:
            BaseException: the failure.
        """
        if self._error is not None:
            raise self._error
        return cast(R, self._value)  # which may be None itself
