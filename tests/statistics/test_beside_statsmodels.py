"""What the package computes itself, beside statsmodels, which others wrote."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW

from cellharness.statistics.contrasts import equal_weights, mean_difference
from cellharness.statistics.estimates import adjust_families
from cellharness.statistics.power import Spread, detectable_difference, measure_spread


def clustered(seed, units=40, images=(1, 9)):
    """Differences of images, most of whose variance is that of their experiments."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(*images, units)
    codes = np.repeat(np.arange(units), sizes)
    return 0.1 + rng.normal(0, 0.3, units)[codes] + rng.normal(0, 0.1, codes.size), codes


@pytest.mark.parametrize("size", [1, 2, 7, 40])
def test_holm_equals_multipletests(size):
    p = np.random.default_rng(size).uniform(size=size) ** 3
    expected = multipletests(p, method="holm")[1]
    assert adjust_families(p, ["one"] * size) == pytest.approx(expected, rel=1e-12)


def cluster_robust(differences, codes, weights=None):
    """The mean with the standard error that allows for clusters, and its t interval."""
    model = sm.WLS(
        differences, np.ones(differences.size), weights=1.0 if weights is None else weights
    )
    groups = np.unique(codes).size
    # G / (G - 1) here; statsmodels has (N - 1) / (N - 1) beside it, which is 1 for one column.
    fit = model.fit(
        cov_type="cluster", cov_kwds={"groups": codes, "df_correction": True}, use_t=True
    )
    assert fit.df_resid_inference == groups - 1
    return fit


@pytest.mark.parametrize("seed", range(4))
def test_symmetric_units_have_the_cluster_robust_t_interval(seed):
    """Without skewness the t test is the usual one, and with many units the sign-flip test too."""
    values, codes = clustered(seed)
    # Each unit once as it is and once mirrored at the mean of all: no skewness is left.
    mirrored = 2 * values.mean() - values
    both = np.concatenate([values, mirrored]), np.concatenate([codes, codes + codes.max() + 1])
    found = mean_difference(*both)
    fit = cluster_robust(*both)
    assert found.estimate == pytest.approx(fit.params[0], rel=1e-12)
    low, high = fit.conf_int()[0]
    width = high - low
    # The wider of the two intervals is given: never narrower than that of t, and hardly wider.
    assert found.low <= low + 1e-9 * width
    assert found.high >= high - 1e-9 * width
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.03 * width)
    assert found.p >= fit.pvalues[0] * (1 - 1e-9)


def test_weights_of_modalities_are_those_of_weighted_least_squares():
    values, codes = clustered(5)
    modality = np.where(codes % 3 == 0, "DIC", "Brightfield")
    weights = equal_weights(values, modality)
    found = mean_difference(values, codes, weights=weights)
    fit = cluster_robust(values, codes, weights)
    assert found.estimate == pytest.approx(fit.params[0], rel=1e-12)
    assert found.high - found.low == pytest.approx(np.diff(fit.conf_int()[0])[0], rel=0.2)


def test_images_of_their_own_have_the_standard_error_of_a_mean():
    rng = np.random.default_rng(0)
    values = rng.normal(0.1, 0.2, 200)
    values = np.concatenate([values, 0.2 - values])
    found = mean_difference(values, unit="image")
    low, high = DescrStatsW(values).tconfint_mean()
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.01 * (high - low))


@pytest.mark.parametrize("seed", range(3))
def test_variances_are_those_of_a_mixed_model_where_units_are_equally_large(seed):
    """For balanced data the analysis of variance and restricted likelihood agree."""
    values, codes = clustered(seed, units=25, images=(4, 5))
    frame = pd.DataFrame({"difference": values, "unit": codes})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = sm.MixedLM.from_formula("difference ~ 1", frame, groups="unit").fit(reml=True)
    found = measure_spread(values, codes)
    assert found.within == pytest.approx(fit.scale, rel=1e-3)
    assert found.between == pytest.approx(fit.cov_re.iloc[0, 0], rel=1e-3)


@pytest.mark.parametrize("units", [8, 20, 100])
def test_a_detectable_difference_is_that_of_the_t_test_and_what_the_second_test_costs(units):
    spread = Spread.of(sd=0.3, correlation=0.0)
    of_t = 0.3 * TTestPower().solve_power(
        nobs=units, alpha=0.05, power=0.8, alternative="two-sided"
    )
    assert (
        1
        <= detectable_difference(spread, [1] * units) / of_t
        < {8: 1.2, 20: 1.05, 100: 1.01}[units]
    )
