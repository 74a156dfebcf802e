"""What tests with Ray need: a small cluster, small units, and the processes that a command has started."""

import os
import shutil
import signal
import socket
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

UNIT = 8
_FOLDER, _STORE = "DHR_TEST_DEADLY", "DHR_TEST_STORE"  # the folder of marks, and the socket of the store, for fixtures
ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "hidden-id",
    "AWS_SECRET_ACCESS_KEY": "hidden-key",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nowhere",
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
    "NO_PROXY": "127.0.0.1",
}
_HOOK = """
import os, signal, sys

def hook(event, arguments):
    if event == "open" and os.path.exists(os.path.join({folder!r}, os.path.basename(str(arguments[0])))):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A local cluster of two cores, and its address."""
    if find_spec("ray") is None:
        pytest.skip("needs ray")
    from dhr.engine.cluster import libraries

    folder = Path(tempfile.mkdtemp(prefix="dhr-", dir="/tmp"))  # short: names of sockets have 107 characters at most
    (folder / "deadly").mkdir()
    (folder / "sitecustomize.py").write_text(_HOOK.format(folder=str(folder / "deadly")))
    paths = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    ray, ended = libraries(local=True), signal.getsignal(signal.SIGTERM)
    store = socket.create_server(("127.0.0.1", 0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", paths)  # the processes of the cluster begin with the hook
        for name, value in ACCOUNT.items():
            patch.setenv(name, value)
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{store.getsockname()[1]}")
        ray.init(
            num_cpus=2, include_dashboard=False, _temp_dir=str(folder), object_store_memory=80 * 2**20,
            log_to_driver=False, logging_level="error", _node_ip_address="127.0.0.1",
        )  # fmt: skip
    signal.signal(signal.SIGTERM, ended)  # ray has put its own in the place
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(_FOLDER, str(folder / "deadly"))
        patch.setenv(_STORE, str(store.fileno()))
        yield ray.get_runtime_context().gcs_address
    ray.shutdown()
    store.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def deadly(cluster: str) -> Iterator[Callable[[str], Path]]:
    """Makes files of a name deadly: processes of the cluster that open one end by SIGKILL, while the mark is there."""
    folder = Path(os.environ[_FOLDER])

    def mark(name: str) -> Path:
        (folder / name).touch()
        return folder / name

    yield mark
    for path in folder.iterdir():
        path.unlink()


@pytest.fixture
def small_units(monkeypatch: pytest.MonkeyPatch) -> int:
    """Units of a few photographs; a run without an engine makes its batches in the same groups."""
    for place in ("dhr.engine.run.group_size", "dhr.job.survey.group_size"):
        monkeypatch.setattr(place, lambda device: UNIT)
    return UNIT


@dataclass(frozen=True)
class Process:
    """A process of the system."""

    number: int
    parent: int
    command: bytes


def processes() -> list[Process]:
    """Return all processes."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError, IndexError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                found.append(Process(int(folder.name), parent, (folder / "cmdline").read_bytes()))
    return found


@pytest.fixture
def below() -> Callable[[int], list[Process]]:
    """Return the processes that a process has started, and those that they have started."""

    def find(number: int) -> list[Process]:
        everything, found, wanted = processes(), list[Process](), {number}
        while more := [one for one in everything if one.parent in wanted and one not in found]:
            found += more
            wanted |= {one.number for one in more}
        return found

    return find


@dataclass
class Store:
    """An S3 server on this machine, for the processes of the cluster."""

    client: Any
    asked: Counter[str]
    """How often each photograph was asked for."""
    refused: int = 0
    """Requests that failed."""


@pytest.fixture
def store(cluster: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A server whose first answer to some photographs is an error or slow; the bucket `private` is closed."""
    boto3, server = pytest.importorskip("boto3"), pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    from werkzeug.serving import make_server

    whole = server.DomainDispatcherApplication(server.create_backend_app)

    def flaky(environ: Any, start: Any) -> Any:
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] != "GET":
            return whole(environ, start)
        made.asked[path] += 1
        kind, private = zlib.crc32(path.encode()) % 5, path.startswith("/private/")
        if made.asked[path] == 1 and kind == 1:
            time.sleep(0.5)
        if private or (made.asked[path] == 1 and kind == 0):
            made.refused += 1
            code, name = ("403 Forbidden", "AccessDenied") if private else ("503 Slow Down", "SlowDown")
            start(code, [("Content-Type", "application/xml")])
            return [f"<Error><Code>{name}</Code><Message>no</Message></Error>".encode()]
        return whole(environ, start)

    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
    http = make_server("127.0.0.1", 0, flaky, threaded=True, fd=os.dup(int(os.environ[_STORE])))
    port = http.socket.getsockname()[1]
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    made = Store(boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}"), Counter())
    yield made
    http.shutdown()
