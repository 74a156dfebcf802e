"""Prints the results of runs, trainings and predictions."""

from typing import TYPE_CHECKING

from rich.markup import escape

from dhr.api.results import PredictResult, RunResult, TrainResult
from dhr.cli.terminal import Terminal, table
from dhr.corrections.decisions import rejected_note
from dhr.data.classes import enumeration
from dhr.results.places import mask_folder
from dhr.words import counted

if TYPE_CHECKING:
    from dhr.job.dry_run import DryRun


def dry_run(terminal: Terminal, result: RunResult | TrainResult, work: "DryRun") -> None:
    """Print the work that is left."""
    terminal.notes((*result.notes, *rejected_note(work.rejected)))
    terminal.left_out(result.left_out)
    if work.changes:
        terminal.say(work.changes)
    for names, what in (
        (work.gone, "gone; its files would be put aside"),
        (work.corrected, "with the mask of a person, which stays"),
        (work.outdated, "with an outdated correction, which is not used"),
    ):
        if names:
            terminal.say(f"{counted(len(names), 'photograph')} {what}: {enumeration(names)}")
    rows = table(["stage"], ["photographs"])
    rows.add_column("why", overflow="fold")
    for stage in work.stages:
        rows.add_row(stage.name, str(stage.photographs), escape(stage.why))
    if work.stages:
        terminal.print(rows)
    terminal.say("Nothing was done (--dry-run)." if work.stages else "Everything is made; nothing would be done.")


def run(terminal: Terminal, result: RunResult) -> None:
    """Print the stages, the notes, photographs that were left out, and where the report is."""
    if result.dry_run is not None:
        dry_run(terminal, result, result.dry_run)
        return
    rows = table(
        ["stage"],
        ["seconds", "peak memory, MB"],
        escape(f"{counted(result.made, 'mask')} in {mask_folder(result.out)}"),
    )
    for row in result.stages:
        rows.add_row(str(row["name"]), f"{float(row['seconds']):.1f}", f"{float(row['peak_memory_mb']):.0f}")
    terminal.print(rows)
    if result.made > result.new:
        terminal.say(f"{result.made - result.new} of the masks were there already.")
    if result.vanished:
        marks = f"; the report marks {'it' if result.vanished == 1 else 'them'}" if result.report.is_file() else ""
        terminal.say(f"In {counted(result.vanished, 'mask')} a tagged class has no pixel{marks}.")
    terminal.notes(result.notes)
    terminal.left_out(result.left_out, f"all of them are in {result.out / 'run.json'}")
    if result.report.is_file():
        terminal.say(f"Report: {result.report}")


def train(terminal: Terminal, result: TrainResult) -> None:
    """Print where the student and its losses are."""
    if result.dry_run is not None:
        dry_run(terminal, result, result.dry_run)
        return
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
    if result.made and result.report.is_file():
        terminal.say(f"Report: {result.report}")
    terminal.say(f"{counted(result.made, 'mask')} in {mask_folder(result.out)}")
