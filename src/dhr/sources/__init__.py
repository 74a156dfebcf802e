"""Map sources: they show where in a photograph its tagged classes are.

A source is one file with a class that derives from :class:`MapSource`, and one line in :data:`SOURCES`.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import torch

from dhr.errors import ConfigError
from dhr.models.remote import Remote
from dhr.sources.protocol import (
    Checked,
    Fitting,
    Given,
    MapSource,
    Seen,
    SourceClass,
    SourceSettings,
    finished,
)

__all__ = [
    "SOURCES", "Checked", "Fitting", "Given", "MapSource", "Seen", "SourceClass", "SourceSettings",
    "build_source", "source_remote", "source_type",
]  # fmt: skip


def _later(module: str, name: str) -> Callable[[], SourceClass]:
    """Import a source's file only when it is used."""
    return lambda: getattr(import_module(f"dhr.sources.{module}"), name)


SOURCES: dict[str, Callable[[], SourceClass]] = {
    "classifier": _later("classifier", "ClassifierSource"),
    "irn": _later("irn", "IrnSource"),
    "clip": _later("clip", "ClipSource"),
    "clipseg": _later("clipseg", "ClipSegSource"),
    "maskclip": _later("maskclip", "MaskclipSource"),
    "tips": _later("tips", "TipsSource"),
    "sam3": _later("sam3", "Sam3Source"),
    "files": _later("files", "FilesSource"),
    "student": _later("student", "StudentSource"),
}
"""The classes of all sources, by `wss.kind`; a call imports the class."""


def source_type(kind: str) -> SourceClass:
    """Return the class of the source that `wss.kind` names.

    Raises:
        ConfigError: there is no such source.
    """
    if kind not in SOURCES:
        raise ConfigError(f"wss.kind must be one of {', '.join(SOURCES)}; got {kind!r}")
    return SOURCES[kind]()


def source_remote(settings: SourceSettings, folder: Path | None = None) -> Remote | None:
    """Name the weights that the source of the settings takes from a hub; None if it takes nothing from there.

    Raises:
        ConfigError: there is no such source.
    """
    return source_type(settings.wss.kind).remote(settings, folder)


def build_source(given: Given) -> MapSource:
    """Build the source that `wss.kind` names, and read the results of its finished fittings.

    Raises:
        ConfigError: there is no such source, or its settings cannot work.
        WeightsError: its weights are missing or damaged.
    """
    torch.manual_seed(given.settings.seed)
    wss = given.settings.wss
    source = source_type(wss.kind)(given)
    if given.settings.classifier.file is not None and not source.takes_classifier:
        raise ConfigError(
            f"--classifier.file: wss.kind {wss.kind}, wss.backbone {wss.backbone} cannot use it; leave it out"
        )
    for fitting in source.fittings:
        if path := finished(given.folder, fitting.file):
            fitting.load(path)
    return source
