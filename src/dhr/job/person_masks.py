"""The masks of people in the folder of a job: they are given back as they are."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from dhr.corrections import Correction, Corrections, in_classes
from dhr.corrections.decisions import Decisions
from dhr.corrections.edited import edited, read_edited
from dhr.corrections.places import JSON, MACHINE, MASKS, Places
from dhr.corrections.publish import forget_machine, keep_machine, restore_machine
from dhr.corrections.validity import outdated
from dhr.data.images import mask_bytes
from dhr.data.palette import class_palette
from dhr.data.samples import ClassTable
from dhr.errors import DhrError, ItemError, OutputError
from dhr.files import digest_regular, is_own_file, write_bytes, write_json
from dhr.job.folder import OutputFolder
from dhr.records.item import ItemRecord, numbers_hold, read_item, table_key
from dhr.records.members import to_json


@dataclass(frozen=True)
class Present:
    """A photograph as it is now."""

    name: str
    digest: str
    tags: tuple[str, ...]
    """Names of the tagged classes, those of its correction if it has one."""
    given: tuple[str, ...]
    """Names of the classes that the data set tags it with."""
    source: str = ""
    """Its file."""


@dataclass
class PersonMasks:
    """Handles the masks of people in one folder of masks, before the machine's are made.

    A mask that another program has changed becomes a correction. The mask of a correction that holds takes its place
    among the masks; the machine's is kept beside the corrections. It returns when the correction holds no more.
    """

    store: Corrections
    folder: OutputFolder
    classes: ClassTable
    decisions: Decisions
    """The decisions on the photographs; a changed mask adds one."""
    earlier: ClassTable | None = None
    """The class table of the last call."""
    doubtful: bool = False
    """Whether each photograph has a training mask as well."""
    acts: bool = True
    """Whether files are changed; a dry run changes none."""
    given_back: dict[str, Correction] = field(default_factory=dict)
    """Photographs that have the mask of a person, by name."""
    edited: set[str] = field(default_factory=set)
    """Those of them that another program has changed since the last call."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Photographs with a changed mask that cannot be read, and why."""
    changed: bool = False
    """Whether any file was changed."""

    @cached_property
    def palette(self) -> UInt8[np.ndarray, "256 3"]:
        """Colours of the classes."""
        return class_palette(self.classes)

    @property
    def places(self) -> Places:
        """The files of the folder."""
        return Places(self.folder.root, self.folder.shards)

    def settle(self, photograph: Present) -> ItemRecord | None:
        """Handle the mask of a photograph; return its record then."""
        name = photograph.name
        item = read_item(self.folder.item(name))
        correction = self.decisions.held.get(name)
        if item is not None and self._is_edited(name, item):
            correction = self._adopted(photograph, item)
        if name in self.unreadable:
            return item
        if correction is not None and correction.mask and correction.state != "skipped":
            return self._give_back(photograph, item, correction)
        kept = self.places.has(MACHINE, name)
        if not kept and (item is None or item.person is None):
            return item
        if self.acts:
            self._take_back(name)
            return read_item(self.folder.item(name))
        return read_item(self.places.path(MACHINE, name, JSON)) if kept and not self.doubtful else None

    def _is_edited(self, name: str, item: ItemRecord) -> bool:
        """Return whether another program has changed the mask since its record was written."""
        digest = _digest(self.folder.mask(name))
        if digest is None or not item.mask or digest == item.mask:
            return False
        ours = [self.store.places.digest(MASKS, name), self.places.digest(MACHINE, name)]
        return digest not in ours

    def _adopted(self, photograph: Present, item: ItemRecord) -> Correction | None:
        """Make a changed mask a correction; return it if it holds."""
        name = photograph.name
        try:
            table = self._table(item)
            mask = read_edited(self.folder.mask(name), item, table)
            known = self.store.read(name)
            made = edited(mask, item, table, self.decisions.held.get(name))
        except DhrError as error:
            self.unreadable[name] = str(error)
            return None
        self.edited.add(name)
        if not self.acts:
            made = replace(made, mask=item.mask)  # it has one, whatever its digest
        else:
            made = self.store.save(name, made, mask, self.palette, expected=0 if known is None else known.revision)
            self._write(self.folder.mask(name), mask_bytes(mask, self.palette))
        return self.decisions.take(name, made, outdated(made, photograph.digest, photograph.given, self.classes))

    def _table(self, item: ItemRecord) -> ClassTable:
        """Return the class table of a mask."""
        if numbers_hold(item.table, self.classes.names, self.classes.background):
            return self.classes
        if self.earlier is not None and numbers_hold(item.table, self.earlier.names, self.earlier.background):
            return self.earlier
        raise ItemError("the class table of its record is unknown")

    def _give_back(self, photograph: Present, item: ItemRecord | None, correction: Correction) -> ItemRecord | None:
        """Put the mask of a correction among the masks, and write the photograph's record; return the record."""
        name, path = photograph.name, self.folder.mask(photograph.name)
        self.given_back[name] = correction
        if item is not None and self._is_given(item, photograph, correction) and _digest(path) == correction.mask:
            return item
        if not self.acts:
            return self._record(photograph, item, correction, None)
        try:
            stored = self.store.mask(name)
            mask = in_classes(stored, correction, self.classes)
            if mask is not stored:
                correction = self._renumbered(name, correction, mask)
            _, content = self.store.pair(name)
        except OutputError as error:  # perhaps its only good copy is among the masks
            self.unreadable[name] = str(error)
            del self.given_back[name]
            return item
        keep_machine(self.places, name)
        self._write(path, content)
        if self.doubtful:
            self._write(self.folder.training_mask(name), content)
        record = replace(self._record(photograph, item, correction, mask), mask=sha256(content).hexdigest())
        if record != item:
            write_json(self.folder.item(name), to_json(record))
            self.changed = True
        return record

    def _renumbered(self, name: str, correction: Correction, mask: UInt8[np.ndarray, "h w"]) -> Correction:
        """Save a correction in the ids of the class table of now; the machine's mask of the old one is of no use."""
        labels = {label: self.classes.names.index(label) for label in correction.labels}
        made = replace(correction, labels=labels)
        saved = self.store.save(name, made, mask, self.palette, expected=correction.revision, stroke=True)
        self.decisions.held[name] = self.given_back[name] = saved
        forget_machine(self.places, name)
        return saved

    def _is_given(self, item: ItemRecord, photograph: Present, correction: Correction) -> bool:
        """Return whether a record is that of the mask of a correction."""
        return (
            (item.person, item.mask, item.digest) == (correction.state, correction.mask, photograph.digest)
            and {*item.tags} == {*photograph.tags}
            and item.table == table_key(self.classes.names, self.classes.background)
            and (not self.doubtful or is_own_file(self.folder.training_mask(photograph.name)))
        )

    def _record(
        self,
        photograph: Present,
        item: ItemRecord | None,
        correction: Correction,
        mask: UInt8[np.ndarray, "h w"] | None,
    ) -> ItemRecord:
        """Return the record of the mask of a person."""
        names, tags = self.classes.names, photograph.tags
        height, width = (1, 1) if mask is None else mask.shape
        shown = np.zeros(len(names)) if mask is None else np.bincount(mask.ravel(), minlength=256) / mask.size
        always = {*tags, *names[: self.classes.foreground.start]}
        return ItemRecord(
            digest=photograph.digest,
            width=width,
            height=height,
            tags=tags,
            ratios={name: round(float(shown[id]), 5) for id, name in enumerate(names) if shown[id] or name in always},
            vanished=tuple(tag for tag in tags if not shown[names.index(tag)]),
            image=photograph.source,
            seconds=None if item is None else item.seconds,
            table=table_key(names, self.classes.background),
            person=correction.state,
        )

    def _take_back(self, name: str) -> None:
        """Put the machine's mask back in the place of a person's; if it is lost, it is made again."""
        if not restore_machine(self.places, name):
            self.places.put_aside("masks", name)
            self.places.put_aside("items", name, JSON)
        elif self.doubtful:
            self.places.remove("masks", name)
            self.places.remove("items", name, JSON)
        self.changed = True

    def _write(self, path: Path, content: bytes) -> None:
        """Write a file unless it has this content."""
        if _digest(path) != sha256(content).hexdigest():
            write_bytes(path, content)
            self.changed = True


def _digest(path: Path) -> str | None:
    """The SHA-256 of a file, in hex; None if it cannot be read."""
    try:
        return digest_regular(path)
    except OSError:
        return None
