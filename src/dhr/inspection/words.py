"""Properties of a data set that will show in its masks, in sentences."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dhr.inspection.census import ClassCensus, Inspection
from dhr.words import counted

FEW = 10
"""Classes with fewer photographs are hardly learnt by a classifier."""
_NAMED = 12  # names in a sentence


@dataclass(frozen=True)
class Note:
    """A sentence about the data set; its names are not escaped."""

    warning: bool
    """Whether masks will suffer from it."""
    text: str


def notes(found: Inspection) -> tuple[Note, ...]:
    """Return the sentences: warnings first, the gravest before the others."""
    tagged = [one for one in found.classes if one.photographs]
    return (*_together(found, tagged), *_counts(found, tagged), *_duplicates(found), *_ground_truth(found))


def _together(found: Inspection, tagged: Sequence[ClassCensus]) -> Iterator[Note]:
    """Name classes that have the same tags, and classes that only come with another."""
    rows = defaultdict[bytes, list[ClassCensus]](list)
    for one in tagged:
        if 1 < one.photographs < found.photographs:
            rows[found.together[one.id].tobytes()].append(one)
    for group in rows.values():  # rows of the matrix are the same just where the photographs are
        if len(group) > 1:
            text = f"{_listed(group)} always come together, in {group[0].photographs} photographs: their tags "
            text += "cannot tell them apart. Add photographs of one without the other, or make them one class."
            yield Note(True, text)
    always = [one for one in tagged if one.photographs == found.photographs > 1]
    if always:
        text = f"Every photograph is tagged with {_listed(always)}: nothing shows which pixels do not belong to it. "
        yield Note(True, text + f"Add photographs without it{', also untagged ones' * found.table.background}.")
    only = list[str]()
    for one in tagged:
        row = found.together[one.id]
        others = [
            other.name
            for other in tagged
            if other.id != one.id and row[other.id] == one.photographs < other.photographs < found.photographs
        ]
        if others and one.photographs > 1:
            only.append(f"{one.name} ({one.photographs}) with {' and '.join(others[:3])}")
    if only:
        text = f"Always with another class: {_joined(only, '; ')}. A class that never comes without a larger one is "
        yield Note(True, text + "easily lost in its area.")


def _counts(found: Inspection, tagged: Sequence[ClassCensus]) -> Iterator[Note]:
    single = found.tags.get(1, 0)
    if single and not found.table.background:
        text = f"{_photographs(single)} with one tag, and no class is the background: each such mask is that class "
        yield Note(True, text + "throughout. If they show other things too, make `background` the first class.")
    few = sorted((one for one in tagged if one.photographs < FEW), key=lambda one: (one.photographs, one.id))
    if few:
        names = _joined([f"{one.name} ({one.photographs})" for one in few])
        yield Note(True, f"Under {FEW} photographs: {names}. A classifier hardly learns them.")
    absent = [one for one in found.classes if not one.photographs]
    if absent:
        yield Note(False, f"In no photograph: {_listed(absent)}.")


def _duplicates(found: Inspection) -> Iterator[Note]:
    for same_tags, start in ((False, "content as another, but other tags"), (True, "content and tags as another")):
        groups = [group for group in found.duplicates if group.same_tags is same_tags]
        if groups:
            count = _photographs(sum(len(group.sources) for group in groups))
            names = _joined([" = ".join(group.names[:4]) for group in groups])
            yield Note(not same_tags, f"{count} have the same {start}: {names}.")


def _ground_truth(found: Inspection) -> Iterator[Note]:
    if not found.listed_truth:
        yield Note(False, "No photograph has a ground-truth mask: masks can be made, but not scored.")
    elif found.listed_truth < found.photographs:
        yield Note(False, f"{found.listed_truth} of {_photographs(found.photographs)} have a ground-truth mask.")
    for such, wrong in (
        ("are tagged, but not in the ground truth", {one.name: one.only_tagged for one in found.classes}),
        ("are in the ground truth, but not tagged", {one.name: one.only_in_truth for one in found.classes}),
    ):
        ranked = sorted(wrong, key=wrong.__getitem__, reverse=True)
        names = [f"{name} ({wrong[name]})" for name in ranked if wrong[name]]
        if names:
            yield Note(True, f"Classes that {such}, with the number of photographs: {_joined(names)}.")


def _photographs(count: int) -> str:
    return counted(count, "photograph")


def _listed(classes: Sequence[ClassCensus]) -> str:
    return _joined([one.name for one in classes], last=" and ")


def _joined(names: Sequence[str], between: str = ", ", last: str = "") -> str:
    if len(names) > _NAMED:
        return between.join(names[:_NAMED]) + f" and {len(names) - _NAMED} more"
    return (last or between).join(part for part in (between.join(names[:-1]), names[-1]) if part)
