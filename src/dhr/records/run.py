"""The record of a job."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dhr.parsing import MAX_RECORDS, Fields, load_json
from dhr.records.members import VERSION, Amount, Count, parse_record
from dhr.records.problem import Problem

_GROUPS = ("wss", "uss", "classifier")
_DIGESTS = ("weights", "head", "maps", "file")


@dataclass(frozen=True)
class StageRecord:
    """A stage of a job: its cost and its state."""

    name: str
    seconds: Amount | None = None
    peak_memory_mb: Amount | None = None
    peak_gpu_memory_mb: Amount | None = None
    turn: Count = 1
    """How many times it was begun with other photographs or settings, from 1."""
    begun: bool = True
    """Whether its present files belong to this turn."""
    made: bool = True
    """Whether it is finished."""


@dataclass(frozen=True)
class SourceRecord:
    """What the calibration found out about a map source and a class."""

    source: str
    name: str
    """The class."""
    photographs: Count
    """Photographs with the tag that were looked at."""
    used: bool
    """Whether its maps of the class count."""
    why: str
    """Why they count, or why not."""
    follows: float
    """Whether the maps follow the tags, -1..1; 0 is chance."""
    agrees: float
    """Whether the maps agree with the other evidence, -1..1; 0 is chance."""


@dataclass(frozen=True)
class SurveyRecord:
    """What the survey found out about itself and about the maps, without ground truth."""

    trust: float
    """Whether the survey finds the classes where they are tagged, and only there, 0..1."""
    weight: float
    """Its weight in the masks, 0..1: `method.survey`, more with a low agreement, less with a low trust."""
    agreement: Mapping[str, float] = field(default_factory=dict)
    """Whether the maps of a class agree with other photographs, 0..1, by class name; 0 is chance."""


@dataclass(frozen=True)
class DataRecord:
    """A data folder, and how it was read; see `dhr.DataFolder`."""

    path: str
    """The absolute path, without links."""
    format: str = "auto"
    split: str | None = None
    ignore_unknown: bool = False


@dataclass(frozen=True)
class TaughtRecord:
    """The corrections that a run has learned from."""

    digest: str
    """Digest of their masks, tags and states."""
    masks: Count
    """Accepted and mended masks among them."""
    changed: Count | None = None
    """Other masks that changed when they were made again; null until all are made."""
    pixels: Count | None = None
    """Pixels that changed in these."""


@dataclass(frozen=True)
class Identity:
    """Everything that must stay the same while a job goes on."""

    dhr: str = ""
    """Version of dhr."""
    libraries: Mapping[str, str] = field(default_factory=dict)
    """Versions of the libraries that the bytes of a mask depend on."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings on which the result depends; files of weights by content."""
    data: str | None = None
    """Digest of photographs, tags and classes; null before the scan."""
    masks: str | None = None
    """Digest of the masks that a student is trained on."""
    student: str | None = None
    """Digest of the student that makes the masks."""


@dataclass(frozen=True)
class RunRecord:
    """A job: ``run.json``."""

    identity: Identity = field(default_factory=Identity)
    status: Literal["running", "finished"] = "running"
    kind: str = "run"
    """`run`, `train`, `predict` or `head`."""
    dhr: str | None = None
    """Version of dhr."""
    command: tuple[str, ...] = ()
    """The command line of the last call."""
    preset: str | None = None
    seed: Count | None = None
    device: str | None = None
    classes: tuple[str, ...] | None = None
    """Names of the classes; ids are places in this list."""
    background: bool | None = None
    """Whether the first class is the background."""
    data: DataRecord | None = None
    """The data folder of the last call; null for photographs in memory."""
    directory: str | None = None
    """The working directory of the last call: relative paths in `settings` begin there."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    stages: tuple[StageRecord, ...] = ()
    redo: str | None = None
    """The first stage that an unfinished call makes again; all later ones follow."""
    notes: tuple[str, ...] = ()
    """Facts on the result, one sentence each."""
    seconds: Amount | None = None
    counts: Mapping[str, Count] = field(default_factory=dict)
    """Number of photographs, masks, skipped photographs, masks with a vanished class."""
    photographs: Count | None = None
    """Photographs that a training used."""
    masks: Count | None = None
    """Masks of `dhr predict`."""
    strange: tuple[str, ...] | None = None
    """Masks of `dhr predict` without a photograph."""
    skipped: tuple[Problem, ...] = ()
    """Photographs that were left out."""
    rows: bool = False
    """Whether masks and records are rows of Parquet files in `rows`, which several machines made."""
    shards: bool = False
    """Whether the files of photographs are in sub-folders `shard-00` to `shard-ff`, because more than 10,000 of them
    would be in one folder."""
    batch: Count | None = None
    """Photographs that go through the networks together. A call that goes on keeps it, because the last bits of masks
    depend on it."""
    calibration: tuple[SourceRecord, ...] = ()
    """With several map sources: what their calibration found out."""
    survey: SurveyRecord | None = None
    """What the data decided about the survey; null without one."""
    taught: TaughtRecord | None = None
    """The corrections that the survey has learned from."""
    features: Mapping[str, Any] | None = None
    """Use of the feature store."""
    fitted: Mapping[str, Mapping[str, Count]] = field(default_factory=dict)
    """By training: the values of settings that were 0, chosen from the photographs and the device."""
    version: Count = VERSION

    @staticmethod
    def parse(value: Any, *, lenient: bool = False) -> "RunRecord":
        """Read the value of ``run.json``, also of an older version.

        Raises:
            ValueError: it is of another program, or damaged.
        """
        record = parse_record(RunRecord, _upgraded(value), lenient=lenient)
        if not lenient:
            _check_settings(Fields(record.identity.settings, "identity.settings"))
        return record


def read_run(path: Path) -> RunRecord:
    """Read the record of a job.

    Raises:
        OSError: it cannot be read; ``strerror`` gives the reason.
        ValueError: it is of another program, or damaged.
    """
    return RunRecord.parse(load_json(path, MAX_RECORDS))


def read_run_leniently(path: Path) -> RunRecord:
    """Read the record of a job as far as possible; damaged members take their defaults."""
    try:
        return RunRecord.parse(load_json(path, MAX_RECORDS), lenient=True)
    except (OSError, ValueError):
        return RunRecord(Identity())


def _upgraded(value: Any) -> Any:
    """Convert a record without a version, of dhr before 1.0, to version 1."""
    if not isinstance(value, dict) or "version" in value:
        return value
    found = dict(value)
    if isinstance(found.get("command"), str):
        found["kind"] = found.pop("command").replace("uss train", "head")
    if isinstance(identity := found.get("identity"), dict):
        data = next((identity[key] for key in ("photographs and tags", "photographs") if key in identity), None)
        known = ("dhr", "libraries", "settings", "masks", "student")
        if found.get("kind") == "predict" and isinstance(identity.get("settings"), dict):
            identity = {**identity, "settings": {**identity["settings"], "tags": identity.get("tags") is not None}}
        found["identity"] = {"data": data, **{key: identity[key] for key in known if key in identity}}
    return found


def _check_settings(settings: Fields) -> None:
    """Check the settings that a later call uses."""
    for name in ("features", "classifier"):
        if name in settings and not (name == "classifier" and isinstance(settings.value(name), dict)):
            settings.text(name)
    for group in _GROUPS:
        if isinstance(settings.object().get(group), dict) or (group in settings and group != "classifier"):
            part = settings.fields(group)
            for name in _DIGESTS:
                if name in part:
                    part.text(name)
