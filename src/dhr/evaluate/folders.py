"""The masks of a folder of predictions, compared with the photographs of a data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dhr.data.ground_truth import not_masks
from dhr.data.image_files import Content
from dhr.data.listing import key_of
from dhr.data.numbering import Numbering
from dhr.data.problems import problem_lines
from dhr.data.samples import DataSet, Sample
from dhr.errors import DataError
from dhr.evaluate.config import EvaluateConfig
from dhr.evaluate.ground_truth_folder import GroundTruthFolder
from dhr.firsts import Firsts
from dhr.results.protocol import Masks

_NAMED = 5  # names that a message spells out


@dataclass(frozen=True)
class Predictions:
    """A folder of masks beside a data set."""

    masks: Masks
    files: Mapping[str, str]
    """Places of masks by the name of their photograph; a Path would take five times the memory."""
    missing: tuple[str, ...]
    """Photographs with ground truth but without a mask."""
    extra: tuple[str, ...]
    """Masks without a photograph."""
    numbering: Numbering
    """Their numbering of the classes."""
    unnamed: Mapping[str, int] = field(default_factory=dict)
    """How many more photographs are missing and extra than those that are named, by member."""

    @property
    def folder(self) -> Path:
        """The folder, for messages."""
        return self.masks.folder

    def mask(self, name: str) -> Path | Content:
        """Return a mask; raises ItemError as :meth:`~dhr.results.protocol.Masks.mask`."""
        return self.masks.at(self.files[name])


def check_folder(folder: Path) -> None:
    """Raise :class:`~dhr.errors.DataError` if the folder is missing."""
    if not folder.is_dir():
        raise DataError(f"expected a folder of masks at {folder}, found none; give the folder that holds the PNG files")


def find_predictions(data: DataSet, scored: Sequence[Sample], masks: Masks, config: EvaluateConfig) -> Predictions:
    """List the masks of the photographs ``scored``; they are not opened.

    Raises:
        DataError: a mask is missing or has no photograph, and that is not allowed; all masks are missing; or the
            class table of the folder does not fit.
    """
    (listed, problems), folder = masks.listed(), masks.folder
    present = {key_of(name): place for name, place in listed.items()}
    files = {sample.name: present[key] for sample in scored if (key := key_of(sample.name)) in present}
    missing = [sample.name for sample in scored if sample.name not in files]
    others = problem_lines(not_masks(problems), 1) if missing else []
    refuse_missing(folder, missing, len(scored), config, f" (not used: {others[0]})" if others else "")
    extra = sorted(set(present).difference(key_of(sample.name) for sample in data.samples))
    refuse_extra(folder, extra, config)
    tagged = ((masks.at(files[sample.name]), tags_of(data, sample)) for sample in scored if sample.name in files)
    return Predictions(masks, files, tuple(missing), tuple(extra), masks.numbering(data.classes, tagged))


def refuse_missing(
    folder: Path, names: Sequence[str] | Firsts[str], total: int, config: EvaluateConfig, other: str = ""
) -> None:
    """Refuse photographs without a mask, unless they are allowed and some have one.

    Args:
        folder: the masks.
        names: photographs with ground truth and without a mask.
        total: photographs with ground truth.
        config: masks that are allowed.
        other: more of the message.

    Raises:
        DataError: they are not allowed.
    """
    if len(names) and (not config.allow_missing or len(names) == total):
        raise DataError(
            f"{len(names)} of {total} masks are missing in {folder}: {first(names)}{other}; "
            "make them, or leave these photographs out of the scores (--allow-missing)"
        )


def refuse_extra(folder: Path, names: Sequence[str] | Firsts[str], config: EvaluateConfig) -> None:
    """Refuse masks without a photograph; raises DataError unless they are allowed."""
    if len(names) and not config.allow_extra:
        raise DataError(
            f"{len(names)} masks in {folder} belong to no photograph that is evaluated: {first(names)}; give the data "
            "set or the split of these photographs, remove the masks, or ignore them with --allow-extra"
        )


def tags_of(data: DataSet, sample: Sample) -> tuple[int, ...] | None:
    """Return the tags of a photograph; None if they are unknown, as in a folder of ground truth."""
    return None if isinstance(data, GroundTruthFolder) else sample.tags


def first(names: Sequence[str] | Firsts[str]) -> str:
    """Join the first few names, and the number of the others."""
    known = names.first if isinstance(names, Firsts) else names
    return ", ".join(known[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
