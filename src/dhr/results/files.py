"""Masks and records as files, one per photograph."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dhr.data.image_files import Content
from dhr.data.listing import key_of, list_files, name_of
from dhr.data.numbering import Numbering, numbering
from dhr.data.samples import ClassTable
from dhr.errors import ItemError
from dhr.files import digest_regular, inside
from dhr.parsing import MAX_RECORD, load_json
from dhr.records.item import ItemRecord, read_item
from dhr.records.members import parse_record
from dhr.records.problem import Problem
from dhr.results.protocol import Record, Tags
from dhr.shards import files_in, find, out_of_shard, place

ITEMS, MASKS = "items", "masks"
"""Folders of the records and masks, one file per photograph, in an output folder."""
MAX_MASK = 1_000_000_000
"""Largest file of a mask in bytes: four times the pixels of the largest photographs."""
_PNG = frozenset({".png"})


@dataclass(frozen=True)
class RunFiles:
    """The files of a run, which may come from somebody else."""

    root: Path
    shards: bool

    def path(self, folder: str, name: str, suffix: str) -> Path:
        """Return the place of a photograph's file; raises OutputError if it is behind a link."""
        return inside(self.root, place(self.root, folder, name, suffix, self.shards), may_be_link=True)


@dataclass(frozen=True)
class FileRecords:
    """Records in a folder, which need not exist."""

    folder: Path
    run: RunFiles | None = None
    """The run that the folder is known to belong to."""

    @classmethod
    def beside(cls, masks: Path) -> "FileRecords":
        """Find those of ``OUT/masks``, ``OUT/training_masks`` or ``OUT/stages/STAGE``; other folders have none."""
        folder = masks.resolve().parent
        return cls((folder.parent if folder.name == "stages" else folder) / ITEMS)

    def names(self) -> Iterator[str]:
        """See :class:`~dhr.results.protocol.Records`."""
        return (name for name, _ in self._files())

    def record(self, name: str) -> ItemRecord | None:
        """See :class:`~dhr.results.protocol.Records`."""
        return read_item(find(self.folder, name, ".json") if self.run is None else self.run.path(ITEMS, name, ".json"))

    def each(self, kind: type[Record], *, lenient: bool = False) -> Iterator[tuple[str, Record | Problem]]:
        """See :class:`~dhr.results.protocol.Records`."""
        for name, path in self._files():
            try:
                yield name, parse_record(kind, load_json(Path(path), MAX_RECORD), lenient=lenient)
            except (OSError, ValueError) as error:
                yield name, Problem(name, f"its record cannot be read: {getattr(error, 'strerror', None) or error}")

    def _files(self) -> Iterator[tuple[str, str]]:
        if self.run is None:
            return files_in(self.folder, ".json")
        return files_in(inside(self.run.root, ITEMS), ".json", self.run.shards)


@dataclass(frozen=True)
class FileMasks:
    """Masks ``folder/NAME.png``."""

    folder: Path
    run: RunFiles | None = None
    """The run that the folder is known to belong to."""

    @classmethod
    def of_run(cls, root: Path, shards: bool) -> "FileMasks":
        """Return the masks of a run; links in the place of its folders are refused (OutputError)."""
        return cls(root / MASKS, RunFiles(root, shards))

    @property
    def records(self) -> FileRecords:
        """See :class:`~dhr.results.protocol.Masks`."""
        return FileRecords.beside(self.folder) if self.run is None else FileRecords(self.run.root / ITEMS, self.run)

    @property
    def problems(self) -> Sequence[Problem]:
        """See :class:`~dhr.results.protocol.Masks`; files are found to be damaged when they are read."""
        return ()

    def names(self) -> Iterator[str]:
        """See :class:`~dhr.results.protocol.Masks`."""
        return (name for name, _ in files_in(self.folder, ".png"))

    def listed(self) -> tuple[Mapping[str, str], Sequence[Problem]]:
        """See :class:`~dhr.results.protocol.Masks`; names are in the form of :func:`~dhr.data.listing.key_of`."""
        listing = list_files(self.folder, _PNG)
        return {key_of(out_of_shard(name_of(file, _PNG))): file for file in listing.files}, listing.problems

    def at(self, place: str) -> Path:
        """See :class:`~dhr.results.protocol.Masks`."""
        return self.folder / place

    def has(self, name: str) -> bool:
        """See :class:`~dhr.results.protocol.Masks`."""
        return self.mask(name).is_file()

    def mask(self, name: str) -> Path:
        """See :class:`~dhr.results.protocol.Masks`."""
        return find(self.folder, name, ".png") if self.run is None else self.run.path(MASKS, name, ".png")

    def state(self, name: str) -> str:
        """See :class:`~dhr.results.protocol.Masks`."""
        try:
            status = self.mask(name).stat()
        except OSError:
            return ""
        return f"m{status.st_mtime_ns:x}-{status.st_size:x}"

    def digest(self, name: str) -> str:
        """See :class:`~dhr.results.protocol.Masks`."""
        path = self.mask(name)
        try:
            return digest_regular(path, MAX_MASK)
        except OSError as error:
            raise ItemError(f"{path}: the mask cannot be read: {error.strerror or error}; make it first") from error

    def numbering(self, classes: ClassTable, examples: Iterable[tuple[Path | Content, Tags]]) -> Numbering:
        """See :class:`~dhr.results.protocol.Masks`."""
        return numbering(classes, self.folder, examples)
