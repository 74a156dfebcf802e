"""Whether a correction still holds, and its tags and mask in the present class table."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import UInt8

from dhr.data.samples import VOID, ClassTable, Sample
from dhr.records.correction import Correction


def valid(correction: Correction, sample: Sample, digest: str, classes: ClassTable) -> str | None:
    """Return None if a correction still holds, else the reason why it is outdated, in a few words.

    It holds for the photograph and the tags of the data set for which it was made. Classes are matched by name, so the
    class table may change as long as it has all classes of the correction.

    Args:
        correction: the correction.
        sample: the photograph, with the tags that the data set gives it.
        digest: SHA-256 of its content now.
        classes: the class table now.
    """
    return outdated(correction, digest, [classes.names[tag] for tag in sample.tags], classes)


def outdated(correction: Correction, digest: str, given: Iterable[str], classes: ClassTable) -> str | None:
    """Return the reason as :func:`valid` does; ``given`` are the names of the tags that the data set gives."""
    if digest != correction.digest:
        return "the photograph changed"
    if lost := [name for name in (*correction.labels, *correction.given) if name not in classes.names]:
        return _lost(lost[0], correction, classes)
    if {*given} != {*correction.given}:
        return "the tags in the data set changed"
    if wrong := [name for name in correction.tags if classes.names.index(name) not in classes.foreground]:
        return f"{wrong[0]} is the background now, which is never tagged"
    if correction.state != "rejected" and not correction.tags and not classes.background:
        return "it has no tags, and there is no background now"
    return None


def _lost(name: str, correction: Correction, classes: ClassTable) -> str:
    """Return the reason of a correction whose class is not in the table; most likely it was renamed."""
    id = correction.labels.get(name, len(classes.names))
    new = classes.names[id] if id < len(classes.names) else name
    if new == name or new in correction.labels:
        return f"the class {name} is gone"
    return f"the class {name} is gone, its number is that of {new} now; if it was renamed, give it its old name"


def tags_in(correction: Correction, classes: ClassTable) -> tuple[int, ...]:
    """Return the tags of a correction that holds as class ids, sorted, as a sample has them."""
    return tuple(sorted({classes.names.index(name) for name in correction.tags}))


def in_classes(mask: UInt8[np.ndarray, "h w"], correction: Correction, classes: ClassTable) -> UInt8[np.ndarray, "h w"]:
    """Return the mask of a correction that holds in the ids of a class table.

    >>> found = Correction("mended", "0" * 64, labels={"cat": 0, "sky": 1})
    >>> in_classes(np.array([[0, 1, 255]], np.uint8), found, ClassTable(("sky", "dog", "cat"), False)).tolist()
    [[2, 0, 255]]
    """
    now = {name: classes.names.index(name) for name in correction.labels}
    if now == dict(correction.labels):
        return mask
    table = np.full(VOID + 1, VOID, np.uint8)
    for name, id in correction.labels.items():
        table[id] = now[name]
    found: UInt8[np.ndarray, "h w"] = table[mask]
    return found
