"""Notes on the masks of a folder, a sentence each."""

from collections.abc import Collection, Sequence
from pathlib import Path

from dhr.corrections.decisions import outdated_note, states
from dhr.job.person_masks import PersonMasks
from dhr.method.swaps import Swap
from dhr.records.run import TaughtRecord
from dhr.words import counted, percent

_UNUSED = (
    "The corrections change no other mask, because the survey has no weight: it does not find classes where they "
    "are tagged. Often a class has too few photographs. Add some, or mend the other masks by hand."
)


def told_of(names: Collection[str], most: int = 3) -> str:
    """List a few names, and the number of the others."""
    shown = ", ".join(sorted(names)[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def put_aside_note(names: Collection[str], place: Path) -> list[str]:
    """Tell of masks that were there without a record; ``place`` holds them."""
    if not names:
        return []
    were = "1 mask was" if len(names) == 1 else f"{len(names)} masks were"
    return [f"{were} there without a record of who made it: made again, the old one is in {place}: {told_of(names)}."]


def gone_note(names: Collection[str], place: Path) -> str:
    """Tell of photographs that are gone; ``place`` holds their files."""
    are = "1 photograph is" if len(names) == 1 else f"{len(names)} photographs are"
    return f"{are} gone: all files of each are in {place}: {told_of(names)}."


def learned_note(taught: TaughtRecord, others: Sequence[int]) -> str:
    """Tell of the corrections that a run has learned from, and of the masks that changed.

    Args:
        taught: the corrections, and the changes.
        others: pixels of each mask that is not corrected.

    >>> learned_note(TaughtRecord("", masks=2, changed=1, pixels=1200), [60000, 60000])
    'The survey has learned from 2 corrected masks. 1 of 2 other masks changed, in 1.0 % of their pixels (1,200).'
    """
    changed, pixels = taught.changed or 0, taught.pixels or 0
    share = f"{percent(pixels / sum(others))} % of their pixels ({pixels:,})" if changed and others else ""
    many = f"{changed:,} of {counted(len(others), 'other mask')} changed{share and f', in {share}'}"
    return f"The survey has learned from {counted(taught.masks, 'corrected mask')}. {many}."


def unused_note(trust: float) -> list[str]:
    """Tell of a survey without weight: then corrections change no other mask."""
    return [] if trust > 0 else [_UNUSED]


def swap_note(swap: Swap, names: Sequence[str]) -> str:
    """Tell of two classes whose maps are exchanged.

    >>> swap_note(Swap(1, 2, -0.5, 0.2, joint=39, deciding=3), ["sky", "face", "body"])
    'The maps of face and body are exchanged in the 39 photographs with both; 3 others show it. The survey corrects it.'
    """
    pair = f"{names[swap.first]} and {names[swap.second]}"
    where = f"the {counted(swap.joint, 'photograph')} with both"
    return f"The maps of {pair} are exchanged in {where}; {swap.deciding:,} others show it. The survey corrects it."


def person_notes(masks: PersonMasks) -> list[str]:
    """Tell of the masks of people: those that are kept, new, outdated, or cannot be read."""
    found, place = [], masks.store.root / "corrections"
    kept, new, lost = masks.given_back, masks.edited, masks.unreadable
    outdated = {name: why for name, why in masks.decisions.outdated.items() if name not in lost}
    if new:
        were, they = ("1 mask was", "a correction") if len(new) == 1 else (f"{len(new)} masks were", "corrections")
        found.append(f"{were} changed by another program, and became {they} in {place}: {told_of(new)}.")
    if kept:
        stay = (
            "1 mask of a person stays as it is" if len(kept) == 1 else f"{len(kept)} masks of people stay as they are"
        )
        found.append(f"{stay} ({states(kept)}).")
    found += outdated_note(outdated)
    if lost:
        many = "1 mask" if len(lost) == 1 else f"{len(lost)} masks"
        told = told_of([f"{name} ({why})" for name, why in lost.items()])
        found.append(f"{many} that a person changed cannot be read, and nothing was changed: {told}.")
    return found
