"""The photographs of a run under review: what is known of each, and what was decided."""

import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64, UInt8

from dhr.corrections import Corrections, in_classes
from dhr.data.images import read_mask
from dhr.data.palette import class_palette
from dhr.data.samples import VOID, Sample
from dhr.errors import DhrError, OutputError
from dhr.job.opened_run import OpenedRun
from dhr.progress import Progress, Step
from dhr.records.item import ItemRecord, numbers_hold
from dhr.review.answers import RefusedError
from dhr.review.entries import Decision, Entries, Entry, read_decision, read_decisions, read_entries
from dhr.review.kept import Kept
from dhr.review.queue import STATES, UNDECIDED, Wanted, chosen, state_of

_LISTS = 4  # filters whose photographs are kept


@dataclass(frozen=True)
class Photograph:
    """A photograph as it is stored now."""

    number: int
    """Its place in the data set."""
    sample: Sample
    item: ItemRecord
    entry: Entry
    decision: Decision | None
    damaged: str = ""
    """Why the record of its decision cannot be read; empty if it can. Such a photograph counts as undecided."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.item.height, self.item.width

    @property
    def tags(self) -> tuple[int, ...]:
        """Ids of the tags that are now valid."""
        return self.sample.tags if self.decision is None else self.decision.tags

    @property
    def revision(self) -> int:
        """The revision of the decision; 0 without one."""
        return 0 if self.decision is None else self.decision.revision

    @property
    def has_own_mask(self) -> bool:
        """Whether a person made or accepted its mask, and this holds."""
        return state_of(self.decision) in ("accepted", "mended")


class Photographs:
    """The photographs of a run that have a mask. Many threads may use it.

    Args:
        run: the run.
    """

    def __init__(self, run: OpenedRun) -> None:
        self.run = run
        self.classes = run.data.classes
        self.palette = class_palette(self.classes)
        self.corrections = Corrections.of(run.folder.root)
        self.masks = run.masks
        self.samples = run.data.samples
        self._entries: Future[Entries] = Future()
        self._read = 0
        self._decisions: dict[int, Decision] = {}
        self._counts = Counter[str]()
        self._changes = 0
        self._drawn: dict[int, int] = {}
        self._damaged = set[int]()
        self._lists = Kept[Int64[np.ndarray, " n"]](_LISTS, lambda _: 1)
        self._lock = threading.Lock()

    def read(self, progress: Progress) -> None:
        """Read all records and decisions, once; a failure is raised where they are asked for."""

        def seen(step: Step) -> None:
            self._read = step.done
            progress(step)

        try:
            entries = read_entries(self.masks.records, self.samples, self.classes, seen)
            for number, decision in read_decisions(self.corrections, self.masks.records, entries, self.run.data):
                if decision is None:
                    self._damaged.add(number)
                else:
                    self._decisions[number] = decision
            self._counts.update(state_of(decision) for decision in self._decisions.values())
            self._counts[UNDECIDED] += len(entries) - len(self._decisions)
        except BaseException as failure:
            self._entries.set_exception(failure)
            raise
        self._entries.set_result(entries)

    @property
    def entries(self) -> Entries:
        """The queue; waits until all records are read."""
        return self._entries.result()

    @property
    def read_all(self) -> "Future[Entries]":
        """Done when all records are read."""
        return self._entries

    @property
    def ready(self) -> bool:
        """Whether all records are read."""
        return self._entries.done()

    @property
    def done(self) -> int:
        """The number of records that are read."""
        return self._read

    @property
    def decisions(self) -> Mapping[int, Decision]:
        """A copy of the decisions that are known."""
        with self._lock:
            return dict(self._decisions)

    def listed(self, wanted: Wanted) -> Int64[np.ndarray, " n"]:
        """Return the places of all photographs of a filter, in order; scrolling asks for them again and again."""
        part = replace(wanted, offset=0, limit=0)
        with self._lock:
            key = (part, self._changes)
        return self._lists.get(key, lambda: chosen(part, self.entries, self.decisions))

    def counts(self) -> dict[str, int]:
        """Count the photographs by state; zeros until all records are read."""
        with self._lock:
            found = {state: self._counts[state] if self.ready else 0 for state in STATES}
        return {"all": sum(found.values()), **found}

    def find(self, number: int) -> Photograph:
        """Read the record of a photograph and the decision on it; its pixels are not needed.

        Raises:
            RefusedError: there is no such photograph, or its record is gone.
        """
        entry = self.entries.get(number)
        if entry is None:
            raise RefusedError(404, f"there is no photograph {number} with a mask in this run")
        sample = self.samples[number]
        item = self.masks.records.record(sample.name)
        if item is None:
            raise RefusedError(409, f"the record of {sample.name} is gone or damaged; run `dhr run` again")
        decision, damaged = None, ""
        try:
            decision = read_decision(self.corrections, sample, item, self.run.data)
        except OutputError as failure:
            damaged = str(failure)
        self._note(number, decision, bool(damaged))
        return Photograph(number, sample, item, entry, decision, damaged)

    def is_damaged(self, number: int) -> bool:
        """Return whether the record of the decision on a photograph could not be read."""
        return number in self._damaged

    def opened(self, number: int) -> None:
        """Note that a page opens a photograph: the mask that it has now is kept when another replaces it."""
        with self._lock:
            self._drawn.pop(number, None)

    def is_stroke(self, number: int, revision: int) -> bool:
        """Return whether a revision belongs to a drawing that was begun here since the photograph was opened."""
        with self._lock:
            return self._drawn.get(number) == revision

    def drew(self, number: int, revision: int) -> None:
        """Note the last revision of a drawing."""
        with self._lock:
            self._drawn[number] = revision

    def problem(self, photograph: Photograph) -> str:
        """Return why a photograph and its mask cannot be shown, in one line; empty if they can."""
        sample, item = photograph.sample, photograph.item
        if item.table and not numbers_hold(item.table, self.classes.names, self.classes.background):
            return f"the mask of {sample.name} has the classes of another class table; run `dhr run` again"
        try:
            digest = self.run.data.digest(sample)
        except DhrError as failure:
            return str(failure)
        if digest != item.digest:
            return f"{sample.name} changed after its mask was made; `dhr run` makes a new mask"
        return ""

    def shown(self, number: int) -> Photograph:
        """Find a photograph, which must be as it was when its mask was made.

        Raises:
            RefusedError: it is gone, or it changed.
        """
        photograph = self.find(number)
        if problem := self.problem(photograph):
            raise RefusedError(409, problem)
        return photograph

    def reviewable(self, number: int) -> Photograph:
        """Find a photograph whose mask can be decided; raises also if the record of its decision is damaged."""
        photograph = self.shown(number)
        if photograph.damaged:
            raise RefusedError(409, photograph.damaged)
        return photograph

    def mask(self, photograph: Photograph) -> UInt8[np.ndarray, "h w"]:
        """Return the present mask: that of the decision, else the one in the folder of masks.

        Raises:
            DhrError: it is missing or damaged, or does not fit the photograph.
        """
        name = photograph.sample.name
        if photograph.has_own_mask and (correction := self.corrections.read(name)) is not None:
            mask = in_classes(self.corrections.mask(name), correction, self.classes)
            return self.checked(photograph, mask)
        return self.checked(photograph, read_mask(self.masks.mask(name), photograph.size))

    def mask_key(self, photograph: Photograph) -> str:
        """Return a text that changes whenever the present mask does."""
        if photograph.has_own_mask:
            return f"r{photograph.revision}"
        return self.masks.state(photograph.sample.name)

    def machine(self, photograph: Photograph) -> UInt8[np.ndarray, "h w"]:
        """Return the machine's mask; raises as :meth:`mask`."""
        mask = self.corrections.machine(photograph.sample.name)
        return self.checked(photograph, read_mask(mask, photograph.size))

    def checked(self, photograph: Photograph, mask: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
        """Return a mask of the photograph's size with ids of the class table.

        Raises:
            RefusedError: it has another size, or other ids.
        """
        name, (height, width) = photograph.sample.name, photograph.size
        if mask.shape != (height, width):
            got = f"{mask.shape[1]}x{mask.shape[0]}"
            text = f"the mask of {name}: expected {width}x{height} pixels, got {got}; run `dhr run` again"
            raise RefusedError(409, text)
        strange = present_ids(mask) - {*range(len(self.classes.names)), VOID}
        if strange:
            text = f"the mask of {name} holds {min(strange)}, which is not a class id; run `dhr run` again"
            raise RefusedError(409, text)
        return mask

    def _note(self, number: int, decision: Decision | None, damaged: bool) -> None:
        """Remember the decision on a photograph, and whether its record is damaged."""
        with self._lock:
            (self._damaged.add if damaged else self._damaged.discard)(number)
            before = self._decisions.get(number)
            if before != decision:
                self._counts[state_of(before)] -= 1
                self._counts[state_of(decision)] += 1
                self._changes += 1
                if decision is None:
                    del self._decisions[number]
                else:
                    self._decisions[number] = decision


def present_ids(mask: UInt8[np.ndarray, "h w"]) -> set[int]:
    """Return the numbers that occur in a mask.

    >>> present_ids(np.array([[3, 3, 255]], np.uint8))
    {3, 255}
    """
    return {int(one) for one in np.flatnonzero(np.bincount(mask.ravel(), minlength=256))}
