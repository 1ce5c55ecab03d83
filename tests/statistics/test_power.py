from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import nct
from scipy.stats import t as student
from study_maker import one

from cellharness.statistics.contrasts import contrast, mean_difference
from cellharness.statistics.power import (
    MOST_UNITS,
    Spread,
    detectable_difference,
    differences_of,
    measure_spread,
    power_table,
    units_needed,
)


def draws(rng, spread, sizes, mean):
    units = np.repeat(np.arange(len(sizes)), sizes)
    own = rng.normal(mean, math.sqrt(spread.between), len(sizes))
    return own[units] + rng.normal(0, math.sqrt(spread.within), units.size), units


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "correlation"),
    [([2, 3] * 4, 0.9), ([1] * 6, 0.0), ([1, 2] * 9 + [1], 0.75), ([4] * 10, 0.6), ([3] * 40, 0.8)],
)
def test_the_public_contrast_finds_the_difference_four_times_in_five(sizes, correlation):
    spread = Spread.of(0.3, correlation)
    least = detectable_difference(spread, sizes)
    rng = np.random.default_rng(len(sizes))
    hits, times = 0, 800
    for _ in range(times):
        values, units = draws(rng, spread, sizes, least)
        rows = pd.DataFrame(
            {
                "case": np.arange(values.size).astype(str), "modality": "DIC",
                "experiment": units.astype(str), "value": values, "method": "a",
            }
        )  # fmt: skip
        both = pd.concat([rows, rows.assign(method="b", value=0.0)])
        hits += contrast(both, "a", "b").verdict == "higher"
    # Unequal sizes cost a little; the standard error of 800 draws is 0.014.
    assert 0.74 <= hits / times <= 0.86


def test_many_units_need_what_the_t_test_needs():
    errors = detectable_difference(Spread.of(1.0, 1.0), [1] * 400) * 20
    assert nct.sf(student.ppf(0.975, 399), 399, errors) == pytest.approx(0.8, abs=0.003)


def test_variances_are_found_again():
    rng = np.random.default_rng(0)
    spread = Spread.of(0.3, 0.8)
    values, units = draws(rng, spread, [1, 2, 3, 4] * 1000, 0.1)
    found = measure_spread(values, units)
    assert found.sd == pytest.approx(0.3, rel=0.03)
    assert found.correlation == pytest.approx(0.8, abs=0.02)
    alone = measure_spread(values[:10], np.arange(10))
    assert alone.sd == pytest.approx(values[:10].std(ddof=1))
    assert math.isnan(measure_spread([0.1, 0.2], [0, 0]).sd)
    assert measure_spread([0.1, np.nan, 0.3], [0, 1, 2]).sd == pytest.approx(
        np.std([0.1, 0.3], ddof=1)
    )


def test_the_standard_error_is_that_of_the_contrast_on_average():
    rng = np.random.default_rng(1)
    spread, sizes = Spread.of(0.3, 0.7), [1, 3] * 15
    means = [draws(rng, spread, sizes, 0)[0].mean() for _ in range(4000)]
    quarter = detectable_difference(spread, [1] * 30) / math.sqrt(0.3**2 / 30)
    assert detectable_difference(spread, sizes) / quarter == pytest.approx(np.std(means), rel=0.04)


def test_the_units_needed_are_the_fewest():
    spread = Spread.of(0.3, 0.75)
    for difference in (0.05, 0.1, 0.3):
        units = int(units_needed(spread, difference, 2))
        assert detectable_difference(spread, [2] * units) <= difference
        assert detectable_difference(spread, [2] * (units - 1)) > difference
    assert units_needed(spread, 0.99, 2) == 6
    assert math.isinf(units_needed(spread, 1e-4, 2))
    assert MOST_UNITS == 10_000


def test_fewer_than_six_units_show_nothing_as_in_the_contrast():
    assert math.isinf(detectable_difference(Spread.of(0.01, 0.5), [9] * 5))
    assert mean_difference([1.0] * 5, unit="image").verdict == "too few units"


def test_the_table_has_all_images_and_each_modality():
    rng = np.random.default_rng(2)
    modality = np.repeat(["DIC", "Fluorescent"], [20, 10])
    units = np.r_[np.repeat(np.arange(10), 2), np.repeat(np.arange(10, 15), 2)]
    values = rng.random((30, 3))
    values[0, 1] = np.nan
    table = power_table(differences_of(values), modality, units, unit="experiment", difference=0.1)
    assert table["modality"].tolist() == ["All", "DIC", "Fluorescent"]
    row = one(table, modality="DIC")
    assert row[["n_images", "n_units", "images_each", "assumed"]].tolist() == [20, 10, 2, False]
    pairs = [values[:20, i] - values[:20, j] for i, j in ((0, 1), (0, 2), (1, 2))]
    found = []
    for pair in pairs:
        known = ~np.isnan(pair)
        counts = np.unique(units[:20][known], return_counts=True)[1]
        spread = measure_spread(pair[known], units[:20][known])
        found.append(detectable_difference(spread, counts))
    assert row["detectable"] == pytest.approx(np.median(found))
    assert math.isinf(one(table, modality="Fluorescent")["detectable"])
    assert row["images_needed"] == 2 * row["units_needed"]
    assumed = power_table([], modality, units, unit="experiment", spread=Spread.of(0.2, 0.5))
    assert one(assumed, modality="DIC")["detectable"] == pytest.approx(
        detectable_difference(Spread.of(0.2, 0.5), [2] * 10)
    )
    assert assumed["assumed"].all()
    nothing = power_table([], modality, units, unit="experiment")
    # Nothing is known of how scores vary; with five units, nothing could be shown anyhow.
    assert nothing["detectable"].map(math.isnan).tolist() == [True, True, False]
    assert math.isinf(one(nothing, modality="Fluorescent")["detectable"])
