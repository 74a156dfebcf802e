"""Unsupervised features, computed once: ``dhr.features``."""

from dataclasses import replace
from pathlib import Path

from dhr.api.data import Data, opened, refuse_among
from dhr.api.results import FeaturesResult
from dhr.api.settings import Config, run_settings
from dhr.errors import ConfigError
from dhr.features.settings import StoreConfig
from dhr.progress import Progress, silent


def features(
    data: Data,
    features: Path | str | None = None,
    *,
    store: StoreConfig | None = None,
    config: Config = "default",
    progress: Progress | None = None,
) -> FeaturesResult:
    """Compute the USS features of all photographs once, and keep them in a store.

    `dhr run` and `dhr train` with the same --features read them. Kept features are verified and not computed again. So
    an interrupted call goes on where it was, and several processes can fill one store. The key of an entry is made of
    the photograph's pixels, the model, its weights and its settings, so features are never mixed up. More in
    docs/features.md.

    Args:
        data: the data folder.
        features: the store: a new folder, or one to add to.
        store: how features are kept.
        config: settings; a recipe or preset, a YAML file, or single ones.
        progress: called after each photograph.

    Returns:
        The number of features that were computed, and the size of the store.

    Raises:
        ConfigError: the store is not named, or does not fit.
        OutputError: the disk is full, or the folder is not a store.
    """
    settings, _ = run_settings(config)
    if features is not None:
        settings = replace(settings, features=Path(features))
    place = settings.features
    if place is None:
        raise ConfigError("name the store with --features DIR: a new folder, or one to add to")
    from dhr.api.weights import require_first
    from dhr.job.features import fill_store
    from dhr.models.remote import uss_remote

    require_first([uss_remote(settings.uss)], data)
    photographs = opened(data, progress or silent)
    refuse_among(place, data, photographs, "--features")
    filled, kept = fill_store(photographs, settings, store or StoreConfig(), progress or silent)
    entries, size = kept.disk.taken()
    return FeaturesResult(
        store=place,
        computed=filled.computed,
        there=filled.there,
        removed=filled.removed,
        entries=entries,
        megabytes=size / 1e6,
        limit_megabytes=None if kept.disk.limit is None else kept.disk.limit / 1e6,
        left_out=filled.problems,
        notes=(*photographs.notes, *(f"{line}; computed again" for line in kept.damaged)),
    )
