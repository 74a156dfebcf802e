"""The place of a quality among those of all masks."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dhr.report.ranks import Ranks
from dhr.results.summary import BINS, Summary

QUALITIES = st.lists(st.floats(0, 1), min_size=1, max_size=60)


@given(QUALITIES)
def test_a_rank_counts_the_lower_ones(values: list[float]) -> None:
    ranks = Ranks(sorted(values), len(values))
    for value in values:
        assert ranks.rank(value) == 1 + sum(other < value for other in values)
    assert sum(ranks.doubtful(value) for value in {*values}) <= len(values) / 10
    assert not ranks.doubtful(math.nan)


@given(QUALITIES, st.integers(0, 20))
def test_ranks_beyond_the_lowest_are_read_off_the_histogram(values: list[float], kept: int) -> None:
    values.sort()
    bars = np.bincount(np.clip((np.array(values) * BINS).astype(int), 0, BINS - 1), minlength=BINS)
    found = Summary(judged=len(values), histogram=bars.tolist(), worst=[(value, str(value)) for value in values[:kept]])
    found.worst.append((math.inf, "unknown"))
    ranks = Ranks.of(found)
    for value in values:
        exact, rank = 1 + sum(other < value for other in values), ranks.rank(value)
        bar = min(int(value * BINS), BINS - 1)
        assert 1 <= rank <= len(values) and (exact > kept or rank == exact)
        assert abs(rank - exact) <= bars[bar] + 1
        assert ranks.text(value) == (f"about {rank:,}" if rank > kept else f"{rank:,}")
