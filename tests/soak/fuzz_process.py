"""``python -m tests.soak.fuzz_process TARGET FOLDER SECONDS``: changes files of one kind until the time is over.

With atheris, which sees which lines a change reaches; without it, by chance alone. What a reader may raise are errors
of dhr. Each other end is kept once: an input in ``FOLDER/found`` and its traceback beside it. ``FOLDER/corpus`` holds
the inputs that reach other lines, for the next day. A line of JSON with counts ends it.
"""

import hashlib
import importlib.util
import json
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

_MEMORY = 1_500_000_000
"""Address space beyond that at the start."""
_HARM = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "pickle.find_class", "socket.connect")


class Fuzz:
    """Reads inputs, and keeps what went wrong."""

    def __init__(self, bench: Any, folder: Path) -> None:
        self.bench, self.found, self.counts = bench, folder / "found", Counter[str]()
        self._ends = {path.stem for path in self.found.glob("*.txt")}
        self._harm = ""

    def note(self, event: str, args: tuple[Any, ...]) -> None:
        """Refuse, and remember, what no reader may do."""
        if event in _HARM and not _plain(event, args):
            self._harm = f"{event} {args}"
            raise RuntimeError(self._harm)

    def read(self, content: bytes) -> None:
        """Read one input."""
        self._harm = ""
        try:
            end = self.bench.read(content)
            assert not self._harm, self._harm
        except Exception as error:
            end = "failed"
            self._keep(content, error)
        self.counts[end] += 1
        self.counts["inputs"] += 1

    def _keep(self, content: bytes, error: Exception) -> None:
        places = [
            f"{frame.filename.rpartition('/')[2]}:{frame.name}" for frame in traceback.extract_tb(error.__traceback__)
        ]
        name = hashlib.sha256(f"{type(error).__name__} {places[-3:]}".encode()).hexdigest()[:12]
        if name not in self._ends:
            self._ends.add(name)
            self.counts["found"] += 1
            self.found.mkdir(parents=True, exist_ok=True)
            (self.found / name).write_bytes(content)
            (self.found / f"{name}.txt").write_text("".join(traceback.format_exception(error)))


def _plain(event: str, args: tuple[Any, ...]) -> bool:
    """Whether a pickle names what numpy's files name; dhr puts harmless classes in the place of each."""
    return event == "pickle.find_class" and str(args[0]).partition(".")[0] in (
        "numpy",
        "torch",
        "collections",
        "_codecs",
    )


def main() -> None:
    name, place, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    guided = importlib.util.find_spec("atheris") is not None
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as work:
        if guided:
            import atheris

            with atheris.instrument_imports(
                include=["dhr.data", "dhr.parsing", "dhr.records", "dhr.api", "PIL", "yaml"]
            ):
                bench = _bench(name, Path(work))
        else:
            bench = _bench(name, Path(work))
        fuzz = Fuzz(bench, place)
        for one in bench.inputs():
            fuzz.read(one)
        assert fuzz.counts["read"] == len(bench.files), f"good files of {name} cannot be read: {dict(fuzz.counts)}"
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        import resource  # Windows has none

        limit = pages * resource.getpagesize() + _MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        sys.addaudithook(fuzz.note)
        (place / "corpus").mkdir(parents=True, exist_ok=True)
        if guided:
            _guided(fuzz, place, seconds)
        else:
            _by_chance(fuzz, place, seconds)


def _bench(name: str, work: Path) -> Any:
    from .targets import Bench

    return Bench(name, work)


def _guided(fuzz: Fuzz, place: Path, seconds: float) -> None:
    import atheris

    for number, one in enumerate(fuzz.bench.inputs()):
        (place / "corpus" / f"good-{number}").write_bytes(one)
    options = [f"-max_total_time={round(seconds)}", "-timeout=60", "-rss_limit_mb=0", "-max_len=20000", "-verbosity=0"]
    sys.stdout.flush()

    def read(content: bytes) -> None:
        fuzz.read(content)
        if fuzz.counts["inputs"] % 64 == 0:  # libFuzzer ends the process by itself
            _count(fuzz, place, guided=True)

    atheris.Setup(["fuzz", *options, f"-artifact_prefix={place}/", str(place / "corpus")], read)
    atheris.Fuzz()


def _by_chance(fuzz: Fuzz, place: Path, seconds: float) -> None:
    from ..data.test_fuzz import mutated

    chance, end = random.Random(time.time_ns()), time.monotonic() + seconds
    inputs = fuzz.bench.inputs()
    while time.monotonic() < end:
        good = chance.choice(inputs)
        fuzz.read(good[:1] + mutated(good[1:], chance))
    _count(fuzz, place, guided=False)


def _count(fuzz: Fuzz, place: Path, guided: bool) -> None:
    text = json.dumps({"guided": guided, "counts": fuzz.counts})
    spare = place / "counts.tmp"
    spare.write_text(text)
    spare.replace(place / "counts.json")


if __name__ == "__main__":
    main()
