"""Turn the rows of Arrow batches into samples; a row that cannot be used becomes a problem."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dhr.data.arrow_texts import Texts, one_chunk, texts_of
from dhr.data.image_files import MAX_PIXELS
from dhr.data.listing import escapes, is_hidden, too_long
from dhr.data.manifest.row import Row
from dhr.data.samples import UNTAGGED, ClassTable, Problem
from dhr.data.tags import TagReader
from dhr.data.uris import located, scheme, shown
from dhr.errors import DataError
from dhr.words import printable

MAX_ID = 1_000
"""Characters of the longest id."""
MAX_TAGS = 1_000
"""Most tags of one row."""

_MAX_TAG = 1_000  # characters
_TEXT = 200  # characters of a wrong value in a message


class RowReader:
    """Reads rows of a manifest; knows only its class table and its folder.

    Args:
        classes: the class table.
        folder: the folder of the manifest, in which relative URIs begin.
        where: the manifest's name for messages.
        tagged: whether tags are read; else all rows are without tags.
    """

    def __init__(self, classes: ClassTable, folder: Path, where: str = "manifest", tagged: bool = True) -> None:
        self._classes, self._folder, self._where, self._reads_tags = classes, folder, where, tagged
        self._tags = TagReader(classes, None)
        self._same: dict[tuple[int, ...], tuple[int, ...]] = {}

    @property
    def notes(self) -> list[str]:
        """Report tags in another case than their class."""
        return [f"{self._where}: {note}" for note in self._tags.notes]

    def read(self, batch: Any, numbers: Sequence[int] | None = None, where: str | None = None) -> list[Row | Problem]:
        """Return a sample for each row of an Arrow batch or table, or why it cannot be used.

        Args:
            batch: has the columns id, uri and tags; :func:`~dhr.data.manifest.columns.check_columns` checks them.
            numbers: those of its rows, for messages; by default they count from 1.
            where: its file, for messages.
        """
        line, numbers = f"{where or self._where} row", numbers or range(1, batch.num_rows + 1)
        ids, uris, truths, splits = (self._texts(batch, name) for name in ("id", "uri", "truth", "split"))
        lists: Sequence[tuple[int, ...] | _Wrong] = self._lists(batch) if self._reads_tags else [()] * batch.num_rows
        sizes = [self._numbers(batch, name) for name in ("height", "width")]
        places, masks = ([self._located(text) for text in column.texts] for column in (uris, truths))
        found: list[Row | Problem] = []
        for row, (one, of_uri, of_truth) in enumerate(zip(ids.of, uris.of, truths.of, strict=True)):
            name, uri, place = ids.texts[one], uris.texts[of_uri], places[of_uri]
            tags, truth = lists[row], masks[of_truth]
            reason = _wrong_id(name)
            if reason is None and uri is None:
                reason = "its uri is missing; name the photograph"
            wrongs = (value.reason for value in (place, truth, tags) if isinstance(value, _Wrong))
            reason = reason or next(wrongs, None)
            size, wrong = _size(*(numbers[row] for numbers in sizes))
            reason = reason or wrong
            if reason is not None:
                source = (shown(uri) if uri else printable(name or ""))[:_TEXT]
                found.append(Problem(source or f"{line} {numbers[row]}", f"{line} {numbers[row]}: {reason}"))
                continue
            assert name is not None and isinstance(place, str) and isinstance(tags, tuple)
            assert truth is None or isinstance(truth, str)
            source = place if scheme(place) is None else shown(place)
            split = splits.texts[splits.of[row]]
            found.append(Row(name, source, tags, truth is not None, place, truth, size, split))
        return found

    def _located(self, text: str | None) -> "str | _Wrong | None":
        try:
            return None if text is None else located(text, self._folder)
        except DataError as error:
            return _Wrong(str(error))

    def _texts(self, batch: Any, name: str) -> Texts:
        """Return the texts of a column; of a column that is missing, nulls."""
        if name not in batch.schema.names:
            return Texts((None,), np.full(batch.num_rows, -1))
        return texts_of(batch.column(name))

    def _numbers(self, batch: Any, name: str) -> Sequence[int | None]:
        if name not in batch.schema.names:
            return [None] * int(batch.num_rows)
        numbers: list[int | None] = one_chunk(batch.column(name)).to_pylist()
        return numbers

    def _lists(self, batch: Any) -> "list[tuple[int, ...] | _Wrong]":
        """Return the tags of each row as class ids."""
        column = one_chunk(batch.column("tags"))
        offsets, missing = column.offsets.to_pylist(), column.is_null().to_pylist()
        start = offsets[0] if offsets else 0
        encoded = texts_of(column.values.slice(start, (offsets[-1] if offsets else 0) - start))
        ids = [self._tags.id_of(text) if text and len(text) <= _MAX_TAG else None for text in encoded.texts]
        found: list[tuple[int, ...] | _Wrong] = []
        for row, null in enumerate(missing):
            codes = encoded.of[offsets[row] - start : offsets[row + 1] - start]
            if null:
                wrong = "its tags are missing; write an empty list for a photograph that shows background alone"
                found.append(_Wrong(wrong))
            elif len(codes) > MAX_TAGS:
                found.append(_Wrong(f"it has {len(codes)} tags, over the limit of {MAX_TAGS}; correct them"))
            else:
                found.append(self._tagged([ids[code] for code in codes], [encoded.texts[code] for code in codes]))
        return found

    def _tagged(self, labels: Sequence[int | None], texts: Sequence[str | None]) -> "tuple[int, ...] | _Wrong":
        known = {label for label in labels if label is not None}
        if None in labels:
            return _Wrong(self._unknown([text for text, label in zip(texts, labels, strict=True) if label is None]))
        tags = tuple(sorted(label for label in known if label in self._classes.foreground))
        if not tags and not self._classes.background:
            return _Wrong(UNTAGGED)
        return self._same.setdefault(tags, tags)

    def _unknown(self, texts: Sequence[str | None]) -> str:
        first = texts[0]
        if first is None or len(first) > _MAX_TAG:
            return (
                f"expected names of classes as tags, got {'null' if first is None else first[:40] + '...'}; correct it"
            )
        line = self._tags(0, "row", [text for text in texts if text is not None and len(text) <= _MAX_TAG])
        return line.reason or f"unknown tag {first!r}"


@dataclass(frozen=True)
class _Wrong:
    """Why a value cannot be used."""

    reason: str


def _wrong_id(name: str | None) -> str | None:
    """Return why a text is not a clean relative POSIX path; None if it is."""
    if not name:
        return "its id is missing; give each photograph one"
    if len(name) > MAX_ID:
        return f"its id has {len(name)} characters, over the limit of {MAX_ID}; shorten it"
    if printable(name) != name:
        return f"its id {name[:_TEXT]!r} has control characters, or is not UTF-8; rename it"
    parts = name.split("/")
    if escapes(name) or "\\" in name or not all(part and not is_hidden(part) for part in parts):
        wanted = "a path such as trip/a, without '..', '//', a backslash, or a dot at the beginning of a part"
        return f"expected an id that is {wanted}; got {name[:_TEXT]!r}; rename it"
    return too_long(name)


def _size(height: int | None, width: int | None) -> tuple[tuple[int, int] | None, str | None]:
    """Return height and width, if both are known, or why they are wrong."""
    if height is None or width is None:
        return None, None
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        most = MAX_PIXELS // 10**6
        return None, f"expected width and height of a photograph of up to {most} megapixels, got {width} x {height}"
    return (height, width), None
