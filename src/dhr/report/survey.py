"""What the survey found out about itself and about the maps, as a table of the report."""

from dhr.records.run import RunRecord
from dhr.report.charts import bar
from dhr.report.text import named

_LOW = 0.25
"""Agreement of a class below which the page warns of its maps."""


def survey(run: RunRecord) -> str:
    """Return the section on the survey; nothing for a run without one."""
    found = run.survey
    if found is None:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{named(name, 32)}</th><td>{bar(value)}</td>'
        f"<td class={_shade(value)}>{value:.2f}</td></tr>"
        for name, value in sorted(found.agreement.items(), key=lambda one: (one[1], one[0]))
    )
    table = (
        '<table class="chart"><colgroup><col class="name"><col><col class="value"></colgroup>'
        f"<tbody>{rows}</tbody></table>"
    )
    return (
        f"<section><h2>Survey <small>weight {found.weight:.2f}, trust {found.trust:.2f}</small></h2>"
        f'<div class="panel"><details><summary>Do other photographs agree with the maps?</summary>{table}'
        '<p class="note">By class, the lowest first; 0 is chance, 1 is always. Look at the masks of classes with '
        "low values. Trust: whether the survey finds classes where they are tagged, and only there. Its weight is "
        "higher where the maps are bad, and lower where the trust is low. Ground truth is not used.</p>"
        "</details></div></section>"
    )


def _shade(value: float) -> str:
    return '"num bad"' if value < _LOW else "num"
