"""The job: scan, train, make masks; interrupted anywhere, the next call goes on and ends with the same masks."""

import importlib.metadata
import platform
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

import dhr
from dhr.data.samples import DataSet, Problem, Sample
from dhr.errors import ConfigError, ItemError
from dhr.files import is_own_file
from dhr.job.deterministic import make_deterministic
from dhr.job.folder import OutputFolder
from dhr.job.masks import MaskMaker
from dhr.job.meter import Meter
from dhr.job.models import Models, build_models, finish
from dhr.job.record import ItemRecord
from dhr.job.scan import Scan, scan
from dhr.job.settings import RunConfig, plain
from dhr.job.survey import make_survey
from dhr.method.survey import Survey
from dhr.parsing import MAX_RECORD, load_json
from dhr.progress import Progress, Step, silent
from dhr.sources import Given

_LIBRARIES = ("torch", "torchvision", "timm", "numpy", "numba", "pillow")


@dataclass(frozen=True)
class Outcome:
    """What a run ended with."""

    out: Path
    masks: int
    """Finished masks in the output folder."""
    new: int
    """Those of them that this call made."""
    skipped: tuple[Problem, ...]
    stages: tuple[dict[str, str | float], ...]
    """Seconds and peak memory by stage."""
    vanished: int
    """Photographs in whose mask a tagged class has no pixel."""
    notes: tuple[str, ...] = ()
    """What else is to be known of the masks, a sentence each."""


def run(
    data: DataSet,
    out: Path,
    config: RunConfig,
    progress: Progress = silent,
    preset: str = "default",
) -> Outcome:
    """Make a mask for every photograph of ``data`` in the folder ``out``.

    For masks that can be repeated byte for byte, torch is seeded and told to be deterministic, in the whole process.

    Args:
        data: photographs with tags; truth is never read.
        out: a new or empty folder, or one that holds a run of the same data and settings, which is continued.
        config: all settings.
        progress: called as the work goes on.
        preset: name of the settings, for run.json only.

    Raises:
        DataError: no photograph can be read.
        OutputError: ``out`` cannot be written, or holds something else.
        WeightsError: a model's weights cannot be had.
        ConfigError: a setting cannot work.
    """
    device = config.find_device()
    make_deterministic()
    folder = OutputFolder(Path(out))
    with closing(folder.lock()):
        record = folder.read() or {}
        before = record.get("identity", {})
        identity: dict[str, Any] = {
            "dhr": dhr.__version__,
            "libraries": _libraries(),
            "settings": config.identity(device, before.get("settings", {})),
        }
        folder.refuse_other(before, identity)
        meter = Meter(device, rows=record.get("stages", []))
        state: dict[str, Any] = {
            "status": "running",
            "dhr": dhr.__version__,
            "command": sys.argv,
            "preset": preset,
            "seed": config.seed,
            "classes": list(data.classes.names),
            "background": data.classes.background,
            "settings": plain(asdict(config)),
            "versions": _versions(),
            "device": _describe(device),
            "identity": {**before, **identity},
            "stages": meter.rows,
        }
        models = None
        if not record:
            # Weights that cannot be had should be known before hours are spent on reading photographs, and before the
            # folder is of these settings: the next try will have others.
            with meter.stage("models"):
                models = build_models(data, config, folder, device)
            # Files of maps may need other settings, which is known once all of them were looked at.
            open_still = {"settings"} if models.source.reads_files else set()
            now = {key: value for key, value in state["identity"].items() if key not in open_still}
            folder.write_record({**state, "identity": now})
        with meter.stage("scan"):
            found = scan(data, folder, progress)
        identity["photographs and tags"] = found.digest
        folder.refuse_other(before, identity)
        state["identity"] = identity

        todo = _unfinished(folder, found, config)
        notes: tuple[str, ...] = ()
        if todo and models is None:
            with meter.stage("models"):
                models = build_models(data, config, folder, device)
        if todo and models is not None and models.source.reads_files:
            with meter.stage("maps"):
                sizes = {name: (seen.height, seen.width) for name, seen in found.seen.items()}
                checked = models.source.check(found.samples, sizes, progress)
            found = replace(found, samples=checked.samples, problems=(*found.problems, *checked.problems))
            notes = checked.notes
            todo = _unfinished(folder, found, config)
        problems = list(found.problems)
        if todo or record.get("status") != "finished":
            folder.write_record(state)
        if todo:
            assert models is not None
            for fitting in models.source.fittings:
                with meter.stage(fitting.name):
                    finish(fitting, data, found.samples, folder, progress)
                folder.write_record(state)
            made_in = folder.first if config.recursion else folder
            missing = _unfinished(made_in, found, config)
            survey = None
            if config.method.survey > 0 and (missing or config.recursion):
                with meter.stage("survey"):
                    survey = make_survey(models, data, found.samples, config, folder, progress)
                folder.write_record(state)
            with meter.stage("masks"):
                make = MaskMaker(data, models, config, made_in, survey)
                problems += _make_masks(make, found, missing, progress)
            if config.recursion:
                folder.write_record(state)
                problems += _again(models, data, found, config, device, folder, identity, meter, progress, survey)
        if models is not None and models.uss.store is not None:
            state["features"] = models.uss.account()
            notes = (*notes, *_damaged(models.uss.store.damaged))
        outcome = replace(_outcome(folder, found, config, len(todo), problems, meter), notes=notes)
        if todo or record.get("status") != "finished":
            folder.write_record({**state, "status": "finished", **_summary(outcome)})
    return outcome


def _make_masks(
    make: MaskMaker, found: Scan, todo: Sequence[Sample], progress: Progress, stage: str = "masks"
) -> list[Problem]:
    """Make the masks of ``todo``; what could not be made."""
    problems = []
    total = len(found.samples)
    for done, sample in enumerate(todo, start=total - len(todo)):
        progress(Step(stage, done, total))
        try:
            make(sample, found.seen[sample.name].digest)
        except ItemError as error:
            problems.append(Problem(sample.source, str(error)))
        except (MemoryError, torch.OutOfMemoryError):
            problems.append(Problem(sample.source, "not enough memory to work on it; lower --image.long-side"))
    progress(Step(stage, total, total))
    return problems


def _again(
    models: Models,
    data: DataSet,
    found: Scan,
    config: RunConfig,
    device: torch.device,
    folder: OutputFolder,
    identity: dict[str, Any],
    meter: Meter,
    progress: Progress,
    survey: Survey | None,
) -> list[Problem]:
    """Recursion: a student learns the masks of ``folder.first``, its maps make the next; what could not be made."""
    from dhr.job.students import Masks, joint_course, trained_student
    from dhr.sources.student import StudentSource
    from dhr.train.fabric import make_fabric

    fabric = make_fabric(config.student_training, device)
    if fabric.world_size > 1:
        raise ConfigError("dhr run works in one process; with several, use dhr train")
    first = {sample.name for sample in _unfinished(folder.first, found, config)}
    usable = [sample for sample in found.samples if sample.name not in first]
    with meter.stage("student"):
        learned = trained_student(
            data, usable, lambda: joint_course(models, config, data.classes, fabric, masks=True, survey=survey),
            Masks(folder.first.masks, data.classes), config, folder, fabric, {"identity": identity},
            progress,
        )  # fmt: skip
    found = replace(found, samples=tuple(usable))
    todo = _unfinished(folder, found, config)
    with meter.stage("second masks"):
        second = Models(StudentSource(Given(config, data.classes, device), learned.student), models.uss)
        make = MaskMaker(data, second, config, folder, survey)
        made = _make_masks(make, found, todo, progress, "second masks")
    return [*learned.problems, *made]


def _unfinished(folder: OutputFolder, found: Scan, config: RunConfig) -> list[Sample]:
    """Photographs without a mask of their present content; records are written last, after the masks."""
    return [sample for sample in found.samples if not _is_made(folder, sample, found.seen[sample.name].digest, config)]


def _is_made(folder: OutputFolder, sample: Sample, digest: str, config: RunConfig) -> bool:
    masks = [folder.mask(sample.name), *([folder.training_mask(sample.name)] if config.doubtful > 0 else [])]
    item = _item(folder, sample)
    return item is not None and item.digest == digest and all(map(is_own_file, masks))


def _item(folder: OutputFolder, sample: Sample) -> ItemRecord | None:
    """The record of a finished photograph; None if there is none, or it is damaged: then the mask is made again."""
    try:
        return ItemRecord.parse(load_json(folder.item(sample.name), MAX_RECORD))
    except (OSError, ValueError):
        return None


def _outcome(
    folder: OutputFolder,
    found: Scan,
    config: RunConfig,
    todo: int,
    problems: Sequence[Problem],
    meter: Meter,
) -> Outcome:
    unfinished = {sample.name for sample in _unfinished(folder, found, config)}
    finished = [sample for sample in found.samples if sample.name not in unfinished]
    items = [_item(folder, sample) for sample in finished]
    vanished = sum(item is not None and bool(item.vanished) for item in items)
    made = len(finished) - (len(found.samples) - todo)
    return Outcome(folder.root, len(finished), made, tuple(problems), tuple(meter.rows), vanished)


def _damaged(kept: Sequence[str]) -> tuple[str, ...]:
    """Kept features that were damaged, in one line."""
    more = f"; {len(kept) - 1} more were damaged, too" if len(kept) > 1 else ""
    return (f"{kept[0]}; computed again{more}",) if kept else ()


def _summary(outcome: Outcome) -> dict[str, Any]:
    return {
        "stages": list(outcome.stages),
        "notes": list(outcome.notes),
        "seconds": round(sum(float(row["seconds"]) for row in outcome.stages), 3),
        "counts": {
            "photographs": outcome.masks + len(outcome.skipped),
            "masks": outcome.masks,
            "skipped": len(outcome.skipped),
            "with a vanished class": outcome.vanished,
        },
        "skipped": [asdict(problem) for problem in outcome.skipped],
    }


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **_libraries()}


def _libraries() -> dict[str, str]:
    """Versions of what the bytes of a mask depend on."""
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}


def _describe(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)"
