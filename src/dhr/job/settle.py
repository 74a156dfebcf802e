"""Compares a call with the run in its folder, once, after the scan and before other work."""

from dataclasses import replace

from dhr.files import remove
from dhr.job.changes import Call, Decision, PhotographChanges, decide, to_do
from dhr.job.data_job import DataJob
from dhr.job.items import Items
from dhr.job.notes import gone_note, person_notes
from dhr.progress import Step


def decision(job: DataJob, call: Call) -> Decision:
    """Decide which stages are made again.

    Raises:
        ConfigError: the classifier cannot be kept.
        OutputError: the folder holds another run.
    """
    before, found = job.before, job.usable
    if before is None or before.identity.data is None:
        return Decision()
    table = (job.data.classes.names, job.data.classes.background)
    classes = before.classes is not None and (before.classes, before.background) != table
    changes = PhotographChanges.between(found.before, found.now, classes)
    return decide(job, call, changes)


def settle(job: DataJob, call: Call) -> None:
    """Record the stages to make again, give the masks of people back, and put aside files of missing photographs.

    Each step can be repeated, so a call that is killed in between does no harm.
    """
    decided = decision(job, call)
    before = job.before
    if decided.stages or decided.note:
        job.changes = True
        job.begin_again(decided.stages)
    job.learn()
    if decided.note:
        job.notes.append(decided.note)
        total = len(job.usable.samples)
        job.progress(Step("scan", total, total, note=decided.note))
    if before is not None:
        job.save(redo=decided.redo)
        if any(text.startswith(("libraries", "dhr ")) for text in job.differences(job.record.identity)):
            job.folder.remove_partial("survey")
        _clear(job, decided.drafts)
    job.usable.save(job.folder)
    job.found = replace(job.usable, before=job.usable.now)  # the earlier scan takes memory
    _settle_all(job)
    if job.learns:  # masks that another program changed have become corrections
        _learn_again(job)


def _settle_all(job: DataJob) -> None:
    for items in {id(one): one for one in (job.first, job.final)}.values():
        _settle_masks(job, items)


def _learn_again(job: DataJob) -> None:
    """Have the survey learn from the corrections of now."""
    again = job.learns
    job.notes.append(to_do(str(job.teaching), again, job.chain))
    job.changes = True
    job.begin_again(again)
    job.learn()
    job.save()
    _clear(job, drafts=True)
    job.forget_masks()
    _settle_all(job)


def _clear(job: DataJob, drafts: bool) -> None:
    """Put aside the results of stages that are made again, and delete their temporary files.

    Args:
        drafts: whether the drafts of the survey are kept, because only its discriminants are fitted again.
    """
    unclear = [row for row in job.record.stages if not row.begun]
    for row in unclear:
        if row.name in ("masks", "second masks"):
            continue
        if row.name == "survey" and drafts:
            remove(job.folder.root, job.folder.survey.name)
            continue
        job.folder.put_aside(f"{row.name}.safetensors")
        job.folder.remove_partial(row.name)
        if row.name == "student":
            job.folder.put_aside("training")
    if unclear and "survey" not in job.chain:  # drafts of settings with a survey
        job.folder.remove_partial("survey")
    for row in unclear:
        job.put(replace(row, begun=True))
    if unclear:
        job.save()


def _settle_masks(job: DataJob, items: Items) -> None:
    """Give the masks of people back, move photographs that are gone, and note both."""
    for sample in (*job.usable.samples, *job.usable.rejected):
        items.settle(items.present(sample, job.usable))
    job.notes += person_notes(items.person)
    job.changes = job.changes or items.person.changed
    gone = items.gone([sample.name for sample in job.data.samples])
    for name in gone:
        items.folder.put_photograph_aside(name)
    if gone:
        job.changes = True
        job.notes.append(gone_note(gone, items.folder.root / "gone"))
