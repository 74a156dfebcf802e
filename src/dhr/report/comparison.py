"""The page of ``dhr compare``: the table, the differences from the first row, and IoU by class."""

import math
from collections.abc import Sequence

from dhr.evaluate.bootstrap import NO_INTERVAL, Interval
from dhr.evaluate.scores import WHOLE, ClassScore
from dhr.evaluate.table import SHOWN, Line, RowTable
from dhr.report.charts import bar
from dhr.report.shell import document
from dhr.report.text import DASH, duration, named, percent, safe
from dhr.words import counted


def comparison_page(table: RowTable, title: str) -> str:
    """Return the whole page; names are those that the user gave."""
    first = next(iter(table.scored.values()), None)
    photographs = 0 if first is None else first.photographs
    facts = f"<span>rows <b>{len(table.lines)}</b></span><span>photographs scored <b>{photographs:,}</b></span>"
    body = _rows(table) + _failed(table.failed) + _differences(table) + _classes(table)
    return document("dhr compare", title, facts, body, "table")


def _section(title: str, content: str, anchor: str = "") -> str:
    return f'<section{anchor}><h2>{title}</h2><div class="panel">{content}</div></section>\n'


def _head(*titles: str) -> str:
    columns = '<col class="name">' + '<col class="value">' * len(titles)
    cells = "".join(f'<th scope="col" class=num>{title}</th>' for title in titles)
    return f"<colgroup>{columns}</colgroup><thead><tr><td></td>{cells}</tr></thead>"


def _rows(table: RowTable) -> str:
    titles = (*(WHOLE[name] for name in SHOWN), "time", "published mIoU")
    lines = "".join(_line(line) for line in table.lines)
    for name, one in table.elsewhere.items():
        empty = f"<td class=num>{DASH}</td>" * (len(SHOWN) + 1)
        lines += f'<tr><th scope="row">{named(name)}</th>{empty}<td class=num>{one.miou:.1f}\u2009%</td></tr>'
    sources = "".join(f"<li>{named(name)}: {safe(source, 300)}</li>" for name, source in table.sources.items())
    said = ""
    if sources:
        said = (
            '<p class="note">Published figures were not measured here. Their photographs, tags and programs may be '
            f'others.</p><ul class="notes">{sources}</ul>'
        )
    content = f'<table class="counts">{_head(*titles)}<tbody>{lines}</tbody></table>{said}'
    return _section("All classes", content, ' id="table"')


def _line(line: Line) -> str:
    published = DASH if line.published is None else f"{line.published.miou:.1f}\u2009%"
    time = DASH if line.seconds is None else duration(line.seconds)
    cells = [_score(line, name) for name in SHOWN] + [time, published]
    return f'<tr><th scope="row">{named(line.name)}</th>{"".join(f"<td class=num>{one}</td>" for one in cells)}</tr>'


def _score(line: Line, name: str) -> str:
    if line.scores is None:
        return DASH
    ends = _ends(line.scores.intervals.get(name, NO_INTERVAL))
    return percent(getattr(line.scores, name)) + (f"<br><small>{ends}</small>" if ends else "")


def _ends(ends: Interval, signed: bool = False) -> str:
    if math.isnan(ends.low):
        return ""
    return "…".join(f"{100 * end:+.1f}" if signed else f"{100 * end:.1f}" for end in (ends.low, ends.high))


def _failed(lines: Sequence[Line]) -> str:
    if not lines:
        return ""
    rows = "".join(f'<tr><th scope="row">{named(one.name)}</th><td>{safe(one.reason, 1500)}</td></tr>' for one in lines)
    return _section(
        f"{counted(len(lines), 'row')} without scores", f'<table class="skipped"><tbody>{rows}</tbody></table>'
    )


def _differences(table: RowTable) -> str:
    if not table.differences:
        return ""
    lines = ""
    for one in table.differences:
        cells = ""
        for name in SHOWN:
            change = one.whole[name]
            value = DASH if math.isnan(change.value) else f"{100 * change.value:+.1f}"
            ends = _ends(change.interval, signed=True)
            cells += f"<td class=num>{value}" + (f"<br><small>{ends}</small>" if ends else "") + "</td>"
        lines += f'<tr><th scope="row">{named(one.name)}</th>{cells}</tr>'
    content = f'<table class="counts">{_head(*(WHOLE[name] for name in SHOWN))}<tbody>{lines}</tbody></table>'
    return _section(f"Less {named(table.differences[0].against)}, on the same photographs", content)


def _classes(table: RowTable) -> str:
    """Return IoU by class, with the number of photographs that each class vanished from."""
    scored = table.scored
    if not scored:
        return ""
    lines = ""
    for entries in zip(*(scores.per_class for scores in scored.values()), strict=True):
        if entries[0].truth_pixels:
            cells = "".join(f"<td class=num>{_class(one)}</td>" for one in entries)
            lines += f'<tr><th scope="row">{named(entries[0].name, 24)}</th>{cells}</tr>'
    content = (
        f'<table class="counts">{_head(*(named(name, 30) for name in scored))}<tbody>{lines}</tbody></table>'
        '<p class="note">Below each IoU: from how many photographs that are tagged with the class and show it, it '
        "vanished.</p>"
    )
    return _section("IoU by class", content)


def _class(one: ClassScore) -> str:
    lost = f"<br><small>{one.vanished_pairs} of {one.tagged_pairs}</small>" if one.tagged_pairs else ""
    return percent(one.iou) + bar(one.iou) + lost
