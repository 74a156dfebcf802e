import errno
import hashlib
import json
import math
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhr.errors import OutputError, PlaceError
from dhr.files import (
    TEMPORARY_SUFFIX,
    check_output,
    check_regular,
    digest_regular,
    inside,
    open_regular,
    read_regular,
    remove,
    remove_temporaries,
    remove_tree,
    write_atomic,
    write_bytes,
    write_json,
    write_json_output,
    write_output,
)
from dhr.locks import hold


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


def test_writing_leaves_the_umask_of_the_process_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads that both set it and put it back can leave it at 0: then everybody may write all later files."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the umask is that of all threads"))
    write_bytes(tmp_path / "folder" / "file", b"content")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["file"]


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


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Makes a file of a kind that is no regular file."""
    sockets = []

    def make(kind: str) -> Path:
        path = tmp_path / f"a {kind}"
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        elif kind == "socket":
            sockets.append(socket.socket(socket.AF_UNIX))
            sockets[-1].bind(os.path.relpath(path))  # the longest name of a socket is short
        elif kind == "device":
            return Path("/dev/zero")
        elif kind == "link to a pipe":
            os.mkfifo(tmp_path / "there")
            path.symlink_to("there")
        elif kind == "broken link":
            path.symlink_to("nowhere")
        return path

    yield make
    for one in sockets:
        one.close()


@pytest.mark.parametrize("kind", ["pipe", "folder", "socket", "device", "link to a pipe"])
@pytest.mark.parametrize("reader", [open_regular, read_regular, check_regular, digest_regular])
def test_only_regular_files_are_opened(kind: str, reader: Callable[[Path], Any], odd: Callable[[str], Path]) -> None:
    path = odd(kind)
    with pytest.raises(OSError, match="not a regular file") as error:
        reader(path)
    assert error.value.strerror is not None and "\n" not in error.value.strerror


def test_a_size_is_known_before_anything_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_regular(path, 5) == b"12345" and check_regular(path, 5) == 5
    assert digest_regular(path) == hashlib.sha256(b"12345").hexdigest()
    os.truncate(path, 10**12)  # sparse: it takes no room
    for reader in (open_regular, read_regular, check_regular, digest_regular):
        with pytest.raises(OSError, match="over the limit of 1 MB"):
            reader(path, 1_000_000)


def test_a_file_that_is_exchanged_for_a_pipe_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    before = os.open

    def late(place: Any, *arguments: Any) -> int:
        path.unlink()
        os.mkfifo(path)
        return before(place, *arguments)

    monkeypatch.setattr(os, "open", late)
    with pytest.raises(OSError, match="it is a named pipe"):
        open_regular(path)


def test_a_name_with_nul_is_an_error_in_words(tmp_path: Path) -> None:
    path = tmp_path / "a\0b"
    with pytest.raises(OSError, match="cannot hold NUL"):
        open_regular(path)
    for write in (lambda: write_bytes(path, b""), lambda: write_output(path, lambda file: None)):
        with pytest.raises(PlaceError, match="cannot hold NUL"):
            write()
    with pytest.raises(OutputError, match="NUL"):
        check_output(path)
    with pytest.raises(OutputError, match="expected a path inside"):
        inside(tmp_path, "a\0b")


@pytest.mark.parametrize("kind", ["pipe", "folder", "socket", "link to a pipe", "broken link"])
def test_what_is_no_file_is_never_replaced(kind: str, odd: Callable[[str], Path], tmp_path: Path) -> None:
    path = odd(kind)
    before = sorted(tmp_path.iterdir()), path.lstat()
    with pytest.raises(PlaceError, match=r"has this name, and is not replaced; remove it") as error:
        write_bytes(path, b"content")
    assert len(str(error.value).splitlines()) == 1
    assert (sorted(tmp_path.iterdir()), path.lstat()) == before


@settings(max_examples=200)
@given(st.lists(st.sampled_from(["..", ".", "", "/", "a", "b.png", "\\", "C:", "~", "\0", "é"]), max_size=6))
def test_no_path_leads_out(parts: list[str]) -> None:
    relative = "/".join(parts)
    root = Path("/nowhere/root")
    try:
        found = inside(root, relative)
    except OutputError as error:
        assert ".." in parts or "\0" in relative or relative.startswith("/") or not relative.strip("./"), error
        return
    assert Path(os.path.normpath(found)).is_relative_to(root) and found != root


def test_links_in_a_folder_lead_nowhere(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "real").mkdir(parents=True)
    outside.mkdir()
    (outside / "precious").write_bytes(b"kept")
    (root / "link").symlink_to(outside)
    (root / "real" / "deep").symlink_to(outside)
    (root / "file").symlink_to(outside / "precious")
    for relative in ("link/precious", "link", "real/deep/precious", "real/deep/new/file", "file"):
        with pytest.raises(OutputError, match="is a link, which is not followed"):
            inside(root, relative)
    for relative in ("link/precious", "real/deep/precious", "../outside/precious", str(outside / "precious")):
        with pytest.raises(OutputError):
            remove(root, relative)
        with pytest.raises(OutputError):
            remove_tree(root, relative)
    with pytest.raises(OutputError):
        remove_tree(root, "link")
    remove(root, "file")  # of a link, the link
    assert files(outside) == ["precious"] and not (root / "file").is_symlink()
    assert inside(root, "link", may_be_link=True) == root / "link"
    through = tmp_path / "through"
    through.symlink_to(root)  # the user named it
    assert inside(through, "real/a") == through / "real/a"


@pytest.mark.parametrize("kind", ["pipe", "folder", "socket"])
def test_what_is_no_file_is_not_deleted(kind: str, odd: Callable[[str], Path], tmp_path: Path) -> None:
    path = odd(kind)
    with pytest.raises(PlaceError, match=r"cannot delete .* has this name"):
        remove(tmp_path, path.name)
    assert path.exists()
    remove(tmp_path, "what is not there")


def test_a_tree_is_deleted_but_not_what_its_links_lead_to(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    write_bytes(outside / "precious", b"kept")
    write_bytes(outside / ".x.dhr-tmp", b"kept")
    write_bytes(root / "work" / "a" / "b", b"")
    (root / "work" / "link").symlink_to(outside)
    remove_temporaries(root)
    remove_tree(root, "work")
    remove_tree(root, "work")  # it is gone already
    assert list(root.iterdir()) == [] and files(outside) == [".x.dhr-tmp", "precious"]


def test_a_pipe_gets_what_is_written(tmp_path: Path) -> None:
    path, got = tmp_path / "pipe", []
    os.mkfifo(path)
    with pytest.raises(OutputError, match="the pipe has no reader"):
        write_output(path, lambda file: file.write(b"lost"))
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    content = os.urandom(300_000)  # more than a pipe holds

    def read() -> None:
        while part := os.read(reader, 65536):
            got.append(part)

    thread = threading.Thread(target=read)
    first = os.open(path, os.O_WRONLY)  # so that the reader does not see the end before the writer comes
    thread.start()
    check_output(path)
    write_output(path, lambda file: file.write(content))
    os.close(first)
    thread.join(60)
    os.close(reader)
    assert b"".join(got) == content
    assert path.is_fifo()


def test_a_full_device_is_one_line() -> None:
    with pytest.raises(OutputError, match="No space left on device"):
        write_json_output(Path("/dev/full"), {"a": 1})
    write_json_output(Path("/dev/null"), {"a": 1})
    assert Path("/dev/full").is_char_device() and Path("/dev/null").is_char_device()


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("into", ["file", "pipe"])
def test_standard_output_can_be_named(name: str, into: str, tmp_path: Path) -> None:
    """It follows what was printed before, also where the output goes to a file."""
    code = (
        "import sys; from pathlib import Path; from dhr.files import check_output, write_json_output\n"
        "print('before'); check_output(Path(sys.argv[1])); write_json_output(Path(sys.argv[1]), [1]); print('after')"
    )
    arguments = [sys.executable, "-c", code, name]
    if into == "pipe":
        said = subprocess.run(arguments, check=True, capture_output=True).stdout
    else:
        with (tmp_path / "out").open("wb") as file:
            subprocess.run(arguments, check=True, stdout=file)
        said = (tmp_path / "out").read_bytes()
    assert said == b"before\n[\n  1\n]\nafter\n"


@pytest.mark.parametrize("kind", ["folder", "socket", "broken link"])
def test_an_output_that_cannot_be_is_known_before(kind: str, odd: Callable[[str], Path]) -> None:
    path = odd(kind)
    for call in (lambda: check_output(path), lambda: write_output(path, lambda file: None)):
        with pytest.raises(OutputError, match="cannot write"):
            call()


def test_an_output_below_a_file_is_known_before(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="Not a directory"):
        check_output(tmp_path / "file" / "a" / "b.json")
    check_output(tmp_path / "new" / "folder" / "b.json")
    assert files(tmp_path) == ["file"]


@pytest.mark.parametrize("kind", ["pipe", "folder", "link to a pipe", "broken link"])
def test_a_lock_that_is_no_file_is_refused(kind: str, odd: Callable[[str], Path], tmp_path: Path) -> None:
    path = odd(kind)
    with pytest.raises(PlaceError, match="has this name, and is not replaced"):
        hold(tmp_path, path.name)
