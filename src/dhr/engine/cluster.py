"""A Ray cluster: one that runs, or a local one for the time of a job."""

import logging
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dhr.errors import ConfigError, DhrError
from dhr.flow.ahead import cores
from dhr.words import one_line

_STORE = 128 * 2**20  # bytes of the local object store; it holds numbers and settings, never photographs
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
# A local cluster is only on the loopback interface, and its workers have the priority of the command.
_LOCAL = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_worker_niceness": "0"}
_MOST_CORES = 4  # of a worker with a GPU; they write, and correct boundaries


@dataclass(frozen=True)
class Share:
    """The part of a cluster that a job takes."""

    workers: int
    cores: int
    """Of each worker."""
    gpu: bool
    """Whether each worker has a GPU."""
    fit_cores: int
    """Of the task that fits the networks."""

    @property
    def each(self) -> dict[str, Any]:
        """Resources of a worker, for Ray."""
        return {"num_cpus": self.cores, "num_gpus": int(self.gpu)}

    @property
    def fit(self) -> dict[str, Any]:
        """Resources of the fitting task, for Ray."""
        return {"num_cpus": self.fit_cores, "num_gpus": int(self.gpu)}


def libraries(local: bool = False) -> Any:
    """Return the package ray, with its part for data; it sends no statistics.

    Args:
        local: whether it will start a cluster that no other machine reaches.

    Raises:
        ConfigError: it is not installed.
    """
    quiet = {**_QUIET, **(_LOCAL if local else {})}
    os.environ.update({name: value for name, value in quiet.items() if name not in os.environ})
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ConfigError(
            f"--engine ray needs the package ray[data] ({one_line(error)}); pip install 'dhr[cluster]'"
        ) from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


@contextmanager
def cluster(address: str | None) -> Iterator[Any]:
    """Connect to the cluster at ``address``, or start a local one; yield the package ray.

    A cluster to which this process is connected already is used, and stays connected.

    Raises:
        ConfigError: ray is missing, or the cluster does not answer.
    """
    ray = libraries(local=address is None)
    if ray.is_initialized():
        yield ray
        return
    how: dict[str, Any] = {"logging_level": "error", "log_to_driver": False}
    if address is None:
        how |= {"object_store_memory": _STORE, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        how["num_cpus"] = cores()
    ended = signal.getsignal(signal.SIGTERM)
    try:
        with _without(b"RAY_BACKEND_LOG_LEVEL"):  # Ray writes a line about this setting at each start
            ray.init(address=address or "local", **how)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, ended)  # ray has put its own in the place
    except Exception as error:  # a bare one if the machine is too busy to start a cluster in time
        where = f"no cluster answers at {address}", "check --address, or leave it out"
        if address is None:
            where = "a local cluster cannot be started", "end other programs, and start again"
        raise ConfigError(f"{where[0]} ({one_line(error)[:200]}); {where[1]}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


@contextmanager
def _without(words: bytes) -> Iterator[None]:
    """Keep what this process writes to stderr, also in C++; at the end, write all lines but those with these words."""
    with tempfile.TemporaryFile() as held:
        stderr = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            for line in held:
                if words not in line:
                    os.write(2, line)


def share(ray: Any, workers: int | None, device: str) -> Share:
    """Return the part of the cluster that a job takes.

    Args:
        ray: the package, connected.
        workers: their number; None for as many as there is room for.
        device: the setting; `cpu` leaves GPUs aside.

    Raises:
        ConfigError: the cluster has fewer cores or GPUs than workers.
    """
    nodes = [one["Resources"] for one in ray.nodes() if one["Alive"]]
    gpus = 0 if device == "cpu" else sum(int(one.get("GPU", 0)) for one in nodes)
    able = [one for one in nodes if one.get("GPU", 0) >= 1] if gpus else nodes
    counts = [int(one.get("CPU", 0)) for one in able]
    room = gpus or sum(counts)
    if not room or (workers or 1) > room:
        there = f"{gpus} GPUs" if gpus else f"{room} cores"
        raise ConfigError(f"--workers: expected at most one per GPU, or per core; got {workers or 1} for {there}")
    count = workers or room
    if gpus:
        each = min(_MOST_CORES, *(number // int(one["GPU"]) for number, one in zip(counts, able, strict=True)))
    else:
        each = min(sum(counts) // count, *counts) if workers else 1
    while sum(number // max(each, 1) for number in counts) < count and each > 1:
        each -= 1
    return Share(count, max(each, 1), bool(gpus), max(min(counts), 1))


def cause(error: BaseException) -> BaseException:
    """Return the error of dhr that made a task of Ray fail; the error itself if there is none."""
    seen: BaseException | None = error
    while seen is not None:
        inner = getattr(seen, "cause", None)  # first: Ray raises a class of both kinds, whose text is a traceback
        if isinstance(inner, BaseException):
            seen = inner
        elif isinstance(seen, DhrError):
            return seen
        else:
            seen = seen.__cause__
    return error
