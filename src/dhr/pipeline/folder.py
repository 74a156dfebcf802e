"""The output folder: claimed by one run, continued by the same one, refused to any other."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dhr.errors import OutputError
from dhr.files import TEMPORARY_SUFFIX, remove_temporaries, write_json
from dhr.pipeline.settings import differences

_LOCK = "run.lock"


@dataclass(frozen=True)
class OutputFolder:
    """Where everything of a run lies; see docs/design.md."""

    root: Path

    @property
    def record(self) -> Path:
        """What is known of the run."""
        return self.root / "run.json"

    @property
    def scan(self) -> Path:
        """What the scan found."""
        return self.root / "work" / "scan.json"

    @property
    def checkpoint(self) -> Path:
        """State of the classifier's training after its last epoch."""
        return self.root / "work" / "classifier.pt"

    @property
    def affinity_checkpoint(self) -> Path:
        """State of the training of the heads of `wss.kind irn` after its last epoch."""
        return self.root / "work" / "affinity.pt"

    @property
    def classifier(self) -> Path:
        """The trained classifier."""
        return self.root / "classifier.safetensors"

    @property
    def affinity(self) -> Path:
        """The trained heads of `wss.kind irn`."""
        return self.root / "affinity.safetensors"

    @property
    def survey(self) -> Path:
        """Discriminants of the classes, from all photographs."""
        return self.root / "survey.safetensors"

    @property
    def sightings(self) -> Path:
        """What a survey that is not finished has seen so far."""
        return self.root / "work" / "survey"

    def sighting(self, name: str) -> Path:
        """What it has seen in a photograph."""
        return self.sightings / f"{name}.safetensors"

    @property
    def student(self) -> Path:
        """The trained student."""
        return self.root / "student.safetensors"

    @property
    def training(self) -> Path:
        """Checkpoints, log and pictures of the student's training."""
        return self.root / "training"

    @property
    def first(self) -> "OutputFolder":
        """Where a run with recursion keeps the masks that it starts from."""
        return OutputFolder(self.root / "first")

    def features(self, name: str) -> Path:
        """USS features of a photograph, for the student's training."""
        return self.root / "work" / "uss" / f"{name}.safetensors"

    def mask(self, name: str) -> Path:
        """Final mask of a photograph."""
        return self.root / "masks" / f"{name}.png"

    def training_mask(self, name: str) -> Path:
        """Final mask of a photograph without its doubtful pixels."""
        return self.root / "training_masks" / f"{name}.png"

    def stage(self, stage: str, name: str) -> Path:
        """Mask of a photograph as of a stage."""
        return self.root / "stages" / stage / f"{name}.png"

    def cams(self, name: str) -> Path:
        """CAMs of a photograph."""
        return self.root / "cams" / f"{name}.npz"

    def item(self, name: str) -> Path:
        """Record of a photograph, written last."""
        return self.root / "items" / f"{name}.json"

    def lock(self) -> IO[str]:
        """Make the folder and hold it until the file that is returned is closed, or the process ends.

        Raises:
            OutputError: it cannot be written, holds something else than a run, or another process holds it.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            foreign = sorted(path.name for path in self.root.iterdir() if _foreign(path.name))
            if foreign and not self.record.is_file():
                raise OutputError(
                    f"{self.root} holds {len(foreign)} things that are not of a run ({', '.join(foreign[:3])}); "
                    "choose an empty or new folder with --out"
                )
            file = (self.root / _LOCK).open("a")
        except OSError as error:
            raise OutputError(
                f"cannot write to the output folder {self.root} ({error.strerror}); choose another with --out"
            ) from error
        if not _hold(file):
            file.close()
            raise OutputError(f"another process is writing to {self.root}; wait for it, or choose another --out")
        remove_temporaries(self.root)  # only now: until then they may be another process's
        return file

    def read(self) -> dict[str, Any] | None:
        """The run's record, if there is one.

        Raises:
            OutputError: it is damaged.
        """
        if not self.record.is_file():
            return None
        try:
            record = json.loads(self.record.read_bytes())
            if not isinstance(record, dict) or not isinstance(record.get("identity"), dict):
                raise ValueError("it is not of a run of dhr")
        except (OSError, ValueError) as error:
            raise OutputError(
                f"{self.record} cannot be read ({error}); choose another --out, or delete the folder"
            ) from error
        return record

    def refuse_other(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Compare the identity of the run that the folder holds with that of the run that wants it.

        Raises:
            OutputError: they differ in something that both know.
        """
        known = before.keys() & now.keys()  # a run killed while it read the photographs does not know them yet
        changed = differences({key: before[key] for key in known}, {key: now[key] for key in known})
        if changed:
            more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
            raise OutputError(
                f"{self.root} holds another run: {'; '.join(changed[:3])}{more}; "
                "choose another --out, delete the folder, or go back to what it was made with"
            )

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Write run.json."""
        write_json(self.record, record)


def _hold(file: IO[str]) -> bool:
    """Lock ``file`` for this process, until it closes it or ends; False if another process has it."""
    try:
        import fcntl
    except ImportError:  # Windows: two runs in one folder are not caught there
        return True
    try:
        # Not flock: processes that load photographs would inherit it, and hold it for seconds after a SIGKILL.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _foreign(name: str) -> bool:
    return name != _LOCK and not (name.startswith(".") and name.endswith(TEMPORARY_SUFFIX))
