import errno
import json
import math
import os
from pathlib import Path
from typing import IO, Any

import pytest

from dhr.errors import OutputError
from dhr.files import TEMPORARY_SUFFIX, remove_temporaries, write_atomic, write_bytes, write_json


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_parent_folders_are_made(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a" / "b" / "c.bin", b"content")
    assert files(tmp_path) == ["a/b/c.bin"]
    assert (tmp_path / "a" / "b" / "c.bin").read_bytes() == b"content"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_writer_that_fails_leaves_the_old_content(error: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")

    def fail(file: IO[bytes]) -> None:
        file.write(b"new")
        raise error

    with pytest.raises(error):
        write_atomic(path, fail)
    assert files(tmp_path) == ["file"]
    assert path.read_bytes() == b"old"


def test_the_final_name_is_free_until_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def write(file: IO[bytes]) -> None:
        file.write(b"content")
        assert not path.exists()
        assert [name.endswith(TEMPORARY_SUFFIX) and name.startswith(".") for name in files(tmp_path)] == [True]

    write_atomic(path, write)
    assert files(tmp_path) == ["file"]


@pytest.mark.parametrize("call", ["fsync", "write"])
def test_a_full_disk_leaves_the_old_content(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if call == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"cannot write .*file: No space left on device; free the disk"):
        write_atomic(path, full if call == "write" else lambda file: file.write(b"new"))
    assert files(tmp_path) == ["file"]
    assert path.read_bytes() == b"old"


def test_content_reaches_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        assert os.fstat(descriptor).st_size == 7  # flushed from Python's buffer before
        order.append("fsync")
        fsync(descriptor)

    def renamed(self: Path, target: Path) -> Path:
        order.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    write_bytes(tmp_path / "file", b"content")
    assert order == ["fsync", "rename"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask(umask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        write_bytes(tmp_path / "file", b"")
        assert os.umask(umask) == umask  # and the umask is as it was
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


def test_a_folder_that_is_a_file_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot write"):
        write_bytes(tmp_path / "file" / "below", b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        write_bytes(tmp_path / "folder", b"")
    assert files(tmp_path) == ["file"]


def test_json_is_utf8_and_has_no_nan(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"Straße": [1, None, True]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"Straße": [1, None, True]}
    assert "Straße" in path.read_text(encoding="utf-8")
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="JSON"):
            write_json(path, {"value": value})
    assert json.loads(path.read_text(encoding="utf-8")) == {"Straße": [1, None, True]}


def test_only_temporaries_are_removed(tmp_path: Path) -> None:
    keep = ["masks/a.png", ".hidden", "a.dhr-tmp", "sub/.b.dhr-tmp.txt"]
    for name in [*keep, ".x.dhr-tmp", "masks/trip/.y.dhr-tmp"]:
        write_bytes(tmp_path / name, b"")
    remove_temporaries(tmp_path)
    assert files(tmp_path) == sorted(keep)
