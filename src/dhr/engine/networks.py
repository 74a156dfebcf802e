"""The networks of a run on a worker."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

import dhr
from dhr.data.manifest import ManifestDataSet
from dhr.data.samples import ClassTable
from dhr.engine.manifest import Manifest
from dhr.engine.masks import UnitMasks
from dhr.errors import ConfigError, OutputError
from dhr.files import digest_regular
from dhr.flow.halving import BatchSize
from dhr.job.folder import OutputFolder
from dhr.job.mender_models import opened_maker
from dhr.job.opened_run import OpenedRun
from dhr.job.settings import RunConfig
from dhr.records.run import RunRecord
from dhr.results.row import settings_digest


@dataclass(frozen=True)
class FittedWork:
    """All that a worker needs to make the masks of a run; implements :class:`~dhr.engine.worker.Work`."""

    out: Path
    config: RunConfig
    manifest: Manifest
    record: RunRecord
    """The record of the job, after fitting."""
    digests: Mapping[str, str]
    """Digests of the fitted files in the output folder."""
    looked_at: frozenset[str]

    @property
    def settings(self) -> str:
        """Digest of the run's identity, which each row holds."""
        return settings_digest(self.record.identity)

    @property
    def classes(self) -> ClassTable:
        """Those of the manifest."""
        return self.manifest.classes

    def opened(self) -> UnitMasks:
        """Build the networks of a run on this machine.

        Raises:
            DhrError: this machine has another version of dhr, lacks a file, or has one with another content.
        """
        check(self)
        config = replace(self.config, device=self.config.device if torch.cuda.is_available() else "cpu")
        device = config.find_device()
        check_device(device, self.record)
        data = ManifestDataSet(self.manifest.classes, ())
        maker = opened_maker(OpenedRun(OutputFolder(self.out), self.record, data, config))
        size = BatchSize(self.record.batch or 1, lambda line: None)
        return UnitMasks(maker, self.settings, self.looked_at, size)


def check(work: FittedWork) -> None:
    """Compare this machine's program and files with those of the driver; raises as its two parts."""
    check_version(work.record.identity.dhr)
    check_files({work.out / name: digest for name, digest in work.digests.items()}, "--out")


def check_device(device: torch.device, record: RunRecord) -> None:
    """Compare this machine's device with that of a job.

    Raises:
        ConfigError: it is of another kind.
    """
    wanted = record.identity.settings.get("device")
    if device.type != wanted:
        raise ConfigError(
            f"a worker has the device {device.type}, but the job began on {wanted}; add --device {wanted}, or another "
            "--out"
        )


def check_version(version: str) -> None:
    """Compare this machine's program with the version that a job was started with.

    Raises:
        ConfigError: it is another.
    """
    if dhr.__version__ != version:
        raise ConfigError(
            f"a worker has dhr {dhr.__version__}, the job was started with {version}; install the same version on all "
            "machines"
        )


def check_files(digests: Mapping[Path, str], option: str) -> None:
    """Compare files on this machine with those of the driver.

    Args:
        digests: by file.
        option: that names the files or their folder.

    Raises:
        OutputError: a file is missing, or has another content.
    """
    for path, digest in digests.items():
        try:
            found = digest_regular(path)
        except OSError as error:
            raise OutputError(
                f"a worker cannot read {path} ({error.strerror or error}); {option} must be on a disk that all share"
            ) from error
        if found != digest:
            raise OutputError(f"a worker has another {path} than the job; {option} must be on a disk that all share")
