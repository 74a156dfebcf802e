"""The calibration of several map sources: a pass over photographs, and what is learned from their cells."""

import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor

from dhr.data.samples import ClassTable, Sample
from dhr.data.transforms import grid_size
from dhr.errors import DataError, ItemError, OutputError, PlaceError
from dhr.features.pack import Packed
from dhr.files import write_bytes
from dhr.flow.ahead import ahead_in_batches
from dhr.flow.halving import BatchSize
from dhr.flow.loaded import Loaded
from dhr.job.drafts import BUDGET, Drafts, Photograph
from dhr.job.survey import CALIBRATED, plan
from dhr.method.calibrate import Calibrated, SourceCells, Task, calibrate
from dhr.method.calibration import KNOTS, Calibration
from dhr.method.evidence import ENOUGH, Measured
from dhr.method.survey import survey_features
from dhr.ops.upsample import resize
from dhr.progress import Progress, Step
from dhr.records.run import SourceRecord
from dhr.sources.combined import CombinedSource
from dhr.sources.protocol import MapSource
from dhr.tensors import check_finite, check_kinds, check_shapes, read_tensors

_MOST = 1 << 32  # bytes of a file
_FLOATS = ("features", "maps", "peaks", "other_peaks")


def make_calibration(drafts: Drafts, size: BatchSize, progress: Progress) -> Calibrated:
    """Look at photographs with all sources, and learn the calibration from their cells; read it if that is done.

    A pass that was killed continues with the next batch, and ends with the same bytes. Photographs that cannot be read
    are skipped here, and reported when their masks are made.

    Raises:
        OutputError: the file of a finished calibration is damaged, or the disk refuses.
        DataError: no photograph can be used.
    """
    path, classes = drafts.keeper.folder.calibration, drafts.data.classes
    source = cast(CombinedSource, drafts.models.source)
    if path.is_file():
        try:
            return read_calibration(path, len(source.parts), len(classes.names))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"{path} is damaged ({reason}); make it again with --redo calibration") from error
    channels = drafts.keeper.channels + 4 * len(source.parts)  # a tag's map takes twice the bytes of a feature
    looked_at, most = plan(drafts.found.samples, channels, classes.background, CALIBRATED)
    found = _Pass(drafts, source, most).run(looked_at, size, progress)
    cells = [found[sample.name] for sample in looked_at if sample.name in found]
    if not cells:
        raise DataError(
            f"no photograph could be seen by all of the sources {', '.join(source.kinds)}, so they cannot be "
            "calibrated; use one of them (--wss.kind KIND), and its reasons are reported"
        )
    made = calibrate(Task(cells, len(classes.names), classes.background, drafts.models.device, progress))
    write_bytes(path, save(_tensors(made)))
    return made


class _Pass:
    """The pass over the photographs: it keeps the cells of each."""

    def __init__(self, drafts: Drafts, source: CombinedSource, most: int) -> None:
        """Take the maker of the drafts, the source, and the number of cells of a photograph."""
        self.drafts, self.source, self.most = drafts, source, most
        self.cells: dict[str, SourceCells] = {}

    def run(self, samples: Sequence[Sample], size: BatchSize, progress: Progress) -> dict[str, SourceCells]:
        """Return the cells of photographs by name; photographs that fail are left out."""
        drafts, done = self.drafts, 0
        batches = drafts.batches(samples, size.whole)
        for batch in ahead_in_batches(batches, self._look, weigh=drafts.weight, budget=BUDGET):
            progress(Step("calibration", done, len(samples)))
            done += len(batch)
            opened = self._missing(batch)
            for _, loaded in size.attempt(opened, self._seen) if opened else ():
                for name, cells in (loaded.ready or {}).items():
                    self._keep(name, cells)
        progress(Step("calibration", len(samples), len(samples)))
        return self.cells

    def _look(self, sample: Sample) -> tuple[SourceCells | None, Photograph]:
        """Open a photograph, and read the cells that an earlier call has kept."""
        path = self.drafts.keeper.folder.source_cells(sample.name)
        channels, classes = self.drafts.keeper.channels, len(self.drafts.keeper.classes.names)
        return read_cells(path, sample, (len(self.source.parts), channels, classes)), self.drafts.open(sample)

    def _missing(self, batch: Sequence[tuple[Sample, Loaded[Any]]]) -> list[Photograph]:
        """Note the cells that are known; if any are not, return the batch, because it gives the same bytes again."""
        opened, known = [], dict[str, SourceCells]()
        for sample, loaded in batch:
            with suppress(ItemError, MemoryError, torch.OutOfMemoryError):
                cells, photograph = loaded.get()
                opened.append(photograph)
                if cells is not None:
                    known[sample.name] = cells
        self.cells |= known
        return opened if len(known) < len(opened) else []

    def _keep(self, name: str, cells: SourceCells) -> None:
        if name not in self.cells:
            self.cells[name] = cells
            with suppress(PlaceError):  # something else has its place: it is computed again
                write_bytes(self.drafts.keeper.folder.source_cells(name), save(dict(vars(cells))), durable=False)

    @torch.no_grad()
    def _seen(self, batch: Sequence[Photograph]) -> dict[str, SourceCells]:
        """Return the cells of photographs of one working size, by name."""
        images = torch.stack([one.image for one in batch]).to(self.drafts.models.device)
        features = self.drafts.features(images, [one.sample for one in batch])
        good = [index for index, loaded in enumerate(features) if loaded.ready]
        found: dict[str, SourceCells] = {}
        with suppress(ItemError):
            some = [batch[index].sample for index in good]
            return self._cells(images[good], some, [features[index].get() for index in good]) if good else {}
        for index in good:  # one of them fails; the others count
            with suppress(ItemError):
                found |= self._cells(images[index : index + 1], [batch[index].sample], [features[index].get()])
        return found

    def _cells(self, images: Tensor, samples: Sequence[Sample], features: Sequence[Packed]) -> dict[str, SourceCells]:
        grid = grid_size(images.shape[-2], images.shape[-1], self.drafts.config.image.grid_stride)
        uss = torch.cat([one.unpacked(images.device) for one in features])
        maps, _ = self.source.maps(images, samples, grid)
        classes = self.drafts.data.classes
        asked = [replace(one, tags=others_of(one, classes)) for one in samples]
        peaks = torch.stack([_peaks(part, images, asked, grid) for part in self.source.parts], dim=1)
        found = {}
        for index, sample in enumerate(samples):
            fine = resize(maps[index, :, : len(sample.tags)], (uss.shape[-2], uss.shape[-1])).flatten(2)
            if not bool(fine.isfinite().all()):
                continue
            directions = survey_features(uss[index : index + 1])[0]
            some = torch.arange(fine.shape[2])
            if self.most < fine.shape[2]:
                draw = torch.Generator().manual_seed(zlib.crc32(sample.name.encode()))
                some = torch.randperm(fine.shape[2], generator=draw)[: self.most].sort().values
            found[sample.name] = SourceCells(
                features=directions[:, some.to(directions.device)].half().cpu().contiguous(),
                maps=fine[:, :, some.to(fine.device)].cpu().contiguous(),
                ids=torch.tensor(sample.tags),
                peaks=fine.amax(dim=2).cpu(),
                others=torch.tensor(asked[index].tags, dtype=torch.int64),
                other_peaks=peaks[index, :, : len(asked[index].tags)].contiguous(),
            )
        return found


def others_of(sample: Sample, classes: ClassTable) -> tuple[int, ...]:
    """Draw classes that are not tags of a photograph, as many as it has tags, or all if there are fewer."""
    rest = [one for one in classes.foreground if one not in sample.tags]
    draw = torch.Generator().manual_seed(zlib.crc32(sample.name.encode()))
    return tuple(sorted(rest[at] for at in torch.randperm(len(rest), generator=draw)[: len(sample.tags)].tolist()))


def _peaks(part: MapSource, images: Tensor, asked: Sequence[Sample], grid: tuple[int, int]) -> Float[Tensor, "b j"]:
    """Return the peaks of a source's maps for classes that are not tags; NaN where it has no such maps."""
    most = max(len(one.tags) for one in asked)
    found = torch.full((len(asked), most), torch.nan)
    some = [index for index, one in enumerate(asked) if one.tags]
    if some:
        with suppress(ItemError):  # such as files of maps, which hold those of the tags
            cams = part.see(images[some], [asked[index] for index in some], grid).cams
            found[some, : cams.shape[1]] = cams.float().amax(dim=(2, 3)).cpu()
    return found


def described(found: Calibrated, classes: ClassTable, kinds: Sequence[str]) -> tuple[SourceRecord, ...]:
    """Describe what the calibration found out about each class and source, for the record."""
    rows = []
    for tag in classes.foreground:
        for index, kind in enumerate(kinds):
            follows, agrees = (
                (float(one.value[index, tag]), float(one.errors[index, tag])) for one in (found.follows, found.agrees)
            )
            count, used = int(found.photographs[tag]), bool(found.calibration.weights[index, tag] > 0)
            known = (follows[1] > ENOUGH, agrees[1] > ENOUGH)
            why = _WHY[known] + (
                ", but those of no source do, and these come nearest" if used and not any(known) else ""
            )
            why = why if count else "no photograph has this tag"
            rows.append(
                SourceRecord(kind, classes.names[tag], count, used, why, round(follows[0], 3), round(agrees[0], 3))
            )
    return tuple(rows)


_WHY = {
    (True, True): "its maps follow the tags and agree with the other evidence",
    (True, False): "its maps follow the tags",
    (False, True): "its maps agree with the other evidence",
    (False, False): "its maps neither follow the tags nor agree with the other evidence",
}


def _tensors(found: Calibrated) -> dict[str, Tensor]:
    parts = {
        **vars(found.calibration),
        "follows": found.follows.value, "follows_errors": found.follows.errors,
        "agrees": found.agrees.value, "agrees_errors": found.agrees.errors, "photographs": found.photographs,
    }  # fmt: skip
    return {name: value.cpu().contiguous() for name, value in parts.items()}


def read_calibration(path: Path, sources: int, classes: int) -> Calibrated:
    """Read a calibration of this number of sources and classes.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or of another data set or other sources.
    """
    found, _ = read_tensors(path, _MOST)
    flat, deep = (sources, classes), (sources, classes, KNOTS)
    names = ("weights", "follows", "follows_errors", "agrees", "agrees_errors")
    check_shapes(found, {**dict.fromkeys(names, flat), "knots": deep, "ratios": deep, "photographs": (classes,)})
    check_kinds(found, {**dict.fromkeys((*names, "knots", "ratios"), (torch.float32,)), "photographs": (torch.int64,)})
    check_finite(found)
    if any(bool((found[name].diff(dim=2) < 0).any()) for name in ("knots", "ratios")):
        raise ValueError("knots and ratios: expected rising numbers")
    if not bool(((found["weights"] == 0) | (found["weights"] == 1)).all()) or bool((found["photographs"] < 0).any()):
        raise ValueError("weights: expected 0 and 1 only; photographs: 0 or more")
    return Calibrated(
        Calibration(found["knots"], found["ratios"], found["weights"]),
        Measured(found["follows"], found["follows_errors"]),
        Measured(found["agrees"], found["agrees_errors"]),
        found["photographs"],
    )


def read_cells(path: Path, sample: Sample, shape: tuple[int, int, int]) -> SourceCells | None:
    """Read the cells that an interrupted pass has kept; None if they are missing, damaged, or of other tags.

    Args:
        path: their file.
        sample: the photograph.
        shape: number of sources, of channels of the USS features, and of classes.
    """
    sources, channels, classes = shape
    try:
        found, _ = read_tensors(path, _MOST)
        tags, others = len(sample.tags), found["others"].numel() if "others" in found else None
        check_shapes(
            found,
            {
                "features": (channels, None), "maps": (sources, tags, None), "ids": (tags,), "peaks": (sources, tags),
                "others": (others,), "other_peaks": (sources, others),
            },
        )  # fmt: skip
        kinds = {**dict.fromkeys(_FLOATS, (torch.float32,)), **dict.fromkeys(("ids", "others"), (torch.int64,))}
        check_kinds(found, {**kinds, "features": (torch.float16,)})
        check_finite({name: value for name, value in found.items() if name != "other_peaks"})
        if found["features"].shape[1] != found["maps"].shape[2] or found["ids"].tolist() != [*sample.tags]:
            raise ValueError("its tensors do not fit together")
        if bool(((found["others"] < 0) | (found["others"] >= classes)).any()):
            raise ValueError("others: it holds classes that cannot be")
    except (OSError, ValueError):
        return None
    return SourceCells(**found)
