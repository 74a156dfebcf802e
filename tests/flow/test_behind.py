"""Writing behind: order, memory, failures, and blocks that are left."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dhr.errors import OutputError
from dhr.files import write_bytes
from dhr.flow.behind import Behind


def test_writes_are_done_in_order_before_the_block_ends() -> None:
    done: list[int] = []
    with Behind() as behind:
        for number in range(200):
            behind.put(lambda number=number: done.append(number))  # type: ignore[misc]
    assert done == list(range(200))
    assert not [thread for thread in threading.enumerate() if thread.name == "dhr-behind" and not _ends(thread)]


def _ends(thread: threading.Thread) -> bool:
    thread.join(5)
    return not thread.is_alive()


@pytest.mark.parametrize("weight", [0, 4, 30])
@pytest.mark.parametrize("workers", [1, 3])
def test_waiting_writes_are_bounded(weight: int, workers: int) -> None:
    lock, put, done, most = threading.Lock(), [0], [0], [0]

    def write() -> None:
        with lock:
            most[0] = max(most[0], put[0] - done[0])
        with lock:
            done[0] += 1

    with Behind(workers, budget=20) as behind:
        for _ in range(300):
            behind.put(write, weight)
            with lock:
                put[0] += 1
    assert done[0] == 300
    assert most[0] <= {0: 64, 4: 5, 30: 1}[weight] + workers + 1  # the last ones may not be counted yet


def test_a_full_disk_is_raised_in_the_block_and_nothing_is_written_after_it(tmp_path: Path) -> None:
    program = f"""
import resource
from pathlib import Path
from dhr.errors import OutputError
from dhr.files import write_bytes
from dhr.flow.behind import Behind
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
folder = Path({str(tmp_path)!r})
put = 0
try:
    with Behind() as behind:
        for number in range(1000):
            size = 2000 if number == 3 else 10
            behind.put(lambda number=number, size=size: write_bytes(folder / str(number), bytes(size)))
            put += 1
except OutputError as error:
    print(put < 1000, error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("True cannot write")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2"]


def test_the_last_write_fails_at_the_end_of_the_block(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"), Behind() as behind:
        behind.put(lambda: write_bytes(tmp_path / "file" / "below", b""))


@pytest.mark.parametrize("kind", [KeyboardInterrupt, MemoryError, RuntimeError])
def test_a_block_that_fails_writes_what_was_put(kind: type[BaseException]) -> None:
    done: list[int] = []
    gate = threading.Event()

    def block() -> None:
        with Behind() as behind:
            behind.put(lambda: gate.wait(10) and None)  # type: ignore[func-returns-value]
            for number in range(5):
                behind.put(lambda number=number: done.append(number))  # type: ignore[misc]
            gate.set()
            raise kind

    with pytest.raises(kind):
        block()
    assert done == [0, 1, 2, 3, 4]


def test_a_block_that_fails_does_not_wait_for_a_write_that_hangs() -> None:
    never, gate = threading.Event(), threading.Event()
    with pytest.raises(KeyboardInterrupt), Behind(patience=0.05) as behind:
        behind.put(lambda: gate.set() or (never.wait() and None))  # type: ignore[func-returns-value]
        gate.wait(10)
        raise KeyboardInterrupt
    never.set()


@pytest.mark.parametrize("more", [0, 1])
def test_a_write_that_hangs_fails_the_block(more: int) -> None:
    never = threading.Event()
    block = Behind(budget=10, patience=0.05, hanging=0.05)
    with pytest.raises(OutputError, match=r"no file could be finished for 0\.05 seconds; check the disk"), block:
        block.put(lambda: never.wait() and None)  # type: ignore[func-returns-value]
        for _ in range(more):
            block.put(lambda: None, 11)  # waits for the first
    never.set()


def test_ctrl_c_ends_the_wait_for_a_write_that_hangs() -> None:
    program = """
import signal, threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
from dhr.flow.behind import Behind
print("begun", flush=True)
with Behind() as behind:
    behind.put(threading.Event().wait)
    behind.put(lambda: None, behind.budget + 1)  # waits for the first
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            for _ in range(2):  # the first ends the block, the second the wait
                time.sleep(0.5)
                process.send_signal(signal.SIGINT)
            assert process.wait(30) in (1, -signal.SIGINT)
        finally:
            process.kill()
