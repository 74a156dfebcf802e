"""The stages of a run."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import cast

from dhr.data.samples import Sample
from dhr.errors import ConfigError
from dhr.job.calibration import described, make_calibration
from dhr.job.data_job import DataJob
from dhr.job.drafts import Drafts
from dhr.job.job import Stage
from dhr.job.kept import Keeper, Space
from dhr.job.mask_files import MaskFiles
from dhr.job.mask_stage import MaskStage
from dhr.job.masks import MaskMaker
from dhr.job.models import Models, build_models
from dhr.job.notes import put_aside_note, swap_note
from dhr.job.scan import Scan
from dhr.job.survey import make_survey, parted, plan
from dhr.job.taught_masks import Masks, MaskTeaching
from dhr.job.teaching import Teacher
from dhr.records.members import to_json
from dhr.records.run import SurveyRecord
from dhr.sources import Fitting, Given
from dhr.sources.combined import CombinedSource


def models() -> Stage[DataJob]:
    """Make the stage that builds the map source and the USS network.

    In a new folder this comes first. So missing weights are reported before photographs are read for hours, and before
    the folder is bound to these settings.
    """

    def run(job: DataJob) -> None:
        job.models = build_models(job.data, job.config, job.folder, job.device)
        # Files of maps may need other settings; the check of all files decides.
        job.tentative = job.tentative and job.models.source.reads_files

    return Stage("models", run, done=lambda job: job.models is not None)


def photographs(settle: Callable[[DataJob], None]) -> Stage[DataJob]:
    """Make the stage that reads all photographs once; then ``settle`` handles their changes."""

    def run(job: DataJob) -> None:
        job.scan()
        settle(job)

    return Stage("scan", run)


def map_files() -> Stage[DataJob]:
    """Make the stage that checks all files of maps; photographs without a usable file are left out."""

    def run(job: DataJob) -> None:
        found = job.usable
        sizes = {name: (seen.height, seen.width) for name, seen in found.seen.items()}
        checked = job.built.source.check(found.samples, sizes, job.progress)
        job.found = replace(found, samples=checked.samples)
        job.problems += checked.problems
        job.notes += checked.notes
        job.tentative = False

    return Stage("maps", run, done=lambda job: not job.built.source.reads_files)


def training(fitting: Fitting) -> Stage[DataJob]:
    """Make the stage that trains a part of the map source, such as the classifier."""

    def done(job: DataJob) -> bool:
        return job.is_made(fitting.name) and job.folder.fitted(fitting.file).is_file()

    def run(job: DataJob) -> None:
        path = job.folder.fitted(fitting.file)
        if not path.is_file():  # else the call was killed before it could record the file
            if chosen := fitting.chosen(len(job.usable.samples)):
                job.choose(fitting.name, **chosen)
            fitting.fit(job.data, job.usable.samples, job.folder.checkpoint(fitting.name), job.progress)
            fitting.save(path)

    return Stage(fitting.name, run, done)


def calibration() -> Stage[DataJob]:
    """Make the stage that calibrates the maps of several sources, or reads the calibration."""

    def done(job: DataJob) -> bool:
        return "calibration" not in job.chain or not job.first.unfinished(job.usable)

    def run(job: DataJob) -> None:
        found = make_calibration(_drafts(job, job.built, job.usable), job.batch, job.progress)
        cast(CombinedSource, job.built.source).calibration = found.calibration.to(job.device)
        job.record = replace(job.record, calibration=described(found, job.data.classes, job.config.kinds))

    return Stage("calibration", run, done)


def survey() -> Stage[DataJob]:
    """Make the stage that fits the discriminants of the classes, or reads them."""

    def done(job: DataJob) -> bool:
        needed = job.config.recursion or job.first.unfinished(job.usable)
        return "survey" not in job.chain or not needed

    def run(job: DataJob) -> None:
        job.survey = make_survey(_drafts(job, job.built, job.usable), job.teaching, job.batch, job.progress)
        _tell(job)

    return Stage("survey", run, done)


def _tell(job: DataJob) -> None:
    """Tell in run.json what the survey found out."""
    record, names = None, job.data.classes.names
    if (survey := job.survey) is not None:
        agreement = {name: round(one, 3) for name, one in zip(names, survey.agreement.tolist(), strict=True)}
        record = SurveyRecord(round(survey.trust, 3), round(survey.weighed(job.config.method).survey, 3), agreement)
        job.notes += [swap_note(one, names) for one in survey.swaps]
    job.record = replace(job.record, survey=record)


def student_survey(models: Models, masks: MaskTeaching | None) -> Stage[DataJob]:
    """Make the stage that fits the survey of a student with recursion.

    Args:
        models: the trained source of its first maps, and the USS features.
        masks: those that it is trained on. Without them, the survey learns from the maps, as in a run.
    """

    def run(job: DataJob) -> None:
        teaching: Teacher = job.teaching
        if masks is not None:
            # The survey looks at all photographs with a certain mask; more than it plans may not fit into its memory.
            photographs, _ = plan(job.usable.samples, models.uss.channels, job.data.classes.background)
            teaching = replace(masks, names=masks.names & {sample.name for sample in photographs})
        job.survey = make_survey(_drafts(job, models, job.usable), teaching, job.batch, job.progress)
        _tell(job)

    return Stage("survey", run)


def masks() -> Stage[DataJob]:
    """Make the stage that makes the masks of the map source."""
    return Stage("masks", lambda job: _make_masks(job, "masks", _drafts(job, job.built, job.usable)))


def student() -> Stage[DataJob]:
    """Make the stage that trains a student on the first masks of a run with recursion, or reads it."""

    def run(job: DataJob) -> None:
        from dhr.job.student_kinds import begin_joint
        from dhr.job.students import trained_student
        from dhr.train.fabric import make_fabric

        fabric = make_fabric(job.config.student_training, job.device)
        if fabric.world_size > 1:
            raise ConfigError("dhr run works in one process; with several, use dhr train")
        begin = partial(begin_joint, job.built, job, fabric, masks=True)
        masks = Masks(job.folder.first.masks, job.data.classes)
        about = {"identity": to_json(job.record.identity)}
        learned = trained_student(job, _with_first(job).samples, begin, masks, fabric, about)
        job.student = learned.student
        job.problems += learned.problems

    return Stage("student", run)


def second_masks() -> Stage[DataJob]:
    """Make the stage that makes the masks of the student's maps, the result of a run with recursion."""

    def run(job: DataJob) -> None:
        from dhr.sources.student import StudentSource

        source = StudentSource(Given(job.config, job.data.classes, job.device), job.student)
        _make_masks(job, "second masks", _drafts(job, replace(job.built, source=source), _with_first(job), second=True))

    return Stage("second masks", run)


def looked_at(job: DataJob, found: Scan) -> list[Sample]:
    """Return the photographs that the survey looks at, whose batches are apart."""
    if "survey" not in job.chain:
        return []
    return plan(found.samples, job.built.uss.channels, job.data.classes.background)[0]


def _with_first(job: DataJob) -> Scan:
    """Return the photographs with a finished first mask."""
    missing = {sample.name for sample in job.first.unfinished(job.usable)}
    return replace(job.usable, samples=tuple(one for one in job.usable.samples if one.name not in missing))


def _drafts(job: DataJob, models: Models, found: Scan, second: bool = False) -> Drafts:
    """Return the maker of drafts with the maps of ``models``."""
    keeper = Keeper(job.folder, job.data.classes, models.uss.channels)
    return Drafts(models, job.data, found, job.config, keeper, second)


def _make_masks(job: DataJob, stage: str, drafts: Drafts) -> None:
    """Make all unfinished masks; failures become problems of the job.

    Batches are those of the survey, then those of the other photographs.
    """
    items = job.first if stage == "masks" else job.final
    first, others = parted(drafts, looked_at(job, drafts.found), job.batch.whole)
    kept = 0 if drafts.second or "survey" not in job.chain else job.config.work_bytes()  # no update would read them
    maker = MaskMaker(drafts, job.survey)
    masks = MaskStage(maker, MaskFiles(maker, items), job.batch, Space.of(job.folder, kept))
    job.problems += masks.run([*first, *others], stage, job.progress)
    job.notes += put_aside_note(masks.aside, items.folder.root / "gone" / "masks")
