from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from cellharness.statistics.contrasts import ContrastError
from cellharness.statistics.levels import median_interval


def test_the_median_is_numpys_and_missing_values_are_left_out():
    values = [0.2, math.nan, 0.9, 0.4, 0.5, 0.1, 0.3, 0.8]
    median, low, high = median_interval(values, range(8))
    assert median == np.nanmedian(values)
    assert low < median < high
    assert (low, high) == median_interval([v for v in values if v == v], range(7))[1:]


def test_few_units_have_no_interval_and_no_value_no_median():
    median, low, high = median_interval([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0, 0, 1, 1, 2, 2])
    assert median == pytest.approx(0.35)
    assert math.isnan(low)
    assert math.isnan(high)
    assert all(math.isnan(value) for value in median_interval([math.nan], [0]))


def test_of_independent_images_it_is_near_the_exact_one():
    """Order statistics by the binomial distribution, which ignore that values may be clustered."""
    values = np.sort(np.random.default_rng(3).beta(4, 2, 99))
    _, low, high = median_interval(values, range(99))
    rank = int(binom.ppf(0.025, 99, 0.5))
    assert low == pytest.approx(values[rank - 1], abs=0.02)
    assert high == pytest.approx(values[99 - rank], abs=0.02)


def test_images_that_come_in_experiments_know_less():
    rng = np.random.default_rng(0)
    units = np.repeat(np.arange(10), 8)
    values = rng.normal(0, 1, 10)[units] + rng.normal(0, 0.2, 80)
    alone = median_interval(values, range(80))
    together = median_interval(values, units)
    assert alone[0] == together[0]
    assert together[2] - together[1] > 1.5 * (alone[2] - alone[1])


def test_an_unknown_confidence_is_refused():
    with pytest.raises(ContrastError, match="confidence is 95"):
        median_interval([0.1], [0], confidence=95)


@pytest.mark.slow
@pytest.mark.parametrize("skewed", [False, True])
@pytest.mark.parametrize(
    ("images", "units", "correlation"),
    [(6, 6, 0.0), (20, 8, 0.9), (26, 19, 0.75), (120, 10, 0.6), (40, 25, 0.8)],
)
def test_intervals_hold_the_true_median(images, units, correlation, skewed):
    rng = np.random.default_rng(images)
    unit = np.arange(images) % units
    hits = 0
    for _ in range(2000):
        drawn = rng.normal(0, correlation**0.5, units)[unit]
        values = drawn + rng.normal(0, (1 - correlation) ** 0.5, images)
        low, high = median_interval(np.exp(values) - 1 if skewed else values, unit)[1:]
        hits += low <= 0 <= high
    assert hits / 2000 >= 0.94
