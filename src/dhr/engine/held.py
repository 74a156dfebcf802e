"""The rows that an output folder holds: which units, in which files, and where new rows go."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from dhr.engine.manifest import Unit
from dhr.engine.part import About, Facts, foreign, part_path, read_about
from dhr.errors import OutputError
from dhr.files import inside, remove
from dhr.results.names import PartName
from dhr.results.part import REMEDY, PartError
from dhr.results.places import ROWS, part_names


@dataclass(frozen=True)
class Held:
    """The rows of a unit in an output folder."""

    unit: Unit
    target: PartName
    """The file for new rows: one of this unit alone."""
    others: tuple[PartName, ...] = ()
    """The other files that hold rows of it, which stay as they are."""
    masks: int = 0
    vanished: int = 0
    """Masks in which a tagged class has no pixel."""

    @classmethod
    def nothing(cls, unit: Unit) -> "Held":
        """Return the state of a unit without rows."""
        return cls(unit, PartName(1, unit.number, unit.number))

    @property
    def whole(self) -> bool:
        """Whether all of its photographs have masks."""
        return self.masks == self.unit.rows


def held(out: Path, units: Sequence[Unit], settings: str) -> list[Held]:
    """Find the rows of each unit. The files of a job that was killed while it joined them are deleted.

    A damaged file of a single unit does not count: the unit is made again.

    Args:
        out: the output folder.
        units: all of the manifest, in their order.
        settings: digest of the run's identity.

    Raises:
        OutputError: another file is damaged, or is not one of this run.
    """
    joined = {name: _about(part_path(out, name), name, units, settings) for name in _names(out) if name.joined}
    _tidy(out, joined)  # each joined file can be used
    files = dict[int, list[tuple[PartName, Facts]]]()
    for name in _names(out):
        with suppress(PartError):
            about = joined.get(name) or _about(part_path(out, name), name, units, settings)
            for facts in about.units:
                files.setdefault(facts.number, []).append((name, facts))
    return [_of(unit, files.get(unit.number, ()), joined) for unit in units]


def _of(unit: Unit, files: Sequence[tuple[PartName, Facts]], joined: Iterable[PartName]) -> Held:
    target = PartName(1, unit.number, unit.number)
    while any(one.covers(target) for one in joined):
        target = replace(target, layer=target.layer + 1)
    others = tuple(name for name, _ in files if name != target)
    return Held(unit, target, others, sum(one.masks for _, one in files), sum(one.vanished for _, one in files))


def _about(path: Path, name: PartName, units: Sequence[Unit], settings: str) -> About:
    """Return the facts on a file of this run.

    Raises:
        PartError: it cannot be used, but will be written again.
        OutputError: it cannot be used.
    """
    try:
        about = read_about(path)
        if about.settings != settings:
            raise foreign()
        numbers = [one.number for one in about.units]
        if numbers != sorted({*numbers}) or (numbers[0], numbers[-1]) != (name.first, name.last):
            raise PartError(f"its name is not that of its units; {REMEDY}")
        for one in about.units:
            unit = units[one.number] if one.number < len(units) else None
            if unit is None or (unit.start, unit.stop) != (one.start, one.stop) or one.masks + one.failed > unit.rows:
                raise PartError(f"its units are not those of the manifest; {REMEDY}")
    except PartError as error:
        if name.layer == 1 and not name.joined and name.first < len(units):
            raise
        raise OutputError(f"{path}: {error}") from error
    return about


def _names(out: Path) -> Iterator[PartName]:
    return (part for name in part_names(inside(out, ROWS)) if (part := PartName.of(name)) is not None)


def _tidy(out: Path, joined: Mapping[PartName, About]) -> None:
    """Delete the files of units that are in a joined file too."""
    for name in _names(out):
        wanted = range(name.first, name.last + 1)
        for other, about in joined.items():
            if other.covers(name) and {one.number for one in about.units} >= {*wanted}:
                remove(out, f"{ROWS}/{name}")
                break
