"""Weights from a hub, looked for before any long work."""

from collections.abc import Sequence
from pathlib import Path

from dhr.api.data import Data, folder_of, is_data
from dhr.job.folder import OutputFolder
from dhr.models.remote import Remote, require


def require_first(remotes: Sequence[Remote | None], data: Data, out: Path | None = None) -> None:
    """Look for weights before ``data`` is read, which may take long.

    A missing folder is reported first, by its reader. A finished output folder ``out`` needs no weights.

    Raises:
        WeightsError: some are not here and cannot be fetched.
    """
    folder = folder_of(data)
    if (folder is None or is_data(folder)) and (out is None or not OutputFolder(out).record.is_file()):
        require(remotes)
