"""Map sources: they show where in a photograph its tagged classes are.

A source is one file with a class that derives from :class:`MapSource`, and one line in :data:`SOURCES`.
"""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from dhr.sources.combined import CombinedSource

__all__ = [
    "SOURCES", "Checked", "Fitting", "Given", "MapSource", "Seen", "SourceClass", "SourceSettings",
    "build_source", "source_remotes", "source_type",
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
    "boxes": _later("boxes", "BoxesSource"),
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
        raise ConfigError(f"there is no map source {kind!r}; wss.kind and sources take {', '.join(SOURCES)}")
    return SOURCES[kind]()


def source_remotes(settings: SourceSettings, folder: Path | None = None) -> list[Remote]:
    """Name the weights that the sources of the settings take from a hub.

    Raises:
        ConfigError: there is no such source.
    """
    kinds = [(source_type(one.wss.kind), one) for one in settings.parts]
    found = [remote for kind, one in kinds for remote in (kind.remote(one, folder), *kind.further_remotes(one))]
    return [remote for remote in found if remote is not None]


def build_source(given: Given) -> MapSource:
    """Build the source that `wss.kind` names, or those of `sources`, and read the results of finished fittings.

    Raises:
        ConfigError: there is no such source, or its settings cannot work.
        WeightsError: its weights are missing or damaged.
    """
    parts = [_part(replace(given, settings=one)) for one in given.settings.parts]
    if given.settings.classifier.file is not None and not any(part.takes_classifier for part in parts):
        wss = parts[0].given.settings.wss
        raise ConfigError(
            f"--classifier.file: wss.kind {wss.kind}, wss.backbone {wss.backbone} cannot use it; leave it out"
        )
    source = parts[0] if len(parts) == 1 else _combined()(given, parts)
    for fitting in source.fittings:
        if path := finished(given.folder, fitting.file):
            fitting.load(path)
    return source


def _part(given: Given) -> MapSource:
    torch.manual_seed(given.settings.seed)
    return source_type(given.settings.wss.kind)(given)


def _combined() -> "type[CombinedSource]":
    from dhr.sources.combined import CombinedSource

    return CombinedSource
