"""The output folder. One job holds it; the same job can continue in it; other jobs are refused."""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import UInt8

from dhr.corrections.places import LOCK, MASKS, ROOT, RUN_LOCK
from dhr.data.images import mask_bytes
from dhr.errors import OutputError
from dhr.files import (
    TEMPORARY_SUFFIX,
    digest_regular,
    inside,
    is_own_file,
    move,
    remove,
    remove_temporaries,
    remove_tree,
    write_bytes,
    write_json,
)
from dhr.gone import put_aside
from dhr.locks import exclusive, hold
from dhr.parsing import MAX_RECORDS, load_json
from dhr.records.members import to_json
from dhr.records.run import RunRecord
from dhr.shards import files_in, place, too_many

_FOLDERS = (
    *("masks", "items", "work", "stages", "cams", "training_masks", "training", "first"),
    *("gone", ROOT),
)
_CELLS, _FEATURES, _SOURCES, _BEFORE = "work/survey", "work/uss", "work/calibration", "work/before"


@dataclass(frozen=True)
class OutputFolder:
    """The places of all files of a run; see docs/design.md.

    The folder may come from somebody else. A link in the place of one of its folders is refused (OutputError), because
    writing or deletion could follow it elsewhere. A link in the place of a file is never written through.
    """

    root: Path
    shards: bool = False
    """Whether files of photographs are written into shards (:mod:`dhr.shards`). Files without a shard stay in place."""

    def with_shards(self, before: RunRecord | None, names: Iterable[str]) -> "OutputFolder":
        """Decide whether the folder has shards: it had them, or these and its finished photographs are too many."""
        return replace(self, shards=(before is not None and before.shards) or too_many({*names, *self.recorded()}))

    def recorded(self) -> Iterator[str]:
        """Return the names of the photographs with a record."""
        return (name for name, _ in files_in(self._folder("items"), ".json", self.shards))

    @property
    def record(self) -> Path:
        """The record of the job."""
        return self._file("run.json")

    @property
    def scan(self) -> Path:
        """The record of the scan."""
        return self._file("work/scan.json")

    def checkpoint(self, name: str) -> Path:
        """Return the place of the state of a training after its last epoch."""
        return self._file(f"work/{name}.checkpoint")

    def fitted(self, file: str) -> Path:
        """Return the place of the result of a training of the map source."""
        return self._file(file)

    @property
    def head(self) -> Path:
        """The trained head of USS features."""
        return self._file("head.safetensors")

    @property
    def calibration(self) -> Path:
        """The calibration of several map sources."""
        return self._file("calibration.safetensors")

    def source_cells(self, name: str) -> Path:
        """Return the place of the cells of a photograph that the calibration keeps until it is finished."""
        return self._file(self._place(_SOURCES, name, ".safetensors"))

    @property
    def survey(self) -> Path:
        """Discriminants of the classes, from all photographs."""
        return self._file("survey.safetensors")

    def survey_cells(self, name: str) -> Path:
        """Return the place of the draft of a photograph, or of its cells, which a run keeps."""
        return self._file(self._place(_CELLS, name, ".safetensors"))

    @property
    def all_survey_cells(self) -> list[Path]:
        """The files that :meth:`survey_cells` names, of all photographs."""
        return [*self._folder(_CELLS).rglob("*.safetensors")]

    @property
    def student(self) -> Path:
        """The trained student."""
        return self._file("student.safetensors")

    @property
    def training(self) -> Path:
        """Checkpoints, log and pictures of the student's training."""
        return self._folder("training")

    @property
    def first(self) -> "OutputFolder":
        """The folder of the first masks of a run with recursion."""
        return OutputFolder(self._folder("first"), self.shards)

    def features(self, name: str) -> Path:
        """Return the place of the USS features of a photograph, for the student's training."""
        return self._file(self._place(_FEATURES, name, ".safetensors"))

    @property
    def masks(self) -> Path:
        """The final masks of all photographs."""
        return self._folder("masks")

    def mask(self, name: str) -> Path:
        """Return the place of the final mask of a photograph."""
        return self._file(self._place("masks", name))

    def training_mask(self, name: str) -> Path:
        """Return the place of the final mask of a photograph without its doubtful pixels."""
        return self._file(self._place("training_masks", name))

    def stage(self, stage: str, name: str) -> Path:
        """Return the place of the mask of a photograph after a step of the method."""
        return self._file(self._place(f"stages/{stage}", name))

    def cams(self, name: str) -> Path:
        """Return the place of the CAMs of a photograph."""
        return self._file(self._place("cams", name, ".npz"))

    def item(self, name: str) -> Path:
        """Return the place of the record of a photograph, which is written last."""
        return self._file(self._place("items", name, ".json"))

    def lock(self) -> IO[bytes]:
        """Make the folder and hold it until the returned file is closed, or the process ends.

        Raises:
            OutputError: it cannot be written, holds something else than a run, or another process holds it.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            for name in _FOLDERS:
                self._folder(name)  # one link in their place would make every photograph fail
            foreign = sorted(path.name for path in self.root.iterdir() if _foreign(path.name))
            if foreign and not self.record.is_file():
                raise OutputError(
                    f"{self.root} holds {len(foreign)} things that are not of a run ({', '.join(foreign[:3])}); "
                    "choose an empty or new folder with --out"
                )
        except OSError as error:
            raise OutputError(
                f"cannot write to the output folder {self.root} ({error.strerror}); choose another with --out"
            ) from error
        corrections = self._folder(ROOT).is_dir()
        with exclusive(self.root, LOCK) if corrections else nullcontext():  # else a save could hold the run just now
            file = hold(self.root, RUN_LOCK)
            remove_temporaries(self.root)  # only now: until then they may be another process's
        return file

    def read(self) -> RunRecord | None:
        """Read the record of the job; return None in a new folder.

        Raises:
            OutputError: it is damaged, or of another program.
        """
        if not self.record.is_file():
            return None
        try:
            value = load_json(self.record, MAX_RECORDS)
            if isinstance(value, dict) and "identity" not in value:
                raise ValueError("identity: expected, but it is missing")
            return RunRecord.parse(value)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"{self.record} cannot be read ({reason}); choose another --out") from error

    def write_record(self, record: RunRecord) -> None:
        """Write run.json."""
        write_json(self.record, to_json(record))

    def remove_partial(self, stage: str | None = None) -> None:
        """Delete the temporary files of a stage; by default those of all stages but the survey, whose drafts stay."""
        names = (
            [path.name for path in (self.root / "work").glob("*.checkpoint")]
            if stage is None
            else [f"{stage}.checkpoint"]
        )
        for name in names:
            remove(self.root, f"work/{name}")
        if stage in (None, "calibration"):
            remove_tree(self.root, _SOURCES)
        if stage == "survey":
            remove_tree(self.root, _CELLS)
        if stage is None:
            remove_tree(self.root, _BEFORE)
        if stage in (None, "student"):
            remove_tree(self.root, _FEATURES)

    def remove_features(self, name: str) -> None:
        """Delete USS features of a photograph that are damaged."""
        remove(self.root, self._place(_FEATURES, name, ".safetensors"))

    def write_mask(self, name: str, labels: UInt8[np.ndarray, "h w"], palette: UInt8[np.ndarray, "256 3"]) -> bool:
        """Write the mask of a photograph; return whether another one was there, which is put aside.

        One that is a correction is overwritten.
        """
        path, content = self.mask(name), mask_bytes(labels, palette)
        known = (sha256(content).hexdigest(), _digest(self._file(self._place(MASKS, name))))
        aside = is_own_file(path) and _digest(path) not in known
        if aside:
            self.put_aside(self._place("masks", name))
        write_bytes(path, content)
        return aside

    def remove_mask(self, name: str) -> None:
        """Delete the mask of a photograph that is made again."""
        remove(self.root, self._place("masks", name))

    def replaced(self, name: str) -> Path:
        """Return the place of a mask that is made again, until all are made: it shows what changed."""
        return self._file(self._place(_BEFORE, name))

    def set_apart(self, name: str) -> None:
        """Move the mask of a photograph that is made again to its place in :meth:`replaced`."""
        move(self.root, self._place("masks", name), self._place(_BEFORE, name))

    def remove_item(self, name: str) -> None:
        """Delete the record of a photograph whose mask is made again."""
        remove(self.root, self._place("items", name, ".json"))

    def put_aside(self, relative: str) -> None:
        """Move a file or folder to ``gone/``, if it is there; nothing in there is overwritten."""
        put_aside(self.root, relative)

    def put_photograph_aside(self, name: str) -> None:
        """Move everything of a photograph to ``gone/``, its record last; its draft is deleted."""
        stages = sorted(path.name for path in (self.root / "stages").glob("*"))
        kinds = ["masks", "training_masks", *(f"stages/{stage}" for stage in stages)]
        for kind in kinds:
            self.put_aside(self._place(kind, name))
        self.put_aside(self._place("cams", name, ".npz"))
        remove(self.root, self._place(_CELLS, name, ".safetensors"))
        self.put_aside(self._place("items", name, ".json"))

    def _place(self, folder: str, name: str, suffix: str = ".png") -> str:
        """Return the place of a photograph's file, relative to the root."""
        return place(self.root, folder, name, suffix, self.shards)

    def _file(self, relative: str) -> Path:
        return inside(self.root, relative, may_be_link=True)  # writers refuse a link; deletion removes the link only

    def _folder(self, relative: str) -> Path:
        return inside(self.root, relative)


def _digest(path: Path) -> str | None:
    """The SHA-256 of a file, in hex; None if it cannot be read."""
    try:
        return digest_regular(path)
    except OSError:
        return None


def _foreign(name: str) -> bool:
    return name != RUN_LOCK and not (name.startswith(".") and name.endswith(TEMPORARY_SUFFIX))
