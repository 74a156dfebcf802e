"""The finished photographs of an output folder, and the masks in it that a person touched."""

from collections.abc import Collection, Iterator
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
    """Photographs whose masks differ from what was written, by name."""

    kept: set[str] = field(default_factory=set)
    """They are as they were: these masks stay."""
    outdated: set[str] = field(default_factory=set)
    """Their content, tags or classes changed: these masks are made again."""

    def notes(self, place: Path) -> list[str]:
        """A sentence about each kind; ``place`` holds the copies."""
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
    """Says which masks of a folder are finished."""

    folder: OutputFolder
    classes: ClassTable
    turn: int = 1
    """Masks of an earlier turn are made again."""
    doubtful: bool = False
    """Whether each photograph has a training mask as well."""
    corrected: Corrected = field(default_factory=Corrected)

    def unfinished(self, found: Scan) -> list[Sample]:
        """Photographs without a mask of their present content, tags and settings."""
        return [sample for sample in found.samples if self.finished(self.present(sample, found)) is None]

    def present(self, sample: Sample, found: Scan) -> Present:
        """A photograph of a data set as it is now."""
        tags = frozenset(self.classes.names[tag] for tag in sample.tags)
        return Present(sample.name, found.seen[sample.name].digest, tags)

    def finished(self, photograph: Present) -> ItemRecord | None:
        """The record of a photograph whose mask is finished; None if it has to be made."""
        name = photograph.name
        masks = [self.folder.mask(name), *([self.folder.training_mask(name)] if self.doubtful else [])]
        item = read_item(self.folder.item(name))
        if item is None or not all(map(is_own_file, masks)):
            return None
        made = item.turn == self.turn and _same(item, photograph)
        return item if made or name in self.corrected.kept else None

    def keep_apart(self, photograph: Present) -> None:
        """If a person touched the mask of a photograph, copy it to ``corrected/`` and remember it."""
        name = photograph.name
        item, mask = read_item(self.folder.item(name)), self.folder.mask(name)
        if not is_touched(item, mask):
            return
        assert item is not None
        self.folder.copy_corrected(name)
        holds = numbers_hold(item.table, self.classes.names, self.classes.background)
        (self.corrected.kept if holds and _same(item, photograph) else self.corrected.outdated).add(name)

    def gone(self, names: Collection[str]) -> list[str]:
        """Names of finished photographs that are not among ``names``."""
        known = set(names)
        return sorted(name for name in self._recorded() if name not in known)

    def make_room(self, name: str) -> None:
        """Prepare a photograph's mask to be made again.

        Its record goes first, so that a call that is killed in between leaves no mask beside a record of another. A
        mask of an older version is put aside: it is unknown whether a person touched it.
        """
        item = read_item(self.folder.item(name))
        if item is not None and not item.mask:
            self.folder.put_aside(f"masks/{name}.png")
        if item is not None:
            self.folder.remove_item(name)

    def _recorded(self) -> Iterator[str]:
        root = self.folder.root / "items"
        for path in root.rglob("*.json"):
            yield path.relative_to(root).as_posix()[: -len(".json")]


def is_touched(item: ItemRecord | None, mask: Path) -> bool:
    """Whether a mask differs from what its record says was written."""
    if item is None or not item.mask or not is_own_file(mask):
        return False
    try:
        return digest_regular(mask) != item.mask
    except OSError:
        return False


def _same(item: ItemRecord, photograph: Present) -> bool:
    return item.digest == photograph.digest and frozenset(item.tags) == photograph.tags


def told_of(names: Collection[str], most: int = 3) -> str:
    """A few names, and how many more there are."""
    shown = ", ".join(sorted(names)[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
