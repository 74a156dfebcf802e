"""Whether a data set has a background, and when it may only lack the word for it."""

from collections.abc import Iterable

from dhr.data.samples import ClassTable, Sample

BACKGROUND = "background"
"""What the background is called; some programs put ``_`` around it."""

_OTHER_NAMES = {
    *("bg", "back", "unlabeled", "unlabelled", "unlabeled_area", "unlabeled_pixel", "void", "ignore", "ignored"),
    *("ignore_label", "other", "others", "none", "null", "nothing", "empty", "unknown", "undefined", "unannotated"),
    *("rest", "clutter"),
}
"""What other programs call the first class where it is whatever was not drawn."""


def is_background(name: str) -> bool:
    """Whether a name is that of a background.

    >>> is_background("Background"), is_background("__background__"), is_background("unlabeled")
    (True, True, False)
    """
    return name.strip().strip("_").casefold() == BACKGROUND


def background_notes(classes: ClassTable, samples: Iterable[Sample]) -> list[str]:
    """What to say of a class table without a background whose first class may be one.

    Nobody tags what is not there, so a first class that is tagged nowhere is likely to be whatever the others are not.
    Without a background, all of the mask of a photograph with one tag is of that class.
    """
    if classes.background:
        return []
    tagged, single = False, 0
    for sample in samples:
        tagged = tagged or 0 in sample.tags
        single += len(sample.tags) == 1
    if tagged:
        return []
    whole = f"; {single} photographs have one tag, and each such mask is that class throughout" if single else ""
    if classes.names[0].strip("_ ").casefold().replace(" ", "_").replace("-", "_") in _OTHER_NAMES:
        return [
            f"no photograph is tagged with class 0, {classes.names[0]!r}, and there is no background{whole}; if class "
            "0 is everything that no tag names, write `background` instead in the first line of classes.txt"
        ]
    if not single:
        return []
    return [f"there is no background{whole}; if they show other things too, make the first class `background`"]
