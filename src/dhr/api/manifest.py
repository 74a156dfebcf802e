"""A table of photographs: ``dhr.manifest``."""

from pathlib import Path

from dhr.api.data import Data, opened, split_of
from dhr.api.result import TableResult
from dhr.data.manifest.from_data import FromData, Placed
from dhr.data.manifest.from_table import FromTable, PhotographTable
from dhr.data.manifest.write import check_place, write_manifest
from dhr.data.parquet import arrow
from dhr.data.samples import DataSet
from dhr.errors import ConfigError
from dhr.progress import Progress, silent
from dhr.words import counted


def manifest(
    data: Data | None = None,
    *,
    file: Path | str,
    table: PhotographTable | None = None,
    sizes: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> TableResult:
    """Write a manifest: a Parquet table with the id, the place and the tags of each photograph.

    It is a data set: `--data FILE` of all commands takes it. It is made from a data folder, or from a table that you
    have, whose columns are named. Photographs of a manifest may be anywhere: files, s3://, gs://, http://.

    Photographs stay where they are. Those inside other files, and ground truth that is not a mask of class ids, are
    written into a folder beside the manifest: photos.files/ of photos.parquet. docs/data.md tells more.

    Args:
        data: the data folder.
        file: the Parquet file to write.
        table: a table of photographs in place of a data folder.
        sizes: also read the size of each photograph, which opens all of them.
        workers: threads; by default one for each processor.
        progress: called while it is made.

    Returns:
        The file, and the number of its photographs.

    Raises:
        ConfigError: neither a data folder nor a table is given, or both; or a package is not installed.
        DataError: the data set or the table cannot be used.
        OutputError: the file cannot be written, or something else is there.
    """
    if (data is None) == (table is None):
        raise ConfigError("expected --data DIR or --table FILE, one of them; give the photographs by one of both")
    arrow()
    place, report = Path(file), progress or silent
    check_place(place)
    photographs: DataSet
    if table is not None:
        photographs = FromTable(table, report).data_set()
    else:
        assert data is not None
        photographs = opened(data, report)
    if not isinstance(photographs, Placed):
        raise ConfigError("photographs in memory have no place that a manifest could name; give a data folder")
    split = None if data is None else split_of(data)
    made = FromData(photographs, photographs, place, split, sizes, workers, report)
    made.check()
    rows = write_manifest(place, photographs.classes, made.entries())
    classes = counted(len(photographs.classes.names), "class", "classes")
    text = f"{counted(rows, 'photograph')}, {classes}: {place}"
    counts = {"file": str(place), "photographs": rows, "classes": len(photographs.classes.names)}
    left_out = (*photographs.problems, *made.problems)
    return TableResult([counts], text, left_out, tuple(photographs.notes), (place,))
