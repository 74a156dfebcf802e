"""What in a data set will show in its masks, in sentences."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from dhr.inspection.census import ClassCensus, Inspection
from dhr.words import counted

FEW = 10
"""Photographs that a class should have at least, for a classifier to learn anything of it."""
_NAMED = 12  # names in a sentence


@dataclass(frozen=True)
class Note:
    """A sentence about the data set, with names as they are: to be escaped where it is printed."""

    warning: bool
    """Whether masks will suffer from it."""
    text: str


def notes(found: Inspection) -> tuple[Note, ...]:
    """Warnings first, the gravest before the others."""
    tagged = [one for one in found.classes if one.photographs]
    return (
        *_together(found, tagged),
        *_counts(found, tagged),
        *_duplicates(found),
        *_truth(found),
    )


def _together(found: Inspection, tagged: Sequence[ClassCensus]) -> list[Note]:
    """Classes whose tags say the same, and classes that come only in another's company."""
    made = list[Note]()
    rows = defaultdict[bytes, list[ClassCensus]](list)
    for one in tagged:
        if 1 < one.photographs < found.photographs:
            rows[found.together[one.id].tobytes()].append(one)
    for group in rows.values():  # rows of the matrix are the same just where the photographs are
        if len(group) > 1:
            made.append(
                Note(
                    True,
                    f"{_listed(group)} always come together, in {group[0].photographs} photographs: by their tags they "
                    "cannot be told apart. Add photographs of one without the other, or make them one class.",
                )
            )
    always = [one for one in tagged if one.photographs == found.photographs > 1]
    if always:
        made.append(
            Note(
                True,
                f"Every photograph is tagged with {_listed(always)}: nothing shows which pixels do not "
                f"belong to it. Add photographs without it{', if need be without any tag' * found.table.background}.",
            )
        )
    only = list[str]()
    for one in tagged:
        if one.photographs < 2 or one.photographs == found.photographs:
            continue
        row = found.together[one.id]
        others = [
            other.name
            for other in tagged
            if other.id != one.id and row[other.id] == one.photographs < other.photographs < found.photographs
        ]
        if others:
            only.append(f"{one.name} ({one.photographs}) with {' and '.join(others[:3])}")
    if only:
        more = f" and {len(only) - _NAMED} more" if len(only) > _NAMED else ""
        made.append(
            Note(
                True,
                f"Always with another class: {'; '.join(only[:_NAMED])}{more}. A class that never comes without "
                "a larger one is easily lost in its area.",
            )
        )
    return made


def _counts(found: Inspection, tagged: Sequence[ClassCensus]) -> list[Note]:
    made = list[Note]()
    single = found.tags.get(1, 0)
    if single and not found.table.background:
        made.append(
            Note(
                True,
                f"{_photographs(single)} with one tag, and the classes have no background: all of such a mask is that "
                "class. If they show other things too, make the first class `background`.",
            )
        )
    few = sorted((one for one in tagged if one.photographs < FEW), key=lambda one: (one.photographs, one.id))
    if few:
        names = _joined([f"{one.name} ({one.photographs})" for one in few])
        made.append(Note(True, f"Under {FEW} photographs: {names}. A classifier hardly learns them."))
    none = [one for one in found.classes if not one.photographs]
    if none:
        made.append(Note(False, f"In no photograph: {_listed(none)}."))
    return made


def _duplicates(found: Inspection) -> list[Note]:
    made = list[Note]()
    other = [group for group in found.duplicates if not group.same_tags]
    if other:
        made.append(
            Note(
                True,
                f"{_photographs(sum(len(group.sources) for group in other))} have the same content as another, but "
                f"other tags: {_joined([' = '.join(group.names[:4]) for group in other])}.",
            )
        )
    same = [group for group in found.duplicates if group.same_tags]
    if same:
        made.append(
            Note(
                False,
                f"{_photographs(sum(len(group.sources) for group in same))} have the same content and tags as "
                f"another: {_joined([' = '.join(group.names[:4]) for group in same])}.",
            )
        )
    return made


def _truth(found: Inspection) -> list[Note]:
    if not found.listed_truth:
        return [Note(False, "No photograph has a ground-truth mask: masks can be made, but not scored.")]
    made = list[Note]()
    if found.listed_truth < found.photographs:
        made.append(Note(False, f"{found.listed_truth} of {_photographs(found.photographs)} have a ground-truth mask."))
    for what, wrong in (
        ("are tagged, but not in the ground truth", {one.name: one.only_tagged for one in found.classes}),
        ("are in the ground truth, but not tagged", {one.name: one.only_in_truth for one in found.classes}),
    ):
        names = [
            f"{name} ({wrong[name]})" for name in sorted(wrong, key=wrong.__getitem__, reverse=True) if wrong[name]
        ]
        if names:
            made.append(Note(True, f"Classes that {what}, with the number of photographs: {_joined(names)}."))
    return made


def _photographs(count: int) -> str:
    return counted(count, "photograph")


def _listed(classes: Sequence[ClassCensus]) -> str:
    return _joined([one.name for one in classes], " and ")


def _joined(names: Sequence[str], last: str = ", ") -> str:
    if len(names) > _NAMED:
        return ", ".join(names[:_NAMED]) + f" and {len(names) - _NAMED} more"
    return last.join(part for part in (", ".join(names[:-1]), names[-1]) if part)
