"""Photographs at URIs: a web server and an S3 server on this machine, which are slow, busy, or refuse."""

import io
import itertools
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dhr
from dhr.data import open_data, remote
from dhr.data.manifest import Entry, write_manifest
from dhr.data.samples import ClassTable
from dhr.errors import ConfigError, ItemError

CLASSES = ClassTable(("background", "cat", "dog"), True)


def png(grey: int = 90) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((6, 8, 3), grey, np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PAUSE", 0.001)
    monkeypatch.setattr(remote, "_systems", {})
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


class Web(BaseHTTPRequestHandler):
    """Answers by path; ``asked`` counts the requests of each."""

    asked: dict[str, int]
    over: threading.Event

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        number = self.asked[path] = self.asked.get(path, 0) + 1
        if path == "/busy.png" and number < 4:
            self.send_error(503)
        elif path == "/silent.png" and number < 2:
            self.over.wait(30)  # longer than the reader waits
        elif path == "/cut.png" and number < 3:
            self.answer(png()[:20], len(png()))
            self.close_connection = True
        elif path == "/endless.png":
            self.answer(b"", 10**12)
            try:
                while not self.over.is_set():
                    self.wfile.write(bytes(100_000))
            except OSError:  # the reader has seen enough
                self.close_connection = True
        elif path in ("/403.png", "/404.png", "/500.png"):
            self.send_error(int(path[1:4]))
        elif path == "/bomb.png":
            header = bytes.fromhex("49484452000186a0000186a00806000000")  # of 100,000 x 100,000 pixels
            self.answer(png()[:12] + header + zlib.crc32(header).to_bytes(4, "big") + png()[33:])
        else:
            self.answer(b"" if path == "/empty.png" else png())

    def answer(self, content: bytes, length: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def web() -> Iterator[tuple[str, dict[str, int]]]:
    """The address of a web server, and how often it was asked for each path."""
    kind = type("Here", (Web,), {"asked": {}, "over": threading.Event()})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", kind.asked
        kind.over.set()
        server.shutdown()


def test_temporary_errors_of_a_web_server_are_tried_again(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    address, asked = web
    monkeypatch.setattr(remote, "TIMEOUT", 3.0)
    for name, tries in (("a", 1), ("busy", 4), ("cut", 3), ("silent", 2)):
        content = remote.fetch(f"{address}/{name}.png")
        assert content.data == png() and asked[f"/{name}.png"] == tries


@pytest.mark.parametrize(
    ("name", "words", "tries"),
    [
        ("404", "there is no such file; correct its URI", 1),
        ("403", "no access; check the account", 1),
        ("500", "the server answered 500 (5 tries); check the network", 5),
    ],
)
def test_an_error_that_stays_is_one_line_without_secrets(web: Any, name: str, words: str, tries: int) -> None:
    address, asked = web
    secret = address.replace("http://", "http://me:hidden@")
    with pytest.raises(ItemError) as error:
        remote.fetch(f"{secret}/{name}.png?signature=hidden#hidden")
    assert str(error.value).startswith(f"{address}/{name}.png: ") and words in str(error.value)
    assert "hidden" not in str(error.value) and "\n" not in str(error.value)
    assert error.value.__cause__ is None and asked[f"/{name}.png"] == tries


def test_a_file_without_end_is_refused_after_its_limit(web: Any) -> None:
    with pytest.raises(ItemError, match=r"endless.png: it has over 1 MB; make it smaller"):
        remote.fetch(f"{web[0]}/endless.png", most=1_000_000)


def test_nobody_at_the_address_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        port = server.server_port  # closed again
    with pytest.raises(ItemError, match=r"http://127.0.0.1:\d+/a.png: cannot be read: .*\(5 tries\)"):
        remote.fetch(f"http://127.0.0.1:{port}/a.png")


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(ConfigError, match=r"gs:// need fsspec and gcsfs.*; pip install 'dhr\[cluster\]' gcsfs"):
        remote.fetch("gs://bucket/a.png")


def test_bad_photographs_of_a_manifest_are_left_out_one_by_one(web: Any, tmp_path: Path) -> None:
    address, asked = web
    names = ("a", "403", "404", "empty", "bomb")
    entries = [
        Entry(name, f"{address}/{name}.png?key=hidden", ("cat",), (6, 8), truth=f"{address}/t.png") for name in names
    ]
    write_manifest(tmp_path / "m.parquet", CLASSES, entries)
    result = dhr.inspect(tmp_path / "m.parquet", json=tmp_path / "i.json")
    said = {problem.source: problem.reason for problem in result.left_out if "/t.png" not in problem.reason}
    wrong = {"403": "no access", "404": "no such file", "empty": "got an empty file", "bomb": "over the limit of 250"}
    for name, words in wrong.items():
        assert words in said[f"{address}/{name}.png"]
    assert len(said) == 4 and "hidden" not in (tmp_path / "i.json").read_text()
    assert asked["/a.png"] == 1  # digest and pixels come from one fetch
    assert any("/t.png: expected" in problem.reason for problem in result.left_out)  # RGB is no mask of these classes
    assert dhr.inspect(tmp_path / "m.parquet").inspection.sizes == {(6, 8): 1}


# S3

Serve = Callable[[Callable[..., Any]], str]


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of an S3 server on this machine. Every seventh GET fails, and one does not answer in time."""
    boto3 = pytest.importorskip("boto3")
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server")
    from werkzeug.serving import make_server

    whole, over, count = (
        server.DomainDispatcherApplication(server.create_backend_app),
        threading.Event(),
        itertools.count(),
    )

    def flaky(environ: Any, start: Any) -> Any:
        if environ["REQUEST_METHOD"] != "GET":
            return whole(environ, start)
        number, private = next(count), environ["PATH_INFO"].startswith("/private/")
        if number == 10:
            over.wait(30)
        if private or number % 7 == 3:
            code, name = ("403 Forbidden", "AccessDenied") if private else ("503 Slow Down", "SlowDown")
            start(code, [("Content-Type", "application/xml")])
            return [f"<Error><Code>{name}</Code><Message>no</Message></Error>".encode()]
        return whole(environ, start)

    http = make_server("127.0.0.1", 0, flaky, threaded=True)
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{http.server_port}"
    for name, value in (
        ("AWS_ENDPOINT_URL", address), ("AWS_ACCESS_KEY_ID", "hidden-id"), ("AWS_SECRET_ACCESS_KEY", "hidden-key"),
        ("AWS_DEFAULT_REGION", "us-east-1"), ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/nowhere"), ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(remote, "TIMEOUT", 3.0)
    yield boto3.client("s3")
    over.set()
    http.shutdown()
    http.server_close()


def test_all_photographs_of_a_bucket_are_read_although_requests_fail(s3: Any, tmp_path: Path) -> None:
    s3.create_bucket(Bucket="photos")
    lines = ["key,labels"]
    for number in range(20):
        s3.put_object(Bucket="photos", Key=f"trip/{number:02d}.png", Body=png(number))
        lines.append(f"trip/{number:02d}.png,{'cat;dog' if number % 2 else 'dog'}")
    s3.put_object(Bucket="photos", Key="trip/empty.png", Body=b"")
    others = ("empty.png", "none.png")
    (tmp_path / "t.csv").write_text("\n".join([*lines, *(f"trip/{name},cat" for name in others), "trip/../x.png,cat"]))
    table = dhr.PhotographTable(tmp_path / "t.csv", id="key", uri="key", tags="labels", base="s3://photos")
    made = dhr.manifest(table=table, file=tmp_path / "m.parquet", sizes=True)
    assert made.rows()[0]["photographs"] == 22
    data = open_data(tmp_path / "m.parquet")
    result = dhr.inspect(data)
    said = {problem.source.rpartition("/")[2]: problem.reason for problem in result.left_out}
    assert set(said) == set(others)
    assert "got an empty file" in said["empty.png"] and "there is no such file" in said["none.png"]
    assert result.inspection.sizes == {(6, 8): 20} and not result.inspection.duplicates
    for sample in data.samples[:3]:
        assert data.read_image(sample)[0, 0, 0] == int(sample.name[-2:])


def test_buckets_that_are_closed_or_missing_are_one_line(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.create_bucket(Bucket="private")
    with pytest.raises(ItemError, match=r"^s3://private/a.png: no access; check the account and its rights"):
        remote.fetch("s3://private/a.png")
    with pytest.raises(ItemError, match=r"^s3://nowhere/a.png: there is no such file"):
        remote.fetch("s3://nowhere/a.png")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(remote, "_systems", {})
    with pytest.raises(ItemError, match=r"^s3://photos/a.png: no access") as error:
        remote.fetch("s3://photos/a.png")
    assert "hidden" not in str(error.value)
