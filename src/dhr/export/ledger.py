"""A folder that an export fills file by file: what is finished in it, so that the same command goes on there."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from dhr.data.listing import escapes
from dhr.errors import OutputError
from dhr.files import remove_temporaries

LEDGER = ".dhr-export.jsonl"
"""First line: what is exported; then a line for each photograph: its split, name, the mask's digest, its files."""

_Key = tuple[str, str]  # split, name


class Ledger:
    """The folder ``root``, for exports with the identity ``export``; several splits of a data set may share it.

    Args:
        root: made if it is not there.
        export: what has to be the same for an export to go on in the folder.
        split: of the data set, empty for all of it.

    Raises:
        OutputError: it cannot be written, holds something else, or another export.
    """

    def __init__(self, root: Path, export: Mapping[str, Any], split: str) -> None:
        self._root, self._path, self._split = root, root / LEDGER, split
        self._files: dict[_Key, tuple[str, list[str]]] = {}
        try:
            if root.exists() and not root.is_dir():
                raise OutputError(f"{root} is a file, a folder is needed; choose another with --out")
            root.mkdir(parents=True, exist_ok=True)
            content = self._path.read_bytes() if self._path.is_file() else None
            if content is None and (foreign := sorted(path.name for path in root.iterdir())):
                raise OutputError(
                    f"{root} holds {len(foreign)} things that are not of an export ({', '.join(foreign[:3])}); "
                    "choose an empty or new folder with --out"
                )
            whole = (content or b"").rpartition(b"\n")[0]  # a line cut off by a kill: that photograph is made again
            lines = whole.splitlines()
            self._read(lines, export)
            remove_temporaries(root)
            self._log: IO[bytes] = self._path.open("r+b" if content is not None else "wb")
            self._log.truncate(len(whole) + 1 if whole else 0)
            self._log.seek(0, 2)
        except OSError as error:
            raise OutputError(f"cannot write to {root}: {error.strerror or error}; choose another --out") from error
        if not lines:
            self._append(export)

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._log.close()

    def finished(self, name: str, digest: str) -> bool:
        """Whether all files of a photograph were made of a mask with this digest, and are there."""
        known = self._files.get((self._split, name))
        return known is not None and known[0] == digest and all((self._root / file).exists() for file in known[1])

    def add(self, name: str, digest: str, files: Sequence[str]) -> None:
        """Note that the ``files`` (relative to the folder) of a photograph are written."""
        self._note((self._split, name), digest, list(files))

    def keep_only(self, names: Collection[str]) -> None:
        """Delete the files of other photographs of the split: those that lost their masks since."""
        gone = [key for key in self._files if key[0] == self._split and key[1] not in names]
        dropped = {file for key in gone for file in self._files.pop(key)[1]}
        kept = {file for _, files in self._files.values() for file in files} if dropped else set()
        for file in dropped - kept:
            (self._root / file).unlink(missing_ok=True)
        for split, name in gone:
            self._append({"split": split, "name": name, "digest": "", "files": []})

    @property
    def splits(self) -> dict[str, dict[str, list[str]]]:
        """Files by photograph, by split, sorted."""
        found: dict[str, dict[str, list[str]]] = {}
        for split, name in sorted(self._files):
            found.setdefault(split, {})[name] = self._files[split, name][1]
        return found

    def _read(self, lines: list[bytes], export: Mapping[str, Any]) -> None:
        for number, line in enumerate(lines):
            try:
                entry = json.loads(line)
                if number == 0:
                    self._refuse_other(entry, export)
                    continue
                key, digest, files = (str(entry["split"]), str(entry["name"])), entry["digest"], entry["files"]
                if any(escapes(file) for file in files):  # they may be deleted
                    raise ValueError("a path leads out of the folder")
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise OutputError(f"{self._path} line {number + 1} is damaged; delete {self._root}") from error
            if digest:
                self._files[key] = (digest, files)
            else:
                self._files.pop(key, None)

    def _refuse_other(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        changed = [key for key in now if before.get(key) != now[key]]
        if changed:
            raise OutputError(
                f"{self._root} holds another export (other {', '.join(changed)}); choose another --out, or delete it"
            )

    def _note(self, key: _Key, digest: str, files: list[str]) -> None:
        self._files[key] = (digest, files)
        self._append({"split": key[0], "name": key[1], "digest": digest, "files": files})

    def _append(self, entry: Mapping[str, Any]) -> None:
        self._log.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
        self._log.flush()
