"""The page of ``dhr inspect``: notes, broken files, and photographs of every class."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from dhr.data.palette import class_palette
from dhr.files import write_output
from dhr.inspection.census import ClassCensus, Inspection
from dhr.inspection.look import SIDE
from dhr.inspection.words import notes
from dhr.report.card import figure
from dhr.report.charts import bar, swatch
from dhr.report.matrix import draw_matrix
from dhr.report.panels import data_uri
from dhr.report.shell import document, encoded, tile_row, tools
from dhr.report.text import DASH, named, percent, safe
from dhr.words import counted

BUDGET = 20_000_000
"""Largest size of a page, bytes; further pictures are left out and counted."""

_BROKEN = 300  # broken things in the list
_SEARCHED = 20  # rows from which on a list can be searched
_GROUPS = 100  # groups of duplicates in the list
_SPOKEN = 5  # pairs in the alternative text of the matrix
_DRAWN = 40  # classes of the matrix
_OPEN = 32  # classes in sight; the rest is folded away
_WIDE = (0.45, 0.7, 0.95, 1.05, 1.4, 2.2)  # where one shape of photograph ends and the next begins


def write_page(path: Path, found: Inspection, title: str, facts: Mapping[str, str], budget: int = BUDGET) -> None:
    """Write one HTML file that loads nothing from outside, at most ``budget`` bytes.

    Raises:
        OutputError: the folder or the disk refuses.
    """
    colours = class_palette(found.table)
    head = (
        _tiles(found)
        + _notes(found)
        + _broken(found)
        + f'<div class="columns">{_tags(found)}{_sizes(found)}</div>'
        + _classes(found, colours)
        + _matrix(found)
        + _duplicates(found)
    )
    shown = "".join(f"<span>{safe(label)} <b>{safe(value)}</b></span>" for label, value in facts.items())
    bare = len(encoded(document("dhr inspect", title, shown, head))) + 2000  # for the sentence on omitted pictures
    body = head + _pictures(found, colours, budget - bare)
    write_output(path, lambda file: file.write(encoded(document("dhr inspect", title, shown, body))))


def _section(title: str, content: str, small: str = "") -> str:
    aside = f" <small>{small}</small>" if small else ""
    return f'<section><h2>{title}{aside}</h2><div class="panel">{content}</div></section>\n'


def _tiles(found: Inspection) -> str:
    all_tags = sum(count * photographs for count, photographs in found.tags.items())
    tagged = sum(one.photographs > 0 for one in found.classes)
    return tile_row(
        [
            (f"{found.photographs:,}", "photographs"),
            (f"{tagged:,} of {len(found.classes):,}", "classes tagged"),
            (f"{all_tags / found.photographs:.1f}", "tags per photograph"),
            (f"{found.listed_truth:,}", "with ground truth"),
            *([(percent(found.void), "of the ground truth is void")] if found.read_ground_truth else []),
            (f"{len(found.problems):,}", "broken"),
        ],
        "tiles",
    )


def _notes(found: Inspection) -> str:
    lines = "".join(
        f'<li class="{"warn" if note.warning else ""}">{safe(note.text, 1500)}</li>' for note in notes(found)
    )
    return _section("What to know", f'<ul class="notes">{lines}</ul>' if lines else '<p class="facts">Nothing.</p>')


def _broken(found: Inspection) -> str:
    if not found.problems:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{named(problem.source, 120)}</th><td>{safe(problem.reason, 400)}</td></tr>'
        for problem in found.problems[:_BROKEN]
    )
    rest = len(found.problems) - _BROKEN
    more = f'<p class="note">and {rest:,} more; --json FILE names all</p>' if rest > 0 else ""
    content = (
        f"<details{' open' if len(found.problems) <= 20 else ''}><summary>What, and why</summary>"
        f"{_searched('broken', rows, len(found.problems))}{more}</details>"
    )
    return _section("Broken", content, f"{len(found.problems):,}")


def _searched(name: str, rows: str, count: int) -> str:
    """Return a table of photographs, with a search field if it is long."""
    search = tools(name, "tr", {}) if count > _SEARCHED else ""
    return f'{search}<table class="skipped"><tbody id="{name}">{rows}</tbody></table>'


def _tags(found: Inspection) -> str:
    rows = [(counted(number, "tag"), found.tags[number]) for number in sorted(found.tags)]
    if len(rows) > 12:
        rows = [*rows[:11], (f"{sorted(found.tags)[11]} tags or more", sum(count for _, count in rows[11:]))]
    return _section("Tags per photograph", _chart(rows))


def _sizes(found: Inspection) -> str:
    if not found.sizes:
        return _section("Sizes", '<p class="facts">No photograph can be read.</p>')
    sides, shapes = Counter[int](), Counter[int]()
    for (height, width), count in found.sizes.items():
        sides[_power(max(height, width))] += count
        shapes[int(np.searchsorted(_WIDE, width / height))] += count
    length = [(f"{2**power}\u2009\u2013\u2009{2 ** (power + 1) - 1}", sides[power]) for power in sorted(sides)]
    names = ("very tall", "tall", "a little tall", "square", "a little wide", "wide", "very wide")
    least, most = min(found.sizes, key=math.prod), max(found.sizes, key=math.prod)
    span = (
        f"All are {_size(least)}"
        if len(found.sizes) == 1
        else (f"{len(found.sizes):,} different sizes, {_size(least)} to {_size(most)}")
    )
    shape = _chart([(names[i], shapes[i]) for i in sorted(shapes)], "Shape")
    note = f'<p class="note">{span} pixels (width \u00d7 height).</p>'
    return _section("Sizes", _chart(length, "Longer side, pixels") + shape + note)


def _power(side: int) -> int:
    return int(math.log2(side))


def _size(size: tuple[int, int]) -> str:
    return f"{size[1]}\u2009\u00d7\u2009{size[0]}"


def _chart(rows: Iterable[tuple[str, int]], title: str = "") -> str:
    rows = list(rows)
    most = max((count for _, count in rows), default=1)
    lines = "".join(
        f'<tr><th scope="row">{name}</th><td>{bar(count / most)}</td><td class=num>{count:,}</td></tr>'
        for name, count in rows
    )
    head = f'<thead><tr><th scope="col" colspan="3">{title}</th></tr></thead>' if title else ""
    return (
        '<table class="chart"><colgroup><col class="name"><col><col class="value"></colgroup>'
        f"{head}<tbody>{lines}</tbody></table>"
    )


def _classes(found: Inspection, colours: UInt8[np.ndarray, "256 3"]) -> str:
    ranked = sorted(found.classes, key=lambda one: (-one.photographs, one.id))
    most = max(one.photographs for one in ranked) or 1
    titles = ["tagged", "alone", *(["in ground truth", "% of pixels"] if found.read_ground_truth else [])]
    pixels = sum(one.truth_pixels for one in found.classes)
    rows = []
    for one in ranked:
        cells = [f"{one.photographs:,}", f"{one.alone:,}"]
        if found.read_ground_truth:
            cells += [f"{one.in_truth:,}", f"{100 * one.truth_pixels / pixels:.2f}" if pixels else DASH]
        rows.append(
            f'<tr><th scope="row">{swatch(colours[one.id])}{named(one.name, 24)}</th>'
            f"<td>{bar(one.photographs / most)}</td>{''.join(f'<td class=num>{cell}</td>' for cell in cells)}</tr>"
        )
    chart = _class_table(rows[:_OPEN], titles)
    if len(rows) > _OPEN:
        rest = _class_table(rows[_OPEN:], titles)
        chart += f"<details><summary>The other {len(rows) - _OPEN} classes</summary>{rest}</details>"
    truth = " In ground truth: masks that show the class. % of pixels: its share of the pixels of all these classes."
    note = "Tagged: photographs with the class. Alone: those without another tag." + (
        truth if found.read_ground_truth else ""
    )
    return _section("Classes", f'{chart}<p class="note">{note}</p>', "most photographs first")


def _class_table(rows: Sequence[str], titles: Sequence[str]) -> str:
    heads = "".join(f'<th scope="col" class="num">{title}</th>' for title in titles)
    return (
        '<table class="chart counts"><colgroup><col class="name"><col>'
        f"{'<col class=value>' * len(titles)}</colgroup>"
        f"<thead><tr><td></td><td></td>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _matrix(found: Inspection) -> str:
    counts = found.together.diagonal()
    ranked = [one.id for one in sorted(found.classes, key=lambda one: (-one.photographs, one.id)) if one.photographs]
    shown = ranked[:_DRAWN]
    if len(shown) < 2:
        return ""
    values = found.together[np.ix_(shown, shown)] / np.maximum(counts[shown][:, None], 1)
    title = "Which classes come together"
    note = "Row: share, in percent, of the photographs of this class that also show the column's class"
    image = draw_matrix(
        values,
        [found.table.names[index] for index in shown],
        None,
        title,
        note,
    )
    width, height = image.size
    picture = np.asarray(image.convert("RGB"))
    rest = f" The {_DRAWN} most frequent of {len(ranked)}." if len(ranked) > _DRAWN else ""
    alt = f"Matrix: {title}. {note}. Most often: {_closest(values, [found.table.names[index] for index in shown])}."
    return _section(
        "Classes that come together",
        f'<img class="matrix" src="{data_uri(picture)}" width="{width}" height="{height}" alt="{safe(alt, 600)}">'
        f'<p class="note">100: the row’s class always comes with the column’s class.{rest}</p>',
    )


def _closest(values: Float[np.ndarray, "n n"], names: Sequence[str]) -> str:
    """Return the pairs with the largest shares in words."""
    pairs = np.where(np.eye(len(names), dtype=bool), 0, values)
    best = [divmod(int(place), len(names)) for place in np.argsort(-pairs, axis=None, kind="stable")[:_SPOKEN]]
    said = [f"{names[i]} with {names[j]} {percent(pairs[i, j], 0)}" for i, j in best if pairs[i, j] > 0]
    return ", ".join(said) or "never"


def _duplicates(found: Inspection) -> str:
    if not found.duplicates:
        return ""
    ranked = sorted(found.duplicates, key=lambda group: group.same_tags)
    rows = "".join(
        f'<tr><th scope="row">{"same tags" if group.same_tags else "other tags"}</th>'
        f"<td>{', '.join(named(source, 120) for source in group.sources[:20])}</td></tr>"
        for group in ranked[:_GROUPS]
    )
    rest = f'<p class="note">and {len(ranked) - _GROUPS:,} more groups</p>' if len(ranked) > _GROUPS else ""
    return _section(
        "Photographs with the same content",
        f"<details><summary>Which</summary>{_searched('duplicates', rows, len(ranked))}{rest}</details>",
        counted(len(ranked), "group"),
    )


def _pictures(found: Inspection, colours: UInt8[np.ndarray, "256 3"], limit: int) -> str:
    cards, left = list[str](), 0
    for one in sorted(found.classes, key=lambda one: (one.photographs, one.id)):
        card = _card(one, found, colours)
        if card and (left or len(encoded(card)) > limit):
            left += 1
        elif card:
            limit -= len(encoded(card))
            cards.append(card)
    note = f" {counted(left, 'class', 'classes')} left out, so that the page stays small." if left else ""
    return (
        '<section><h2>Photographs</h2><p class="lead">A few of each class, the rarest class first'
        f"{', with the ground truth beside them' if found.read_ground_truth else ''}.{note}</p>"
        f'{tools("photographs", "article", _choices(found))}<div id="photographs">{"".join(cards)}</div></section>'
    )


def _choices(found: Inspection) -> dict[str, tuple[str, list[tuple[str, str]]]]:
    ranked = sorted((one for one in found.classes if one.photographs), key=lambda one: one.name)
    classes = [(str(one.id), safe(one.name, 40)) for one in ranked]
    orders = [("first", "rarest class first"), ("last", "most frequent class first"), ("name", "by name")]
    return {"class": ("Class", [("", "all"), *classes]), "sort": ("Order", orders)}


def _card(one: ClassCensus, found: Inspection, colours: UInt8[np.ndarray, "256 3"]) -> str:
    figures, shown = list[str](), list[str]()
    for name in found.shown.get(one.id, ()):
        picture = found.pictures.get(name)
        if picture is None:
            continue
        shown.append(name)
        figures.append(figure(picture.photograph, name, f"Photograph {name}, tagged {one.name}", side=SIDE))
        if picture.truth is not None:
            figures.append(figure(picture.truth, "Ground truth", f"Ground truth of {name}", side=SIDE))
    if not figures:
        return ""
    return (
        f'<article data-classes="{one.id}" data-also="{safe(" ".join(shown), 4000)}"><header><h3>'
        f"{swatch(colours[one.id])}{named(one.name)}</h3>"
        f'<p class="facts">{counted(one.photographs, "photograph")}</p></header>'
        f'<div class="panels">{"".join(figures)}</div></article>\n'
    )
