"""Drafts that a run keeps, so that no network computes a photograph twice: for the masks, and for an update.

A draft depends on its photograph, the tags, the networks and the settings. The first two are checked when it is read.
If the others change, the survey begins again, and the folder of the drafts is deleted.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor
from torch.nn.functional import pad
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
_OVER_CLASSES = frozenset(
    ("seed", "initial", "inter", "intra", "groups", "ratios", "cams", "valid", "order", "probabilities")
)
_FURTHER = ("edges", "probabilities")
_SPARE = 2  # the run takes at most one part of the free space in this many


@dataclass(frozen=True)
class Kept:
    """Photographs of one working size after Steps 1 to 3, with the maps that their masks need besides."""

    samples: tuple[Sample, ...]
    draft: Draft
    uss: tuple[Packed, ...]
    edges: Float[Tensor, "b 1 p q"] | None = None
    """Probability of a class boundary, from sources that learn it."""
    probabilities: Float[Tensor, "b _ p q"] | None = None
    """Probabilities of a student for the classes of a photograph, the background first; padded as the draft."""

    @property
    def size(self) -> int:
        """Bytes of its tensors."""
        tensors = [*self._tensors().values(), *(one.values for one in self.uss)]
        return sum(one.numel() * one.element_size() for one in tensors)

    def to(self, device: torch.device) -> "Kept":
        """Move everything to a device."""
        return self._with(
            {name: value.to(device) for name, value in self._tensors().items()},
            samples=self.samples, uss=tuple(one.to(device) for one in self.uss),
        )  # fmt: skip

    def one(self, index: int, classes: ClassTable) -> "Kept":
        """Return one photograph without padding; it holds no memory of the others."""
        count = len(class_ids(classes, self.samples[index]))

        def cut(name: str, value: Tensor) -> Tensor:
            value = value[index : index + 1]
            if name in _OVER_CLASSES:
                value = value[:, :count]
            return (value[:, :, :count] if name == "groups" else value).clone()

        parts = {name: cut(name, value) for name, value in self._tensors().items()}
        return self._with(parts, samples=(self.samples[index],), uss=(self.uss[index],))

    @staticmethod
    def together(parts: Sequence["Kept"]) -> "Kept":
        """Join photographs of one working size, each by itself, to a batch, padded to the largest number of classes."""
        most = max(part.draft.valid.shape[1] for part in parts)

        def padded(name: str, value: Tensor) -> Tensor:
            missing = most - value.shape[1] if name in _OVER_CLASSES else 0
            if not missing:
                return value
            if name == "order":
                return torch.cat([value, torch.arange(most - missing, most, device=value.device)[None]], dim=1)
            last = [0, missing] if name == "groups" else []
            return pad(value, [*last, *[0] * (2 * (value.ndim - 2) - len(last)), 0, missing])

        tensors = [part._tensors() for part in parts]
        found = {name: torch.cat([padded(name, one[name]) for one in tensors]) for name in tensors[0]}
        samples, uss = (tuple(one for part in parts for one in getattr(part, name)) for name in ("samples", "uss"))
        return parts[0]._with(found, samples=samples, uss=uss)

    def _tensors(self) -> dict[str, Tensor]:
        """Return all tensors by name, but the USS features."""
        draft = self.draft
        found = {**vars(draft.steps), "cams": draft.cams, "valid": draft.valid, "order": draft.order}
        return found | {name: value for name in _FURTHER if (value := getattr(self, name)) is not None}

    @staticmethod
    def _with(tensors: Mapping[str, Tensor], samples: tuple[Sample, ...], uss: tuple[Packed, ...]) -> "Kept":
        steps = Steps(**{one.name: tensors[one.name] for one in fields(Steps)})
        draft = Draft(steps, tensors["cams"], tensors["valid"], tensors["order"])
        return Kept(samples, draft, uss, **{name: tensors[name] for name in _FURTHER if name in tensors})


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
        """Return the content of the file of one photograph's draft."""
        base = kept.draft.steps.base
        found = {**kept._tensors(), "base": torch.where(base == NOTHING, _VOID, base).to(torch.uint8)}
        del found["valid"]
        (sample,), (uss,) = kept.samples, kept.uss
        tensors = {name: value[0].cpu().contiguous() for name, value in found.items()}
        tensors |= {"uss": uss.values.cpu(), "scale": uss.scale.cpu()}
        tensors["ids"] = torch.tensor(class_ids(self.classes, sample))
        return save(tensors, {_ABOUT: json.dumps({"checksum": _checksum(tensors, digest)})})

    def _checked(self, tensors: dict[str, Tensor], sample: Sample) -> Kept:
        """Make the draft of tensors; raises ValueError if they cannot be those of the photograph."""
        ids, cams = torch.tensor(class_ids(self.classes, sample)), tensors.get("cams", torch.empty(0))
        if cams.ndim != 3 or not cams.numel():
            raise ValueError(f"cams: expected (classes, rows, columns), got {tuple(cams.shape)}")
        k, (u, v) = len(ids), cams.shape[1:]
        more = [name for name in _FURTHER if name in tensors]
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
        found = {name: value[None] for name, value in tensors.items()}
        found["base"] = torch.where(base == _VOID, NOTHING, base)[None]
        found["valid"] = torch.ones(1, k, dtype=torch.bool)
        return Kept._with(found, (sample,), (Packed(tensors["uss"], tensors["scale"]),))


@dataclass
class Space:
    """The disk space for drafts."""

    limit: int
    """Bytes."""
    taken: int = 0
    full: bool = False
    """Whether something did not fit."""

    @staticmethod
    def of(folder: OutputFolder, limit: int) -> "Space":
        """Return the space for the drafts of a run: ``limit`` bytes, but at most half of the space that they can have.

        The drafts in the folder have taken their part of it.
        """
        if not limit:
            return Space(0)
        taken = sum(path.lstat().st_size for path in folder.all_survey_cells)
        return Space(min(limit, (taken + shutil.disk_usage(folder.root).free) // _SPARE), taken)

    def take(self, size: int) -> bool:
        """Take this many bytes if they are left; return whether they are."""
        fits = self.taken + size <= self.limit
        self.taken += size if fits else 0
        self.full = not fits
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
