"""The output folder: claimed by one run, continued by the same one, refused to any other."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dhr.errors import OutputError
from dhr.files import TEMPORARY_SUFFIX, hold, inside, remove, remove_temporaries, remove_tree, write_json
from dhr.job.record import check_run
from dhr.job.settings import differences
from dhr.parsing import MAX_RECORDS, load_json

_LOCK = "run.lock"
_FOLDERS = ("masks", "items", "work", "stages", "cams", "training_masks", "training", "first")
_CELLS, _FEATURES = "work/survey", "work/uss"


@dataclass(frozen=True)
class OutputFolder:
    """Where everything of a run lies; see docs/design.md.

    The folder may come from somebody else: a link in the place of one of its folders is refused (OutputError), as it
    could lead writing or deletion elsewhere. A link in the place of a file is never written through.
    """

    root: Path

    @property
    def record(self) -> Path:
        """What is known of the run."""
        return self._file("run.json")

    @property
    def scan(self) -> Path:
        """What the scan found."""
        return self._file("work/scan.json")

    def checkpoint(self, name: str) -> Path:
        """State of a training of the map source after its last epoch."""
        return self._file(f"work/{name}.checkpoint")

    def fitted(self, file: str) -> Path:
        """Result of a training of the map source."""
        return self._file(file)

    @property
    def head(self) -> Path:
        """The trained head of USS features."""
        return self._file("head.safetensors")

    @property
    def head_checkpoint(self) -> Path:
        """State of the training of a head of USS features after its last epoch."""
        return self._file("work/head.checkpoint")

    @property
    def classifier(self) -> Path:
        """The trained classifier."""
        return self._file("classifier.safetensors")

    @property
    def survey(self) -> Path:
        """Discriminants of the classes, from all photographs."""
        return self._file("survey.safetensors")

    def survey_cells(self, name: str) -> Path:
        """Cells of a photograph that a survey keeps until it is finished."""
        return self._file(f"{_CELLS}/{name}.safetensors")

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
        """Where a run with recursion keeps the masks that it starts from."""
        return OutputFolder(self._folder("first"))

    def features(self, name: str) -> Path:
        """USS features of a photograph, for the student's training."""
        return self._file(f"{_FEATURES}/{name}.safetensors")

    @property
    def masks(self) -> Path:
        """The final masks of all photographs."""
        return self._folder("masks")

    def mask(self, name: str) -> Path:
        """Final mask of a photograph."""
        return self._file(f"masks/{name}.png")

    def training_mask(self, name: str) -> Path:
        """Final mask of a photograph without its doubtful pixels."""
        return self._file(f"training_masks/{name}.png")

    def stage(self, stage: str, name: str) -> Path:
        """Mask of a photograph as of a stage."""
        return self._file(f"stages/{stage}/{name}.png")

    def cams(self, name: str) -> Path:
        """CAMs of a photograph."""
        return self._file(f"cams/{name}.npz")

    def item(self, name: str) -> Path:
        """Record of a photograph, written last."""
        return self._file(f"items/{name}.json")

    def lock(self) -> IO[bytes]:
        """Make the folder and hold it until the file that is returned is closed, or the process ends.

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
        file = hold(self.root, _LOCK)
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
            return check_run(load_json(self.record, MAX_RECORDS))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(
                f"{self.record} cannot be read ({reason}); choose another --out, or delete the folder"
            ) from error

    def remove_survey_cells(self) -> None:
        """Delete the cells of all photographs, once the survey is finished."""
        remove_tree(self.root, _CELLS)

    def remove_features(self, name: str) -> None:
        """Delete USS features of a photograph that are damaged."""
        remove(self.root, f"{_FEATURES}/{name}.safetensors")

    def remove_checkpoint(self, path: Path) -> None:
        """Delete the state of a training that is finished."""
        remove(self.root, path.relative_to(self.root).as_posix())

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

    def _file(self, relative: str) -> Path:
        return inside(self.root, relative, may_be_link=True)  # writers refuse a link, and deletion is of the link

    def _folder(self, relative: str) -> Path:
        return inside(self.root, relative)


def _foreign(name: str) -> bool:
    return name != _LOCK and not (name.startswith(".") and name.endswith(TEMPORARY_SUFFIX))
