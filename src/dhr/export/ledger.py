"""A folder that an export fills file by file; a ledger of finished files lets the same command continue there."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from dhr.data.listing import escapes
from dhr.data.samples import Problem
from dhr.errors import ItemError, OutputError, PlaceError
from dhr.export.masks import Item, Masks
from dhr.files import inside, remove, remove_temporaries
from dhr.locks import hold
from dhr.parsing import MAX_RECORDS, Fields, parse_json

LEDGER = ".dhr-export.jsonl"
"""First line: the export; then a line per photograph: its split, name, the mask's digest, its files."""

_Key = tuple[str, str]  # split, name


@dataclass(frozen=True)
class _Line:
    """A finished photograph; without a digest, one that is gone."""

    split: str
    name: str
    digest: str
    files: tuple[str, ...]
    """Relative to the folder."""

    @staticmethod
    def parse(value: Any) -> "_Line":
        line = Fields(value)
        files = line.texts("files", 1000)
        if any(not file or "\0" in file or escapes(file) for file in files):  # they may be deleted
            raise ValueError("a path leads out of the folder")
        return _Line(line.text("split"), line.text("name"), line.text("digest"), files)

    def as_json(self) -> dict[str, Any]:
        return {"split": self.split, "name": self.name, "digest": self.digest, "files": list(self.files)}


class Ledger:
    """The folder ``root``, for exports with the identity ``export``; several splits of a data set may share it.

    Args:
        root: made if it is missing.
        export: settings that must be the same when an export continues in the folder.
        split: of the data set, empty for all of it.

    Raises:
        OutputError: it cannot be written, or holds another export or something else.
    """

    def __init__(self, root: Path, export: Mapping[str, Any], split: str) -> None:
        self._root, self._path, self._split = root, root / LEDGER, split
        self._files: dict[_Key, tuple[str, tuple[str, ...]]] = {}
        try:
            if root.exists() and not root.is_dir():
                raise OutputError(f"{root} is a file, a folder is needed; choose another with --out")
            root.mkdir(parents=True, exist_ok=True)
            self._refuse_foreign(self._path.is_file())
            self._log: IO[bytes] = hold(root, LEDGER)
        except OSError as error:
            raise OutputError(f"cannot write to {root}: {error.strerror or error}; choose another --out") from error
        try:
            self._open(export)
        except OSError as error:
            self._log.close()
            raise OutputError(f"cannot write to {root}: {error.strerror or error}; choose another --out") from error
        except BaseException:
            self._log.close()
            raise

    def _open(self, export: Mapping[str, Any]) -> None:
        # Read the locked file: opening and closing it again would release the lock.
        content = self._log.read(MAX_RECORDS + 1)
        if len(content) > MAX_RECORDS:
            raise OutputError(f"{self._path} is damaged: over {MAX_RECORDS >> 20} MB; delete {self._root}")
        whole = content.rpartition(b"\n")[0]  # a line cut off by a kill is dropped
        lines = whole.splitlines()
        self._refuse_foreign(bool(lines))
        self._read(lines, export)
        remove_temporaries(self._root)
        self._log.truncate(len(whole) + 1 if whole else 0)
        self._log.seek(0, 2)
        if not lines:
            self._append(export)

    def _refuse_foreign(self, known: bool) -> None:
        foreign = sorted(path.name for path in self._root.iterdir() if path.name != LEDGER) if not known else []
        if foreign:
            raise OutputError(
                f"{self._root} holds {len(foreign)} files or folders that do not belong to an export "
                f"({', '.join(foreign[:3])}); choose an empty or new folder with --out"
            )

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._log.close()

    def path(self, file: str) -> Path:
        """Return the path of a file of the export.

        Raises:
            PlaceError: one of its folders is a link.
        """
        return inside(self._root, file, may_be_link=True)

    def finished(self, name: str, digest: str) -> bool:
        """Return whether all files of a photograph exist, and were made of a mask with this digest."""
        known = self._files.get((self._split, name))
        try:
            return known is not None and known[0] == digest and all(self.path(file).is_file() for file in known[1])
        except PlaceError:  # writing them reports it
            return False

    def fill(self, masks: Masks, write: Callable[[Item], Sequence[str]]) -> None:
        """Export the photographs that are not finished, and delete the files of those that lost their masks.

        Photographs that cannot be written become ``problems`` of ``masks``.

        Args:
            write: writes the files of a photograph; returns their paths, relative to the folder.
        """
        elsewhere: set[str] = set()
        for item in masks.items(self.finished):
            try:
                files = write(item)
            except (ItemError, PlaceError) as error:
                masks.refuse(item, str(error))
                if isinstance(error, PlaceError):
                    elsewhere.add(item.name)  # something else has its name, and is not deleted
            else:
                self.add(item.name, item.digest, files)
        masks.problems += self._keep_only(masks.read_names | elsewhere)

    def add(self, name: str, digest: str, files: Sequence[str]) -> None:
        """Note that the ``files`` (relative to the folder) of a photograph are written."""
        line = _Line(self._split, name, digest, tuple(files))
        self._files[line.split, line.name] = (line.digest, line.files)
        self._append(line.as_json())

    def _keep_only(self, names: Collection[str]) -> list[Problem]:
        """Delete the files of other photographs of the split; return those that cannot be deleted."""
        gone = [key for key in self._files if key[0] == self._split and key[1] not in names]
        problems = []
        kept = {file for key, (_, files) in self._files.items() if key not in gone for file in files} if gone else set()
        for split, name in gone:
            for file in set(self._files.pop((split, name))[1]) - kept:
                try:
                    remove(self._root, file)
                except PlaceError as error:
                    problems.append(Problem(name, str(error)))
            self._append(_Line(split, name, "", ()).as_json())
        return problems

    @property
    def splits(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """Files by photograph, by split, sorted."""
        found: dict[str, dict[str, tuple[str, ...]]] = {}
        for split, name in sorted(self._files):
            found.setdefault(split, {})[name] = self._files[split, name][1]
        return found

    def _read(self, lines: list[bytes], export: Mapping[str, Any]) -> None:
        for number, text in enumerate(lines):
            try:
                value = parse_json(text.decode())
                if number == 0:
                    self._refuse_other(Fields(value).object(), export)
                    continue
                line = _Line.parse(value)
            except ValueError as error:
                raise OutputError(
                    f"{self._path} line {number + 1} is damaged ({error}); delete {self._root}"
                ) from error
            if line.digest:
                self._files[line.split, line.name] = (line.digest, line.files)
            else:
                self._files.pop((line.split, line.name), None)

    def _refuse_other(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        changed = [key for key in now if before.get(key) != now[key]]
        if changed:
            raise OutputError(
                f"{self._root} holds another export (other {', '.join(changed)}); choose another --out, or delete it"
            )

    def _append(self, entry: Mapping[str, Any]) -> None:
        try:
            self._log.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
            self._log.flush()
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror or error}; free the disk") from error
