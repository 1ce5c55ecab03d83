from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon

from cellharness.statistics.case_table import RankingError
from cellharness.statistics.significance import SignedRanks, adjust_by_holm, signed_rank_tests


def frame(values):
    rows = [
        (case, method, value)
        for method, column in values.items()
        for case, value in enumerate(column)
    ]
    return pd.DataFrame(rows, columns=["case", "method", "value"])


def simulated(decimals):
    """Seven methods on 80 cases; few decimals give zeros and ties among the differences."""
    rng = np.random.default_rng(decimals)
    ground = rng.beta(4, 2, 80)
    return {f"m{i}": (ground + rng.normal(0.02 * i, 0.2, 80)).round(decimals) for i in range(7)}


@pytest.mark.parametrize("larger", [True, False])
@pytest.mark.parametrize("decimals", [1, 2, 12])
def test_equals_scipy(decimals, larger):
    values = simulated(decimals)
    tests = signed_rank_tests(frame(values), larger_is_better=larger)
    assert len(tests) == 7 * 6
    zeros = 0
    for row in tests.itertuples():
        pair = values[row.method], values[row.other]
        side = "greater" if larger else "less"
        # More than 50 cases, so scipy takes the normal approximation.
        expected = wilcoxon(*pair, zero_method="wilcox", correction=True, alternative=side)
        assert row.p == pytest.approx(expected.pvalue, rel=1e-11, abs=0)
        wins = expected.statistic if larger else row.n * (row.n + 1) / 2 - expected.statistic
        assert row.statistic == wins
        zeros += 80 - row.n
        assert row.significant == (expected.pvalue < 0.05)
    assert (zeros > 0) == (decimals < 12)
    assert 0 < tests["significant"].sum() < len(tests) / 2


def holm_step_by_step(p):
    """The textbook procedure: sort, multiply by the number of tests left, never go down."""
    left = sorted((value, i) for i, value in enumerate(p) if not math.isnan(value))
    adjusted, highest = [math.nan] * len(p), 0.0
    for step, (value, i) in enumerate(left):
        highest = max(highest, min(1.0, value * (len(left) - step)))
        adjusted[i] = highest
    return adjusted


def test_holm_by_hand():
    adjusted = adjust_by_holm(np.array([[0.01, 0.04, 0.03, math.nan, 0.02]]))
    # Sorted: 0.01 x 4, 0.02 x 3, 0.03 x 2, 0.04 x 1 which may not fall below 0.06.
    np.testing.assert_allclose(adjusted, [[0.04, 0.06, 0.06, math.nan, 0.06]], rtol=1e-15)


def test_holm_over_all_pairs_is_the_textbook_procedure():
    values = simulated(2)
    values["twin"] = values["m3"]
    tests = signed_rank_tests(frame(values))
    assert tests["p"].isna().sum() == 2
    expected = holm_step_by_step(tests["p"].tolist())
    np.testing.assert_allclose(tests["p_holm"], expected, rtol=1e-14)
    assert (tests["significant_holm"] == (tests["p_holm"] < 0.05)).all()
    assert tests["significant_holm"].sum() < tests["significant"].sum()


def test_holm_takes_each_sample_for_itself():
    rng = np.random.default_rng(5)
    p = rng.random((4, 3, 3)) ** 3
    p[1, 0, 2] = math.nan
    p[:, range(3), range(3)] = math.nan
    adjusted = adjust_by_holm(p)
    for sample, found in zip(p, adjusted, strict=True):
        np.testing.assert_allclose(found.ravel(), holm_step_by_step(sample.ravel()), rtol=1e-14)


def test_weights_are_cases_written_out():
    values = np.stack(list(simulated(1).values()), axis=1)
    rng = np.random.default_rng(2)
    weights = rng.integers(0, 4, (80, 5))
    many = SignedRanks(values, weights.astype(float))
    for sample in range(5):
        written = np.repeat(values, weights[:, sample], axis=0)
        one = SignedRanks(written, np.ones((len(written), 1)))
        for name in ("sums", "used", "ties"):
            np.testing.assert_array_equal(getattr(many, name)[sample], getattr(one, name)[0])
        np.testing.assert_array_equal(many.p_values()[sample], one.p_values()[0])


def test_blocks_of_samples_make_no_difference(monkeypatch):
    values = np.stack(list(simulated(2).values()), axis=1)
    weights = np.random.default_rng(2).integers(0, 4, (80, 7)).astype(float)
    whole = SignedRanks(values, weights).p_values()
    monkeypatch.setattr("cellharness.statistics.significance._BLOCK", 160)
    np.testing.assert_array_equal(SignedRanks(values, weights).p_values(), whole)


def test_equal_methods_are_no_difference():
    tests = signed_rank_tests(frame({"a": [0.1, 0.5, 0.9], "b": [0.1, 0.5, 0.9]}))
    assert tests["n"].tolist() == [0, 0]
    assert tests["statistic"].tolist() == [0, 0]
    assert tests[["p", "p_holm"]].isna().all(axis=None)
    assert not tests[["significant", "significant_holm"]].any(axis=None)


def test_one_case_cannot_be_significant():
    tests = signed_rank_tests(frame({"a": [0.9], "b": [0.1]}))
    # Sum 1, mean 1/2, continuity correction 1/2: z = 0. The other way: z = -1 / 0.5.
    assert tests["p"].tolist() == pytest.approx([0.5, 0.9772498680518208], rel=1e-12)
    assert not tests["significant"].any()


def test_one_method_has_nobody_to_be_compared_with():
    tests = signed_rank_tests(frame({"a": [0.9, 0.8]}))
    assert tests.empty
    assert {"method", "other", "p", "p_holm"} <= set(tests.columns)


def test_all_missing_is_no_difference():
    tests = signed_rank_tests(frame({"a": [math.nan] * 3, "b": [math.nan] * 3}))
    assert tests["p"].isna().all()
    assert not tests["significant"].any()


def test_missing_counts_as_the_worst_or_as_a_number():
    table = frame({"a": [0.9, math.nan, 0.8], "b": [0.4, 0.3, 0.5]})
    worst = signed_rank_tests(table)
    # The worst value is 0.3, which b has in the same case: no difference there.
    assert worst["n"].tolist() == [2, 2]
    assert signed_rank_tests(table, missing=0)["n"].tolist() == [3, 3]


def test_level_is_free_and_checked():
    values = simulated(2)
    loose = signed_rank_tests(frame(values), alpha=0.2)["significant"].sum()
    strict = signed_rank_tests(frame(values), alpha=0.001)["significant"].sum()
    assert strict < loose
    with pytest.raises(RankingError, match=r"alpha is 5; valid are numbers between 0 and 1"):
        signed_rank_tests(frame(values), alpha=5)
