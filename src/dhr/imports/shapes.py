"""Masks from annotations: regions with the names of their classes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from dhr.data.annotated import Annotation, Thing
from dhr.data.classes import enumeration
from dhr.data.names import Entry, Names
from dhr.data.outlines import Size
from dhr.data.painted import PaintedGroundTruth, PaintedObject
from dhr.data.samples import VOID, Problem, Sample
from dhr.errors import ItemError
from dhr.imports.drawing import By, Drawing, Drawings
from dhr.imports.target import FREE, Target
from dhr.words import counted, printable


@dataclass(frozen=True)
class Rules:
    """What annotations of a format mean."""

    void: frozenset[str] = frozenset()
    """Labels of regions that are void."""
    empty: bool = False
    """Whether an annotation without a region is a mask of background; else nobody has touched the photograph."""
    by: By | None = None
    """Who made the masks; None if each region tells."""
    holds_void: bool = False
    """See :class:`~dhr.imports.drawing.Drawing`."""


def add_annotations(
    found: Drawings, annotations: Iterable[Annotation], names: Names, target: Target, rules: Rules
) -> None:
    """Add the masks of annotations to ``found``.

    A photograph whose annotation has a region that cannot be painted, or of an unknown class, becomes a problem:
    half a mask would be a wrong one. Tags and choices are not read.
    """
    entries, bare = [], 0
    for one in annotations:
        regions = tuple(thing for thing in one.things if thing.region or thing.outline)
        bare += len(one.things) - len(regions)
        nothing = not (regions or one.unread or one.wrong) and not (rules.empty and target.classes.background)
        if one.undone or nothing:
            found.untouched += 1
        else:
            entries.append(Entry(one.image, one.where, one, one.wrong))
    source = entries[0].value.source if entries else Path()
    by_file = names.match(source, entries, found.problems)
    for file, same in by_file.items():
        sample = target.samples[file]
        if reason := _refusal(same, target, rules):
            found.problems.append(Problem(sample.name, reason))
        else:
            found.found.append(_drawing(sample, same, target, rules))
    if bare:
        found.notes.append(f"tags and choices are not read, only regions: {bare} were left out")


def _refusal(annotations: Sequence[Annotation], target: Target, rules: Rules) -> str | None:
    for one in annotations:
        if one.wrong:
            return f"{one.where}: {one.wrong}"
        if one.unread:
            return f"{one.where}: {one.unread} is not read"
        for thing in one.things:
            if thing.region and thing.outline is None:
                return f"{one.where}: {thing.kind} {thing.label!r} {thing.missing or 'has no outline'}"
        regions = [thing for thing in one.things if thing.outline]
        unknown = dict.fromkeys(thing.label for thing in regions if _id_of(thing, target, rules) is None)
        if unknown:
            names = enumeration(map(printable, unknown), most=3)
            return f"the run has no class {names}; {target.hint(next(iter(unknown)))}"
    return None


def _id_of(thing: Thing, target: Target, rules: Rules) -> int | None:
    return VOID if thing.label in rules.void else target.id_of(thing.label)


def _drawing(sample: Sample, annotations: Sequence[Annotation], target: Target, rules: Rules) -> Drawing:
    chosen = [one for one in annotations if one.chosen]
    counting = chosen if len(chosen) == 1 else annotations
    painted = [
        PaintedGroundTruth(one.source, Path(sample.source), _objects(one, target, rules), FREE) for one in counting
    ]
    things = [thing for one in counting for thing in one.things if thing.outline]
    touched = not things or any(not thing.by_program for thing in things)

    def read(shape: Size) -> UInt8[np.ndarray, "h w"]:
        for one in things:
            _check_size(one, shape)
        masks = [one.read(shape) for one in painted]
        if any(not np.array_equal(masks[0], other) for other in masks[1:]):
            places = " and ".join(one.where for one in counting[:2])
            raise ItemError(f"{counted(len(masks), 'annotation')} of it differ ({places}); keep one of them")
        return masks[0]

    return Drawing(sample, read, rules.by or ("person" if touched else "program"), rules.holds_void)


def _objects(one: Annotation, target: Target, rules: Rules) -> list[PaintedObject]:
    return [
        PaintedObject(
            _id_of(thing, target, rules) or 0, (thing.outline,), one.place, thing.drawn, None, thing.layer
        )
        for thing in one.things
        if thing.outline
    ]  # fmt: skip


def _check_size(thing: Thing, shape: Size) -> None:
    """Raise ItemError if a region was drawn on a picture of another size; a turned one is turned back."""
    if thing.drawn is not None and thing.drawn not in (shape, shape[::-1]):
        raise ItemError(
            f"{thing.kind} {thing.label!r} was drawn on a picture of {thing.drawn[1]}x{thing.drawn[0]} pixels, and the "
            f"photograph has {shape[1]}x{shape[0]}; annotate the photographs of the run"
        )
