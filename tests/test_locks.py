"""A lock holds between processes, between threads, and twice in one thread."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dhr.errors import OutputError
from dhr.locks import exclusive, hold, try_hold


def test_one_process_holds_a_folder(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from dhr.locks import hold; hold(Path(sys.argv[1]), 'lock')"
    call = [sys.executable, "-c", code, str(tmp_path)]
    with hold(tmp_path, "lock"):
        loser = subprocess.run(call, capture_output=True, text=True, check=False)
        assert "another process is writing to" in loser.stderr
    assert subprocess.run(call, check=False).returncode == 0


def test_a_second_try_in_one_process_does_not_let_go_of_the_lock(tmp_path: Path) -> None:
    code = "import sys, pathlib; from dhr.locks import try_hold; print(try_hold(pathlib.Path(sys.argv[1]), 'lock'))"
    with hold(tmp_path, "lock"):
        assert try_hold(tmp_path, "lock") is None
        with pytest.raises(OutputError, match="another process"):
            hold(tmp_path, "lock")
        assert (
            subprocess.run(
                [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
            ).stdout
            == "None\n"
        )
    hold(tmp_path, "lock").close()


def test_threads_wait_for_one_another(tmp_path: Path) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with exclusive(tmp_path, "lock"):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    with (
        hold(tmp_path, "lock"),
        pytest.raises(OutputError, match="another process holds"),
        exclusive(tmp_path, "lock", 0.0),
    ):
        raise AssertionError("it was held twice")
