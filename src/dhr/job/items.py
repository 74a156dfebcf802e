"""The finished photographs of an output folder."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from dhr.data.samples import ClassTable, Sample
from dhr.files import digest_regular, is_own_file
from dhr.job.folder import OutputFolder
from dhr.job.person_masks import PersonMasks, Present
from dhr.job.scan import Scan
from dhr.records.item import ItemRecord, numbers_hold, read_item


@dataclass(frozen=True)
class Items:
    """The masks of a folder, and which of them are finished."""

    folder: OutputFolder
    classes: ClassTable
    person: PersonMasks
    """The masks of people among them."""
    turn: int = 1
    """Masks of an earlier turn are made again."""
    doubtful: bool = False
    """Whether each photograph has a training mask as well."""
    known: dict[str, bool] = field(default_factory=dict)
    """Finished photographs that were looked at, with whether a tagged class vanished from the mask. The folder is held
    by one process, so each record is read once."""
    changed: dict[str, int] = field(default_factory=dict)
    """Those of them that differ from the mask before, with the number of pixels that do."""

    def unfinished(self, found: Scan) -> list[Sample]:
        """Return the photographs without a mask of their present content, tags and settings."""
        return [
            sample
            for sample in found.samples
            if sample.name not in self.known and not self.is_finished(self.present(sample, found))
        ]

    def present(self, sample: Sample, found: Scan) -> Present:
        """Describe a photograph of a data set as it is now."""
        tags = tuple(self.classes.names[tag] for tag in sample.tags)
        correction = found.decisions.held.get(sample.name)
        given = tags if correction is None else correction.given
        return Present(sample.name, found.now[sample.name].digest, tags, given, sample.source)

    def is_finished(self, photograph: Present) -> bool:
        """Return whether the mask of a photograph is finished."""
        return photograph.name in self.known or self._judge(photograph, read_item(self.folder.item(photograph.name)))

    def settle(self, photograph: Present) -> bool:
        """Handle the mask of a person, if the photograph has one; return whether its mask is finished."""
        return self._judge(photograph, self.person.settle(photograph))

    def _judge(self, photograph: Present, item: ItemRecord | None) -> bool:
        """Return whether the mask with this record is finished; note it if so."""
        name = photograph.name
        if name in self.person.given_back:
            self.known[name] = item is not None and bool(item.vanished)
            return True
        if item is None:
            return False
        masks = [self.folder.mask(name), *([self.folder.training_mask(name)] if self.doubtful else [])]
        if not all(map(is_own_file, masks)) or not _same(item, photograph):
            return False
        stays = name in self.person.unreadable and numbers_hold(item.table, self.classes.names, self.classes.background)
        if item.turn == self.turn or stays:
            self.known[name] = bool(item.vanished)
            if item.changed:
                self.changed[name] = item.changed
            return True
        return False

    def gone(self, names: Collection[str]) -> list[str]:
        """Return the names of finished photographs that are not among ``names``."""
        known = set(names)
        return sorted(name for name in self.folder.recorded() if name not in known)

    def make_room(self, name: str) -> None:
        """Prepare a photograph's mask to be made again.

        A mask that is as it was written is set apart, and then its record is deleted, so that a call that is killed in
        between leaves no mask beside a record of another. Any other mask stays until the new one is written.
        """
        self.known.pop(name, None)
        item = read_item(self.folder.item(name))
        if item is None:
            return
        mask = self.folder.mask(name)
        if item.mask and is_own_file(mask) and not is_touched(item, mask):  # writing refuses a link or folder there
            if numbers_hold(item.table, self.classes.names, self.classes.background):
                self.folder.set_apart(name)
            else:
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
    return item.digest == photograph.digest and {*item.tags} == {*photograph.tags}
