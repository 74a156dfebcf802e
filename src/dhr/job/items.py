"""The finished photographs of an output folder, and the masks in it that a person changed."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from dhr.data.samples import ClassTable, Sample
from dhr.files import digest_regular, is_own_file
from dhr.job.folder import OutputFolder
from dhr.job.scan import Scan
from dhr.records.item import ItemRecord, numbers_hold, read_item


@dataclass(frozen=True)
class Present:
    """A photograph as it is now."""

    name: str
    digest: str
    tags: frozenset[str]
    """Names of the tagged classes."""


@dataclass
class Corrected:
    """Names of photographs with a mask that a person changed."""

    kept: set[str] = field(default_factory=set)
    """The photographs have not changed: these masks stay."""
    outdated: set[str] = field(default_factory=set)
    """Their content, tags or classes changed: these masks are made again."""

    def notes(self, place: Path) -> list[str]:
        """Return one sentence per kind; ``place`` holds the copies."""
        found = []
        if self.kept:
            were, stay = ("1 mask was", "stays as it is")
            if len(self.kept) > 1:
                were, stay = f"{len(self.kept)} masks were", "stay as they are"
            found.append(f"{were} changed by a person and {stay}; copy in {place}: {told_of(self.kept)}.")
        if self.outdated:
            were = "1 mask was" if len(self.outdated) == 1 else f"{len(self.outdated)} masks were"
            found.append(
                f"{were} changed by a person before photograph, tags or classes changed: made again, with the "
                f"correction in {place}: {told_of(self.outdated)}."
            )
        return found


@dataclass(frozen=True)
class Items:
    """The masks of a folder, and which of them are finished."""

    folder: OutputFolder
    classes: ClassTable
    turn: int = 1
    """Masks of an earlier turn are made again."""
    doubtful: bool = False
    """Whether each photograph has a training mask as well."""
    corrected: Corrected = field(default_factory=Corrected)
    known: dict[str, bool] = field(default_factory=dict)
    """Finished photographs that were looked at, with whether a tagged class vanished from the mask. The folder is held
    by one process, so each record is read once."""

    def unfinished(self, found: Scan) -> list[Sample]:
        """Return the photographs without a mask of their present content, tags and settings."""
        return [
            sample
            for sample in found.samples
            if sample.name not in self.known and not self.is_finished(self.present(sample, found))
        ]

    def present(self, sample: Sample, found: Scan) -> Present:
        """Describe a photograph of a data set as it is now."""
        tags = frozenset(self.classes.names[tag] for tag in sample.tags)
        return Present(sample.name, found.seen[sample.name].digest, tags)

    def is_finished(self, photograph: Present) -> bool:
        """Return whether the mask of a photograph is finished."""
        return photograph.name in self.known or self._judge(photograph, read_item(self.folder.item(photograph.name)))

    def keep_apart(self, photograph: Present) -> None:
        """If a person changed the mask of a photograph, copy it to ``corrected/`` and note its name."""
        name = photograph.name
        item = read_item(self.folder.item(name))
        if item is not None and is_touched(item, self.folder.mask(name)):
            self.folder.copy_corrected(name)
            holds = numbers_hold(item.table, self.classes.names, self.classes.background)
            (self.corrected.kept if holds and _same(item, photograph) else self.corrected.outdated).add(name)
        self._judge(photograph, item)

    def _judge(self, photograph: Present, item: ItemRecord | None) -> bool:
        """Return whether the mask with this record is finished; note it if so."""
        name = photograph.name
        if item is None:
            return False
        masks = [self.folder.mask(name), *([self.folder.training_mask(name)] if self.doubtful else [])]
        if not all(map(is_own_file, masks)):
            return False
        made = item.turn == self.turn and _same(item, photograph)
        if made or name in self.corrected.kept:
            self.known[name] = bool(item.vanished)
            return True
        return False

    def gone(self, names: Collection[str]) -> list[str]:
        """Return the names of finished photographs that are not among ``names``."""
        known = set(names)
        return sorted(name for name in self.folder.recorded() if name not in known)

    def make_room(self, name: str) -> None:
        """Prepare a photograph's mask to be made again.

        A mask that is as it was written is deleted, and then its record, so that a call that is killed in between
        leaves no mask beside a record of another. Any other mask stays until the new one is written.
        """
        self.known.pop(name, None)
        item = read_item(self.folder.item(name))
        if item is None:
            return
        mask = self.folder.mask(name)
        if item.mask and is_own_file(mask) and not is_touched(item, mask):  # writing refuses a link or folder there
            self.folder.remove_mask(name)
        self.folder.remove_item(name)


def is_touched(item: ItemRecord | None, mask: Path) -> bool:
    """Return whether a mask has another digest than in its record."""
    if item is None or not item.mask or not is_own_file(mask):
        return False
    try:
        return digest_regular(mask) != item.mask
    except OSError:
        return False


def _same(item: ItemRecord, photograph: Present) -> bool:
    return item.digest == photograph.digest and frozenset(item.tags) == photograph.tags


def put_aside_note(names: Collection[str], place: Path) -> list[str]:
    """A sentence about masks that were there without a record; ``place`` holds them."""
    if not names:
        return []
    were = "1 mask was" if len(names) == 1 else f"{len(names)} masks were"
    return [f"{were} there without a record of who made it: made again, the old one is in {place}: {told_of(names)}."]


def told_of(names: Collection[str], most: int = 3) -> str:
    """List a few names, and the number of the others."""
    shown = ", ".join(sorted(names)[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
