"""One look at all files of maps before any mask is made of them: numbers, shapes, and classes without a pixel."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dhr.data.cam_files import SUFFIXES, Content, find_maps, read_content
from dhr.data.classes import enumeration
from dhr.data.listing import key_of, list_files, name_of
from dhr.data.map_numbers import Kind, Numbered, find_stack, key_numbers, refuse_numbering, stack_numbers
from dhr.data.plain_pickle import Refused
from dhr.data.problems import summary
from dhr.data.samples import VOID, ClassTable, Problem, Sample
from dhr.errors import ConfigError, DataError, ItemError
from dhr.job.scan import Scan, Seen
from dhr.job.stored_maps import StoredMaps
from dhr.progress import Progress, Step, silent


@dataclass(frozen=True)
class CheckedMaps:
    """Maps that are understood, and the photographs that have them."""

    maps: StoredMaps
    scan: Scan
    """Without photographs whose maps cannot be used, which are among its problems."""
    notes: tuple[str, ...]
    """What else is to be known of the files, a sentence each."""


@dataclass(frozen=True)
class _Look:
    """What is kept of a file."""

    sample: Sample
    kind: Kind
    keys: frozenset[int]
    filled: frozenset[int]
    """Numbers whose maps have a value above 0."""
    height: int
    width: int


def check_maps(stored: StoredMaps, found: Scan, progress: Progress = silent) -> CheckedMaps:
    """Read the files of all photographs once, settle how they are numbered, and leave out those that do not fit.

    Raises:
        ConfigError: the files are numbered otherwise than `wss.numbering` says, or it cannot be told how.
        DataError: the maps of no photograph can be used, or each lacks all pixels of a class that is tagged.
    """
    classes = stored.classes
    tagged = [sample for sample in found.samples if sample.tags]
    looks, problems = [], dict[str, Problem]()
    for done, sample in enumerate(tagged, start=1):
        try:
            looks.append(_look(sample, read_content(find_maps(stored.folder, sample.name), classes)))
        except ItemError as error:
            problems[sample.name] = Problem(sample.source, str(error))
        progress(Step("maps", done, len(tagged)))
    try:
        keyed = [Numbered(look.keys, look.sample.tags) for look in looks if look.kind == "keys"]
        refuse_numbering(keyed, classes, stored.numbering)
        counts = [(len(look.keys), look.sample.tags) for look in looks if look.kind == "array"]
        stored = replace(stored, stack=find_stack(counts, classes, stored.numbering))
    except Refused as error:
        raise ConfigError(f"--wss.maps {stored.folder}: {error}") from error
    stretched = _stretched(looks, found)
    empty: dict[str, list[str]] = {}
    for look in looks:
        try:
            if not stretched:
                _refuse_shape(look, found.seen[look.sample.name])
            if names := _empty(look, stored):
                empty[look.sample.source] = names
            if len(names) == len(look.sample.tags):
                raise ItemError(_without_pixels(look, names, classes))
        except ItemError as error:
            problems[look.sample.name] = Problem(look.sample.source, str(error))
    usable = [sample for sample in tagged if sample.name not in problems]
    if len(empty) == len(looks) > 0:
        first = next(look for look in looks if look.sample.source in empty)
        reason = _without_pixels(first, empty[first.sample.source], classes)
        raise DataError(
            f"--wss.maps {stored.folder}: the maps of each photograph lack a class that it is tagged with; "
            f"{first.sample.source}: {reason}"
        )
    if not usable:
        reasons = summary([*problems.values()], 3)
        raise DataError(f"--wss.maps {stored.folder}: the maps of no photograph can be used; {reasons}")
    samples = tuple(sample for sample in found.samples if sample.name not in problems)
    scan = replace(found, samples=samples, problems=(*found.problems, *problems.values()))
    some = {source: names for source, names in empty.items() if any(one.source == source for one in usable)}
    notes = (*_stretch_note(looks[0], stretched), *_empty_note(some), *_stray_note(stored, found))
    return CheckedMaps(stored, scan, notes)


def _look(sample: Sample, content: Content) -> _Look:
    filled = frozenset(number for number, one in content.maps.items() if bool((one > 0).any()))
    height, width = next(iter(content.maps.values())).shape
    return _Look(sample, content.kind, content.keys, filled, int(height), int(width))


def _empty(look: _Look, stored: StoredMaps) -> list[str]:
    """Classes that the photograph is tagged with, and whose maps have no value above 0.

    Raises:
        ItemError: a tag has no map.
    """
    tags, classes = look.sample.tags, stored.classes
    try:
        if look.kind == "array":
            numbers = stack_numbers(len(look.keys), tags, classes, stored.numbering, stored.stack)
        else:
            numbers = key_numbers(look.keys, look.kind, tags, classes, stored.numbering)
    except Refused as error:
        raise ItemError(f"its maps cannot be used: {error}") from error
    return [classes.names[tag] for tag, number in zip(tags, numbers, strict=True) if number not in look.filled]


def _without_pixels(look: _Look, names: Sequence[str], classes: ClassTable) -> str:
    if look.kind != "mask":
        return f"no value above 0 in the map of {enumeration(names)}; make its maps again, or correct its tags"
    ids = " and ".join(str(classes.names.index(name)) for name in names)
    have = ", ".join(str(number) for number in sorted(look.filled)) or "only 255"
    return (
        f"no pixel of {enumeration(names)} in its mask, which must be {ids}; it holds {have}, and {VOID} is void: give "
        "the pixels of a class its number in the class table"
    )


def _refuse_shape(look: _Look, seen: Seen) -> None:
    """Refuse maps of another aspect than the photograph's.

    A grid is the photograph's size divided, and rounded up or down, maybe after padding by less than a cell: two cells
    each way are allowed.
    """
    if _alike((look.height, look.width), (seen.height, seen.width)):
        return
    shapes = f"its maps have {look.height} rows and {look.width} columns, the photograph {seen.height} and {seen.width}"
    if _alike((look.width, look.height), (seen.height, seen.width)):
        raise ItemError(f"{shapes}: rows and columns are swapped; save maps as (class, row, column)")
    raise ItemError(f"{shapes}; save maps of the whole photograph, in its aspect")


def _alike(grid: tuple[int, int], size: tuple[int, int]) -> bool:
    return abs(grid[0] * size[1] - grid[1] * size[0]) <= 2 * (size[0] + size[1])


def _stretched(looks: Sequence[_Look], found: Scan) -> bool:
    """Whether all maps are one square, as of programs that stretch each photograph to it, and some do not fit."""
    if len({(look.height, look.width) for look in looks}) != 1 or looks[0].height != looks[0].width:
        return False
    sizes = [found.seen[look.sample.name] for look in looks]
    return not all(_alike((looks[0].height, looks[0].width), (seen.height, seen.width)) for seen in sizes)


def _stretch_note(look: _Look, stretched: bool) -> list[str]:
    if not stretched:
        return []
    size = f"{look.height}x{look.width}"
    return [f"All maps are {size}, unlike the photographs: each map is taken to cover its whole photograph."]


def _empty_note(empty: dict[str, list[str]]) -> list[str]:
    if not empty:
        return []
    shown = [f"{source} ({', '.join(names)})" for source, names in [*empty.items()][:3]]
    more = f" and {len(empty) - 3} more" if len(empty) > 3 else ""
    return [f"{len(empty)} photographs have no pixel of a class that they are tagged with: {', '.join(shown)}{more}."]


def _stray_note(stored: StoredMaps, found: Scan) -> list[str]:
    known = {key_of(name) for name in found.seen}
    files = list_files(stored.folder, frozenset(SUFFIXES)).files
    stray = [file for file in files if key_of(name_of(file, frozenset(SUFFIXES))) not in known]
    if not stray:
        return []
    return [f"{len(stray)} files of maps belong to no photograph of this run: {enumeration(stray, most=3)}."]
