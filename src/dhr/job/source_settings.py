"""Checks the settings of several map sources."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from dhr.errors import ConfigError
from dhr.models.config import WssConfig

_OWN = frozenset(one.name for one in fields(WssConfig)) - {"kind"}


def check_sources(sources: Sequence[str], settings: Mapping[str, Mapping[str, Any]], recursion: bool) -> None:
    """Check the names of sources, and the names of their own settings.

    Raises:
        ConfigError: they cannot work.
    """
    names = ", ".join(sources)
    if len(sources) == 1 or len({*sources}) < len(sources):
        raise ConfigError(
            f"sources must name two or more kinds, each once; got {names}. For a single one: --wss.kind KIND"
        )
    if sources and recursion:
        raise ConfigError(
            "recursion needs a single source, wss.kind classifier or irn; leave out sources or recursion. A student of "
            "the masks: dhr train --masks OUT/masks"
        )
    for kind, own in settings.items():
        if kind not in sources:
            raise ConfigError(
                f"source_settings.{kind}: expected one of the sources, {names or 'of which there are none'}"
            )
        if unknown := [name for name in own if name not in _OWN]:
            raise ConfigError(f"source_settings.{kind}: no setting {unknown[0]!r}; expected those of wss, except kind")


def own_settings(wss: WssConfig, kind: str, own: Mapping[str, Any]) -> WssConfig:
    """Return the settings of one of several sources.

    Raises:
        ConfigError: they cannot work, or a source of files has no folder of its own.
    """
    made = replace(wss, kind=kind, **own)
    if kind == "files" and made.maps is None:
        raise ConfigError(
            "sources: files needs a folder of maps of its own: --source-settings '{files: {maps: DIR}}'; got none"
        )
    return made
