"""The masks of a run with rows: a person's masks stand above them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from dhr.corrections.places import MASKS
from dhr.corrections.store import Corrections
from dhr.corrections.validity import in_classes, outdated
from dhr.data.image_files import Content
from dhr.data.images import mask_bytes, read_mask
from dhr.data.numbering import Numbering
from dhr.data.palette import class_palette
from dhr.data.samples import ClassTable, Problem
from dhr.errors import ItemError, OutputError
from dhr.results.protocol import Tags

if TYPE_CHECKING:
    from dhr.results.rows import RowMasks


@dataclass(frozen=True)
class CorrectedRows:
    """Masks of rows, and those of people in their place: what ``masks/`` shows of a run whose masks are files."""

    rows: "RowMasks"
    corrections: Corrections

    @property
    def folder(self) -> Path:
        """See :class:`~dhr.results.protocol.Masks`."""
        return self.rows.folder

    @property
    def records(self) -> "RowMasks":
        """The machine's records."""
        return self.rows

    @property
    def problems(self) -> Sequence[Problem]:
        """See :class:`~dhr.results.protocol.Masks`."""
        return self.rows.problems

    def names(self) -> Iterator[str]:
        """See :class:`~dhr.results.protocol.Masks`."""
        return self.rows.names()

    def listed(self) -> tuple[Mapping[str, str], Sequence[Problem]]:
        """See :class:`~dhr.results.protocol.Masks`."""
        return self.rows.listed()

    def at(self, place: str) -> Content:
        """See :class:`~dhr.results.protocol.Masks`."""
        return self.mask(place)

    def has(self, name: str) -> bool:
        """See :class:`~dhr.results.protocol.Masks`."""
        return self.rows.has(name)

    def mask(self, name: str) -> Content:
        """See :class:`~dhr.results.protocol.Masks`."""
        return self.of_person(name) or self.rows.mask(name)

    def state(self, name: str) -> str:
        """See :class:`~dhr.results.protocol.Masks`."""
        try:
            return f"d{self.digest(name)[:16]}"
        except ItemError:
            return ""

    def digest(self, name: str) -> str:
        """See :class:`~dhr.results.protocol.Masks`."""
        found = self.of_person(name)
        return self.rows.digest(name) if found is None else sha256(found.data).hexdigest()

    def numbering(self, classes: ClassTable, examples: Iterable[tuple[Path | Content, Tags]]) -> Numbering:
        """See :class:`~dhr.results.protocol.Masks`."""
        return self.rows.numbering(classes, examples)

    def of_person(self, name: str) -> Content | None:
        """Return the mask of a correction that holds for the row of a photograph; None if there is none.

        Raises:
            ItemError: the correction is damaged.
        """
        try:
            correction = self.corrections.read(name)
            if correction is None or correction.state == "skipped" or not correction.mask:
                return None
            item, table = self.rows.record(name), self.rows.classes
            if item is None or outdated(correction, item.digest, item.tags, table):
                return None
            where, (_, content) = str(self.corrections.places.path(MASKS, name)), self.corrections.pair(name)
        except OutputError as error:
            raise ItemError(str(error)) from error
        if {one: table.names.index(one) for one in correction.labels} == dict(correction.labels):
            return Content(where, content)
        mask = in_classes(read_mask(Content(where, content)), correction, table)
        return Content(where, mask_bytes(mask, class_palette(table)))
