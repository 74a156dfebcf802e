"""Recognise the background class, and class tables whose background has another name."""

from collections.abc import Iterable

from dhr.data.samples import ClassTable, Sample
from dhr.words import counted

BACKGROUND = "background"
"""The name of the background; some programs put ``_`` around it."""

_OTHER_NAMES = {
    *("bg", "back", "unlabeled", "unlabelled", "unlabeled_area", "unlabeled_pixel", "void", "ignore", "ignored"),
    *("ignore_label", "other", "others", "none", "null", "nothing", "empty", "unknown", "undefined", "unannotated"),
    *("rest", "clutter"),
}
"""Names in other programs of a first class that stands for everything that was not drawn."""


def is_background(name: str) -> bool:
    """Tell whether a name is that of a background.

    >>> is_background("Background"), is_background("__background__"), is_background("unlabeled")
    (True, True, False)
    """
    return name.strip().strip("_").casefold() == BACKGROUND


def background_notes(classes: ClassTable, samples: Iterable[Sample]) -> list[str]:
    """Note that a class table without a background may lack one.

    A first class without a tag is probably the background. Without a background, the whole mask of a photograph with
    one tag gets that class.
    """
    if classes.background:
        return []
    tagged, single = False, 0
    for sample in samples:
        tagged = tagged or 0 in sample.tags
        single += len(sample.tags) == 1
    if tagged:
        return []
    verb = "has" if single == 1 else "have"
    many = f"{counted(single, 'photograph')} {verb} one tag, and each such mask is that class throughout"
    whole = f"; {many}" if single else ""
    if classes.names[0].strip("_ ").casefold().replace(" ", "_").replace("-", "_") in _OTHER_NAMES:
        return [
            f"no photograph is tagged with class 0, {classes.names[0]!r}, and there is no background{whole}; if class "
            "0 is everything that no tag names, write `background` instead in the first line of classes.txt"
        ]
    if not single:
        return []
    return [f"there is no background{whole}; if photographs show other things too, make the first class `background`"]
