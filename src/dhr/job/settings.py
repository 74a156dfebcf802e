"""All settings of a run."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from dhr.bounds import byte_count
from dhr.data.image_config import ImageConfig
from dhr.errors import ConfigError
from dhr.job.digests import SHA256, digest_file, digest_folder, digest_weights, source_identity
from dhr.job.source_settings import check_sources, own_settings
from dhr.method.config import BoundaryConfig, MethodConfig
from dhr.models.config import HUB, NONE, Mask2FormerConfig, StudentConfig, UssConfig, WssConfig
from dhr.models.precision import Precision, check_precision, resolved
from dhr.train.config import AffinityConfig, ClassifierConfig, StudentTrainingConfig

if TYPE_CHECKING:
    import torch

StageName = Literal["classifier", "affinity", "calibration", "survey", "masks", "student", "second masks"]
"""The stages of runs that can be made again, in their order. A run has some of them."""


@dataclass(frozen=True)
class RunConfig:
    """All settings of a run."""

    image: ImageConfig = field(default_factory=ImageConfig)
    wss: WssConfig = field(default_factory=WssConfig)
    sources: tuple[str, ...] = ()
    """Two or more kinds of `wss.kind`, such as `classifier clip`. Their maps are calibrated and joined
    (docs/method.md). Without any, `wss.kind` alone makes the maps."""
    source_settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Settings of each of the `sources` that differ from those of `wss`, such as `{files: {maps: DIR}}`."""
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    affinity: AffinityConfig = field(default_factory=AffinityConfig)
    uss: UssConfig = field(default_factory=UssConfig)
    method: MethodConfig = field(default_factory=MethodConfig)
    boundary: BoundaryConfig = field(default_factory=BoundaryConfig)
    recursion: bool = False
    """Whether a student is trained on the masks. Its maps then make the final masks."""
    student: StudentConfig = field(default_factory=StudentConfig)
    mask2former: Mask2FormerConfig = field(default_factory=Mask2FormerConfig)
    student_training: StudentTrainingConfig = field(default_factory=StudentTrainingConfig)
    stages: bool = True
    """Whether to keep the masks of all steps, and the CAMs."""
    doubtful: float = 0.0
    """Confidence, 0..1. If it is above 0, a second set of masks, `training_masks`, is written, in which pixels with
    less confidence are void (255). Training on it avoids wrong labels."""
    features: Path | None = None
    """Folder of a feature store (docs/features.md): USS features are read from it, and missing ones are added. Without
    a store each run computes them."""
    batch: int = 0
    """Photographs that go through the networks together. 0: chosen for the device and the sizes. It is halved if memory
    runs out."""
    work_space: str = "8GB"
    """Most disk space for drafts, such as `8GB` or `500MB`, and at most half of the free space. Drafts are the results
    of Steps 1 to 3 and the USS features. They are kept in OUT/work/survey for the masks, and for later calls of `dhr
    update`. Between calls they may be deleted. Photographs without a kept draft go through the networks again, with
    the same masks. With recursion the student may then differ in its last bits. 0 keeps no drafts."""
    seed: int = 0
    """Seed of all random numbers."""
    precision: Precision = "auto"
    """Type of numbers in which networks compute maps: `float32`, `bfloat16` or `float16`. `auto`: bfloat16 on CPUs and
    GPUs that compute faster with it, float16 on older GPUs, else float32. Trainings have their own `precision`."""
    device: str = "auto"
    """`auto` (a CUDA GPU where there is one), `cpu`, `cuda`, `cuda:1`, `mps`."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed must be 0 or more, and below 2**63; got {self.seed}")
        check_precision(self.precision)
        if self.recursion and self.student.kind != "joint":
            raise ConfigError(
                f"recursion needs a student with maps, student.kind joint; {self.student.kind} learns finished masks, "
                "those of a run (dhr train --masks OUT/masks)"
            )
        check_sources(self.sources, self.source_settings, self.recursion)
        _ = self.parts  # the settings of each source are checked as they are made
        if self.recursion and self.wss.kind not in ("classifier", "irn"):
            raise ConfigError(
                f"recursion needs a classifier that is trained on the tags, wss.kind classifier or irn; got "
                f"{self.wss.kind}. A student of its masks: dhr train --masks OUT/masks"
            )
        if self.method.marginal == "prior" and not self.method.prior:
            raise ConfigError(
                "method.marginal prior needs method.prior, shares by class name ({cat: 0.2, sky: 0.5}); or set "
                "method.marginal to estimated"
            )
        if self.method.marginal == "prior" and self.recursion:
            raise ConfigError(
                "recursion rebalances crops, whose class shares are unknown: set method.marginal to estimated, or "
                "recursion to false"
            )
        if self.batch < 0:
            raise ConfigError(f"batch must be a number of photographs, or 0; got {self.batch}")
        if not 0 <= self.doubtful <= 1:
            raise ConfigError(f"doubtful is a confidence, 0..1; got {self.doubtful}")
        if self.classifier.crop < 2 * self.wss.output_stride:
            raise ConfigError(
                f"classifier.crop must be at least {2 * self.wss.output_stride}, twice wss.output_stride, for batch "
                f"statistics; got {self.classifier.crop}"
            )
        if "irn" in self.kinds and self.affinity.crop < 2 * self.wss.output_stride:
            raise ConfigError(
                f"affinity.crop must be at least {2 * self.wss.output_stride}, twice wss.output_stride, to hold more "
                f"than one value of a CAM each way; got {self.affinity.crop}"
            )
        if 0 < self.student_training.crop < 2 * self.wss.output_stride:
            raise ConfigError(
                f"student_training.crop must be at least {2 * self.wss.output_stride}, twice wss.output_stride; "
                f"got {self.student_training.crop}"
            )
        self.work_bytes()
        for name, value in _leaves(asdict(self)):
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(f"{name} must be a finite number, got {value}")

    @property
    def parts(self) -> tuple["RunConfig", ...]:
        """The settings of each map source by itself, by the name of its kind, so that their order does not matter."""
        if not self.sources:
            return (self,)
        each = [own_settings(self.wss, kind, self.source_settings.get(kind, {})) for kind in self.kinds]
        return tuple(replace(self, sources=(), source_settings={}, wss=wss) for wss in each)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of the map sources, in the order of :attr:`parts`."""
        return tuple(sorted(self.sources)) or (self.wss.kind,)

    def find_device(self) -> "torch.device":
        """Return the device to run on.

        Raises:
            ConfigError: this machine lacks the device.
        """
        import torch

        name = self.device
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            device = torch.device(name)
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(
                f"device {name!r} cannot be used ({str(error).splitlines()[0]}); try --device cpu"
            ) from error
        return device

    def work_bytes(self) -> int:
        """Return ``work_space`` in bytes.

        Raises:
            ConfigError: it is not a size.
        """
        size = byte_count(self.work_space)
        if size is None:
            raise ConfigError(f"work_space must be a size such as 8GB or 500MB, or 0; got {self.work_space!r}")
        return size

    def identity(self, device: "torch.device", before: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
        """Return the identity of a run: every setting that the masks depend on, weights by content.

        Missing files of weights count as those of the identity ``before``, because a finished run works without them.

        Raises:
            WeightsError: a file of weights is missing.
        """
        settings = asdict(self)
        settings["device"] = device.type
        settings["precision"] = resolved(self.precision, device)
        for group in ("classifier", "affinity", "student_training"):
            for free in ("workers", "save_minutes"):
                settings[group].pop(free)
        settings.pop("mask2former")  # a run does not use it
        settings.pop("work_space")
        settings.pop("batch")
        if not self.recursion:
            settings.pop("student")
            settings.pop("student_training")
        if "irn" not in self.kinds:
            settings.pop("affinity")
        if self.boundary.kind != "sam":
            settings["boundary"].pop("sam")
        else:
            sam = settings["boundary"]["sam"]
            sam |= {key: digest_folder(Path(sam[key])) for key in ("model", "weights") if Path(sam[key]).is_dir()}
        del settings["wss"], settings["sources"], settings["source_settings"]
        if self.sources:
            known = before.get("sources", {})
            settings["sources"] = {
                one.wss.kind: source_identity(one.wss, known.get(one.wss.kind, {})) for one in self.parts
            }
        else:
            settings["wss"] = source_identity(self.wss, before.get("wss", {}))
        uss, known = settings["uss"], before.get("uss", {})
        if uss["weights"] not in (HUB, NONE):
            uss["weights"] = digest_weights(uss["weights"], "uss.weights", known.get("weights"))
        if self.uss.head is not None:
            uss["head"] = digest_file(Path(self.uss.head), "uss.head", known.get("head"))
        # A store that keeps 16 bits and all channels does not change the masks.
        settings.pop("features")
        if self.features is not None:
            from dhr.features.store import known_reduction

            name = known_reduction(self.features)
            name = before.get("features", "") if name is None else name
            if name:
                settings["features"] = name
        if self.classifier.file is not None:
            known = before.get("classifier", {}).get("file")
            settings["classifier"]["file"] = digest_file(self.classifier.file, "classifier.file", known)
        return plain(settings)

    def training_identity(self, device: "torch.device") -> dict[str, Any]:
        """Return the identity of a student's training: the settings that its kind depends on.

        Raises:
            WeightsError: weights are missing.
        """
        settings = self.identity(device)
        settings["student_training"] = asdict(self.student_training)
        for free in ("workers", "save_minutes"):
            settings["student_training"].pop(free)
        if self.student.kind == "mask2former":
            for name in ("wss", "sources", "classifier", "affinity", "uss", "method", "boundary", "features"):
                settings.pop(name, None)
            settings["student"] = {"kind": self.student.kind}
            settings["mask2former"] = asdict(self.mask2former)
            for name in ("model", "weights"):
                place = Path(getattr(self.mask2former, name))
                if name == "weights" and str(place) not in (HUB, NONE):
                    settings["mask2former"][name] = digest_file(place, "mask2former.weights", None)
                elif place.is_dir():
                    settings["mask2former"][name] = digest_folder(place)
        else:
            settings["student"] = asdict(self.student)
        return plain(settings)


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Convert settings to JSON values: lists for tuples, text for paths."""
    return {key: _plain(value) for key, value in settings.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return each difference of two runs as ``name was X, now Y``; ``name changed`` for files and whole groups."""
    found = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            long = any(isinstance(value, Mapping) or str(value).startswith(SHA256) for value in (before, after))
            found.append(f"{prefix}{key} changed" if long else f"{prefix}{key} was {before}, now {after}")
    return found


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield names and values of nested settings."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _leaves(entry, f"{name}.{key}" if name else str(key))
    elif isinstance(value, tuple | list):
        for entry in value:
            yield from _leaves(entry, name)
    else:
        yield name, value
