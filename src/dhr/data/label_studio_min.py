"""Read Label Studio's JSON-MIN: one row per annotation, with each control's results under the control's name.

Rows do not show kinds: a choice is a text like the task's own data. All rows of a file together show which texts are
choices.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dhr.data.classes import enumeration
from dhr.data.label_studio_image import PICTURES, is_image

_OWN = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement", "data"}
_CHOICES = ("choice", "choices", "tag", "tags", "label", "labels")  # names of controls that show their kind
_KINDS = {"text": "textarea", "selected": "pairwise"} | {
    kind: kind for kind in ("choices", "taxonomy", "rating", "number", "datetime", "ranker", "chatmessage")
}
_GEOMETRY = {"x", "points", "rle", "vertices", "imageDataURL"}


@dataclass
class Row:
    """A row, taken apart."""

    results: list[dict[str, Any]] = field(default_factory=list)
    """As in JSON."""
    texts: dict[str, str] = field(default_factory=dict)
    """Texts by name; some may be choices."""
    lists: set[str] = field(default_factory=set)
    """Names of lists of choices: one for each region, which is an attribute."""
    annotated: bool = True
    """Whether it is certain that somebody annotated it."""


def parse_row(row: dict[str, Any]) -> Row:
    """Sort the results of a row by their form."""
    found = Row()
    for key, value in row.items():
        if key in _OWN or key in PICTURES:
            continue
        if isinstance(value, str) and not is_image(value):
            found.texts[key] = value.strip()
        several = isinstance(value, list) and len(value) > 1
        for one in value if isinstance(value, list) else [value]:
            chosen = isinstance(one, dict) and not one.keys().isdisjoint(("choices", "taxonomy"))
            if chosen and (several or not _GEOMETRY.isdisjoint(one)):
                found.lists.add(key)
            elif isinstance(one, dict):
                found.results += _result(key, one)
            elif isinstance(one, str) and isinstance(value, list) and not is_image(one):
                found.lists.add(key)
    return found


def _result(name: str, value: dict[str, Any]) -> list[dict[str, Any]]:
    kinds = [_KINDS.get(key, key) for key in value if key in _KINDS or key.endswith("labels")]
    if not kinds and not _GEOMETRY & value.keys():
        return []  # data of the task
    sizes = {key: value[key] for key in ("original_width", "original_height") if key in value}
    return [sizes | {"type": kinds[0] if kinds else "rectangle", "from_name": name, "value": value}]


@dataclass(frozen=True)
class Choices:
    """The names under which choices stand as texts."""

    names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    wrong: str | None = None
    """Why they cannot be found."""


def plain_choices(rows: Sequence[Row], labelled: bool, classes: Collection[str] | None) -> Choices:
    """Find out which texts are choices.

    Texts under names such as ``choice`` and ``label`` are. Otherwise it is the only text, or the only one with class
    names only. ``rows`` are those of all files; if they are ``labelled`` in another form, texts are data. ``classes``
    are those of ``classes.txt``.
    """
    lists = {name for row in rows for name in row.lists}
    values: dict[str, set[str]] = {}
    for row in rows:
        for name, text in row.texts.items():
            if name not in lists and "://" not in text:
                values.setdefault(name, set()).add(text)
    notes = []
    if lists:
        notes.append(f"choices of regions are attributes and do not count: {_listed(lists)}")
    known = [name for name in values if name in _CHOICES]
    if not known and not labelled:
        fit = [name for name, texts in values.items() if classes is None or texts <= set(classes)]
        fit = fit or [name for name, texts in values.items() if texts & set(classes or ())]
        if len(fit) > 1 or (not fit and values):
            return Choices(
                (), tuple(notes),
                f"expected the choice under a name such as 'choice' or 'label'; there are the texts {_listed(values)}; "
                "rename the one that is meant, or export as JSON",
            )  # fmt: skip
        known = fit
        notes += [f"texts under {name!r} are read as choices" for name in fit]
    others = values.keys() - set(known)
    if others and known:
        notes.append(f"texts read as data, not as labels: {_listed(others)}")
    return Choices(tuple(known), tuple(notes))


def _listed(names: Iterable[str]) -> str:
    return enumeration(sorted(names), most=5)
