"""A bounded memory of results that are costly to make."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """Keeps the results that were used last, up to a limit; equal requests at one time are computed once.

    Args:
        limit: the sum of all weights.
        weigh: the weight of a result, such as its bytes.
    """

    def __init__(self, limit: int, weigh: Callable[[Value], int]) -> None:
        self._limit, self._weigh = limit, weigh
        self._found: OrderedDict[Hashable, Value] = OrderedDict()
        self._weight = 0
        self._lock = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the result of a key; ``make`` computes it if it is not kept."""
        with self._lock:
            turn = self._making.setdefault(key, threading.Lock())
        try:
            with turn:
                with self._lock:
                    if key in self._found:
                        self._found.move_to_end(key)
                        return self._found[key]
                value = make()
                self._put(key, value)
                return value
        finally:
            with self._lock:
                self._making.pop(key, None)

    @property
    def weight(self) -> int:
        """The sum of the weights of all results that are kept."""
        return self._weight

    def _put(self, key: Hashable, value: Value) -> None:
        weight = self._weigh(value)
        with self._lock:
            if weight > self._limit:
                return
            self._found[key] = value
            self._weight += weight
            while self._weight > self._limit:
                _, old = self._found.popitem(last=False)
                self._weight -= self._weigh(old)
