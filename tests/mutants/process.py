"""Runs tests on a changed module, in a process that has the big libraries already."""

import importlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

from .changes import Change
from .record import KILLED, SURVIVED

_BIG = ("numpy", "torch", "numba", "PIL.Image", "hypothesis", "pytest", "jaxtyping", "beartype", "yaml", "ot", "scipy")
_TIMES, _MORE = 3, 20  # the limit of a change: so many times what its tests take, and so many seconds


class Processes:
    """A copy of the package below a folder, of which one module at a time is changed."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._root, self._copy, self._log = root, folder / "src", folder / "tests.log"
        self._seconds: dict[tuple[str, ...], float] = {}

    def __enter__(self) -> "Processes":
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self._root / "src", self._copy)
        for name in _BIG:
            importlib.import_module(name)
        assert "dhr" not in sys.modules, "each process imports its own"
        return self

    def __exit__(self, *error: Any) -> None:
        shutil.rmtree(self._copy, ignore_errors=True)

    def outcome(self, change: Change, tests: tuple[str, ...]) -> str:
        """Return whether tests notice a change: ``noticed``, ``survived``, or how the process ended."""
        if tests not in self._seconds:
            ended, self._seconds[tests] = self._run(tests, 3600, keep=True)
            if ended != 0:
                sys.exit(f"{', '.join(tests)} fail without any change, with exit code {ended}: see {self._log}")
        path = self._copy / "dhr" / change.module
        before, times = path.read_bytes(), path.stat()
        path.write_text(change.code, encoding="utf-8")
        os.utime(path, (times.st_atime, times.st_mtime + 10))  # else the bytecode of before may be taken
        try:
            ended, _ = self._run(tests, int(_TIMES * self._seconds[tests] + _MORE))
        finally:
            path.write_bytes(before)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        if ended == 0:
            return SURVIVED
        return KILLED if ended in (1, 2, 3, 4) else f"ended with {ended}"

    def _run(self, tests: tuple[str, ...], limit: int, keep: bool = False) -> tuple[int, float]:
        """Return how tests end (negative: by a signal), and the seconds of the processor that they take."""
        child = os.fork()
        if child == 0:
            try:
                os.setsid()
                import resource  # Windows has none

                resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
                self._test(tests, keep)
            finally:
                os._exit(70)
        end = time.monotonic() + 20 * limit  # for tests that wait for each other; a busy machine takes long, too
        while (done := os.wait4(child, os.WNOHANG))[0] == 0:
            if time.monotonic() > end:
                os.killpg(child, signal.SIGKILL)
                end += 60
            time.sleep(0.05)
        return os.waitstatus_to_exitcode(done[1]), done[2].ru_utime + done[2].ru_stime

    def _test(self, tests: tuple[str, ...], keep: bool) -> None:
        """Run tests on the copy; ends the process."""
        import pytest
        from hypothesis import Phase, settings

        with self._log.open("wb") as log:
            for descriptor in (1, 2):
                os.dup2(log.fileno(), descriptor)
        os.chdir(self._root)
        sys.dont_write_bytecode = not keep
        sys.path.insert(0, str(self._copy))
        os.environ["PYTHONPATH"] = str(self._copy)
        # The same examples each time, and no search for smaller ones.
        settings.register_profile("mutants", derandomize=True, database=None, phases=[Phase.explicit, Phase.generate])
        settings.load_profile("mutants")
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow", *tests])
        sys.stdout.flush()
        os._exit(int(code))
