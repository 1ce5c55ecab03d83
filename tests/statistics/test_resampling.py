from __future__ import annotations

import numpy as np
import pytest

from cellharness.statistics.resampling import Resampling, resample
from cellharness.statistics.staged_scores import ForgettingError, center


def written_out(row, weights, over):
    """The sample with every drawn case in it, and then the plain mean or median."""
    found = []
    for times in weights.T.astype(int):
        drawn = np.repeat(row, times)
        drawn = drawn[~np.isnan(drawn)]
        found.append(over(drawn) if drawn.size else np.nan)
    return found


@pytest.mark.parametrize(("statistic", "over"), [("mean", np.mean), ("median", np.median)])
@pytest.mark.parametrize("cases", [2, 7, 30])
def test_equals_samples_written_out(statistic, over, cases):
    rng = np.random.default_rng(cases)
    values = rng.random((5, cases)).round(1)
    values[1, : cases // 2] = np.nan
    values[2] = 0.5
    weights = Resampling(samples=60).draw(cases)
    assert weights.sum(axis=0).tolist() == [cases] * 60
    found = resample(values, weights, statistic)
    for series, row in zip(found, values, strict=True):
        if np.count_nonzero(~np.isnan(row)) < 2:
            assert np.isnan(series).all()
        else:
            np.testing.assert_allclose(series, written_out(row, weights, over), rtol=1e-14)


def test_groups_are_drawn_independently_of_each_other():
    resampling = Resampling(samples=50)
    draws = [resampling.draw(9, *name) for name in ((), ("DIC",), ("DIC", "seen"), ("DIC",))]
    np.testing.assert_array_equal(draws[1], draws[3])
    for one, other in ((0, 1), (1, 2)):
        assert (draws[one] != draws[other]).mean() > 0.3
    assert (Resampling(samples=50, seed=1).draw(9, "DIC") != draws[1]).mean() > 0.3


def test_units_are_drawn_with_all_their_cases():
    units = np.array([5, 5, 7, 9, 9, 9])
    weights = Resampling(samples=200).draw(6, "DIC", units=units)
    assert (weights[[0, 3]] == weights[[1, 4]]).all()
    assert (weights[[0, 2, 3]].sum(axis=0) == 3).all()
    assert weights.sum(axis=0).std() > 0


def test_many_cases_do_not_overflow_the_counts():
    values = np.linspace(0, 1, 40_000)[None]
    weights = Resampling(samples=3).draw(40_000)
    expected = written_out(values[0], weights, np.median)
    np.testing.assert_allclose(resample(values, weights, "median")[0], expected, rtol=1e-14)


def test_interval_is_the_percentiles_and_passes_over_samples_without_a_value():
    resampled = np.arange(101.0)
    many = np.stack([resampled, np.full(101, np.nan), np.where(resampled > 50, np.nan, resampled)])
    low, high = Resampling(confidence=0.9).interval(many)
    np.testing.assert_allclose(low, [5, np.nan, 2.5])
    np.testing.assert_allclose(high, [95, np.nan, 47.5])


def test_the_mean_of_a_bootstrap_has_the_standard_error_of_theory():
    values = np.random.default_rng(3).normal(0, 1, (1, 200))
    resampling = Resampling(samples=20_000)
    found = resample(values, resampling.draw(200), "mean")[0]
    assert found.mean() == pytest.approx(values.mean(), abs=0.002)
    assert found.std() == pytest.approx(values.std() / np.sqrt(200), rel=0.03)


def test_center_of_nothing_is_nothing():
    values = np.array([[np.nan, np.nan], [0.2, np.nan]])
    np.testing.assert_array_equal(center(values, "median"), [np.nan, 0.2])
    np.testing.assert_array_equal(center(np.zeros((2, 0)), "mean"), [np.nan, np.nan])


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"samples": 0}, "samples is 0; valid are whole numbers from 1 on"),
        ({"samples": 10.5}, "samples is 10.5"),
        ({"seed": -1}, "seed is -1; valid are whole numbers from 0 on"),
        ({"confidence": 95}, "confidence is 95; valid are numbers between 0 and 1"),
    ],
)
def test_choices_are_checked(choice, message):
    with pytest.raises(ForgettingError, match=message):
        Resampling(**choice)
