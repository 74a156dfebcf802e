"""What the calibration of several map sources found out, as a table of the report."""

from dhr.records.run import RunRecord
from dhr.report.text import named, safe
from dhr.words import counted


def sources(run: RunRecord) -> str:
    """Return the section on the sources; nothing for a run with a single source."""
    rows = run.calibration
    if not rows:
        return ""
    left_out = sum(not one.used for one in rows)
    body = "".join(
        f'<tr><th scope="row">{named(one.name, 32)}</th><td>{safe(one.source, 32)}</td>'
        f"<td class=num>{one.photographs:,}</td><td>{'yes' if one.used else '<span class=bad>no</span>'}</td>"
        f"<td class=num>{one.follows:.2f}</td><td class=num>{one.agrees:.2f}</td><td>{safe(one.why, 300)}</td></tr>"
        for one in sorted(rows, key=lambda one: (one.used, one.name, one.source))
    )
    head = "".join(
        f'<th scope="col">{text}</th>'
        for text in ("Class", "Source", "Photographs", "Used", "Follows tags", "Agrees", "Why")
    )
    summary = f"{counted(left_out, 'pair')} of class and source left out" if left_out else "All sources count for all"
    return (
        f'<section><h2>Map sources</h2><div class="panel"><details><summary>{summary}</summary>'
        f"<table class=skipped><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        '<p class="note">Follows tags: how often a map is higher with the tag than without it. Agrees: how often it is '
        "higher in the class than elsewhere, by the other sources and the survey. 0 is chance, 1 is always. Ground "
        "truth is not used.</p></details></div></section>"
    )
