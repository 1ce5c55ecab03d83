from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import PermutationMethod, wilcoxon

from cellharness.statistics.paired_change import (
    GAIN,
    LOSS,
    NO_PAIRS,
    OPEN,
    PairedChange,
    adjust_families,
    paired_changes,
    signed_rank,
    verdict,
)
from cellharness.statistics.resampling import Resampling


def scipy_p(differences, **how):
    changed = differences[differences != 0]
    return [
        wilcoxon(changed, alternative=side, **how).pvalue
        for side in ("less", "greater", "two-sided")
    ]


@pytest.mark.parametrize("n", [1, 2, 5, 12, 30, 50])
def test_exact_p_equals_scipy(n):
    rng = np.random.default_rng(n)
    differences = rng.normal(-0.3, 1, n)
    found = signed_rank(np.r_[differences, 0.0, np.nan])
    assert found.n_changed == n
    np.testing.assert_allclose(found[1:], scipy_p(differences, method="exact"), rtol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_exact_p_with_ties_equals_all_permutations(seed):
    differences = np.random.default_rng(seed).integers(-3, 4, 11).astype(float)
    changed = differences[differences != 0]
    assert len(set(np.abs(changed))) < len(changed)
    # More resamples than there are signs: scipy then takes every one of them once.
    method = PermutationMethod(n_resamples=2**12)
    expected = scipy_p(differences, method=method)
    np.testing.assert_allclose(signed_rank(differences)[1:], expected, rtol=1e-12)


@pytest.mark.parametrize("decimals", [1, 12])
@pytest.mark.parametrize("n", [70, 200])
def test_p_of_many_differences_equals_scipys_normal_approximation(n, decimals):
    differences = np.random.default_rng(n).normal(-0.2, 1, n).round(decimals)
    expected = scipy_p(differences, method="asymptotic", correction=True)
    np.testing.assert_allclose(signed_rank(differences)[1:], expected, rtol=1e-10)


def test_exact_and_normal_p_meet():
    differences = np.random.default_rng(8).normal(-0.25, 1, 51)
    exact, normal = signed_rank(differences[:50]), scipy_p(differences[:50], method="asymptotic")
    np.testing.assert_allclose(exact[1:], normal, rtol=0.05)


def test_the_smallest_p_of_few_cases():
    for n in range(1, 8):
        found = signed_rank(-np.arange(1.0, n + 1))
        assert found.p_loss == 0.5**n
        assert found.p_gain == 1
        assert found.p_two_sided == min(1, 2 * 0.5**n)


def test_no_change_is_no_test():
    found = signed_rank(np.array([0.0, 0.0, np.nan]))
    assert found.n_changed == 0
    assert all(math.isnan(p) for p in found[1:])


def changes(*series, samples=1000):
    differences = np.array(series, float)
    return paired_changes(differences, Resampling(samples))


def test_changes_by_hand():
    (found,) = changes([-0.2, -0.1, 0.0, 0.3, np.nan])
    assert (found.n, found.n_missing, found.n_changed) == (4, 1, 3)
    assert found.median_change == pytest.approx(-0.05)
    assert found.mean_change == pytest.approx(0.0, abs=1e-15)
    # Ranks 2, 1 and 3: the sum of the positive ones is 3, as in 5 of 8 choices of signs or fewer.
    assert (found.p_loss, found.p_gain, found.p_two_sided) == (5 / 8, 5 / 8, 1)
    assert -0.2 <= found.median_low <= found.median_change <= found.median_high <= 0.3
    assert found.mean_low < 0 < found.mean_high


def test_the_interval_of_the_mean_is_that_of_theory():
    differences = np.random.default_rng(0).normal(-0.1, 0.1, 400)
    (found,) = changes(differences, samples=4000)
    half = 1.96 * differences.std() / 20
    assert found.mean_low == pytest.approx(differences.mean() - half, abs=half / 10)
    assert found.mean_high == pytest.approx(differences.mean() + half, abs=half / 10)


def test_one_case_has_no_interval_and_none_has_nothing():
    first, second = changes([-0.5, np.nan], [np.nan, np.nan])
    assert (first.n, first.mean_change, first.p_loss) == (1, -0.5, 0.5)
    assert math.isnan(first.mean_low)
    assert math.isnan(first.median_high)
    assert (second.n, second.n_missing) == (0, 2)
    assert math.isnan(second.mean_change)
    assert changes(np.zeros(0))[0].n == 0


def holm(p):
    """The textbook procedure, a step at a time."""
    adjusted, highest = [math.nan] * len(p), 0.0
    known = sorted((value, i) for i, value in enumerate(p) if not math.isnan(value))
    for step, (value, i) in enumerate(known):
        highest = max(highest, min(1.0, value * (len(known) - step)))
        adjusted[i] = highest
    return adjusted


def test_families_are_adjusted_each_for_itself():
    p = [0.01, 0.04, 0.03, math.nan, 0.02, 0.5]
    families = ["a", "a", "b", "b", "a", "b"]
    found = adjust_families(p, families)
    for family in "ab":
        places = [i for i, name in enumerate(families) if name == family]
        np.testing.assert_allclose(found[places], holm([p[i] for i in places]), rtol=1e-15)
    np.testing.assert_allclose(found, [0.03, 0.04, 0.06, math.nan, 0.04, 0.5])


def test_verdicts():
    (loss,) = changes(np.linspace(-0.3, -0.1, 12))
    (gain,) = changes(np.linspace(0.1, 0.3, 12))
    (mixed,) = changes([-0.2, 0.2] * 6)
    assert verdict(loss, loss.p_two_sided, 0.05) == LOSS
    assert verdict(gain, gain.p_two_sided, 0.05) == GAIN
    assert verdict(mixed, mixed.p_two_sided, 0.05) == OPEN
    # What the correction takes away is gone.
    assert verdict(loss, 0.06, 0.05) == OPEN
    (nothing,) = changes([np.nan])
    assert verdict(nothing, math.nan, 0.05) == NO_PAIRS


def test_five_losses_of_five_prove_nothing_by_two_sides():
    (found,) = changes([-0.2, -0.3, -0.25, -0.15, -0.1])
    assert found.mean_high < 0
    assert verdict(found, found.p_two_sided, 0.05) == OPEN


def test_a_few_large_losses_among_many_small_gains_are_neither():
    (found,) = changes([*np.linspace(0.01, 0.02, 40), *[-0.9] * 7])
    assert found.mean_high < 0
    assert found.p_gain < found.p_loss
    assert found.p_two_sided < 0.05
    assert verdict(found, found.p_two_sided, 0.05) == OPEN


def test_many_small_losses_with_a_few_large_gains_are_neither():
    (found,) = changes([*np.linspace(-0.02, -0.01, 40), 0.9, 0.9, 0.1])
    assert found.p_loss < found.p_gain
    assert found.p_two_sided < 0.001
    assert found.mean_low < 0 < found.mean_high
    assert verdict(found, found.p_two_sided, 0.05) == OPEN


def test_the_fields_of_a_change_are_the_columns_of_its_table():
    assert PairedChange._fields[:3] == ("n", "n_missing", "n_changed")
