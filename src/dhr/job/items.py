"""The finished photographs of an output folder, and the masks in it that a person touched."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dhr.data.samples import ClassTable, Sample
from dhr.files import digest_regular, is_own_file
from dhr.job.folder import OutputFolder
from dhr.job.scan import Scan
from dhr.records.item import ItemRecord, numbers_hold, read_item


@dataclass(frozen=True)
class Corrected:
    """Masks that differ from what was written, by the names of their photographs."""

    kept: frozenset[str] = frozenset()
    """Of photographs that are as they were: these masks stay."""
    outdated: frozenset[str] = frozenset()
    """Of photographs whose content, tags or classes changed: these masks are made again."""


@dataclass(frozen=True)
class Items:
    """Says which masks of a folder are finished."""

    folder: OutputFolder
    classes: ClassTable
    turn: int
    """Masks of an earlier turn are made again."""
    doubtful: bool
    """Whether each photograph has a training mask as well."""
    corrected: Corrected = field(default_factory=Corrected)

    def unfinished(self, found: Scan) -> list[Sample]:
        """Photographs without a mask of their present content, tags and settings."""
        return [sample for sample in found.samples if self.finished(sample, found) is None]

    def finished(self, sample: Sample, found: Scan) -> ItemRecord | None:
        """The record of a photograph whose mask is finished; None if it has to be made."""
        masks = [self.folder.mask(sample.name)]
        masks += [self.folder.training_mask(sample.name)] if self.doubtful else []
        item = read_item(self.folder.item(sample.name))
        if item is None or not all(map(is_own_file, masks)):
            return None
        if sample.name in self.corrected.kept or (item.turn == self.turn and self._same(item, sample, found)):
            return item
        return None

    def find_corrected(self, found: Scan) -> Corrected:
        """Compare all masks with their records."""
        kept, outdated = set[str](), set[str]()
        for sample in found.samples:
            item, mask = read_item(self.folder.item(sample.name)), self.folder.mask(sample.name)
            if item is None or not item.mask or not is_own_file(mask) or _digest(mask) in (item.mask, ""):
                continue
            same = self._same(item, sample, found)
            same = same and numbers_hold(item.table, self.classes.names, self.classes.background)
            (kept if same else outdated).add(sample.name)
        return Corrected(frozenset(kept), frozenset(outdated))

    def keep_apart(self, corrected: Corrected) -> None:
        """Copy masks that a person touched to ``corrected/``."""
        for name in sorted(corrected.kept | corrected.outdated):
            self.folder.copy_corrected(name)

    def gone(self, names: Sequence[str]) -> list[str]:
        """Names of finished photographs that are not among ``names``."""
        known = set(names)
        return sorted(name for name in self._recorded() if name not in known)

    def make_room(self, name: str) -> None:
        """Prepare a photograph's mask to be made again.

        Its record goes first, so that a call that is killed in between leaves no mask beside a record of another. A
        mask of which it is unknown who wrote it is put aside.
        """
        item = read_item(self.folder.item(name))
        if item is not None and not item.mask:
            self.folder.put_aside(f"masks/{name}.png")
        if item is not None:
            self.folder.remove_item(name)

    def _same(self, item: ItemRecord, sample: Sample, found: Scan) -> bool:
        tags = {self.classes.names[tag] for tag in sample.tags}
        return item.digest == found.seen[sample.name].digest and {*(item.tags or ())} == tags

    def _recorded(self) -> Iterator[str]:
        root = self.folder.root / "items"
        for path in root.rglob("*.json"):
            yield path.relative_to(root).as_posix()[: -len(".json")]


def _digest(mask: Path) -> str:
    """SHA-256, in hex, of a mask; empty if it cannot be read."""
    try:
        return digest_regular(mask)
    except OSError:
        return ""


def told_of(names: Sequence[str], most: int = 3) -> str:
    """A few names, and how many more there are."""
    shown = ", ".join(sorted(names)[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
