"""An index of rows: where the row of a photograph is, in 13 bytes per row."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import xxhash
from jaxtyping import Bool, Int64, UInt32, UInt64

from dhr.data.samples import ClassTable
from dhr.errors import DataError
from dhr.records.problem import Problem
from dhr.results.part import Part, PartError
from dhr.words import counted

_MAX_ROWS = 1 << 32


@dataclass(frozen=True, eq=False)
class Expected:
    """What all parts of a run share; empty members are those of the first part."""

    settings: str = ""
    classes: ClassTable | None = None


@dataclass(frozen=True, eq=False)
class Index:
    """The rows of all parts, numbered in the order of the parts."""

    seed: int
    """Of the hashes; it is random, so that no file can be made whose ids collide."""
    hashes: UInt64[np.ndarray, " n"]
    """Hashes of the ids of masks, sorted."""
    rows: UInt32[np.ndarray, " n"]
    """The row of each hash."""
    starts: Int64[np.ndarray, " bounds"]
    """The first row of each part, and the number of rows."""
    live: Bool[np.ndarray, " rows"]
    """Whether a row is the mask of a photograph of this run."""
    classes: ClassTable | None
    problems: tuple[Problem, ...]

    def candidates(self, name: str) -> Iterator[tuple[int, int]]:
        """Yield the part and the row in it of each row that may be that of a photograph: nearly always one."""
        wanted = np.uint64(hashed(name, self.seed))
        for place in range(*np.searchsorted(self.hashes, [wanted, wanted + np.uint64(1)]).tolist()):
            yield self.place(int(self.rows[place]))

    def place(self, row: int) -> tuple[int, int]:
        """Return the part of a row, and its number in it."""
        part = int(np.searchsorted(self.starts, row, "right")) - 1
        return part, row - int(self.starts[part])

    @property
    def nbytes(self) -> int:
        """Memory, bytes."""
        return self.hashes.nbytes + self.rows.nbytes + self.starts.nbytes + self.live.nbytes


def hashed(name: str, seed: int) -> int:
    """Return the hash of an id, 63 bits."""
    return xxhash.xxh3_64_intdigest(name.encode("utf-8", "surrogatepass"), seed) >> 1


def indexed(paths: Sequence[Path], expected: Expected) -> Index:
    """Read the ids of all parts. Parts that cannot be used become problems; so do rows of another run.

    Raises:
        DataError: there are too many rows.
    """
    seed, problems = secrets.randbits(64), list[Problem]()
    hashes, live, starts, settings, classes = [], [], [0], expected.settings, expected.classes
    for path in paths:
        try:
            found, own, foreign, classes, settings = _ids(path, seed, classes, settings)
        except PartError as error:
            problems.append(Problem(str(path), str(error)))
            starts.append(starts[-1])
            continue
        if foreign:
            problems.append(Problem(str(path), f"{foreign} of its {len(found)} rows belong to another run or to other "
                            "settings, and are not used; delete the file, or move it to its run"))  # fmt: skip
        hashes.append(found)
        live.append(own)
        starts.append(starts[-1] + len(found))
        if starts[-1] >= _MAX_ROWS:
            raise DataError(f"{path.parent}: expected at most {_MAX_ROWS} rows; keep each run in a folder of its own")
    whole = np.concatenate([np.empty(0, np.uint64), *hashes])
    alive = np.concatenate([np.empty(0, bool), *live])
    rows = np.flatnonzero(alive).astype(np.uint32)
    rows = rows[np.argsort(whole[rows], kind="stable")]
    index = Index(seed, whole[rows], rows, np.array(starts, np.int64), alive, classes, tuple(problems))
    return _without_twins(index, paths)


def _ids(
    path: Path, seed: int, classes: ClassTable | None, settings: str
) -> tuple[UInt64[np.ndarray, " n"], Bool[np.ndarray, " n"], int, ClassTable, str]:
    """Return the hashes of a part's ids, which of its rows hold a mask of this run, how many are foreign, and what all
    parts must share; raises PartError.
    """
    with closing(Part(path)) as part:
        if classes is not None and (part.classes.names, part.classes.background) != (classes.names, classes.background):
            raise PartError(
                f"its class table differs from that of the run: {_few(part.classes)} in place of {_few(classes)}; "
                "delete the file, or move it to its run"
            )
        part.check()
        found, live, foreign = [], [], 0
        for group in range(part.groups):
            table = part.read(group, ("id", "settings", "reason"))
            if table["id"].null_count:
                raise PartError("a row has no id; delete the file and continue the run")
            settings = settings or (table["settings"][0].as_py() if len(table) else "")
            own = pc.fill_null(pc.equal(table["settings"], settings), False).to_numpy()
            made = pc.is_null(table["reason"]).to_numpy()
            foreign += int((~own).sum())
            found += [hashed(one, seed) for one in table["id"].to_pylist()]
            live.append(own & made)
        return np.array(found, np.uint64), np.concatenate([np.empty(0, bool), *live]), foreign, part.classes, settings


def _without_twins(index: Index, paths: Sequence[Path]) -> Index:
    """Leave out all rows with an id that several rows have: none of them is more right than the others."""
    same = np.flatnonzero(index.hashes[1:] == index.hashes[:-1])
    if not same.size:
        return index
    rows_of = dict[str, list[int]]()
    for row, name in _names(index, paths, np.unique(index.rows[np.concatenate([same, same + 1])])):
        rows_of.setdefault(name, []).append(row)
    twins = {name: rows for name, rows in rows_of.items() if len(rows) > 1}
    files = dict[tuple[str, ...], list[str]]()
    for name, rows in sorted(twins.items()):
        files.setdefault(tuple(sorted({paths[index.place(row)[0]].name for row in rows})), []).append(name)
    problems = [
        Problem(
            str(paths[0].parent / inside[0]),
            f"expected one row per id, found several of {counted(len(names), 'id')} ({names[0]!r}{_more(names)}) in "
            f"{' and '.join(inside)}; these rows are not used: delete the wrong file, or all of them and continue the "
            "run",
        )
        for inside, names in files.items()
    ]
    lost = np.array([row for rows in twins.values() for row in rows], np.uint32)
    live, kept = index.live.copy(), ~np.isin(index.rows, lost)
    live[lost] = False
    return replace(
        index, hashes=index.hashes[kept], rows=index.rows[kept], live=live, problems=(*index.problems, *problems)
    )


def _names(index: Index, paths: Sequence[Path], rows: UInt32[np.ndarray, " n"]) -> Iterator[tuple[int, str]]:
    """Yield some rows with their ids; ``rows`` are sorted."""
    for number, path in enumerate(paths):
        first, last = index.starts[number : number + 2]
        inside = rows[(rows >= first) & (rows < last)] - first
        if inside.size:
            with closing(Part(path)) as part:
                for group in np.unique(np.searchsorted(part.starts, inside, "right") - 1):
                    ids, start = part.read(int(group), ("id",))["id"], part.starts[group]
                    for row in inside[(inside >= start) & (inside < part.starts[group + 1])]:
                        yield int(first + row), ids[int(row - start)].as_py()


def _more(names: Sequence[str]) -> str:
    return " and others" if len(names) > 1 else ""


def _few(classes: ClassTable) -> str:
    return f"{', '.join(classes.names[:3])}{' and more' if len(classes.names) > 3 else ''}"
