"""Compare tags with masks: can the masks belong to the photographs and classes that the tags name?

A score of masks that cannot be compared looks like any other. Tags and masks have different origins, so the two
together reveal a wrong numbering, classes stored as void, and masks of another data set.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int64

from dhr.data.classes import enumeration
from dhr.data.samples import VOID, ClassTable
from dhr.errors import DataError
from dhr.firsts import Firsts
from dhr.words import counted

TRUTH = "ground truth"
"""The name of ground-truth masks in messages."""

_NAMED = 5  # classes and photographs that a sentence names
_FEW = 3  # fewer photographs than this show no numbering
_SHIFTS = {
    -1: ("from 1, with 0 for unlabelled", "subtract 1 from each label and store 0 as 255"),
    1: ("without the background, from 0", "add 1 to each label"),
}

Kind = Literal[
    "classes", "stray_truth", "numbering", "nothing_tagged", "void", "not_in_truth", "not_tagged", "people", "parts"
]


@dataclass(frozen=True)
class Check:
    """A fact that may make a score meaningless."""

    kind: Kind
    text: str
    """One line."""

    def to_json(self) -> dict[str, str]:
        """Return plain JSON values."""
        return {"kind": self.kind, "text": self.text}


class Agreement:
    """Running sums over photographs; their size does not depend on the number of photographs.

    Args:
        classes: the class table.
        what: the masks' name in messages.
        complete: whether the masks should show exactly the tagged classes, as ground truth does.
    """

    def __init__(self, classes: ClassTable, what: str = TRUTH, complete: bool = True) -> None:
        self._classes, self._what, self._complete = classes, what, complete
        count = len(classes.names)
        self._masks = self._untold = self._photographs = self._common = self._either = self._foreign = 0
        self._tagged, self._shown, self._both = np.zeros((3, count), np.int64)  # photographs by class
        self._bare = Firsts[str](_NAMED)  # tagged photographs whose mask shows none of its tags
        self._bare_other = self._bare_void = 0  # of these: with another class; with void and no class
        self._unlabelled = Firsts[str](_NAMED)  # masks of photographs without known tags that are void throughout
        self._any_void = False
        self._same = dict.fromkeys((0, *_SHIFTS), 0)  # photographs whose mask, shifted, shows just its tags

    def add(self, name: str, tags: Collection[int] | None, pixels: Int64[np.ndarray, "256"]) -> None:
        """Count a photograph: its tags (None if unknown), and the pixels of its mask by label."""
        count = len(self._classes.names)
        present = pixels[:count] > 0
        labelled = bool(present.any())
        present[: self._classes.foreground.start] = False
        self._masks += 1
        self._shown += present
        self._any_void |= bool(pixels[VOID])
        if not tags:
            self._untold += tags is None
            self._foreign += tags is not None and bool(present.any())
            if not labelled:
                self._unlabelled.append(name)
            return
        wanted = np.zeros(count, bool)
        wanted[list(tags)] = True
        self._photographs += 1
        self._tagged += wanted
        self._both += wanted & present
        self._common += int((wanted & present).sum())
        self._either += int((wanted | present).sum())
        self._foreign += bool((present & ~wanted).any())
        if not (wanted & present).any():
            self._bare.append(name)
            self._bare_other += bool(present.any())
            self._bare_void += bool(pixels[VOID]) and not present.any()
        for shift in self._same:
            self._same[shift] += _is_shifted(pixels[:count] > 0, wanted, shift, self._classes)

    def refuse_nothing(self) -> None:
        """Raise DataError if the masks show no tagged class in any photograph, or certainly have another numbering."""
        if self._untold and self._untold == self._masks and not self._shown.any():
            reason = self._void() if self._any_void else _BACKGROUND
            raise DataError(f"{self._what}: no pixel of any class in {self._masks} masks; {reason}; {self._store()}")
        if not self._photographs:
            return
        shift = self._shift()
        agree = 10 * self._common > self._either
        if shift and not agree and 10 * self._same[shift] >= 9 * self._photographs:
            raise DataError(self._numbering(shift))
        if len(self._bare) == self._photographs:
            whole = f"{self._what}: no pixel of any tag in any of the {self._photographs} tagged photographs"
            raise DataError(f"{whole}; {self._reason()}")

    def checks(self) -> tuple[Check, ...]:
        """Return facts for the user, the most important first."""
        found: list[tuple[Kind, str]] = []
        if shift := self._shift():
            found.append(("numbering", self._numbering(shift)))
        if self._bare:
            named = enumeration(self._bare.first, _NAMED, total=len(self._bare))
            many = f"{len(self._bare)} of {self._photographs} tagged photographs"
            text = f"{self._what}: no pixel of any tag in {many}: {named}; {self._reason(some=True)}"
            found.append(("nothing_tagged", text))
        if self._unlabelled:
            named = enumeration(self._unlabelled.first, _NAMED, total=len(self._unlabelled))
            many = f"{len(self._unlabelled)} of {self._masks} masks"
            found.append(("void", f"{self._what}: {many} are void (255) throughout: {named}"))
        if self._complete:
            found += self._by_class()
        elif self._photographs >= _FEW and 10 * self._foreign >= 9 * self._photographs:
            many = f"{self._foreign} of {self._masks} photographs"
            text = (
                f"{self._what}: masks show classes that are not tagged in {many}; check that these are the right masks"
            )
            found.append(("not_tagged", text))
        return tuple(Check(kind, text) for kind, text in found)

    def _by_class(self) -> list[tuple[Kind, str]]:
        names, found = self._classes.names, list[tuple[Kind, str]]()
        lost = [int(index) for index in np.flatnonzero((self._tagged > 0) & (self._both == 0))]
        if lost:
            each = [f"{names[index]!r} ({counted(int(self._tagged[index]), 'photograph')})" for index in lost]
            some = enumeration(each, _NAMED, quoted=False)
            found.append(("not_in_truth", f"{self._what}: these classes are tagged, but no mask shows them: {some}"))
        more = self._shown - self._both
        if more.any() and self._photographs:
            order = [int(index) for index in np.argsort(-more, kind="stable") if more[index]]
            some = enumeration([self._untagged(index, int(more[index])) for index in order], _NAMED, quoted=False)
            found.append(
                (
                    "not_tagged",
                    f"{self._what}: masks show these classes in photographs that are not tagged with them: {some}",
                )
            )
        return found

    def _untagged(self, index: int, photographs: int) -> str:
        nowhere = "" if self._tagged[index] else ", and no photograph is tagged with it"
        return f"{self._classes.names[index]!r} ({counted(photographs, 'photograph')}{nowhere})"

    def _shift(self) -> int:
        """Return by how much all numbers seem to be too low or too high; 0 if they do not."""
        best = max(_SHIFTS, key=lambda shift: self._same[shift])
        if not self._shown.any():  # background alone fits a class by chance
            return 0
        enough = self._photographs >= _FEW and 5 * self._same[best] >= 4 * self._photographs
        return best if enough and 2 * self._same[0] <= self._same[best] else 0

    def _numbering(self, shift: int) -> str:
        begin, remedy = _SHIFTS[shift]
        return (
            f"{self._what}: its classes seem to be numbered {begin}: shifted by one, they match the tags of "
            f"{self._same[shift]} of {self._photographs} photographs; as stored, of {self._same[0]}; {remedy}"
        )

    def _reason(self, some: bool = False) -> str:
        if self._bare_void:
            return f"{self._void()}; {self._store()}"
        if self._bare_other:
            return "they show other classes; check the order of the classes, and that these are the right masks"
        return _BACKGROUND if some else f"{_BACKGROUND}; {self._store()}"  # where others show tags, ids are right

    def _void(self) -> str:
        crowds = " (as are COCO's crowds)" if self._complete else ""
        return f"pixels are 255, which is void{crowds} and not a class"

    def _store(self) -> str:
        first = self._classes.foreground.start
        one = len(self._classes.foreground) == 1
        name = f"{self._classes.names[first]!r} as {first}"
        return f"store {name}" if one else f"store each class as its class id: {name}, ..."


_BACKGROUND = "they show only the background (0)"


def _is_shifted(
    present: Bool[np.ndarray, " c"], wanted: Bool[np.ndarray, " c"], shift: int, classes: ClassTable
) -> bool:
    """Tell whether the labels of a mask, moved by ``shift``, are exactly the tags."""
    labels = np.flatnonzero(present) + shift
    if (labels >= len(present)).any():
        return False
    moved = np.zeros_like(wanted)
    moved[labels[labels >= classes.foreground.start]] = True
    return bool((moved == wanted).all())
