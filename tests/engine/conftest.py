"""A small cluster."""

import shutil
import signal
import tempfile
from collections.abc import Iterator

import pytest

from dhr.engine.cluster import libraries


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A local cluster of two cores, and its address."""
    folder = tempfile.mkdtemp(prefix="dhr-", dir="/tmp")  # short: names of sockets have 107 characters at most
    ray, ended = libraries(local=True), signal.getsignal(signal.SIGTERM)
    ray.init(
        num_cpus=2, include_dashboard=False, _temp_dir=folder, object_store_memory=80 * 2**20, log_to_driver=False,
        logging_level="error", _node_ip_address="127.0.0.1",
    )  # fmt: skip
    signal.signal(signal.SIGTERM, ended)  # ray has put its own in the place
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)
