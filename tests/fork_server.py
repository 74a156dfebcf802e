"""Runs ``dhr`` many times for the price of one import: forks a child of its own for each job.

A line of JSON in, a :class:`Job`; a line of JSON out when its child has ended. The children can be watched (which
files and sockets they open), killed at the n-th of their moments, or made to fail when a file gets too large. Several
can share a job, as torchrun has it.
"""

import importlib
import io
import json
import os
import pkgutil
import resource
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fork_audit
from fork_faults import Faults

_FOLDERS = ("masks", "cam", "seed", "inter", "intra", "survey", "cams", "items")


@dataclass(frozen=True)
class Job:
    """One call of the command."""

    arguments: list[str]
    folder: str
    """Where the child's `stdout`, `stderr` and `trace` go."""
    watch: str = "nothing"
    """What `trace` is to hold: `nothing`, `moments` (a line each), `audit` (see `fork_audit`), `faults` or
    `faults and reads` (see `fork_faults`)."""
    kill_at: int = 0
    """The moment, from 1, at which the child is killed; 0 for never."""
    kill_by: int = signal.SIGKILL
    """The signal that kills it."""
    stdout: str = ""
    """Where it prints instead of `stdout`: a file, or `closed` for a pipe that nobody reads."""
    root: str = ""
    """The folder in which faults happen."""
    fault: str = "EIO"
    fault_at: int = 0
    """The operation on a file, from 1, that fails; 0 for never."""
    lasting: bool = False
    """Whether all later ones fail, too."""
    memory_mb: int = 0
    """Memory that it may ask for, beyond what it has when it starts; 0 for any."""
    largest_file: int = 0
    """Size in bytes beyond which writes fail; 0 for no limit."""
    imports: tuple[str, ...] = ()
    """Modules that are imported once, before forking."""
    environment: dict[str, str] = field(default_factory=dict)
    """Variables that are set for it."""
    cwd: str = ""
    """Its working directory; empty for the server's."""
    processes: int = 1
    """Children that share the work; the first one's output and trace are kept, and it alone is killed."""
    ranks: bool = True
    """Whether they have the environment of torchrun; otherwise each does all of the work."""


def main() -> None:
    """Serve until the input ends."""
    import lightning_fabric  # noqa: F401
    import numba
    import timm  # noqa: F401
    import torch
    import torch._dynamo  # optimisers import it at their first step
    import torch.utils.tensorboard

    import dhr
    from dhr.api.settings import settings_of
    from dhr.job import RunConfig

    for module in pkgutil.walk_packages(dhr.__path__, "dhr."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    numba.njit(lambda: 0)()  # the first compilation imports the rest of numba
    settings_of(RunConfig)  # kept by the process: reads the docstrings of all settings
    torch.set_num_threads(1)  # no tensor has been touched: there are no threads, so forking is safe
    for line in sys.stdin:
        job = Job(**json.loads(line))
        for module in job.imports:
            importlib.import_module(module)
        port, children = _free_port(), []
        for rank in range(job.processes):
            child = os.fork()
            if child == 0:
                signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may ignore it, as nohup does
                if job.processes > 1 and job.ranks:
                    os.environ.update(_environment(rank, job.processes, port))
                _work(job, "" if rank == 0 else f".{rank}")
            children.append(child)
        ended = [os.wait4(child, 0)[1:] for child in children]
        codes = [os.waitstatus_to_exitcode(status) for status, _ in ended]
        peak = max(usage.ru_maxrss for _, usage in ended) * 1024 / 1e6
        answer = {"code": next((code for code in codes if code), 0), "codes": codes, "peak_mb": peak}
        print(json.dumps(answer), flush=True)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _environment(rank: int, world: int, port: int) -> dict[str, str]:
    """What torchrun tells each process."""
    ranks = dict.fromkeys(("RANK", "LOCAL_RANK"), str(rank))
    sizes = dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(world))
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "tests"}
    return {**ranks, **sizes, **place}


def _work(job: Job, suffix: str) -> None:
    code = 70
    try:
        flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
        for descriptor, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(Path(job.folder, name + suffix), flags), descriptor)
        if job.stdout == "closed":
            reader, writer = os.pipe()
            os.close(reader)
            os.dup2(writer, 1)
        elif job.stdout:
            os.dup2(os.open(job.stdout, os.O_WRONLY), 1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        trace = os.open(Path(job.folder, "trace" + suffix), flags | os.O_APPEND)
        Path(job.folder, "pid" + suffix).write_text(str(os.getpid()))
        os.environ.update(job.environment)
        tempfile.tempdir = None  # chosen again, from the environment
        os.chdir(job.cwd or ".")
        if job.watch == "moments":
            _hook(Moments(trace, 0 if suffix else job.kill_at, job.kill_by))
        elif job.watch == "audit":
            fork_audit.watch(trace)
        elif job.watch.startswith("faults"):
            Faults(trace, job.root, job.fault, job.fault_at, job.lasting, job.watch.endswith("reads")).install()
        if job.memory_mb:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            limit = pages * resource.getpagesize() + job.memory_mb * 1_000_000
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
        if job.largest_file:
            resource.setrlimit(resource.RLIMIT_FSIZE, (job.largest_file, job.largest_file))
        from dhr.cli import main

        sys.argv = ["dhr", *job.arguments]
        code = main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Moments:
    """Counts what happens in the process, and ends it at one of them, as a power cut would."""

    def __init__(self, trace: int, kill_at: int, kill_by: int = signal.SIGKILL) -> None:
        self._trace, self._kill_at, self._kill_by, self._count = trace, kill_at, kill_by, 0
        self.target = "?"  # the file that is being written

    def here(self, what: str) -> bool:
        """Note a moment; whether the process is to die now."""
        self._count += 1
        os.write(self._trace, f"{what}\n".encode())
        return self._count == self._kill_at

    def die(self) -> None:
        os.kill(os.getpid(), self._kill_by)

    def pass_by(self, what: str) -> None:
        if self.here(what):
            self.die()

    def around(self, owner: Any, name: str, what: str) -> None:
        """Make moments of the beginning and the end of calls of ``owner.name``."""
        call: Callable[..., Any] = getattr(owner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            self.pass_by(f"before {what}")
            result = call(*args, **kwargs)
            self.pass_by(f"after {what}")
            return result

        setattr(owner, name, watched)


class _Torn(io.BufferedWriter):
    """A file whose writes can stop half-way."""

    def __init__(self, handle: int, moments: Moments) -> None:
        super().__init__(io.FileIO(handle, "wb"))
        self._moments = moments

    def write(self, data: Any) -> int:
        if not self._moments.here(f"half of {self._moments.target}"):
            return super().write(data)
        content = memoryview(data).cast("B")
        half = len(content) // 2
        super().write(content[:half])
        self.flush()
        self._moments.die()  # Ctrl-C interrupts the main thread alone: any other thread goes on to write the rest
        return half + super().write(content[half:])


def _hook(moments: Moments) -> None:
    import torch

    from dhr import files
    from dhr.cli.progress import Bars

    write_atomic = files.write_atomic

    def named(path: Path, write: Any, durable: bool = True) -> None:
        folders = (path.parent.name, path.parent.parent.name)  # a photograph may lie in a sub-folder
        moments.target = next((folder for folder in folders if folder in _FOLDERS), path.name)
        write_atomic(path, write, durable)

    for module in [module for name, module in sys.modules.items() if name.startswith("dhr.")]:
        if getattr(module, "write_atomic", None) is write_atomic:
            module.write_atomic = named  # type: ignore[attr-defined]

    rename = Path.replace

    def replace(self: Path, target: Path) -> Path:
        moments.pass_by(f"before renaming to {moments.target}")
        result = rename(self, target)
        moments.pass_by("after renaming")
        return result

    Path.replace = replace  # type: ignore[method-assign, assignment]
    fdopen = os.fdopen

    def opened(handle: int, mode: str) -> Any:
        return _Torn(handle, moments) if "w" in mode else fdopen(handle, mode)

    os.fdopen = opened  # type: ignore[assignment]
    moments.around(files, "_new_file", "making the temporary file")
    moments.around(os, "fsync", "flushing to the disk")
    moments.around(Path, "mkdir", "making a folder")
    moments.around(Path, "unlink", "deleting a file")
    moments.around(torch.optim.AdamW, "step", "a training step")
    moments.around(Bars, "__call__", "showing progress")


if __name__ == "__main__":
    main()
