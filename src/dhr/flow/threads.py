"""Threads beside the computation."""

import sys
import threading
from collections.abc import Callable


def start(work: Callable[[], object], name: str) -> threading.Thread:
    """Start a daemon thread in which PyTorch's operations take one core.

    By default each thread that calls PyTorch gets as many OpenMP threads as there are cores. With more OpenMP threads
    than cores, GNU's OpenMP lets threads sleep between operations instead of waiting for the next one, and the networks
    in the main thread take 1.4 to 1.7 times as long. Without PyTorch there is nothing to limit.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        return thread
    ready = threading.Event()

    def alone() -> None:
        try:
            torch.get_num_threads()  # this thread's first question sets its number, and would undo the next line
            torch.set_num_threads(1)
        finally:
            ready.set()
        work()

    own = torch.get_num_threads()
    thread = threading.Thread(target=alone, name=name, daemon=True)
    thread.start()
    try:
        ready.wait()
    finally:
        torch.set_num_threads(own)  # MKL has one number for all threads
    return thread
