from __future__ import annotations

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cellharness.statistics import contrasts as module
from cellharness.statistics.contrasts import (
    OF_SCORES,
    ContrastError,
    contrast,
    equal_weights,
    fewest_units,
    mean_difference,
    units_of,
)


def long(values, experiments=None, modality="DIC"):
    """Scores of two methods, one row a case and method."""
    rows = [
        (f"c{i:03}", method, modality, (experiments or [f"e{i}" for i in range(len(row))])[i], v)
        for method, row in values.items()
        for i, v in enumerate(row)
    ]
    return pd.DataFrame(rows, columns=["case", "method", "modality", "experiment", "value"])


def by_unit(count, rng, sizes=(1, 9)):
    sizes = rng.integers(*sizes, count)
    units = np.repeat(np.arange(count), sizes)
    return rng.normal(0.3, 1, count)[units] + rng.normal(0, 0.5, units.size), units


def flipped(values, units):
    """One-sided p of the sign-flip test, all choices of signs written out."""
    sums = np.array([values[units == unit].sum() for unit in np.unique(units)])
    totals = np.array([np.dot(signs, sums) for signs in product([1, -1], repeat=sums.size)])
    near = 1e-9
    return (totals >= sums.sum() - near).mean(), (totals <= sums.sum() + near).mean()


@pytest.mark.parametrize("count", [6, 9, 13])
def test_the_sign_flip_test_equals_all_signs_written_out(count):
    rng = np.random.default_rng(count)
    for _ in range(5):
        values, units = by_unit(count, rng)
        sums = np.bincount(units, values)
        found = module._sign_flip(sums, np.bincount(units).astype(float))
        assert found == pytest.approx(flipped(values, units), abs=1e-12)


def test_with_units_of_one_image_it_is_scipys_permutation_test():
    values = np.random.default_rng(1).normal(0.4, 1, 10)
    expected = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", alternative="greater", n_resamples=np.inf
    ).pvalue
    above, _ = module._sign_flip(values, np.ones(10))
    assert above == pytest.approx(expected, abs=1e-12)


def test_symmetric_differences_have_the_t_test_of_scipy():
    values = np.array([-0.3, -0.1, 0.0, 0.2, 0.4, 0.6, 0.8]) - 0.25 + 0.5
    values = np.r_[values, 2 * values.mean() - values]
    above, below = module._skewed_t(values, np.ones(values.size))
    expected = stats.ttest_1samp(values, 0, alternative="greater")
    assert (above, below) == pytest.approx((expected.pvalue, 1 - expected.pvalue))
    low, high = module._skewed_t_ends(values, np.ones(values.size), 0.05)
    assert (low, high) == pytest.approx(tuple(stats.ttest_1samp(values, 0).confidence_interval()))


def test_above_the_limit_p_and_interval_stay_those_of_the_count(monkeypatch):
    rng = np.random.default_rng(7)
    for sizes in ((1, 2), (1, 9)):
        values, units = by_unit(14, rng, sizes)
        sums, counts = np.bincount(units, values), np.bincount(units).astype(float)
        exact = module._sign_flip(sums, counts), module._sign_flip_ends(sums, counts, 0.05)
        monkeypatch.setattr(module, "EXACT_UP_TO", 5)
        for even in (0.0, 1.0):  # on the grid, and by the series
            monkeypatch.setattr(module, "_EVEN", even)
            assert module._sign_flip(sums, counts) == pytest.approx(exact[0], abs=0.01)
            ends = module._sign_flip_ends(sums, counts, 0.05)
            assert ends == pytest.approx(exact[1], abs=0.06 * (exact[1][1] - exact[1][0]))
        monkeypatch.undo()


@pytest.mark.parametrize("count", [6, 8, 14, 15, 40])
def test_p_is_below_the_level_just_where_the_interval_leaves_zero(count):
    rng = np.random.default_rng(count)
    for _ in range(30):
        values, units = by_unit(count, rng)
        found = mean_difference(values, units)
        assert (found.p < 0.05) == (found.low > 0 or found.high < 0)
        assert found.low <= found.estimate <= found.high
        assert found.estimate == pytest.approx(values.mean())
        turned = mean_difference(-values, units)
        assert (turned.p, turned.low) == pytest.approx((found.p, -found.high))
        assert (turned.p_higher, turned.p_lower) == pytest.approx((found.p_lower, found.p_higher))


def test_six_units_that_agree_are_the_fewest_that_show_anything():
    found = mean_difference([0.1, 0.2, 0.3, 0.15, 0.25, 0.2])
    assert (found.p, found.verdict) == (2 / 64, "higher")
    assert found.low == pytest.approx(0.1, abs=0.05)
    found = mean_difference([0.1, 0.2, 0.3, 0.15, 0.25])
    assert found.verdict == "too few units"
    assert found.why_not == "5 experiments; 6 are the fewest that can show anything"
    assert math.isnan(found.p)
    assert math.isnan(found.low)
    assert found.estimate == pytest.approx(0.2)
    assert fewest_units(0.01) == 8
    assert mean_difference([0.1] * 7, confidence=0.99).verdict == "too few units"
    assert mean_difference([0.1] * 8, confidence=0.99).verdict == "higher"


def test_images_of_one_experiment_are_one_unit():
    rng = np.random.default_rng(0)
    experiments = [f"e{i // 10}" for i in range(60)]
    effect = np.repeat(rng.normal(0, 1, 6), 10)
    scores = long({"a": 0.5 + effect, "b": 0.5 + rng.normal(0, 0.1, 60)}, experiments)
    found = contrast(scores, "a", "b")
    assert (found.unit, found.n_images, found.n_units) == ("experiment", 60, 6)
    as_images = contrast(scores, "a", "b", unit="image")
    assert (as_images.unit, as_images.n_units) == ("image", 60)
    assert as_images.estimate == pytest.approx(found.estimate)
    assert as_images.high - as_images.low < 0.7 * (found.high - found.low)


def test_missing_scores_are_counted_and_left_out():
    nan = math.nan
    scores = long({"a": [0.9] * 7 + [nan], "b": [0.5, nan, *[0.5] * 6]})
    scores = scores.drop(index=2)  # no row is missing too
    found = contrast(scores, "a", "b")
    assert (found.n_images, found.n_missing) == (5, 3)
    nothing = contrast(long({"a": [nan] * 6, "b": [0.5] * 6}), "a", "b")
    assert nothing.why_not == "no image has both scores"
    assert math.isnan(nothing.estimate)


def test_equal_scores_show_no_difference():
    found = contrast(long({"a": [0.5] * 8, "b": [0.5] * 8}), "a", "b")
    assert (found.estimate, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert found.verdict == "not significant"


def test_experiments_are_of_their_modality_and_must_be_named():
    assert units_of(["A", "B", "A"], ["x", "x", "x"])[1].tolist() == [0, 1, 0]
    assert units_of(["A", "A"], ["x", ""])[0] == "image"
    with pytest.raises(ContrastError, match="1 of 2 cases name no experiment; name it for every"):
        units_of(["A", "A"], ["x", ""], "experiment")
    with pytest.raises(ContrastError, match=r"unknown unit 'cell'\. Valid: experiment, image"):
        units_of(["A"], ["x"], "cell")


def test_every_modality_can_weigh_the_same():
    values, groups = np.array([0.0] * 8 + [1.0] * 2 + [np.nan]), list("aaaaaaaabbb")
    weights = equal_weights(values, groups)
    found = mean_difference(values, weights=weights)
    assert found.estimate == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": "z"}, "no method 'z' in the scores; there are: a, b"),
        ({"confidence": 95}, "confidence is 95; valid are numbers between 0 and 1"),
        ({"scores": pd.DataFrame({"case": ["c"]})}, "lack the columns method, modality"),
        ({"scores": pd.concat([long({"a": [1], "b": [1]})] * 2)}, "more than one row of"),
    ],
)
def test_choices_are_checked(change, message):
    given = {"scores": long({"a": [0.5] * 6, "b": [0.4] * 6}), "a": "a", "b": "b", **change}
    with pytest.raises(ContrastError, match=message):
        contrast(**given)


def draws(rng, shape, skewed):
    return rng.exponential(1, shape) - 1 if skewed else rng.normal(0, 1, shape)


def mistakes(images, experiments, icc, *, skewed=False, runs=1200, seed=0):
    """Share of false positives at 0.05, and coverage of the interval, by the public entry."""
    rng = np.random.default_rng(seed)
    positives = covered = 0
    for _ in range(runs):
        sizes = 1 + rng.multinomial(images - experiments, np.full(experiments, 1 / experiments))
        unit = np.repeat(np.arange(experiments), sizes)
        shared = draws(rng, experiments, skewed)[unit]
        difference = math.sqrt(icc) * shared + math.sqrt(1 - icc) * draws(rng, images, skewed)
        base = rng.normal(0, 1, images)
        scores = long({"a": base + difference, "b": base}, [f"e{i}" for i in unit])
        found = contrast(scores, "a", "b")
        positives += found.p < 0.05
        covered += found.low <= 0 <= found.high
    return positives / runs, covered / runs


SETTINGS = [(20, 8, 0.9), (26, 19, 0.75), (120, 10, 0.6), (6, 6, 0.0), (7, 7, 0.0), (8, 8, 0.0)]


@pytest.mark.slow
@pytest.mark.parametrize(("images", "experiments", "icc"), SETTINGS)
def test_false_positives_and_coverage_without_an_effect(images, experiments, icc):
    positives, coverage = mistakes(images, experiments, icc)
    assert positives <= 0.065
    assert coverage >= 0.925


@pytest.mark.slow
@pytest.mark.parametrize(("images", "experiments", "icc"), SETTINGS)
def test_skewed_differences_are_called_significant_too_often_but_rarely(images, experiments, icc):
    positives, _ = mistakes(images, experiments, icc, skewed=True)
    assert positives <= 0.09


@pytest.mark.slow
def test_taking_images_as_independent_would_be_wrong_a_third_of_the_time():
    rng = np.random.default_rng(0)
    unit = np.repeat(np.arange(10), 12)
    wrong = 0
    for _ in range(300):
        values = math.sqrt(0.3) * rng.normal(0, 1, 10)[unit] + math.sqrt(0.7) * rng.normal(
            0, 1, 120
        )
        wrong += mean_difference(values, unit="image").p < 0.05
    assert wrong / 300 > 0.2


def test_an_interval_ends_where_the_mean_can_be_at_most():
    few = [1.0, 0.1, 0.0, 0.0, 0.9, 0.0]
    free = mean_difference(few, unit="image")
    assert free.high > 1
    held = mean_difference(few, unit="image", bounds=OF_SCORES)
    assert (held.low, held.high) == (free.low, 1.0)
    assert (held.p, held.verdict) == (free.p, free.verdict)
