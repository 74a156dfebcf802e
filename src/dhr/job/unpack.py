"""Write the masks and records of rows as files, as a run without an engine does."""

import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pyarrow as pa

from dhr.corrections import Corrections
from dhr.corrections.above_rows import CorrectedRows
from dhr.corrections.copy import copy_corrections
from dhr.data.listing import escapes
from dhr.data.samples import Problem
from dhr.errors import ConfigError, ItemError, OutputError
from dhr.files import digest_regular, inside, open_regular, write_atomic, write_bytes, write_json
from dhr.job.folder import OutputFolder
from dhr.job.scan import photographs_digest
from dhr.progress import Progress, Step
from dhr.records.item import read_item
from dhr.records.members import to_json
from dhr.results.opened import rows_of_run
from dhr.results.row import Row
from dhr.results.rows import RowMasks

_BATCH = 10_000  # rows


@dataclass(frozen=True)
class Unpacked:
    """The result of unpacking."""

    masks: int
    problems: tuple[Problem, ...]


def unpack(run: Path, out: Path, progress: Progress) -> Unpacked:
    """Write the rows of the run in ``run`` to ``out``: masks, records and ``run.json``; then its fitted files and
    corrections, so that the copy can go on as a run without an engine.

    A call that was interrupted is continued: files that are there are not written again.

    Raises:
        ConfigError: the run has no rows.
        DataError: none of them can be used.
        OutputError: there is no run, ``out`` holds another one, or cannot be written.
    """
    record, rows = OutputFolder(run).read(), rows_of_run(run)
    if record is None:
        raise OutputError(f"--run {run}: expected the output folder of dhr run, found no run.json; name that folder")
    if rows is None:
        raise ConfigError(f"--run {run}: expected a run with rows, found masks that are files already; use them")
    if out.resolve().is_relative_to(run.resolve()) or run.resolve().is_relative_to(out.resolve()):
        raise OutputError(f"--out {out}: expected a folder outside {run}; choose another")
    folder = OutputFolder(out)
    record = replace(record, identity=replace(record.identity, data=_photographs(rows)))
    with folder.lock():
        before = folder.read()
        if before is not None and before.identity != record.identity:
            raise OutputError(f"--out {out} holds another run; choose an empty or new folder")
        folder = folder.with_shards(record, rows.names())
        record = replace(record, shards=folder.shards, rows=False)
        folder.write_record(replace(record, status="running"))
        lost = _write(rows, folder, progress)
        problems = [*rows.problems, *lost]
        corrected = CorrectedRows(rows, Corrections.of(run))
        problems += copy_corrections(
            corrected.corrections, Corrections.of(out), lambda name: corrected.of_person(name) is not None
        )
        _copy_fitted(run, out)
        folder.write_record(record)
    return Unpacked(len(rows) - len(lost), tuple(problems))


def _write(rows: RowMasks, folder: OutputFolder, progress: Progress) -> list[Problem]:
    """Write masks and records; return the rows that cannot be written."""
    problems = []
    for done, row in enumerate(rows.rows(), start=1):
        if isinstance(row, Problem):
            problems.append(row)
        else:
            try:
                _write_row(row, folder)
            except ItemError as error:
                problems.append(Problem(row.id, str(error)))
        progress(Step("unpack", done, len(rows)))
    return problems


def _write_row(row: Row, folder: OutputFolder) -> None:
    """Write the files of a photograph, its record last.

    Raises:
        ItemError: its name cannot be that of a file.
    """
    if escapes(row.id) or not row.id:
        raise ItemError(f"{row.id!r} leads out of the folder; rename the photograph")
    assert row.record is not None and row.mask is not None  # `rows` yields no others
    mask, item = folder.mask(row.id), folder.item(row.id)
    if read_item(item) != row.record or _digest(mask) != row.record.mask:
        write_bytes(mask, row.mask, durable=False)  # the record has its digest
        write_json(item, to_json(row.record))


def _photographs(rows: RowMasks) -> str:
    """Return the digest of photographs and tags that a run without an engine records: an engine records another."""
    tables = [table for _, table in rows.tables(("id", "digest", "tags"))]
    whole, names = pa.concat_tables(tables).sort_by("id"), rows.classes.names
    found = (
        (name, digest, sorted(names.index(tag) for tag in tags if tag in names))
        for batch in whole.to_batches(_BATCH)
        for name, digest, tags in zip(*(column.to_pylist() for column in batch.columns), strict=True)
    )
    return photographs_digest(rows.classes, found)


def _copy_fitted(run: Path, out: Path) -> None:
    """Copy classifier, survey and whatever else was fitted; equal files stay.

    Raises:
        OutputError: one cannot be read or written.
    """
    for path in sorted(run.glob("[!.]*.safetensors")):
        target = inside(out, path.name)
        try:
            if not target.exists() or digest_regular(target) != digest_regular(path):
                with open_regular(path) as content:
                    write_atomic(target, partial(shutil.copyfileobj, content))
        except OSError as error:
            raise OutputError(f"{path} cannot be copied ({error.strerror or error}); copy it to {out}") from error


def _digest(path: Path) -> str:
    try:
        return digest_regular(path)
    except OSError:
        return ""
