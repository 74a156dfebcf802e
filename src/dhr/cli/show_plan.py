"""Prints the plan of a run."""

from typing import TYPE_CHECKING

from dhr.api.plan import PlanResult
from dhr.cli.terminal import Terminal, table
from dhr.words import counted, duration, megabytes

if TYPE_CHECKING:
    from dhr.job.estimate import Estimate
    from dhr.job.fingerprint import Fingerprint

_NAMED = 8  # classes in a line


def plan(terminal: Terminal, result: PlanResult) -> None:
    """Print the data set, what is used and why, the cost of the stages, and proposals."""
    found = result.plan
    terminal.notes(result.notes)
    terminal.left_out(result.left_out)
    _data(terminal, found.fingerprint)
    for choice in found.choices:
        terminal.say(f"{choice.what}: {choice.value} ({choice.why})")
    if found.estimate is not None:
        _cost(terminal, found.estimate)
    if found.missing is not None:
        terminal.say(f"Time and memory are unknown: {found.missing}")
    elif not any(one.amount for one in found.work):
        terminal.say("Everything is made; a run would do nothing.")
    for text in found.advice:
        terminal.say(text)


def _data(terminal: Terminal, found: "Fingerprint") -> None:
    kinds = counted(found.classes, "class", "classes") + (" and a background" if found.background else "")
    tags = f"{found.tags:.1f} tags per photograph, up to {found.most_tags}"
    untagged = f", {found.untagged} of them without tags" if found.untagged else ""
    terminal.say(f"Data: {counted(found.photographs, 'photograph')}{untagged}; {kinds}; {tags}.")
    sizes = [f"{width}x{height}" for height, width in (found.median, found.smallest, found.largest)]
    of = "" if found.sizes_of == found.photographs else f" (of {counted(found.sizes_of, 'photograph')})"
    terminal.say(f"Sizes{of}: median {sizes[0]}, smallest {sizes[1]}, largest {sizes[2]}.")
    fewest, median, most = found.per_class
    terminal.say(f"Photographs per class: fewest {fewest}, median {median}, most {most}.")
    for names, what in (
        ([f"{name} ({count})" for name, count in found.few.items()], "Too few photographs to learn well"),
        (list(found.absent), "In no photograph"),
    ):
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            terminal.say(f"{what}: {', '.join(names[:_NAMED])}{more}.")


def _cost(terminal: Terminal, cost: "Estimate") -> None:
    from dhr.job.announce import disk_of

    gpu = any(one.gpu_memory_mb for one in cost.stages)
    rows = table(["stage", "work"], ["time", "range", "memory", *(["GPU memory"] if gpu else [])])
    for one in cost.stages:
        span = f"{duration(one.least)} to {duration(one.most)}" if one.amount else ""
        memory = (one.memory_mb, one.gpu_memory_mb)[: 1 + gpu]
        shown = [megabytes(amount) if one.amount else "" for amount in memory]
        work = counted(one.amount, one.unit.removesuffix("s")) if one.amount else "made, or given"
        rows.add_row(one.name, work, duration(one.seconds), span, *shown)
    terminal.print(rows)
    least, most = cost.seconds
    terminal.say(
        f"Together {duration(least)} to {duration(most)}, up to {megabytes(cost.memory_mb)} of memory, {disk_of(cost)}."
    )
    size = f", shrunk to {cost.side} pixels" if cost.side else ""
    terminal.say(f"Measured on {counted(cost.photographs, 'photograph')}{size}, in {duration(cost.measuring)}.")
