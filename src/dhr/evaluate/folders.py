"""The masks of a folder of predictions, compared with the photographs of a data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dhr.data.ground_truth import not_masks
from dhr.data.listing import key_of, list_files, name_of
from dhr.data.numbering import Numbering, numbering
from dhr.data.problems import problem_lines
from dhr.data.samples import DataSet, Sample
from dhr.errors import DataError
from dhr.evaluate.config import EvaluateConfig
from dhr.evaluate.ground_truth_folder import GroundTruthFolder
from dhr.shards import out_of_shard

_PNG = frozenset({".png"})
_NAMED = 5  # names that a message spells out


@dataclass(frozen=True)
class Predictions:
    """A folder of masks beside a data set."""

    folder: Path
    files: Mapping[str, str]
    """Masks by the name of their photograph, relative to the folder; a Path would take five times the memory."""
    missing: tuple[str, ...]
    """Photographs with ground truth but without a mask."""
    extra: tuple[str, ...]
    """Masks without a photograph."""
    numbering: Numbering
    """Their numbering of the classes."""

    def path(self, name: str) -> Path:
        """Return the path of a mask."""
        return self.folder / self.files[name]


def check_folder(folder: Path) -> None:
    """Raise :class:`~dhr.errors.DataError` if the folder is missing."""
    if not folder.is_dir():
        raise DataError(f"expected a folder of masks at {folder}, found none; give the folder that holds the PNG files")


def find_predictions(data: DataSet, scored: Sequence[Sample], folder: Path, config: EvaluateConfig) -> Predictions:
    """List the masks ``folder/<name>.png`` of the photographs ``scored``; nothing is opened.

    Raises:
        DataError: a mask is missing or has no photograph, and that is not allowed; all masks are missing; or the
            class table of the folder does not fit.
    """
    listing = list_files(folder, _PNG)
    present = {key_of(out_of_shard(name_of(file, _PNG))): file for file in listing.files}
    files = {sample.name: present[key] for sample in scored if (key := key_of(sample.name)) in present}
    missing = [sample.name for sample in scored if sample.name not in files]
    if missing and (not config.allow_missing or not files):
        others = problem_lines(not_masks(listing.problems), 1)
        other = f" (not used: {others[0]})" if others else ""
        raise DataError(
            f"{len(missing)} of {len(scored)} masks are missing in {folder}: {first(missing)}{other}; "
            "make them, or leave these photographs out of the scores (--allow-missing)"
        )
    extra = sorted(set(present).difference(key_of(sample.name) for sample in data.samples))
    if extra and not config.allow_extra:
        raise DataError(
            f"{len(extra)} masks in {folder} belong to no photograph that is evaluated: {first(extra)}; give the data "
            "set or the split of these photographs, remove the masks, or ignore them with --allow-extra"
        )
    tagged = [(folder / files[sample.name], tags_of(data, sample)) for sample in scored if sample.name in files]
    return Predictions(folder, files, tuple(missing), tuple(extra), numbering(data.classes, folder, tagged))


def tags_of(data: DataSet, sample: Sample) -> tuple[int, ...] | None:
    """Return the tags of a photograph; None if they are unknown, as in a folder of ground truth."""
    return None if isinstance(data, GroundTruthFolder) else sample.tags


def first(names: Sequence[str]) -> str:
    """Join the first few names, and the number of the others."""
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
