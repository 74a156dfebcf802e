"""Joins the files of neighbouring units to larger ones, so that a million photographs are some dozens of files."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

from dhr.data.parquet import arrow
from dhr.engine.cluster import cause
from dhr.engine.part import About, about, foreign, part_path
from dhr.errors import OutputError
from dhr.files import inside, remove, write_atomic
from dhr.progress import Progress, Step
from dhr.results.names import PartName
from dhr.results.part import Part, PartError
from dhr.results.places import ROWS, part_names
from dhr.results.row import PARQUET, SCHEMA, schema_of

LARGEST = 256 * 10**6
"""Bytes of a joined file, at most; it is larger only if a single unit is."""
_UNITS = 1024  # of a joined file: a reader holds the list of their row groups in memory


def join_all(ray: Any, out: Path, progress: Progress) -> None:
    """Join the files of all units in tasks of Ray, when all are finished.

    Raises:
        OutputError: a file is damaged, or the disk refuses.
    """
    groups = neighbours(out)
    task = ray.remote(join)
    waiting = [task.remote(out, group) for group in groups]
    for done in range(1, len(groups) + 1):
        ready, waiting = ray.wait(waiting)
        try:
            ray.get(ready)
        except ray.exceptions.RayError as error:
            raise cause(error) from None
        progress(Step("join", done, len(groups), "files"))


def neighbours(out: Path) -> list[list[PartName]]:
    """Return the files of units that are to be joined, as groups of neighbours; between two lies no joined file."""
    folder, groups = inside(out, ROWS), list[list[PartName]]()
    size = 0
    for name, before in _with_before(folder):
        own = part_path(out, name).stat().st_size
        apart = before is None or before.joined or before.layer != name.layer
        if apart or size + own > LARGEST or len(groups[-1]) == _UNITS:
            groups.append([])
            size = 0
        groups[-1].append(name)
        size += own
    return [group for group in groups if len(group) > 1]


def _with_before(folder: Path) -> Iterator[tuple[PartName, PartName | None]]:
    """Yield the files of single units in their order, each with the file before it."""
    before = None
    for name in sorted(part for text in part_names(folder) if (part := PartName.of(text)) is not None):
        if not name.joined:
            yield name, before
        before = name


def join(out: Path, names: Sequence[PartName]) -> None:
    """Write the rows of some files to one, and then delete them.

    A reader leaves out files whose rows are joined, so each row counts once at any time. Called again after it was
    killed, it goes on.

    Raises:
        OutputError: a file is damaged, or the disk refuses.
    """
    whole = PartName(names[0].layer, names[0].first, names[-1].last)
    path = part_path(out, whole)
    parts = [part_path(out, name) for name in names]
    if not path.is_file():
        _write(path, parts)
    else:
        _refuse_other(path, [part for part in parts if part.is_file()])
    for name in names:
        remove(out, f"{ROWS}/{name}")


def _refuse_other(path: Path, parts: Sequence[Path]) -> None:
    """Refuse a joined file that lacks units of some parts, which would be deleted."""
    with _opened(path) as one:
        whole = about(one)
    for part in parts:
        with _opened(part) as one:
            found = about(one)
        if found.settings != whole.settings or not {*found.units} <= {*whole.units}:
            raise OutputError(f"{path}: it does not hold the rows of {part.name}; delete it, and start again")


def _write(path: Path, parts: Sequence[Path]) -> None:
    pa, found = arrow(), list[About]()
    for part in parts:
        with _opened(part) as one:
            found.append(about(one))
            classes = one.classes
            if found[-1].settings != found[0].settings:
                raise foreign()
    schema, units = schema_of(classes), tuple(facts for one in found for facts in one.units)
    schema = schema.with_metadata({**schema.metadata, **About(found[0].settings, units).metadata})
    options = {name: value for name, value in PARQUET.items() if name != "row_group_size"}  # groups stay as they are

    def write(file: IO[bytes]) -> None:
        with pa.parquet.ParquetWriter(file, schema, **options) as writer:
            for part in parts:
                with _opened(part) as one:
                    for group in range(one.groups):
                        writer.write_table(one.read(group, SCHEMA.names).cast(schema))

    write_atomic(path, write)


@contextmanager
def _opened(path: Path) -> Iterator[Part]:
    """Open a file of rows; raises OutputError if it is damaged."""
    try:
        with closing(Part(path)) as part:
            yield part
    except PartError as error:
        raise OutputError(f"{path}: {error}") from error
