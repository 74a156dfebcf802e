"""The bounded memory of results."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from dhr.review.kept import Kept


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), max_size=60))
def test_the_weight_stays_within_the_limit(requests: list[tuple[int, int]]) -> None:
    kept = Kept[bytes](50, len)
    for key, size in requests:
        found = kept.get(key, lambda size=size: bytes(size))
        assert kept.get(key, lambda size=size: bytes(size)) == found
        assert kept.weight <= 50


def test_the_results_that_were_used_last_stay() -> None:
    kept, made = Kept[int](2, lambda _: 1), list[str]()

    def make(key: str) -> int:
        made.append(key)
        return 0

    for key in "abacab":
        kept.get(key, lambda key=key: make(key))
    assert made == ["a", "b", "c", "b"]


def test_what_fails_is_made_again() -> None:
    kept = Kept[int](2, lambda _: 1)
    for _ in range(2):
        try:
            kept.get("a", lambda: 1 // 0)
        except ZeroDivisionError:
            continue
        raise AssertionError
    assert kept.get("a", lambda: 7) == 7


def test_equal_requests_at_one_time_are_computed_once() -> None:
    kept, made, started = Kept[int](2, lambda _: 1), list[int](), threading.Event()
    release = threading.Event()

    def make() -> int:
        made.append(1)
        started.set()
        release.wait(5)
        return 5

    found = list[int]()
    threads = [threading.Thread(target=lambda: found.append(kept.get("a", make))) for _ in range(4)]
    threads[0].start()
    started.wait(5)
    for thread in threads[1:]:
        thread.start()
    release.set()
    for thread in threads:
        thread.join(5)
    assert found == [5] * 4 and made == [1]
