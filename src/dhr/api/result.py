"""The common base of all results: rows, a short text, a view for notebooks; and masks that are read when needed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

from jaxtyping import UInt8
from numpy.typing import NDArray

from dhr.corrections.beside import masks_at
from dhr.data.image_files import Content
from dhr.data.images import read_mask
from dhr.data.samples import Problem
from dhr.results.protocol import Masks
from dhr.words import counted

_ROWS = 12  # rows of a view


class MaskFiles(Mapping[str, UInt8[NDArray[Any], "h w"]]):
    """Masks of a folder by name, class ids and 255 for void; each is read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def stored(self) -> Masks:
        """The masks with their records, as they are stored."""
        return masks_at(self.folder)

    def path(self, name: str) -> Path | Content:
        """Return the place of a mask, or its content if it is in another file."""
        return self.stored.mask(name)

    def __getitem__(self, name: str) -> UInt8[NDArray[Any], "h w"]:
        masks = self.stored
        if not masks.has(name):
            raise KeyError(name)
        return read_mask(masks.mask(name))

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.stored.names()))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"MaskFiles({counted(len(self), 'mask')} in {self.folder})"


class Result:
    """The common base of all results."""

    left_out: tuple[Problem, ...]
    notes: tuple[str, ...]

    def rows(self) -> list[dict[str, Any]]:
        """Return one dictionary per row of a table, ready for ``pandas.DataFrame``."""
        raise NotImplementedError

    @property
    def summary(self) -> str:
        """The finished work, in a few words."""
        raise NotImplementedError

    @property
    def complete(self) -> bool:
        """Whether nothing had to be left out."""
        return not self.left_out

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.summary})"

    def _pictures(self) -> str:
        return ""

    def _repr_html_(self) -> str:
        rows = self.rows()
        names = list(dict.fromkeys(name for row in rows[:_ROWS] for name in row))
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(_cell(row.get(name)))}</td>" for name in names) + "</tr>"
            for row in rows[:_ROWS]
        )
        more = f"<p>and {counted(len(rows) - _ROWS, 'more row')}</p>" if len(rows) > _ROWS else ""
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes[:5])
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}" if rows else ""
        return f"<div><p><b>{escape(self.summary)}</b></p>{notes}{self._pictures()}{table}</div>"


@dataclass(frozen=True, repr=False)
class TableResult(Result):
    """Rows without further results: models, settings, files that were downloaded or written."""

    entries: Sequence[Mapping[str, Any]]
    text: str = ""
    left_out: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = field(default=())

    @property
    def summary(self) -> str:
        """A title of the rows."""
        return self.text or f"{len(self.entries)} rows"

    def rows(self) -> list[dict[str, Any]]:
        """Return the given rows."""
        return [dict(entry) for entry in self.entries]


def _cell(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
