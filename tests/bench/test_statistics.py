from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.bench import statistics

VALUES = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=200)
QUANTILES = st.floats(0, 1)


@given(values=VALUES, q=QUANTILES)
def test_a_quantile_is_numpys_linear_one(values, q):
    expected = float(np.quantile(values, q))
    assert statistics.quantile(values, q) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@given(values=VALUES)
def test_the_median_is_numpys(values):
    assert statistics.median(values) == pytest.approx(float(np.median(values)))


@given(values=VALUES, q=QUANTILES)
def test_a_quantile_lies_within_the_values(values, q):
    slack = 1e-9 * max(map(abs, values))
    assert min(values) - slack <= statistics.quantile(values, q) <= max(values) + slack


@pytest.mark.parametrize(("q", "needed"), [(0.5, 2), (0.9, 10), (0.95, 20), (0.99, 100)])
def test_a_tail_quantile_needs_a_value_beyond_it(q, needed):
    assert statistics.values_needed(q) == needed
    assert statistics.supported_quantile([1.0] * (needed - 1), q) is None
    assert statistics.supported_quantile([1.0] * needed, q) == 1.0


def test_quartiles_need_four_values():
    assert statistics.iqr([1.0, 2.0, 3.0]) is None
    assert statistics.iqr([1.0, 2.0, 3.0, 4.0]) == (1.75, 3.25)


def test_spread_is_the_range_by_the_median():
    assert statistics.spread([9.0, 10.0, 12.0]) == pytest.approx(0.3)
    assert statistics.spread([10.0]) is None
    assert statistics.spread([-1.0, 0.0, 1.0]) is None


def test_five_values_have_no_95_percent_interval_and_six_have_their_range():
    assert statistics.median_interval([1.0, 2.0, 3.0, 4.0, 5.0]) is None
    assert statistics.median_interval([6.0, 1.0, 3.0, 4.0, 5.0, 2.0]) == (1.0, 6.0)


@given(n=st.integers(6, 60))
def test_the_interval_is_the_narrowest_that_keeps_its_confidence(n):
    low, high = statistics.median_interval([float(i) for i in range(1, n + 1)])
    k = int(low)
    assert high == n + 1 - k
    outside = [2 * sum(math.comb(n, i) for i in range(j)) / 2**n for j in (k, k + 1)]
    assert outside[0] <= 0.05 < outside[1]


def test_the_interval_covers_the_median_as_often_as_it_says():
    draws = np.random.default_rng(0).exponential(size=(2000, 9))
    covered = [low <= math.log(2) <= high for low, high in map(statistics.median_interval, draws)]
    assert np.mean(covered) > 0.95
