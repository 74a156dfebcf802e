"""The corrections of a run folder: read, save and withdraw them.

Saving is safe against a crash and against other processes. The mask is written beside the present one
(``NAME.png.next``), then the record with the mask's digest, and then the mask takes its name. So whoever reads always
finds a record with its mask, either the old pair or the new one.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from dhr.corrections.places import ITEMS, JSON, LOCK, MACHINE, MASKS, NEXT, PNG, ROOT, RUN_LOCK, Places
from dhr.corrections.publish import forget_machine, guessed, keep_machine, machine_digest, publish, take_back
from dhr.data.image_files import Content
from dhr.data.images import mask_bytes, read_mask
from dhr.data.samples import VOID
from dhr.errors import ConflictError, ItemError, OutputError, ShapeError
from dhr.files import inside, move, write_bytes, write_json
from dhr.locks import exclusive, try_hold
from dhr.parsing import MAX_RECORD, Fields, load_json
from dhr.records.correction import Correction
from dhr.records.members import to_json
from dhr.results.opened import rows_of_run
from dhr.results.places import has_rows
from dhr.shards import files_in

_WITHDRAWN = f"{ROOT}/withdrawn.json"
_TRIES = 5  # of a reader, while others save


@dataclass(frozen=True)
class Corrections:
    """The corrections in the output folder ``root`` of a run; see docs/review.md.

    The folder may come from somebody else: links are refused, and what is read is checked.
    """

    root: Path

    @staticmethod
    def of(root: Path) -> "Corrections":
        """Return the corrections of a run; the folder need not exist."""
        return Corrections(Path(root))

    @property
    def places(self) -> Places:
        """Their files."""
        return Places(self.root)

    def names(self) -> Iterator[str]:
        """Yield the names of the photographs with a decision, in no order."""
        return (name for name, _ in files_in(inside(self.root, ITEMS), JSON, self.places.run().shards))

    def read(self, name: str) -> Correction | None:
        """Return the decision on a photograph; None if it is undecided.

        Raises:
            OutputError: its record is damaged, or a link.
        """
        path = self.places.path(ITEMS, name, JSON)
        if not os.path.lexists(path):
            return None
        try:
            return Correction.parse(load_json(path, MAX_RECORD))
        except FileNotFoundError:  # it was withdrawn in between
            return None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            advice = "take the decision back in `dhr review`, or restore the file from a copy"
            raise OutputError(f"{path} is damaged ({reason}); {advice}") from error

    def mask(self, name: str) -> UInt8[np.ndarray, "h w"]:
        """Return the mask of a photograph's correction: ids of its record's ``labels``, and 255 for void.

        Raises:
            OutputError: there is none, or it is damaged.
        """
        record, content = self.pair(name)
        where = str(self.places.path(MASKS, name))
        try:
            mask = read_mask(Content(where, content))
        except ItemError as error:
            raise OutputError(f"{error}; or withdraw the correction") from error
        if (odd := _odd(mask, record)) is not None:
            raise OutputError(f"{where}: expected ids of its record's labels, got {odd}; withdraw the correction")
        return mask

    def machine(self, name: str) -> Path | Content:
        """Return the machine's mask: a path that may be missing, or a row; raises ItemError if that is damaged."""
        if (rows := rows_of_run(self.root)) is not None:
            return rows.mask(name)
        kept = self.places.has(MACHINE, name) and self.places.has(ITEMS, name, JSON)
        return self.places.path(MACHINE if kept else "masks", name)

    def save(
        self,
        name: str,
        correction: Correction,
        mask: UInt8[np.ndarray, "h w"] | None,
        palette: UInt8[np.ndarray, "256 3"],
        *,
        expected: int,
        stroke: bool = False,
    ) -> Correction:
        """Save a decision on a photograph, and put its mask into ``masks/`` unless a job works in the folder.

        Args:
            name: the photograph.
            correction: the decision; the digests of its mask and the machine's, and the revision, are filled in.
            mask: the mask, in ids of the correction's ``labels``, and 255. A photograph that is rejected or skipped
                needs none: a mask that it had before is kept, or moves to ``gone/`` if its correction is outdated.
            palette: the RGB colour of each id.
            expected: the revision that the caller has seen; 0 if the photograph was undecided.
            stroke: whether this goes on with what was drawn just now: then the mask that it replaces is not kept. Any
                other mask that is replaced is copied to ``gone/`` first.

        Returns:
            The record as it was saved.

        Raises:
            ConflictError: it was changed since.
            ShapeError: the mask is missing, or shows ids that the labels lack.
            OutputError: the folder or the disk refuses.
        """
        content = _checked(correction, mask, palette)
        with self._locked(), self._free_run() as free:
            free = free and not has_rows(self.root)
            before = self._compared(name, expected)
            if before is None:
                forget_machine(self.places, name)  # of a call that was killed
            if free:
                keep_machine(self.places, name)
            correction = _with_kept(correction, before) if content is None else correction
            record = replace(
                correction,
                mask=correction.mask if content is None else sha256(content).hexdigest(),
                machine=machine_digest(self.places, name, before),
                revision=1 + (self._withdrawn() if before is None else before.revision),
            )
            if not stroke and before is not None and content is not None and record.mask != before.mask:
                self.places.keep_copy(MASKS, name)
            self._write(name, record, content)
            if not record.mask:  # the mask of an outdated correction
                self.places.put_aside(MASKS, name)
            if free:
                publish(self.places, name, record, before)
        return record

    def withdraw(self, name: str, *, expected: int) -> None:
        """Make a photograph undecided again: the machine's mask returns, a person's mask moves to ``gone/``.

        A damaged record has revision 0 here; it moves to ``gone/`` as well.

        Raises:
            ConflictError: it was changed since revision ``expected``.
            OutputError: a job works in the folder, or the folder refuses.
        """
        with self._locked(), self._free_run() as free:
            damaged = expected == 0 and self._is_damaged(name)
            before = guessed(self.places, name, self._withdrawn()) if damaged else self._compared(name, expected)
            if before is None:
                return
            if not free:
                raise OutputError(f"a job works in {self.root}; make {name} undecided again when it has ended")
            revision = max(before.revision, self._withdrawn())
            write_json(inside(self.root, _WITHDRAWN), {"revision": revision})
            take_back(self.places, name, before)
            if damaged:
                self.places.put_aside(ITEMS, name, JSON)
                self.places.put_aside(MASKS, name, NEXT)
            self.places.remove(ITEMS, name, JSON)
            self.places.put_aside(MASKS, name)

    def _is_damaged(self, name: str) -> bool:
        """Return whether the record of a photograph cannot be read."""
        try:
            self.read(name)
        except OutputError:
            return True
        return False

    def pair(self, name: str) -> tuple[Correction, bytes]:
        """Return the record of a correction, and the content of the file of its mask.

        Raises:
            OutputError: there is no mask, or it is not that of the record.
        """
        for _ in range(_TRIES):
            record = self.read(name)
            if record is None or not record.mask:
                raise OutputError(f"{name}: expected a mask in {self.root / MASKS}, found none; save one")
            for suffix in (PNG, NEXT):
                content = self.places.content(MASKS, name, suffix)
                if content is not None and sha256(content).hexdigest() == record.mask:
                    return record, content
        path = self.places.path(MASKS, name)
        raise OutputError(f"{path} is not the mask of its record; restore it from a copy, or withdraw the correction")

    def _compared(self, name: str, expected: int) -> Correction | None:
        """Return the present record if it has the ``expected`` revision; finish a save that was killed."""
        before = self.read(name)
        present = 0 if before is None else before.revision
        if present != expected:
            raise ConflictError(
                f"{name} was changed elsewhere: expected revision {expected}, got {present}; load it again", present
            )
        wanted = "" if before is None else before.mask
        if wanted and self.places.digest(MASKS, name) != wanted == self.places.digest(MASKS, name, NEXT):
            self._rename(name)
        return before

    def _write(self, name: str, record: Correction, content: bytes | None) -> None:
        """Write mask and record; whenever this is killed, a reader finds the old pair or the new one."""
        path, names = inside(self.root, f"{ROOT}/classes.txt"), self.places.run().classes or ()
        table = "".join(f"{one}\n" for one in names).encode()  # other programs need it to read the masks
        if names and (not path.is_file() or path.read_bytes() != table):
            write_bytes(path, table)
        if content is not None:
            self.places.write(content, MASKS, name, NEXT)
        write_json(self.places.path(ITEMS, name, JSON), to_json(record))
        if content is not None:
            self._rename(name)

    def _rename(self, name: str) -> None:
        move(self.root, self.places.relative(MASKS, name, NEXT), self.places.relative(MASKS, name))

    def _withdrawn(self) -> int:
        """Return the highest revision that was withdrawn.

        New corrections get higher ones. So a page that still shows the old one cannot overwrite the new one.
        """
        path = inside(self.root, _WITHDRAWN)
        try:
            return Fields(load_json(path, MAX_RECORD)).whole("revision", 0, 1 << 40) if os.path.lexists(path) else 0
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"{path} is damaged ({reason}); remove it") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the corrections for the block: of processes and threads one at a time saves."""
        path = inside(self.root, ROOT)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}; check the folder") from error
        with exclusive(self.root, LOCK):
            yield

    @contextmanager
    def _free_run(self) -> Iterator[bool]:
        """Hold the run for the block; return whether that worked, and no job works in the folder."""
        file = try_hold(self.root, RUN_LOCK)
        with nullcontext() if file is None else closing(file):
            yield file is not None


def _checked(
    correction: Correction, mask: UInt8[np.ndarray, "h w"] | None, palette: UInt8[np.ndarray, "256 3"]
) -> bytes | None:
    """Return the content of the file of a correction's mask; None without one."""
    try:
        correction.check()
    except ValueError as error:
        raise ShapeError(f"a correction that cannot be: {error}") from error
    if mask is None:
        if correction.certain:
            raise ShapeError(f"expected the mask of a photograph that is {correction.state}, got none; give it")
        return None
    content = mask_bytes(mask, palette)
    if (odd := _odd(mask, correction)) is not None:
        raise ShapeError(f"expected a mask of the ids in labels, and 255, got {odd}; add its class to the labels")
    return content


def _with_kept(correction: Correction, before: Correction | None) -> Correction:
    """Return a correction with the mask of the one before it, and the labels that this mask needs.

    A mask of another photograph, or for other tags or ids, does not belong to it.
    """
    correction = replace(correction, mask="")
    if before is None or (before.digest, {*before.given}) != (correction.digest, {*correction.given}):
        return correction
    labels = {**before.labels, **correction.labels}
    fits = labels.items() >= before.labels.items() and len({*labels.values()}) == len(labels)
    return replace(correction, mask=before.mask, labels=labels) if before.mask and fits else correction


def _odd(mask: UInt8[np.ndarray, "h w"], correction: Correction) -> int | None:
    """Return an id in a mask that is neither void nor a class of its correction; None without one."""
    shown = np.bincount(mask.ravel(), minlength=VOID + 1)
    shown[[*correction.labels.values(), VOID]] = 0
    return int(shown.argmax()) if shown.any() else None
