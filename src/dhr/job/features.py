"""The USS features of a run: from the network, or from the store that its settings name."""

import torch
from torch import nn

from dhr.data.samples import DataSet
from dhr.errors import ConfigError
from dhr.features import Features, FeatureStore, Filled, StoreConfig, fill
from dhr.job.settings import RunConfig
from dhr.models.precision import resolved
from dhr.models.uss import build_uss
from dhr.progress import Progress, silent


def build_features(config: RunConfig, device: torch.device, asked: StoreConfig | None = None) -> Features:
    """Build the network on the device, in evaluation mode, and its store.

    Args:
        asked: settings of a new store; None if the store must exist.

    Raises:
        ConfigError: no such model, or a store that does not fit.
        WeightsError: its weights cannot be had.
        OutputError: the folder is not a store, or is damaged.
    """
    torch.manual_seed(config.seed)
    uss = build_uss(config.uss)
    if isinstance(uss, nn.Module):
        uss.to(device).eval()
        uss.to(memory_format=torch.channels_last)
    store = None if config.features is None else FeatureStore.open(config.features, asked)
    features = Features(uss, config.uss, config.image.grid_stride, device, store, resolved(config.precision, device))
    if asked is None:
        features.check()
    return features


def fill_store(
    data: DataSet,
    config: RunConfig,
    asked: StoreConfig,
    progress: Progress = silent,
) -> tuple[Filled, FeatureStore]:
    """Compute the USS features of all photographs that the store of the settings lacks.

    Raises:
        ConfigError: the store is not named; or as :func:`build_features`.
        OutputError: the disk is full.
    """
    if config.features is None:
        raise ConfigError("name the store with --features DIR: a new folder, or one to add to")
    features = build_features(config, config.find_device(), asked)
    assert features.store is not None
    return fill(data, features, features.store, config.image.long_side, progress), features.store
