"""Files of maps: all are checked before any mask is made, and then read one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from dhr.data.cam_files import SUFFIXES, Content, find_maps, read_content, read_maps
from dhr.data.classes import enumeration
from dhr.data.images import read_mask
from dhr.data.listing import key_of, list_files, name_of
from dhr.data.map_numbers import Kind, Numbered, Stack, find_stack, key_numbers, refuse_numbering, stack_numbers
from dhr.data.numbering import Numbering
from dhr.data.plain_pickle import Refused
from dhr.data.problems import summary
from dhr.data.samples import VOID, ClassTable, Problem, Sample
from dhr.errors import ConfigError, DataError, ItemError
from dhr.progress import Progress, Step
from dhr.sources.protocol import Checked
from dhr.words import counted

Sizes = Mapping[str, tuple[int, int]]
"""Height and width of photographs, by name."""


@dataclass(frozen=True)
class StoredMaps:
    """A folder of maps, and the numbering of the classes in its files."""

    folder: Path
    classes: ClassTable
    numbering: str
    stack: Stack | None = None
    """The classes in arrays without numbers; None before all files are checked."""
    masks: Numbering | None = None
    """The classes of masks in PNG, if the folder has a `classes.txt`."""

    def read(self, sample: Sample, size: tuple[int, int]) -> Float[Tensor, "1 k u v"]:
        """Read the maps of the photograph's tags, on the file's own grid, whatever the working image's ``size``.

        Raises:
            ItemError: the file is missing, or does not fit the tags.
        """
        path, tags = find_maps(self.folder, sample.name), sample.tags
        maps = read_maps(path, tags, self.classes, self.numbering, self.stack, self.read_mask)
        return torch.from_numpy(maps).unsqueeze(0)

    def read_mask(self, path: Path) -> UInt8[np.ndarray, "h w"]:
        """Read a mask in PNG as ids of the data set's classes.

        Raises:
            ItemError: it cannot be read, or shows a class that the data set lacks.
        """
        return read_mask(path) if self.masks is None else self.masks.read(path)

    def content(self, sample: Sample) -> Content:
        """Read the file of a photograph; raises ItemError if it cannot be read."""
        return read_content(find_maps(self.folder, sample.name), self.classes, self.read_mask)

    def check(self, samples: Sequence[Sample], sizes: Sizes, progress: Progress) -> tuple["StoredMaps", Checked]:
        """See :func:`check_maps`."""
        return check_maps(self, samples, sizes, progress)

    def numbers(self, content: "_Look") -> tuple[int, ...]:
        """Return the numbers of the maps of the tags.

        Raises:
            ItemError: a tag lacks a map.
        """
        tags, keys = content.sample.tags, content.keys
        try:
            if content.kind == "array":
                return stack_numbers(len(keys), tags, self.classes, self.numbering, self.stack)
            return key_numbers(keys, content.kind, tags, self.classes, self.numbering)
        except Refused as error:
            raise ItemError(f"its maps cannot be used: {error}") from error


@dataclass(frozen=True)
class _Look:
    """The parts of a file that are kept in memory."""

    sample: Sample
    kind: Kind
    keys: frozenset[int]
    filled: frozenset[int]
    """Numbers whose maps have a value above 0."""
    grid: tuple[int, int]

    @staticmethod
    def of(sample: Sample, content: Content) -> "_Look":
        filled = frozenset(number for number, one in content.maps.items() if bool((one > 0).any()))
        height, width = next(iter(content.maps.values())).shape
        return _Look(sample, content.kind, content.keys, filled, (int(height), int(width)))


def check_maps(
    stored: StoredMaps, samples: Sequence[Sample], sizes: Sizes, progress: Progress
) -> tuple[StoredMaps, Checked]:
    """Read the files of all photographs once, decide how they are numbered, and leave out those that do not fit.

    Raises:
        ConfigError: the numbering of the files is another than `wss.numbering`, or is ambiguous.
        DataError: all maps are unusable, or each file lacks all pixels of a tagged class.
    """
    tagged = [sample for sample in samples if sample.tags]
    looks, problems = [], dict[str, Problem]()
    for done, sample in enumerate(tagged, start=1):
        try:
            looks.append(_Look.of(sample, stored.content(sample)))
        except ItemError as error:
            problems[sample.name] = Problem(sample.source, str(error))
        progress(Step("maps", done, len(tagged)))
    stored = _numbered(stored, looks)
    stretched = _stretched(looks, sizes)
    empty: dict[str, list[str]] = {}
    for look in looks:
        try:
            if not stretched:
                _refuse_shape(look, sizes[look.sample.name])
            if names := _empty(look, stored):
                empty[look.sample.source] = names
            # A mask without its tags is an answer: its program found nothing. Maps without values are damaged.
            if len(names) == len(look.sample.tags) and look.kind != "mask":
                raise ItemError(_without_pixels(look, names, stored.classes))
        except ItemError as error:
            problems[look.sample.name] = Problem(look.sample.source, str(error))
    _refuse_nothing(stored, looks, empty, problems, len(tagged))
    usable = tuple(sample for sample in samples if sample.name not in problems)
    used = {sample.source for sample in usable}
    some = {source: names for source, names in empty.items() if source in used}
    named = () if stored.masks is None else stored.masks.notes
    notes = (*named, *_stretch_note(looks[0], stretched), *_empty_note(some), *_stray_note(stored, sizes))
    return stored, Checked(usable, tuple(problems.values()), notes)


def _numbered(stored: StoredMaps, looks: Sequence[_Look]) -> StoredMaps:
    """Return the same with the classes of arrays without numbers; raise ConfigError as :func:`check_maps`."""
    try:
        keyed = [Numbered(look.keys, look.sample.tags) for look in looks if look.kind == "keys"]
        refuse_numbering(keyed, stored.classes, stored.numbering)
        counts = [(len(look.keys), look.sample.tags) for look in looks if look.kind == "array"]
        return replace(stored, stack=find_stack(counts, stored.classes, stored.numbering))
    except Refused as error:
        raise ConfigError(f"--wss.maps {stored.folder}: {error}") from error


def _refuse_nothing(
    stored: StoredMaps,
    looks: Sequence[_Look],
    empty: Mapping[str, list[str]],
    problems: Mapping[str, Problem],
    tagged: int,
) -> None:
    """Raise DataError if all photographs are left out, or each lacks a class."""
    if len(empty) == len(looks) > 0:
        first = next(look for look in looks if look.sample.source in empty)
        reason = _without_pixels(first, empty[first.sample.source], stored.classes)
        raise DataError(
            f"--wss.maps {stored.folder}: the maps of each photograph lack a class that it is tagged with; "
            f"{first.sample.source}: {reason}"
        )
    if len(problems) == tagged:
        reasons = summary([*problems.values()], 3)
        raise DataError(f"--wss.maps {stored.folder}: the maps of no photograph can be used; {reasons}")


def _empty(look: _Look, stored: StoredMaps) -> list[str]:
    """Return the tagged classes without a value above 0 in their maps."""
    numbers = zip(look.sample.tags, stored.numbers(look), strict=True)
    return [stored.classes.names[tag] for tag, number in numbers if number not in look.filled]


def _without_pixels(look: _Look, names: Sequence[str], classes: ClassTable) -> str:
    if look.kind != "mask":
        return f"no value above 0 in the map of {enumeration(names)}; make its maps again, or correct its tags"
    ids = " and ".join(str(classes.names.index(name)) for name in names)
    have = ", ".join(str(number) for number in sorted(look.filled)) or "only 255"
    return (
        f"no pixel of {enumeration(names)} in its mask, which must be {ids}; it holds {have}, and {VOID} is void: give "
        "the pixels of a class its number in the class table"
    )


def _refuse_shape(look: _Look, size: tuple[int, int]) -> None:
    """Refuse maps of another aspect than the photograph's.

    The size of a grid is the photograph's size over the stride, rounded up or down, perhaps after padding by less than
    a cell. So two cells of difference are allowed in each direction.
    """
    rows, columns = look.grid
    if _alike(rows, columns, size):
        return
    shapes = f"its maps have {rows} rows and {columns} columns, the photograph {size[0]} and {size[1]}"
    if _alike(columns, rows, size):
        raise ItemError(f"{shapes}: rows and columns are swapped; save maps as (class, row, column)")
    raise ItemError(f"{shapes}; save maps of the whole photograph, in its aspect")


def _alike(rows: int, columns: int, size: tuple[int, int]) -> bool:
    return abs(rows * size[1] - columns * size[0]) <= 2 * (size[0] + size[1])


def _stretched(looks: Sequence[_Look], sizes: Sizes) -> bool:
    """Return whether all maps are squares of one size and some do not fit: their program stretched the photographs."""
    if len({look.grid for look in looks}) != 1 or looks[0].grid[0] != looks[0].grid[1]:
        return False
    return not all(_alike(*look.grid, sizes[look.sample.name]) for look in looks)


def _stretch_note(look: _Look, stretched: bool) -> list[str]:
    if not stretched:
        return []
    size = f"{look.grid[0]}x{look.grid[1]}"
    return [f"All maps are {size}, unlike the photographs: each map is taken to cover its whole photograph."]


def _empty_note(empty: Mapping[str, list[str]]) -> list[str]:
    if not empty:
        return []
    shown = [f"{source} ({', '.join(names)})" for source, names in [*empty.items()][:3]]
    more = f" and {len(empty) - 3} more" if len(empty) > 3 else ""
    return [f"{len(empty)} photographs have no pixel of a class that they are tagged with: {', '.join(shown)}{more}."]


def _stray_note(stored: StoredMaps, sizes: Sizes) -> list[str]:
    known = {key_of(name) for name in sizes}
    files = list_files(stored.folder, frozenset(SUFFIXES)).files
    stray = [file for file in files if key_of(name_of(file, frozenset(SUFFIXES))) not in known]
    if not stray:
        return []
    files_of_maps = counted(len(stray), "file of maps", "files of maps")
    return [f"{files_of_maps} without a photograph in this run: {enumeration(stray, most=3)}."]
