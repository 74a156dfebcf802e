"""What a run uses, and why, in words."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from dhr.job.data_job import stage_names
from dhr.job.fingerprint import Fingerprint
from dhr.job.settings import RunConfig
from dhr.models.config import HUB, NONE, UssConfig, WssConfig
from dhr.models.precision import resolved
from dhr.words import counted


@dataclass(frozen=True)
class Choice:
    """One thing that a run uses."""

    what: str
    value: str
    why: str


def choices(config: RunConfig, device: torch.device, found: Fingerprint) -> tuple[Choice, ...]:
    """List what a run uses."""
    return tuple(_choices(config, device, found))


def _choices(config: RunConfig, device: torch.device, found: Fingerprint) -> Iterator[Choice]:
    uss = config.uss
    yield Choice("device", device_of(device), _why(config, device))
    for part in config.parts:
        yield Choice("maps", maps_of(part), _why_maps(part))
    if config.sources:
        yield Choice("calibration", "joins the maps of all sources", "scales differ by source and class")
    if trains(config):
        training = config.classifier
        length = f"{training.epochs} epochs, {training.batch} crops of {training.crop} pixels per step"
        yield Choice("training", length, "classifier.epochs, classifier.batch, classifier.crop")
    yield Choice("USS features", uss_of(config), _weights(uss))
    longest = max(found.largest)
    side = min(longest, config.image.long_side)
    why = "image.long_side" if longest > side else "photographs are never enlarged"
    yield Choice("image size", f"up to {side} pixels, cells of {config.image.grid_stride}", why)
    for part in config.parts:
        if part.wss.kind != "files":
            yield Choice("views, maps", _views(part.wss.scales, part.wss.flip), "wss.scales, wss.flip")
    if uss.kind != "colour":
        window = f", above 1 in windows of {uss.window} pixels" if uss.window and max(uss.scales) > 1 else ""
        yield Choice("views, USS", _views(uss.scales, uss.flip) + window, "uss.scales, uss.flip, uss.window")
    yield Choice("precision", resolved(config.precision, device), "precision")
    yield Choice("survey", *_survey(config))
    sam = f" {config.boundary.sam.model}" if config.boundary.kind == "sam" else ""
    yield Choice("boundary", f"{config.boundary.kind}{sam}", "boundary.kind")
    yield Choice("recursion", *_recursion(config))


def device_of(device: torch.device) -> str:
    """Return the name of a device."""
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
        return f"{device}, {torch.cuda.get_device_name(device)}, {memory / 1e9:.0f} GB"
    return f"{device}, {counted(torch.get_num_threads(), 'thread')}" if device.type == "cpu" else str(device)


def maps_of(config: RunConfig) -> str:
    """Return the origin of the maps."""
    wss = [part.wss for part in config.parts]
    return " and ".join(f"files in {one.maps}" if one.kind == "files" else f"{one.kind} {one.backbone}" for one in wss)


def uss_of(config: RunConfig) -> str:
    """Return the origin of the USS features."""
    uss = config.uss
    if uss.kind == "colour":
        return "of colour and texture"
    return uss.model if uss.kind == "timm" else f"{uss.kind} on {uss.model}"


def trains(config: RunConfig) -> bool:
    """Return whether a classifier is trained on the tags."""
    return "classifier" in stage_names(config)


def _why(config: RunConfig, device: torch.device) -> str:
    return "there is no CUDA GPU" if config.device == "auto" and device.type == "cpu" else "device"


def _why_maps(config: RunConfig) -> str:
    if config.wss.kind == "files":
        return "wss.maps"
    return f"trained: {config.classifier.file.name}" if config.classifier.file is not None else _weights(config.wss)


def _weights(part: UssConfig | WssConfig) -> str:
    """Return where weights come from."""
    if part.kind == "colour":
        return "no weights are needed"
    known = {HUB: "weights of timm's hub", NONE: "random weights"}
    return known.get(part.weights, f"weights: {Path(part.weights).name}")


def _views(scales: tuple[float, ...], flip: bool) -> str:
    return f"{', '.join(f'{scale:g}' for scale in scales)}{' and mirrored' if flip else ''}"


def _survey(config: RunConfig) -> tuple[str, str]:
    if config.method.survey == 0:
        return "skipped", "method.survey is 0"
    return f"a first pass, weight up to {config.method.survey:g}", "other photographs of a class help ambiguous ones"


def _recursion(config: RunConfig) -> tuple[str, str]:
    if not config.recursion:
        return "off", "recursion"
    training = config.student_training
    length = f"{training.steps} steps of {training.batch} crops of {training.crop}"
    return f"{config.student.decoder}, {length}", "its maps make the final masks"
