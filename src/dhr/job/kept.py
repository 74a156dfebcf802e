"""Drafts that the survey keeps until the run is finished, so that no network computes a photograph twice.

A draft depends on its photograph, the tags, the networks and the settings. The first two are checked when it is read.
If the others change, the survey begins again, and the folder of the drafts is deleted.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int64
from safetensors.torch import save
from torch import Tensor
from xxhash import xxh3_64

from dhr.data.samples import ClassTable, Sample
from dhr.features.pack import Packed
from dhr.job.folder import OutputFolder
from dhr.method.base import NOTHING
from dhr.method.steps import Draft, Steps
from dhr.parsing import Fields, parse_json
from dhr.tensors import check_finite, check_kinds, check_shapes, read_tensors

_ABOUT = "dhr"  # one entry of the metadata, since safetensors writes several in an order that changes
_MOST = 16_000_000_000  # bytes of a file
_VOID = 255  # in a base mask as it is kept
_SPARE = 2  # the run takes at most one part in so many of the free space


@dataclass(frozen=True)
class Kept:
    """A photograph after Steps 1 to 3, with the maps that its masks need besides."""

    ids: Int64[Tensor, " k"]
    """The class ids of its classes, the background first where there is one."""
    draft: Draft
    uss: Packed
    edges: Float[Tensor, "1 1 p q"] | None = None
    """Probability of a class boundary, from sources that learn it."""
    probabilities: Float[Tensor, "1 _ p q"] | None = None
    """Of the photograph's classes, the background first, from a student."""

    def to(self, device: torch.device) -> "Kept":
        """Move the draft and the maps to a device."""
        steps = Steps(**{name: value.to(device) for name, value in vars(self.draft.steps).items()})
        others = {name: value.to(device) for name, value in vars(self.draft).items() if name != "steps"}
        edges, probabilities = (None if one is None else one.to(device) for one in (self.edges, self.probabilities))
        return Kept(self.ids, Draft(steps=steps, **others), self.uss, edges, probabilities)


@dataclass(frozen=True)
class Keeper:
    """Reads and writes the drafts in the folder of a run."""

    folder: OutputFolder
    classes: ClassTable
    channels: int
    """Channels of the USS features."""

    def read(self, sample: Sample, digest: str) -> Kept | None:
        """Return the draft of a photograph; None if it is missing, damaged, or of other content or tags.

        Args:
            sample: its name and tags.
            digest: digest of its content.
        """
        try:
            tensors, metadata = read_tensors(self.folder.survey_cells(sample.name), _MOST)
            about = Fields(parse_json(metadata.get(_ABOUT, "{}")))
            if about.text("checksum") != _checksum(tensors, digest):
                return None
            return self._checked(tensors, sample)
        except (OSError, ValueError):
            return None

    def content(self, kept: Kept, digest: str) -> bytes:
        """Return the content of the file of a draft."""
        steps, draft = kept.draft.steps, kept.draft
        base = torch.where(steps.base == NOTHING, _VOID, steps.base).to(torch.uint8)
        found = {**vars(steps), "base": base, "cams": draft.cams, "order": draft.order, "ids": kept.ids[None]}
        found |= {name: value for name in ("edges", "probabilities") if (value := getattr(kept, name)) is not None}
        tensors = {name: value[0].cpu().contiguous() for name, value in found.items()}
        tensors |= {"uss": kept.uss.values, "scale": kept.uss.scale}
        return save(tensors, {_ABOUT: json.dumps({"checksum": _checksum(tensors, digest)})})

    def _checked(self, tensors: dict[str, Tensor], sample: Sample) -> Kept:
        """Make the draft of tensors; raises ValueError if they cannot be those of the photograph."""
        ids, cams = torch.tensor(class_ids(self.classes, sample)), tensors.get("cams", torch.empty(0))
        if cams.ndim != 3 or not cams.numel():
            raise ValueError(f"cams: expected (classes, rows, columns), got {tuple(cams.shape)}")
        k, (u, v) = len(ids), cams.shape[1:]
        more = [name for name in ("edges", "probabilities") if name in tensors]
        maps = ("seed", "initial", "inter", "intra")
        check_shapes(
            tensors,
            {
                **dict.fromkeys(maps, (k, u * v)), **dict.fromkeys(more, (None, None, None)), "cams": (k, u, v),
                "base": (None, None), "alike": (u * v,), "groups": (k, k), "ratios": (k,), "moved": (),
                "marginal_error": (), "order": (k,), "ids": (k,), "uss": (self.channels, u, v), "scale": (None, 1, 1),
            },
        )  # fmt: skip
        single = (*maps, *more, "cams", "ratios", "moved", "marginal_error", "scale")
        check_kinds(
            tensors,
            {
                **dict.fromkeys(single, (torch.float32,)), **dict.fromkeys(("order", "ids"), (torch.int64,)),
                **dict.fromkeys(("alike", "groups"), (torch.bool,)), "base": (torch.uint8,),
                "uss": (torch.float16, torch.int8),
            },
        )  # fmt: skip
        check_finite(tensors)
        base = tensors["base"].long()
        if not torch.equal(tensors["ids"], ids) or not torch.equal(tensors["order"].sort().values, torch.arange(k)):
            raise ValueError("it is of other tags")
        if not base.numel() or bool(((base >= k) & (base != _VOID)).any()):
            raise ValueError("base: it holds labels that cannot be")
        found = {name: tensors[name][None] for name in (*(one.name for one in fields(Steps)), *more, "cams", "order")}
        found["base"] = torch.where(base == _VOID, NOTHING, base)[None]
        steps = Steps(**{one.name: found[one.name] for one in fields(Steps)})
        draft = Draft(steps, found["cams"], torch.ones(1, k, dtype=torch.bool), found["order"])
        return Kept(ids, draft, Packed(tensors["uss"], tensors["scale"]), **{name: found[name] for name in more})


@dataclass
class Room:
    """The disk space for drafts."""

    limit: int
    """Bytes."""
    taken: int = 0

    @staticmethod
    def of(folder: OutputFolder, limit: int) -> "Room":
        """Return the space for the drafts of a run: ``limit`` bytes, but at most half of the free space."""
        return Room(min(limit, shutil.disk_usage(folder.root).free // _SPARE))

    def take(self, size: int) -> bool:
        """Take this many bytes if they are left; return whether they are."""
        fits = self.taken + size <= self.limit
        self.taken += size if fits else 0
        return fits


def _checksum(tensors: Mapping[str, Tensor], digest: str) -> str:
    """Return the checksum of tensors, and of the photograph that they are of."""
    shapes = [(name, str(tensors[name].dtype), [*tensors[name].shape]) for name in sorted(tensors)]
    whole = xxh3_64(json.dumps([digest, shapes]).encode())
    for name in sorted(tensors):
        whole.update(tensors[name].flatten().view(torch.uint8).numpy().data)
    return whole.hexdigest()


def class_ids(classes: ClassTable, sample: Sample) -> list[int]:
    """Return the ids of the classes of a photograph, the background first where there is one."""
    return [*range(classes.foreground.start), *sample.tags]
