"""A job on the photographs of a data set."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from dhr.corrections import Correction, Corrections
from dhr.data.samples import ClassTable, DataSet
from dhr.data.transforms import working_size
from dhr.flow.halving import BatchSize, automatic
from dhr.job.items import Items
from dhr.job.job import Job
from dhr.job.models import Models
from dhr.job.person_masks import PersonMasks
from dhr.job.scan import Scan, scan
from dhr.job.settings import RunConfig
from dhr.job.teaching import Teaching
from dhr.method.survey import Survey
from dhr.sources import source_type


def stage_names(config: RunConfig) -> tuple[str, ...]:
    """Return the names of the stages of a run that can be made again, in their order."""
    trainings = [name for part in config.parts for name in source_type(part.wss.kind).trainings(part)]
    calibration = ("calibration",) if config.sources else ()
    survey = ("survey",) if config.method.survey > 0 else ()
    student = ("student", "second masks") if config.recursion else ()
    return (*trainings, *calibration, *survey, "masks", *student)


@dataclass(kw_only=True)
class DataJob(Job):
    """A job with photographs and settings."""

    data: DataSet
    config: RunConfig
    found: Scan | None = None
    """The usable photographs; None before the scan."""
    models: Models | None = None
    """The map source and the USS features; None before they are built."""
    survey: Survey | None = None
    student: Any = None
    """The trained student of a run with recursion."""
    reviewed: Corrections | None = None
    """The corrections of the photographs, if they are those of another folder."""

    @cached_property
    def chain(self) -> tuple[str, ...]:
        """Names of the stages of a run that can be made again, in their order."""
        return stage_names(self.config)

    @property
    def usable(self) -> Scan:
        """The photographs that can be used."""
        assert self.found is not None
        return self.found

    @property
    def built(self) -> Models:
        """The map source and the USS features."""
        assert self.models is not None
        return self.models

    @property
    def corrections(self) -> Mapping[str, Correction]:
        """The corrections that hold, by the name of the photograph."""
        return self.usable.decisions.held

    @property
    def teaching(self) -> Teaching:
        """The corrections that the survey learns from."""
        return Teaching(Corrections.of(self.folder.root), self.data.classes, self.corrections)

    @property
    def learns(self) -> tuple[str, ...]:
        """The stages to make again because the run has learned from other corrections than the present ones.

        Networks are not among them: they are trained again only because of other tags, or with `--redo`.
        """
        now, known = self.teaching.record, self.record.taught
        if "survey" not in self.chain or (now and now.digest) == (known and known.digest):
            return ()
        return tuple(name for name in self.chain if name in ("survey", "masks", "second masks"))

    def learn(self) -> None:
        """Record the present corrections as those that the run learns from."""
        if self.learns:
            self.record = replace(self.record, taught=self.teaching.record)

    def forget_masks(self) -> None:
        """Forget which masks are finished."""
        for name in ("first", "final"):
            self.__dict__.pop(name, None)

    @cached_property
    def final(self) -> Items:
        """The final masks."""
        return self._items("second masks" if self.config.recursion else "masks")

    @cached_property
    def first(self) -> Items:
        """The masks from the source's maps; with recursion, the student is trained on them."""
        return self._items("masks") if self.config.recursion else self.final

    @cached_property
    def batch(self) -> BatchSize:
        """The size of batches: what a call with this setting found, else the setting, else what suits the device.

        If memory runs out it is halved, noted and recorded, so that a call that goes on makes the same batches.
        """

        def say(line: str) -> None:
            self.notes.append(f"{line[0].upper()}{line[1:]}.")
            self.save(batch=size.most)

        given, known = self.config.batch, None
        if self.before is not None and given in (0, self.before.settings.get("batch", given)):
            known = self.before.batch
        sizes = [working_size(one.height, one.width, self.config.image.long_side) for one in self.usable.seen.values()]
        pixels = max(height * width for height, width in sizes)
        size = BatchSize(known or given or automatic(self.device, pixels), say, given)
        self.save(batch=size.most)
        return size

    def scan(self) -> None:
        """Read all photographs once; those that cannot be read are problems of the job."""
        self.found = scan(self.data, self.folder, self.progress, self.reviewed)
        self.problems = [*self.found.problems]
        self.notes += self.found.notes
        self.record = replace(self.record, identity=replace(self.record.identity, data=self.found.digest))

    def _items(self, stage: str) -> Items:
        folder = self.folder.first if self.config.recursion and stage == "masks" else self.folder
        turn, doubtful = self.turn(stage), self.config.doubtful > 0
        earlier = None
        if self.before is not None and self.before.classes is not None:
            earlier = ClassTable(self.before.classes, bool(self.before.background))
        person = PersonMasks(
            Corrections.of(self.folder.root), folder, self.data.classes, self.usable.decisions, earlier, doubtful
        )
        return Items(folder, self.data.classes, person, turn, doubtful)
