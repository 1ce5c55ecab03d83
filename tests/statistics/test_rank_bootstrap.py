from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from cellharness.statistics.case_table import RankingError
from cellharness.statistics.rank_bootstrap import bootstrap_ranks, kendall_taus
from cellharness.statistics.ranking import compare_schemes, rank
from cellharness.statistics.schemes import SCHEMES

SAMPLES, SEED = 40, 11


def simulated(cases=13, methods=5, decimals=1, missing=4):
    """Close methods on few cases, so that ranks change and values tie."""
    rng = np.random.default_rng(7)
    values = rng.beta(4, 2, (cases, 1)) + rng.normal(0, 0.15, (cases, methods))
    values = (values - np.linspace(0, 0.25, methods)).clip(0, 1).round(decimals)
    values.ravel()[rng.choice(values.size, missing, replace=False)] = np.nan
    rows = [(f"case {i:02}", f"m{j}", values[i, j]) for i in range(cases) for j in range(methods)]
    return pd.DataFrame(rows, columns=["case", "method", "value"])


def written_out(table, draw):
    """The resampled table: every drawn case under a name of its own."""
    cases = sorted(table["case"].unique())
    by_case = dict(list(table.groupby("case")))
    return pd.concat([by_case[cases[i]].assign(case=place) for place, i in enumerate(draw)])


@pytest.fixture(scope="module")
def draws():
    return np.random.default_rng(SEED).integers(0, 13, (SAMPLES, 13))


@pytest.mark.parametrize("larger", [True, False])
@pytest.mark.parametrize("decimals", [1, 6])
def test_each_sample_is_ranked_as_the_resampled_table(draws, decimals, larger):
    table = simulated(decimals=decimals)
    found = bootstrap_ranks(
        table, larger_is_better=larger, missing=0, samples=SAMPLES, seed=SEED, alpha=0.1
    )
    assert tuple(found.ranks) == SCHEMES
    for scheme in SCHEMES:
        for sample, draw in enumerate(draws):
            expected = rank(written_out(table, draw), scheme, larger, missing=0, alpha=0.1)
            ours = dict(zip(found.methods, found.ranks[scheme][sample], strict=True))
            assert ours == dict(zip(expected["method"], expected["rank"], strict=True)), scheme
        assert len(np.unique(found.ranks[scheme], axis=0)) > 1


def test_missing_as_worst_costs_the_same_in_every_sample(draws):
    """Ranks of a case come from the case alone; where a number is needed it is the full table's."""
    table = simulated()
    worst = table["value"].min()
    found = bootstrap_ranks(table, samples=SAMPLES, seed=SEED)
    for scheme in SCHEMES:
        missing = "worst" if scheme.startswith("rank-then") else worst
        for sample, draw in enumerate(draws):
            expected = rank(written_out(table, draw), scheme, missing=missing)
            ours = dict(zip(found.methods, found.ranks[scheme][sample], strict=True))
            assert ours == dict(zip(expected["method"], expected["rank"], strict=True)), scheme


def test_full_ranking_is_that_of_rank():
    table = simulated()
    found = bootstrap_ranks(table, missing=0, samples=3)
    pd.testing.assert_frame_equal(found.rankings, compare_schemes(table, missing=0))


def test_taus_equal_scipy():
    table = simulated()
    found = bootstrap_ranks(table, missing=0, samples=SAMPLES, seed=SEED)
    taus = found.taus()
    assert list(taus.columns) == ["scheme", "sample", "tau", "seed"]
    assert len(taus) == SAMPLES * len(SCHEMES)
    numbers = 0
    for row in taus.itertuples():
        full = found.rankings[found.rankings["scheme"] == row.scheme].set_index("method")["rank"]
        expected = kendalltau(
            found.ranks[row.scheme][row.sample], full.loc[list(found.methods)]
        ).statistic
        assert row.tau == pytest.approx(expected, rel=1e-12, abs=1e-15, nan_ok=True)
        numbers += not math.isnan(expected)
    assert numbers > len(taus) / 2
    assert taus["tau"].nunique() > 5


def test_tau_of_the_same_and_the_inverse_order():
    taus = kendall_taus(np.array([[1, 2, 3], [3, 2, 1], [1, 1, 1]]), np.array([1, 2, 3]))
    np.testing.assert_array_equal(taus, [1, -1, math.nan])


def test_intervals_are_quantiles_of_the_ranks():
    found = bootstrap_ranks(simulated(), missing=0, samples=200, seed=1)
    intervals = found.intervals(0.8)
    assert list(intervals.columns) == [
        "scheme", "method", "score", "rank", "median", "low", "high", "samples", "seed",
    ]  # fmt: skip
    assert (intervals["samples"].unique(), intervals["seed"].unique()) == ([200], [1])
    for row in intervals.itertuples():
        ranks = found.ranks[row.scheme][:, found.methods.index(row.method)]
        expected = np.percentile(ranks, [10, 50, 90])
        assert [row.low, row.median, row.high] == pytest.approx(expected, rel=1e-12)
    narrow, wide = found.intervals(0.5), found.intervals(0.99)
    assert (wide["high"] - wide["low"]).sum() > (narrow["high"] - narrow["low"]).sum()


def test_frequencies_count_the_ranks():
    found = bootstrap_ranks(simulated(), ["rank-then-mean", "test-based"], samples=50)
    shares = found.frequencies()
    assert shares.groupby(["scheme", "method"])["share"].sum().tolist() == pytest.approx([1] * 10)
    assert (shares["share"] > 0).all()
    row = shares.iloc[0]
    ranks = found.ranks["rank-then-mean"][:, found.methods.index(row["method"])]
    assert row["share"] == (ranks == row["rank"]).mean()


def test_better_method_by_far_is_first_in_every_sample():
    table = simulated(missing=0)
    table.loc[table["method"] == "m4", "value"] += 5
    found = bootstrap_ranks(table, samples=100)
    winner = found.intervals()[lambda frame: frame["method"] == "m4"]
    assert winner[["rank", "median", "low", "high"]].eq(1).all(axis=None)


def test_seed_decides_and_the_order_of_rows_does_not():
    table = simulated()
    first = bootstrap_ranks(table, ["rank-then-mean"], seed=3, samples=60)
    shuffled = table.sample(frac=1, random_state=1)
    again = bootstrap_ranks(shuffled, ["rank-then-mean"], seed=3, samples=60)
    columns = [again.methods.index(method) for method in first.methods]
    np.testing.assert_array_equal(
        first.ranks["rank-then-mean"], again.ranks["rank-then-mean"][:, columns]
    )
    other = bootstrap_ranks(table, ["rank-then-mean"], seed=4, samples=60)
    assert (first.seed, other.seed) == (3, 4)
    assert (first.ranks["rank-then-mean"] != other.ranks["rank-then-mean"]).any()


def test_global_random_state_is_left_alone():
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    bootstrap_ranks(simulated(), samples=5)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def only(table, **where):
    for column, value in where.items():
        table = table[table[column] == value]
    return table


def test_one_case_gives_the_full_ranking_every_time():
    found = bootstrap_ranks(only(simulated(missing=0), case="case 03"), samples=10)
    for scheme in SCHEMES:
        assert len(np.unique(found.ranks[scheme], axis=0)) == 1
    intervals = found.intervals()
    assert (intervals["low"] == intervals["rank"]).all()
    assert (intervals["high"] == intervals["rank"]).all()


def test_one_method_is_first_and_has_no_order_to_compare():
    found = bootstrap_ranks(only(simulated(), method="m1"), samples=10)
    assert all((ranks == 1).all() for ranks in found.ranks.values())
    assert found.taus()["tau"].isna().all()
    assert found.frequencies()["share"].tolist() == [1.0] * len(SCHEMES)


@pytest.mark.parametrize("value", [0.25, math.nan])
def test_all_equal_or_all_missing_are_all_first(value):
    found = bootstrap_ranks(simulated().assign(value=value), samples=10)
    assert all((ranks == 1).all() for ranks in found.ranks.values())
    assert found.taus()["tau"].isna().all()
    assert found.intervals()[["low", "median", "high"]].eq(1).all(axis=None)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"samples": 0}, "samples is 0; valid are whole numbers from 1 on"),
        ({"samples": 2.5}, "samples is 2.5"),
        ({"seed": -1}, "seed is -1; valid are whole numbers from 0 on"),
        ({"seed": None}, "seed is None"),
        ({"schemes": ["mean-then-rank", "best"]}, "unknown ranking scheme 'best'; valid: mean-"),
        ({"schemes": []}, "no ranking scheme given; valid: mean-then-rank"),
        ({"alpha": 2}, "alpha is 2"),
        ({"missing": "drop"}, "missing is 'drop'"),
    ],
)
def test_bad_choices_are_errors(choice, message):
    with pytest.raises(RankingError, match=message):
        bootstrap_ranks(simulated(), **choice)


def test_bad_interval_is_an_error():
    with pytest.raises(RankingError, match="level is 95; valid are numbers between 0 and 1"):
        bootstrap_ranks(simulated(), samples=2).intervals(95)


def test_experiments_are_drawn_with_all_their_images_modality_by_modality():
    rng = np.random.default_rng(0)
    rows = []
    for i in range(40):
        modality, experiment = ("A", f"e{i // 8}") if i < 24 else ("B", f"e{i // 4}")
        base = rng.normal(0, 0.3) + (i // 8 % 3) * 0.4
        for method in ("a", "b", "c"):
            value = base * (method == "a") + rng.normal(0.5, 0.1)
            rows.append((f"c{i:02}", method, modality, experiment, value))
    table = pd.DataFrame(rows, columns=["case", "method", "modality", "experiment", "value"])
    images = bootstrap_ranks(table, samples=100)
    assert (images.unit, images.n_units) == ("image", 40)
    found = bootstrap_ranks(table, samples=100, unit="experiment")
    assert (found.unit, found.n_units) == ("experiment", 3 + 4)
    pd.testing.assert_frame_equal(found.rankings, images.rankings)
    again = bootstrap_ranks(table.sample(frac=1, random_state=1), samples=100, unit=None)
    assert again.unit == "experiment"
    order = [again.methods.index(name) for name in found.methods]
    for scheme, ranks in found.ranks.items():
        np.testing.assert_array_equal(ranks, again.ranks[scheme][:, order])
    # By hand: the samples written out and ranked one by one.
    one = bootstrap_ranks(table, ["mean-then-rank", "median-then-rank"], samples=3, unit=None)
    from cellharness.statistics.rank_bootstrap import _draw
    from cellharness.statistics.ranking import rank

    cases = sorted(table["case"].unique())
    _, _, weights = _draw(table, cases, 3, 0, None)
    for sample, times in enumerate(weights.T.astype(int)):
        parts = [
            table[table["case"] == cases[row]].assign(case=f"{number:03}")
            for number, row in enumerate(np.repeat(np.arange(len(cases)), times))
        ]
        for scheme in one.ranks:
            expected = rank(pd.concat(parts), scheme).set_index("method")["rank"]
            assert one.ranks[scheme][sample].tolist() == expected[list(one.methods)].tolist()
