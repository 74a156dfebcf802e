"""Makes the mask of one photograph of a finished run again, with pixels that a person has drawn held fixed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import RLock

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from dhr.data.samples import VOID, ClassTable, Sample
from dhr.data.transforms import working_image
from dhr.errors import ItemError
from dhr.features.pack import Packed
from dhr.job.click import Click
from dhr.job.clicked import clicked
from dhr.job.drafts import Drafts, Photograph, drafted
from dhr.job.kept import Kept, class_ids
from dhr.job.maps import Maps, maps_of, not_finite
from dhr.job.masks import MaskMaker
from dhr.job.mender_models import opened_maker
from dhr.job.opened_run import OpenedRun
from dhr.method.base import normalise_cams, on_one_scale
from dhr.method.boundary import Correction
from dhr.method.order import take_classes
from dhr.models.sam import Embedding
from dhr.ops.upsample import area_average, resize
from dhr.types import Rebalanced

FREE = 254
"""Pixels of a held map on which nothing was drawn."""
_SEEN = 4  # sets of tags whose maps are kept


@dataclass(frozen=True)
class Prepared:
    """A photograph, with all that the networks have computed of it."""

    photograph: Photograph
    uss: Packed
    embedding: Embedding | None
    seen: dict[tuple[int, ...], Maps] = field(default_factory=dict)
    """The maps of the photograph's tags, and of the last few others."""

    @property
    def images(self) -> Float[Tensor, "1 3 h w"]:
        """Its working image, as a batch."""
        return self.photograph.image.unsqueeze(0)


@dataclass(frozen=True)
class Mender:
    """The networks and the survey of a run. Its methods may be called in several threads."""

    maker: MaskMaker
    lock: RLock = field(default_factory=RLock)
    """Held by each call, so that two of them do not share the cores."""
    last: list[tuple[Prepared, tuple[Correction, Correction]]] = field(default_factory=list)
    """The last photograph with its boundary corrections: their data of the image take 600 bytes per pixel."""

    @staticmethod
    def open(run: OpenedRun) -> "Mender":
        """Build the networks of a run from its files and settings.

        Raises:
            DhrError: a file of the run, its weights or its maps are missing, or were changed.
        """
        return Mender(opened_maker(run))

    @property
    def drafts(self) -> Drafts:
        """The networks and settings."""
        return self.maker.drafts

    @property
    def classes(self) -> ClassTable:
        """The class table of the run."""
        return self.drafts.data.classes

    @cached_property
    def _samples(self) -> Mapping[str, Sample]:
        return {sample.name: sample for sample in self.drafts.data.samples}

    def prepare(self, name: str) -> Prepared:
        """Read a photograph, and compute its features, the maps of its tags and the embedding for a SAM.

        Raises:
            ItemError: the data set lacks the photograph, it cannot be read, or its maps cannot be made.
        """
        sample = self._samples.get(name)
        if sample is None:
            raise ItemError(f"{name}: expected a photograph of the data set; choose one of its photographs")
        rgb = self.drafts.data.read_image(sample)
        image = working_image(rgb, self.drafts.config.image.long_side)
        with self.lock:
            uss = self.drafts.models.uss.packed(image[None])[0].get()
            embedding = self.maker.embed(image[None])
            prepared = Prepared(Photograph(sample, (rgb.shape[0], rgb.shape[1]), image), uss, embedding)
            if self.drafts.models.source.tags_apart:  # of all classes at once, for whatever tags may follow
                self._maps(prepared, (*self.classes.foreground,))
            elif sample.tags:
                self._maps(prepared, sample.tags)
        return prepared

    def refine(
        self, prepared: Prepared, tags: Sequence[int], held: UInt8[np.ndarray, "h w"] | None = None
    ) -> UInt8[np.ndarray, "h w"]:
        """Make the mask with these tags; drawn pixels keep their label, and guide the others.

        Args:
            prepared: the photograph.
            tags: its tags; classes that are drawn are added to them.
            held: drawn labels: class ids, 255 for void, :data:`FREE` where nothing is drawn.

        Raises:
            ItemError: the tags or the drawn labels cannot be those of the photograph, or the maps of an added class
                cannot be made.
        """
        drawn = self._drawn(prepared, held)
        found = self._tags({*tags, *drawn})
        photograph = replace(prepared.photograph, sample=replace(prepared.photograph.sample, tags=found))
        if found:
            with self.lock:
                maps = self._maps(prepared, found, drawn)
                result = self._result(prepared, photograph.sample, maps, held if drawn else None)
        elif self.classes.background:
            result = self.maker.background(photograph)
        else:
            raise ItemError("a mask needs a tag or a drawn class, because these classes have no background")
        mask = self.maker.labels(photograph, result)
        return mask if held is None else np.where(held == FREE, mask, held)

    def _result(
        self, prepared: Prepared, sample: Sample, maps: Maps, held: UInt8[np.ndarray, "h w"] | None
    ) -> Rebalanced:
        ids, shares = class_ids(self.classes, sample), None
        if held is not None:
            shares = drawn_shares(held, ids, _size(maps.images)).to(maps.images.device)
            shares = take_classes(shares, self.maker.exchange([sample], shares.device))  # with the maps that they get
        base, last = self._corrections(prepared, maps)
        draft = drafted(maps, [sample], self.classes, self.drafts.config, shares, base)
        made = Kept((sample,), draft, (prepared.uss,), maps.edges, maps.probabilities)
        return self.maker.finish(made, maps.images, prepared.embedding, last)

    def cams(self, prepared: Prepared) -> dict[int, UInt8[np.ndarray, "u v"]]:
        """Return the CAMs that are kept, 0..255, by class id; a larger value is more likely."""
        found: dict[int, UInt8[np.ndarray, "u v"]] = {}
        for tags, maps in [*prepared.seen.items()]:
            grid, valid = _size(maps.uss), torch.ones(1, len(tags), dtype=torch.bool, device=maps.cams.device)
            cams = normalise_cams(resize(on_one_scale(maps.cams), grid), valid)[0]
            values = (cams * 255).round().to(torch.uint8).cpu().numpy()
            found = {**dict(zip(tags, values, strict=True)), **found}  # those of the run's tags come first
        return found

    def click(self, prepared: Prepared, click: Click) -> Bool[np.ndarray, "h w"]:
        """Return the thing that a click shows.

        Raises:
            ItemError: the run has no network that segments anything.
        """
        sam, embedding = self.drafts.models.sam, prepared.embedding
        if sam is None or embedding is None:
            raise ItemError("clicks need a network that segments anything: run with --boundary.kind sam")
        with self.lock:
            return clicked(sam.propose(embedding), click, embedding.size, prepared.photograph.size)

    def _corrections(self, prepared: Prepared, maps: Maps) -> tuple[Correction, Correction]:
        """Return the boundary corrections of a photograph, which keep data of its image."""
        if not self.last or self.last[0][0] is not prepared:
            self.last[:] = [(prepared, self.maker.corrections(maps.images, maps.uss, maps.edges, prepared.embedding))]
        return self.last[0][1]

    def _tags(self, tags: set[int]) -> tuple[int, ...]:
        """Return tags in their order, without the background."""
        known = self.classes.foreground
        if strange := sorted(tag for tag in tags if tag not in known and not (self.classes.background and tag == 0)):
            raise ItemError(f"expected ids of classes, 0 to {known.stop - 1}; got {strange[0]}")
        return tuple(sorted(tag for tag in tags if tag in known))

    def _drawn(self, prepared: Prepared, held: UInt8[np.ndarray, "h w"] | None) -> set[int]:
        """Return the classes that are drawn."""
        if held is None:
            return set()
        if held.shape != prepared.photograph.size:
            (height, width), (rows, columns) = prepared.photograph.size, held.shape
            raise ItemError(f"expected drawn labels of {width}x{height} pixels, got {columns}x{rows}; draw them again")
        if (many := len(self.classes.names)) > FREE:
            raise ItemError(f"drawn labels work with up to {FREE} classes, the run has {many}; mend the mask by hand")
        counts = np.bincount(held.ravel(), minlength=256)
        return {int(label) for label in np.flatnonzero(counts) if label not in (FREE, VOID)}

    def _maps(self, prepared: Prepared, tags: tuple[int, ...], drawn: Collection[int] = ()) -> Maps:
        """Return the maps of a photograph for some tags; they are made once.

        A drawn class gets a map of zeros if the source has no map of it, such as files of maps.
        """
        known, first, whole = prepared.seen, prepared.photograph.sample.tags, (*self.classes.foreground,)
        if tags in known:
            return known[tags]
        if whole in known and self.drafts.models.source.tags_apart:
            return chosen_maps(known[whole], [whole.index(tag) for tag in tags])
        drafts, sample = self.drafts, replace(prepared.photograph.sample, tags=tags)
        try:
            maps = maps_of(prepared.images, [sample], drafts.models, drafts.config, [prepared.uss])
        except ItemError:
            if first not in known or not {*tags} <= {*first, *drawn}:
                raise
            return chosen_maps(known[first], [first.index(tag) if tag in first else None for tag in tags])
        if not bool(maps.finite):
            raise not_finite()
        known[tags] = maps
        if len(known) > _SEEN:
            del known[next(one for one in known if one != first)]
        return maps


def chosen_maps(maps: Maps, places: Sequence[int | None]) -> Maps:
    """Return the maps of the tags at some places; None stands for a class with a map of zeros."""
    count = maps.cams.shape[1]
    chosen = [count if place is None else place for place in places]

    def of(values: Float[Tensor, "b _ u v"]) -> Float[Tensor, "b _ u v"]:
        before = values.shape[1] - count  # the background
        rows = [*range(before), *(before + place for place in chosen)]
        return torch.cat([values, torch.zeros_like(values[:, :1])], dim=1)[:, rows]

    probabilities = None if maps.probabilities is None else of(maps.probabilities)
    return replace(maps, cams=of(maps.cams), probabilities=probabilities)


def drawn_shares(held: UInt8[np.ndarray, "h w"], ids: Sequence[int], size: tuple[int, int]) -> Float[Tensor, "1 k u v"]:
    """Return the share of each working pixel that is drawn as each class.

    >>> drawn_shares(np.array([[3, 3], [FREE, 1]], np.uint8), [0, 1, 3], (1, 1)).flatten().tolist()
    [0.0, 0.25, 0.5]
    """
    maps = [area_average(torch.from_numpy(held == label).float()[None, None], size) for label in ids]
    return torch.cat(maps, dim=1)


def _size(maps: Tensor) -> tuple[int, int]:
    return maps.shape[-2], maps.shape[-1]
