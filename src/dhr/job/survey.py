"""The survey: a first pass over a data set, which fits discriminants of the classes (dhr.method.survey)."""

import zlib
from collections.abc import Container, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from safetensors.torch import save
from torch import Tensor

from dhr.data.samples import ClassTable, Sample, in_random_order
from dhr.errors import ItemError, OutputError, PlaceError
from dhr.files import write_bytes
from dhr.flow.ahead import ahead_in_batches
from dhr.flow.behind import Behind
from dhr.flow.halving import BatchSize
from dhr.flow.loaded import Loaded
from dhr.job.drafts import BUDGET, Drafts, Photograph, group_size
from dhr.job.kept import Kept, Space, class_ids
from dhr.job.survey_file import read_survey, survey_content
from dhr.job.teaching import Teacher
from dhr.method.cells import SurveyCells
from dhr.method.order import take_classes
from dhr.method.survey import Survey, survey_features
from dhr.method.survey_fit import fit_survey
from dhr.progress import Progress, Step
from dhr.tensors import check_finite, check_kinds, check_shapes, read_tensors

PER_CLASS = 200
"""Number of photographs per class that suffices; in large data sets the others are skipped."""

CALIBRATED = 100
"""The same for the calibration of several map sources, which learns less."""

MEMORY = 1 << 30
"""Bytes that the features and scores of all these photographs may take; if all cells would take more, each photograph
gives a part of its cells. The fit takes some ten matrices of channels by channels besides."""

_ABOUT = "dhr"  # the entry of the metadata with the digest of the photograph
_LEAST = 16  # cells per photograph; with less memory, fewer photographs are used


def make_survey(drafts: Drafts, teaching: Teacher, size: BatchSize, progress: Progress) -> Survey | None:
    """Make drafts of photographs, keep them, and fit the discriminants to their cells; read these if that is done.

    Drafts are kept for the masks and for `dhr update`, as far as the setting `work_space` allows; without space only
    the cells are kept. A pass that was killed continues with the next batch, and ends with the same bytes.
    Photographs that cannot be read are skipped here, and reported when their masks are made. Those with a certain mask
    are all looked at. Returns None and writes nothing if all photographs fail, or if the memory is too small for any
    cell.

    Raises:
        OutputError: the file of a finished survey is damaged, or the disk refuses.
    """
    classes, uss, path = len(drafts.data.classes.names), drafts.models.uss, drafts.keeper.folder.survey
    if path.is_file():
        try:
            return read_survey(path, classes, uss.channels).to(uss.device)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"{path} is damaged ({reason}); make it again with --redo survey") from error
    looked_at, most = plan(drafts.found.samples, uss.channels, drafts.data.classes.background)
    batches, others = parted(drafts, looked_at, size.whole)
    names = [sample.name for sample in looked_at]
    if most:
        taught = [batch for batch in others if any(teaching.certain(sample.name) for sample in batch)]
        names += [sample.name for batch in taught for sample in batch if teaching.certain(sample.name)]
        batches += taught
    found = Pass(drafts, teaching, most).run(batches, size, progress)
    cells = [found[name] for name in names if name in found]
    if not cells:
        return None
    survey = fit_survey(cells, classes, drafts.config.method, uss.device, progress)
    write_bytes(path, survey_content(survey))
    return survey


class Pass:
    """The pass over the photographs: it draws cells of each, and keeps them with the draft, or alone."""

    def __init__(self, drafts: Drafts, teaching: Teacher, most: int) -> None:
        """Take the maker of the drafts, the certain masks, and the number of cells of a photograph."""
        self.drafts, self.teaching, self.most = drafts, teaching, most
        self.cells: dict[str, SurveyCells] = {}
        self.space = Space.of(drafts.keeper.folder, drafts.config.work_bytes())

    def run(self, batches: Sequence[tuple[Sample, ...]], size: BatchSize, progress: Progress) -> dict[str, SurveyCells]:
        """Return the cells of photographs by name; photographs that fail are left out."""
        drafts, done, total = self.drafts, 0, sum(map(len, batches))
        with Behind(budget=BUDGET) as behind:
            for batch in ahead_in_batches(batches, self._look, weigh=drafts.weight, budget=BUDGET):
                progress(Step("survey", done, total))
                done += len(batch)
                photographs = self._missing(batch)
                for _, loaded in size.attempt(photographs, drafts) if photographs else ():
                    if (made := loaded.ready) is None:
                        continue
                    for kept in made.parts:
                        self._put(kept, made.failed, behind)
        progress(Step("survey", total, total))
        return self.cells

    def _look(self, sample: Sample) -> "Photograph | SurveyCells":
        """Return the cells that an earlier call has kept, alone or with their draft; else open the photograph."""
        if known := self.drafts.kept(sample):
            return self._draw(known)
        cells = None if self.teaching.certain(sample.name) else self._kept_cells(sample)
        return self.drafts.open(sample) if cells is None else cells

    def _kept_cells(self, sample: Sample) -> SurveyCells | None:
        """Return the cells that an earlier call has kept, without a draft."""
        keeper = self.drafts.keeper
        ids = class_ids(keeper.classes, sample)
        return read_cells(keeper.folder.survey_cells(sample.name), keeper.channels, self._digest(sample), ids)

    def _digest(self, sample: Sample) -> str:
        return self.drafts.found.seen[sample.name].digest

    def _draw(self, one: Kept) -> SurveyCells:
        """Draw cells of a photograph; those of a certain mask have its labels."""
        (sample,), classes = one.samples, self.drafts.keeper.classes
        grid = (one.draft.cams.shape[-2], one.draft.cams.shape[-1])
        labels = self.teaching.labels(sample, grid) if self.teaching.certain(sample.name) else None
        return draw_cells(one, classes, self.most) if labels is None else labelled_cells(one, *labels, self.most)

    def _missing(self, batch: Sequence[tuple[Sample, Loaded[Any]]]) -> list[Photograph]:
        """Note the cells that are known; if any are not, return all photographs of the batch."""
        photographs, known = [], []
        for sample, loaded in batch:
            with suppress(ItemError, MemoryError, torch.OutOfMemoryError):
                found = loaded.get()
                if isinstance(found, Photograph):
                    photographs.append(found)
                else:
                    self.cells[sample.name] = found
                    known.append(sample)
        if not photographs:
            return []
        for sample in known:  # the same batch gives the same bytes
            with suppress(ItemError, MemoryError):
                photographs.append(self.drafts.open(sample))
        order = [sample for sample, _ in batch]
        return sorted(photographs, key=lambda one: order.index(one.sample))

    def _put(self, kept: Kept, failed: Container[str], behind: Behind) -> None:
        """Have the cells of a batch drawn and kept behind the computation."""
        kept = kept.to(torch.device("cpu"))
        for index, sample in enumerate(kept.samples):
            if sample.name not in failed and sample.name not in self.cells:
                one = kept.one(index, self.drafts.keeper.classes)
                behind.put(partial(self._keep, one, self.space.take(one.size)), one.size)

    def _keep(self, one: Kept, whole: bool) -> None:
        """Note the cells of a photograph, and write its file; without one, a call that goes on computes it again."""
        keeper, (sample,) = self.drafts.keeper, one.samples
        self.cells[sample.name] = self._draw(one)
        if whole:
            self.drafts.keep(one)
            return
        content = cells_content(one, keeper.classes, self.most, self._digest(sample))
        with suppress(PlaceError):  # something else has its place: it is computed again
            write_bytes(keeper.folder.survey_cells(sample.name), content)


def chosen(samples: Sequence[Sample], per_class: int = PER_CLASS) -> list[Sample]:
    """Choose photographs, in random order: each with a class that has too few photographs so far.

    Those without tags are left out. All their cells would count as certain background, and outweigh the cells of
    photographs in which the background stands beside a class.
    """
    counts: dict[int, int] = {}
    found = []
    for sample in in_random_order(samples):
        if any(counts.get(tag, 0) < per_class for tag in sample.tags):
            found.append(sample)
            for tag in sample.tags:
                counts[tag] = counts.get(tag, 0) + 1
    return found


def plan(samples: Sequence[Sample], dim: int, background: bool, per_class: int = PER_CLASS) -> tuple[list[Sample], int]:
    """Choose photographs, and the number of cells of each, so that all cells fit into :data:`MEMORY`.

    The number of photographs of each class is halved until each gives at least :data:`_LEAST` cells. The list is empty
    if not even one cell of one photograph of each class fits.

    Args:
        samples: photographs with their tags.
        dim: channels of the features.
        background: whether each photograph has a background beside its tags.
        per_class: number of photographs per class that suffices.
    """
    while True:
        found = chosen(samples, per_class)
        numbers = sum(dim + len(sample.tags) + background for sample in found)  # of one cell of each, 2 bytes each
        cells = MEMORY // max(2 * numbers, 1)
        if cells >= _LEAST or per_class == 1:
            return (found, cells) if cells else ([], 0)
        per_class //= 2


def parted(
    drafts: Drafts, looked_at: Sequence[Sample], most: int
) -> tuple[list[tuple[Sample, ...]], list[tuple[Sample, ...]]]:
    """Return the batches of the photographs that the survey looks at, and those of all others.

    A draft so has the same bytes whether it was kept or is computed again. Batches lie within groups of
    :func:`~dhr.job.drafts.group_size` photographs, in the order of the data set, so that a group has the same masks
    wherever it is worked on.
    """
    names, size = {sample.name for sample in looked_at}, group_size(drafts.models.device)
    others = [sample for sample in drafts.found.samples if sample.name not in names]

    def batches(samples: Sequence[Sample]) -> list[tuple[Sample, ...]]:
        groups: dict[int, list[Sample]] = {}
        for sample in samples:
            groups.setdefault(drafts.places[sample.name] // size, []).append(sample)
        return [batch for number in sorted(groups) for batch in drafts.batches(groups[number], most)]

    return batches(looked_at), batches(others)


def draw_cells(one: Kept, classes: ClassTable, most: int) -> SurveyCells:
    """Draw at most ``most`` cells of a photograph, with the scores of Steps 1 to 3; in half precision, on the CPU."""
    (sample,), draft = one.samples, one.draft
    scores = take_classes(draft.steps.intra, draft.order.argsort(dim=1))[0]
    scores = scores / scores.amax().clamp_min(1e-12)  # half precision has little below 1e-4
    return replace(labelled_cells(one, scores, torch.tensor(class_ids(classes, sample)), most), certain=False)


def labelled_cells(one: Kept, labels: Float[Tensor, "k n"], ids: Int64[Tensor, " k"], most: int) -> SurveyCells:
    """Draw the same cells of a photograph, with certain labels.

    Args:
        one: the photograph.
        labels: shares of classes in each cell.
        ids: these classes.
        most: the largest number of cells.
    """
    (sample,), (uss,) = one.samples, one.uss
    features = survey_features(uss.unpacked(one.draft.cams.device))[0]
    if most < features.shape[1]:
        draw = torch.Generator().manual_seed(zlib.crc32(sample.name.encode()))
        some = torch.randperm(features.shape[1], generator=draw)[:most].sort().values
        features, labels = (values[:, some.to(values.device)] for values in (features, labels))
    return SurveyCells(features.half().cpu().contiguous(), labels.half().cpu().contiguous(), ids, certain=True)


def cells_content(one: Kept, classes: ClassTable, most: int, digest: str) -> bytes:
    """Return the content of the file that keeps the cells of a photograph, without its draft.

    Args:
        digest: digest of the photograph's content.
    """
    cells = draw_cells(one, classes, most)
    return save({"features": cells.features, "scores": cells.scores, "ids": cells.ids}, {_ABOUT: digest})


def read_cells(path: Path, channels: int, digest: str, ids: Sequence[int]) -> SurveyCells | None:
    """Read the cells that an earlier pass has kept; None without cells of this photograph: they are made again.

    Args:
        path: their file.
        channels: those of the features.
        digest: that of the photograph.
        ids: its classes.
    """
    try:
        found, about = read_tensors(path, 4 * MEMORY)
        if about.get(_ABOUT) != digest:
            raise ValueError("it is of another photograph")
        check_shapes(found, {"features": (channels, None), "scores": (None, None), "ids": (None,)})
        check_kinds(found, {**dict.fromkeys(("features", "scores"), (torch.float16,)), "ids": (torch.int64,)})
        check_finite(found)
        features, scores, classes = found["features"], found["scores"], found["ids"]
        if features.shape[1] != scores.shape[1] or len(scores) != len(ids) or classes.tolist() != [*ids]:
            raise ValueError("its tensors do not fit together")
        if bool((scores < 0).any()):
            raise ValueError("it holds scores that cannot be")
    except (OSError, ValueError):
        return None
    return SurveyCells(features, scores, classes)
