"""Prints what runs, trainings and predictions ended with."""

from rich.markup import escape

from dhr.api.results import PredictResult, RunResult, TrainResult
from dhr.cli.terminal import Terminal, table
from dhr.data.classes import enumeration
from dhr.words import counted


def run(terminal: Terminal, result: RunResult) -> None:
    """Print the stages, notes, what was left out, and where the report is; of a dry run its plan."""
    if result.plan is not None:
        return _plan(terminal, result)
    rows = table(
        ["stage"], ["seconds", "peak memory, MB"], escape(f"{counted(result.made, 'mask')} in {result.out / 'masks'}")
    )
    for row in result.stages:
        rows.add_row(str(row["name"]), f"{float(row['seconds']):.1f}", f"{float(row['peak_memory_mb']):.0f}")
    terminal.print(rows)
    if result.made > result.new:
        terminal.say(f"{result.made - result.new} of the masks were there already.")
    if result.vanished:
        which = "it" if result.vanished == 1 else "them"
        terminal.say(f"In {counted(result.vanished, 'mask')} a tagged class has no pixel; the report marks {which}.")
    terminal.notes(result.notes)
    terminal.left_out(result.left_out, f"all of them are in {result.out / 'run.json'}")
    terminal.say(f"Report: {result.report}")


def _plan(terminal: Terminal, result: RunResult) -> None:
    """Print what a run would do."""
    if result.plan.changes:
        terminal.say(result.plan.changes)
    for stage in result.plan.stages:
        terminal.say(f"{stage.name}: {counted(stage.photographs, 'photograph')} ({stage.why})")
    if not result.plan.stages:
        terminal.say("All masks are made.")
    for what, names in (("gone", result.plan.gone), ("with a mask that a person changed", result.plan.corrected)):
        if names:
            terminal.say(f"{counted(len(names), 'photograph')} {what}: {enumeration(names)}")
    terminal.notes(result.notes)
    terminal.left_out(result.left_out, "all of them are left out of the run")


def train(terminal: Terminal, result: TrainResult) -> None:
    """Print where the student and its losses are."""
    terminal.notes(result.notes)
    terminal.left_out(result.left_out, f"all of them are in {result.out / 'run.json'}")
    terminal.say(f"Losses: {result.log}")
    terminal.say(f"Student of {counted(result.photographs, 'photograph')}: {result.file}")


def train_head(terminal: Terminal, result: TrainResult) -> None:
    """Print where the head is, and how it is used."""
    terminal.left_out(result.left_out, f"all of them are in {result.out / 'run.json'}")
    terminal.say(f"Head of {counted(result.photographs, 'photograph')}: {result.file}")
    terminal.say(f"Use it: {result.use}")


def predict(terminal: Terminal, result: PredictResult) -> None:
    """Print how many masks there are, and which belong to no photograph."""
    terminal.notes(result.notes)
    terminal.left_out(result.left_out, f"all of them are in {result.out / 'run.json'}")
    if result.strange:
        many = len(result.strange)
        count, them = ("1 mask belongs", "it") if many == 1 else (f"{many} masks belong", "them")
        names = enumeration(result.strange)
        terminal.say(f"{count} to no photograph here, or to an older version of one; remove {them}: {names}")
    if result.made:
        terminal.say(f"Report: {result.report}")
    terminal.say(f"{counted(result.made, 'mask')} in {result.out / 'masks'}")
