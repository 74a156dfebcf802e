"""The console script sets up the process before PyTorch is imported."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(("given", "expected"), [(None, "10000"), ("7", "7")])
def test_threads_that_wait_sleep_soon_unless_the_user_chose(given: str | None, expected: str) -> None:
    program = """
import os, sys
sys.argv = ["dhr", "--version"]
from dhr.cli import entry
assert "torch" not in sys.modules  # too late, otherwise
try:
    entry()
finally:
    print(os.environ["GOMP_SPINCOUNT"])
"""
    environment = {key: value for key, value in os.environ.items() if key != "GOMP_SPINCOUNT"}
    environment |= {} if given is None else {"GOMP_SPINCOUNT": given}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True, timeout=120
    )
    assert done.stdout.split()[-1] == expected
