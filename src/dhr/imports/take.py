"""Compare masks of other programs with the machine's, and save them as corrections."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from dhr.corrections import Correction, Corrections, in_classes, valid
from dhr.corrections.beside import masks_at
from dhr.data.images import SUFFIXES, read_mask, read_size
from dhr.data.outlines import Size
from dhr.data.palette import class_palette
from dhr.data.samples import VOID, DataSet, Sample
from dhr.errors import ItemError, OutputError
from dhr.imports.drawing import Drawing
from dhr.imports.target import FREE
from dhr.results.origin import mismatch
from dhr.results.places import mask_folder
from dhr.results.protocol import Masks

_OLDER = (
    "nobody changed its shapes, but they differ from the run's mask: another program made them, or the mask changed "
    "later; export the masks again, and mend those"
)
_MISSING = (
    "nobody changed its shapes, but small ones of the run's mask are missing: a person deleted them, or --min-area "
    "left them out of the export; --accept takes the mask as it is"
)

State = Literal["mended", "accepted", "there", "untouched", "equal"]
"""What became of a mask. ``there``: the same mask is a correction already. ``untouched``: no person changed it.
``equal``: it equals the machine's, and its file does not tell whether somebody looked at it."""


def size_of(data: DataSet, sample: Sample) -> Size:
    """Return height and width of a photograph; raises ItemError if it cannot be read."""
    path = Path(sample.source)
    if path.suffix.lower() in SUFFIXES and path.is_file():
        return read_size(path)
    height, width = data.read_image(sample).shape[:2]
    return height, width


@dataclass(frozen=True)
class Taken:
    """What became of a mask."""

    name: str
    """The photograph."""
    state: State
    pixels: int = 0
    """Pixels that differ from the machine's mask."""
    share: float = 0.0
    """Their share of the photograph."""


@dataclass(frozen=True)
class Taker:
    """Takes masks into the corrections of a run."""

    data: DataSet
    root: Path
    """Of the run."""
    source: str
    """Of the corrections: ``import:FORMAT``."""
    accept: bool = False
    """Whether masks that equal the machine's are accepted in any format."""
    replace: bool = False
    """Whether corrections of other masks are replaced."""

    @cached_property
    def _masks(self) -> Masks:
        return masks_at(mask_folder(self.root))

    def take(self, drawing: Drawing) -> Taken:
        """Save one mask as a correction, if somebody made or accepted it.

        Raises:
            ItemError: it cannot be read, does not fit the photograph, or would replace something of a person.
            OutputError: the folder of the run refuses.
        """
        sample, corrections = drawing.sample, Corrections.of(self.root)
        if reason := mismatch(self._masks.records.record(sample.name), self.data, sample):
            raise ItemError(reason)
        shape = size_of(self.data, sample)
        before = self._before(corrections, sample)
        machine = self._machine(corrections, sample, before, shape)
        present = self._present(corrections, sample, before, machine)
        drawn = drawing.read(shape)
        mask = self._whole(drawn, present, drawing.holds_void)
        pixels, same = int(np.count_nonzero(mask != machine)), np.array_equal(mask, present)
        decided = before is not None and before.state != "skipped"
        if decided and same and present is not machine:
            return Taken(sample.name, "there", pixels, pixels / mask.size)
        if drawing.by == "program" and not same:
            _refuse_foreign(drawn, present, mask, self.accept)
        if before is not None and decided and not self.replace:
            raise ItemError(f"it is {before.state} already, by a person; --replace takes this mask instead")
        if not pixels and not (self.accept or drawing.by == "person"):
            if before is not None and decided:
                raise ItemError(f"it stays {before.state}, because this mask equals the machine's; --accept accepts it")
            return Taken(sample.name, "untouched" if drawing.by == "program" else "equal")
        correction = self._correction(sample, mask, machine)
        expected = 0 if before is None else before.revision
        corrections.save(sample.name, correction, mask, class_palette(self.data.classes), expected=expected)
        return Taken(sample.name, "mended" if pixels else "accepted", pixels, pixels / mask.size)

    def _before(self, corrections: Corrections, sample: Sample) -> Correction | None:
        try:
            return corrections.read(sample.name)
        except OutputError as error:  # only this one is damaged
            raise ItemError(str(error)) from error

    def _present(
        self,
        corrections: Corrections,
        sample: Sample,
        before: Correction | None,
        machine: UInt8[np.ndarray, "h w"],
    ) -> UInt8[np.ndarray, "h w"]:
        """Return the mask that exports show: that of a correction that holds, else the machine's."""
        classes = self.data.classes
        if before is None or not before.certain:
            return machine
        if valid(before, sample, self.data.digest(sample), classes) is not None:
            return machine
        try:
            return in_classes(corrections.mask(sample.name), before, classes)
        except OutputError as error:
            raise ItemError(str(error)) from error

    def _machine(
        self, corrections: Corrections, sample: Sample, before: Correction | None, shape: Size
    ) -> UInt8[np.ndarray, "h w"]:
        """Read the machine's mask.

        Raises ItemError if there is none, or a person changed it with another program.
        """
        mask = corrections.machine(sample.name)
        if isinstance(mask, Path) and not mask.is_file():
            raise ItemError("the run has no mask of it yet; finish the run first")
        record = self._masks.records.record(sample.name)
        if before is None and record is not None and record.mask not in ("", self._masks.digest(sample.name)):
            raise ItemError(
                f"{mask}: another program changed the run's mask; continue the run, which keeps it as a correction"
            )
        return read_mask(mask, shape)

    def _whole(
        self, drawn: UInt8[np.ndarray, "h w"], present: UInt8[np.ndarray, "h w"], holds_void: bool
    ) -> UInt8[np.ndarray, "h w"]:
        """Fill pixels without annotation: with the background, or with the present label where the run has none.

        Void of the present mask stays where the format cannot hold it.
        """
        rest = present
        if self.data.classes.background:
            rest = np.zeros_like(present) if holds_void else np.where(present == VOID, present, np.uint8(0))
        found: UInt8[np.ndarray, "h w"] = np.where(drawn == FREE, rest, drawn)
        return found

    def _correction(
        self, sample: Sample, mask: UInt8[np.ndarray, "h w"], machine: UInt8[np.ndarray, "h w"]
    ) -> Correction:
        names, equal = self.data.classes.names, np.array_equal(mask, machine)
        tags = sample.tags if equal else self._tags(sample, mask, machine)
        used = {*tags, *np.unique(mask).tolist()} - {VOID}
        return Correction(
            "accepted" if equal else "mended",
            self.data.digest(sample),
            given=tuple(names[tag] for tag in sample.tags),
            tags=tuple(names[tag] for tag in tags),
            labels={names[one]: one for one in sorted(used)},
            source=self.source,
        )

    def _tags(
        self, sample: Sample, mask: UInt8[np.ndarray, "h w"], machine: UInt8[np.ndarray, "h w"]
    ) -> tuple[int, ...]:
        """Return the tags that hold with a mended mask.

        Classes that it shows are added. A tag goes only if the machine's mask showed its class and the mended one shows
        it nowhere, not even as void: only then a person took it out.
        """
        foreground = set(self.data.classes.foreground)
        shown = set(np.unique(mask).tolist()) & foreground
        seen = set(np.unique(machine[mask != VOID]).tolist()) - set(np.unique(machine[mask == VOID]).tolist())
        kept = {tag for tag in sample.tags if tag in shown or tag not in seen}
        return tuple(sorted(kept | shown))


def _refuse_foreign(
    drawn: UInt8[np.ndarray, "h w"], present: UInt8[np.ndarray, "h w"], mask: UInt8[np.ndarray, "h w"], accept: bool
) -> None:
    """Check shapes that nobody changed: they must be those of the present mask, and missing ones must be deleted ones.

    Exports leave out small connected parts on request. So a deletion is certain only if all of a class is missing, and
    it is not smaller than what is left. Raises ItemError.
    """
    if (drawn != present)[drawn != FREE].any():
        raise ItemError(_OLDER)
    left = np.bincount(drawn[drawn != FREE], minlength=VOID + 1)
    gone = np.bincount(present[mask != present], minlength=VOID + 1)
    certain = not left[gone > 0].any() and gone[gone > 0].min() >= left[left > 0].min(initial=0)
    if not (certain or accept):
        raise ItemError(_MISSING)
