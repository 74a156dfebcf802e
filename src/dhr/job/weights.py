"""The weights that a command needs from a hub. All are looked for together before anything is read."""

from pathlib import Path

from dhr.job.settings import RunConfig
from dhr.models.remote import COPY, Remote, fetch, mask2former_remote, require, uss_remote
from dhr.models.sam.build import sam_remote
from dhr.sources import source_remotes


def run_weights(config: RunConfig, out: Path | None = None) -> list[Remote]:
    """Name the weights that `dhr run`, and `dhr train` of a joint student, take from a hub.

    Args:
        config: all settings.
        out: the output folder; if it holds a trained classifier, the backbone's weights are not needed.
    """
    found = [*source_remotes(config, out), uss_remote(config.uss)]
    if config.boundary.kind == "sam":
        found.append(sam_remote(config.boundary.sam.model, config.boundary.sam.weights, "boundary.sam.model"))
    return [remote for remote in found if remote is not None]


def train_weights(config: RunConfig) -> list[Remote]:
    """Name the weights that `dhr train` takes from a hub."""
    if config.student.kind != "mask2former":
        return run_weights(config)
    remote = mask2former_remote(config.mask2former)
    return [] if remote is None else [remote]


def fetch_all(remotes: list[Remote]) -> list[tuple[Remote, list[Path]]]:
    """Download missing weights, and return the files of each model.

    Raises:
        WeightsError: some are missing; if the server does not answer, all missing ones are named.
    """
    require(remotes, COPY)
    return [(remote, fetch(remote)) for remote in remotes]
