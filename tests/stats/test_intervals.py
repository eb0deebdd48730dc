"""Intervals against scipy's."""

import pytest
import torch
from scipy.stats import binomtest

from genbench.stats.intervals import mean


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (3, 10), (10, 10), (187, 1000)])
def test_the_interval_of_a_share_is_wilsons(hits, count):
    found = mean(torch.arange(count) < hits, {"test": count})
    exact = binomtest(hits, count).proportion_ci(0.95, method="wilson")
    assert found.value == pytest.approx(hits / count)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-4)
