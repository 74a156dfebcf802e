"""Masks that people mended in other programs: ``dhr.import_masks``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dhr.api.data import Data
from dhr.api.opened_run import opened_run
from dhr.api.result import Result
from dhr.api.settings import nearest
from dhr.data.agreement import Agreement
from dhr.data.classes import enumeration
from dhr.data.samples import DataSet, Problem
from dhr.errors import ConfigError, ConflictError, DataError, ItemError
from dhr.imports import FREE, SOURCES, Drawings, Taken, Taker, Target, size_of
from dhr.progress import Progress, Step, silent
from dhr.words import counted


@dataclass(frozen=True, repr=False)
class ImportResult(Result):
    """The result of :func:`dhr.import_masks`."""

    out: Path
    """The folder of the run."""
    taken: tuple[Taken, ...]
    """Masks that are corrections now, those with most changes first."""
    counts: Mapping[str, int]
    """Masks by what became of them: mended, accepted, there, untouched, equal."""
    left_out: tuple[Problem, ...]
    notes: tuple[str, ...]

    @property
    def summary(self) -> str:
        """The number of corrections, and their folder."""
        there = f", {self.counts['there']} were there" if self.counts["there"] else ""
        return f"{self.counts['mended']} mended, {self.counts['accepted']} accepted{there}: {self.out / 'corrections'}"

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per correction: its photograph, state, and the pixels that differ from the machine's mask."""
        names = ("name", "state", "pixels", "share")
        return [{name: getattr(one, name) for name in names} for one in self.taken]


def import_masks(
    run: Path | str,
    file: Path | str,
    *,
    source_format: str,
    data: Data | None = None,
    accept: bool = False,
    replace: bool = False,
    progress: Progress | None = None,
) -> ImportResult:
    """Take masks that people mended in other programs into a run, as corrections.

    --from is one of

    {formats}

    Photographs and classes are matched by name. Masks that differ from the machine's become mended. Equal ones are
    accepted if the file shows that a person decided on them: Label Studio's annotations, and shapes of CVAT that a
    person drew or changed. All others stay undecided. Predictions are never taken. Masks of another size, with an
    unknown class, or of a photograph with another correction are named and left out. docs/export.md tells more.

    Args:
        run: the output folder of `dhr run`.
        file: the file or folder to import.
        source_format: the format.
        data: the data folder, if it moved since the run.
        accept: accept all masks that equal the machine's: somebody has looked at each of them.
        replace: replace other corrections of these photographs.
        progress: called after each mask.

    Returns:
        The new corrections, with the number of pixels that differ from the machine's masks.

    Raises:
        ConfigError: there is no such format.
        DataError: the file cannot be read, or holds no mask that a person mended or accepted.
        OutputError: the folder of the run cannot be read or written.
    """
    if source_format not in SOURCES:
        known = ", ".join(SOURCES)
        raise ConfigError(f"--from must be one of {known}; got {source_format!r}{nearest(source_format, SOURCES)}")
    report, root, file = progress or silent, Path(run), Path(file)
    opened = opened_run(root, data, report)
    if len(opened.data.classes.names) > FREE:
        raise ConfigError(f"masks of up to {FREE} classes can be imported, got {len(opened.data.classes.names)}")
    target = Target.of(opened.data)
    drawings = SOURCES[source_format].read(file, target, report)
    _refuse_other_numbers(drawings, opened.data, file)
    taker = Taker(opened.data, root, f"import:{source_format}", accept, replace)
    taken: list[Taken] = []
    for number, drawing in enumerate(drawings.found, start=1):
        try:
            taken.append(taker.take(drawing))
        except (ItemError, ConflictError) as error:
            drawings.problems.append(Problem(drawing.sample.name, str(error)))
        report(Step("import", number, len(drawings.found)))
    return _result(root, file, taken, drawings, target)


def _result(root: Path, file: Path, taken: list[Taken], drawings: Drawings, target: Target) -> ImportResult:
    states = ("mended", "accepted", "there", "untouched", "equal")
    counts = {state: sum(one.state == state for one in taken) for state in states}
    counts["untouched"] += drawings.untouched
    notes = [*drawings.notes, *target.notes, *_told(counts, target)]
    kept = [one for one in taken if one.state in states[:3]]
    if not kept and not drawings.problems:
        why = "; ".join(_told(counts, target)) or "it holds no mask of a photograph of the run"
        raise DataError(f"{file}: nothing was imported: {why}")
    ranked = sorted((one for one in kept if one.state != "there"), key=lambda one: (-one.share, one.name))
    return ImportResult(root, tuple(ranked), counts, tuple(drawings.problems), tuple(dict.fromkeys(notes)))


def _told(counts: Mapping[str, int], target: Target) -> list[str]:
    found = []
    if many := counts["untouched"]:
        found.append(f"{counted(many, 'photograph')} that nobody has annotated or changed: still undecided")
    if many := counts["equal"]:
        found.append(
            f"{counted(many, 'mask')} equal to the machine's: still undecided, because the file does not tell whether "
            "somebody has looked at them; --accept accepts them"
        )
    if target.unknown:
        found.append(f"the run does not have these classes of the file: {enumeration(sorted(target.unknown), most=8)}")
    return found


def _refuse_other_numbers(drawings: Drawings, data: DataSet, file: Path) -> None:
    """Check that masks without a class table show at least one class that their photographs are tagged with.

    Raises:
        DataError: they are numbered in another way, or belong to other photographs.
    """
    seen = Agreement(data.classes, f"masks in {file}", complete=False)
    for drawing in drawings.found if drawings.by_number else []:
        try:
            mask = drawing.read(size_of(data, drawing.sample))
        except ItemError:
            continue  # it is named when it is taken
        pixels = np.bincount(mask.ravel(), minlength=256)
        seen.add(drawing.sample.name, drawing.sample.tags, pixels)
        if pixels[list(drawing.sample.tags)].any():
            return
    if drawings.by_number:
        seen.refuse_nothing()


_LISTED = "\n    ".join(f"  {name:<12}  {one.help}" for name, one in SOURCES.items())
import_masks.__doc__ = (import_masks.__doc__ or "").replace("{formats}", _LISTED.strip("\n"))
