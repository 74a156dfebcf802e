"""Read records of Thrift's compact protocol, in which Parquet writes its headers.

Parquet's library allocates what a header asks for, and follows nested types by recursion. So headers from outside are
read here first, within limits.
"""

from typing import Any

DEEPEST = 16
"""Records inside each other; Parquet's own headers have five."""
LONGEST = 20_000
"""Values of a list."""

_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _RECORD = 0, 1, 2, 3, 7, 8, 9, 10, 11, 12
_NUMBERS = (4, 5, 6)


class Compact:
    """Reads values from bytes, in their order.

    All methods raise ValueError for damaged content, and EOFError at its end.

    >>> Compact(bytes([0x15, 0x04, 0x25, 0x06, 0x00])).record()
    {1: 2, 3: 3}
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.at = 0
        """The position of the next byte."""

    def record(self, last: int | None = None, depth: int = 0) -> dict[int, Any]:
        """Return the values of a record by the number of their field.

        Args:
            last: the reader stops after this field.
            depth: of records around it.
        """
        if depth > DEEPEST:
            raise ValueError("nested too deep")
        found: dict[int, Any] = {}
        field = 0
        while (head := self._byte()) != _STOP:
            field = field + (head >> 4) if head >> 4 else self._number()
            kind = head & 15
            found[field] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth)
            if field == last:
                break
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _NUMBERS:
            return self._number()
        if kind == _BINARY:
            return self._bytes(self._varint())
        if kind == _RECORD:
            return self.record(None, depth + 1)
        if kind in (_LIST, _SET):
            return self._list(depth)
        if kind in (_TRUE, _FALSE, _BYTE):  # in lists a truth value takes a byte
            return self._byte()
        if kind == _DOUBLE:
            return self._bytes(8)
        if kind == _MAP and not self._varint():
            return {}
        raise ValueError("it holds a value of an unknown kind")

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        count = self._varint() if head >> 4 == 15 else head >> 4
        if count > LONGEST:
            raise ValueError(f"it holds a list of {count} values")
        return [self._value(head & 15, depth) for _ in range(count)]

    def _number(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("it holds a number of more than 64 bits")

    def _byte(self) -> int:
        if self.at >= len(self._content):
            raise EOFError
        self.at += 1
        return self._content[self.at - 1]

    def _bytes(self, count: int) -> bytes:
        if count > len(self._content) - self.at:
            raise EOFError
        self.at += count
        return self._content[self.at - count : self.at]
