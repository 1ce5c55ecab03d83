from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from cellharness.errors import UsageError
from cellharness.statistics.case_table import RankingError
from cellharness.statistics.ranking import compare_schemes, rank
from cellharness.statistics.schemes import SCHEMES

TASKS = ("c_ideal", "c_random", "c_worstcase", "f1")


def frame(values, cases=None):
    """Frame from a dict of method to values, one a case; NaN stays."""
    rows = [
        (f"c{case}" if cases is None else cases[case], method, value)
        for method, column in values.items()
        for case, value in enumerate(column)
    ]
    return pd.DataFrame(rows, columns=["case", "method", "value"])


def ranks(ranking):
    return dict(zip(ranking["method"], ranking["rank"], strict=True))


def scores_of(ranking):
    return dict(zip(ranking["method"], ranking["score"], strict=True))


@pytest.fixture(scope="module")
def golden(shared):
    folder = shared / "golden" / "ranking"
    if not folder.is_dir():
        pytest.skip("needs ../shared/golden/ranking, which is not here")
    scores = pd.read_csv(folder / "scores.csv").rename(columns={"alg_name": "method"})
    return scores, pd.read_csv(folder / "challengeR.csv")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("task", TASKS)
def test_equals_the_reference_toolkit(golden, task, scheme):
    scores, reference = golden
    assert set(scores["task"]) == set(TASKS)
    found = rank(scores[scores["task"] == task], scheme, larger_is_better=True, missing=0)
    expected = reference[
        (reference["task"] == task) & (reference["scheme"] == scheme.replace("-", "_"))
    ].set_index("algorithm")
    assert len(found) == len(expected) > 0
    found = found.set_index("method").loc[expected.index]
    np.testing.assert_allclose(found["score"], expected["score"], rtol=0, atol=1e-9)
    assert found["rank"].tolist() == expected["rank"].tolist()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_smaller_is_better_is_the_mirror_image(golden, scheme):
    scores, _ = golden
    task = scores[scores["task"] == "f1"]
    turned = task.assign(value=-task["value"])
    found = rank(turned, scheme, larger_is_better=False, missing=0)
    assert ranks(found) == ranks(rank(task, scheme, missing=0))


def test_best_method_comes_first_and_ties_share_the_smallest_rank():
    table = frame({"low": [0.1, 0.2], "b": [0.5, 0.7], "a": [0.7, 0.5], "top": [0.9, 0.9]})
    ranking = rank(table, "mean-then-rank")
    assert list(ranking.columns) == ["method", "score", "rank"]
    assert ranking["method"].tolist() == ["top", "b", "a", "low"]
    assert ranking["rank"].tolist() == [1, 2, 2, 4]


def test_means_that_differ_by_rounding_only_are_equal():
    rng = np.random.default_rng(0)
    column = rng.random(422)
    orders = {str(i): rng.permutation(column) for i in range(20)}
    assert len({sum(values.tolist()) for values in orders.values()}) > 1
    assert set(rank(frame(orders), "mean-then-rank")["rank"]) == {1}


def test_means_that_differ_by_one_ten_thousandth_in_one_case_are_not():
    near = np.full(422, 0.5)
    better = near.copy()
    better[7] += 1e-4
    assert ranks(rank(frame({"a": near, "b": better}), "mean-then-rank")) == {"b": 1, "a": 2}


def test_mean_and_median_of_ranks_by_hand():
    # Ranks: a 1 1 3 3, b 2 2 1 1, c 2 3 2 2.
    table = frame({"a": [9, 9, 1, 1], "b": [5, 5, 8, 8], "c": [5, 4, 3, 3]})
    assert scores_of(rank(table, "rank-then-mean")) == {"a": 2, "b": 1.5, "c": 2.25}
    assert scores_of(rank(table, "rank-then-median")) == {"a": 2, "b": 1.5, "c": 2}
    assert ranks(rank(table, "rank-then-median")) == {"b": 1, "a": 2, "c": 2}


def test_missing_number_stands_in_for_the_value():
    table = frame({"a": [0.9, math.nan, 0.9], "b": [0.4, 0.3, 0.5]})
    assert scores_of(rank(table, "mean-then-rank", missing=0)) == pytest.approx(
        {"a": 0.6, "b": 0.4}
    )
    assert scores_of(rank(table, "mean-then-rank", missing=0.3))["a"] == pytest.approx(0.7)
    # 0.3 ties with what b has there; the default puts a behind.
    assert scores_of(rank(table, "rank-then-mean", missing=0.3)) == pytest.approx(
        {"a": 1.0, "b": 5 / 3}
    )
    assert scores_of(rank(table, "rank-then-mean")) == pytest.approx({"a": 4 / 3, "b": 5 / 3})


@pytest.mark.parametrize("larger", [True, False])
def test_missing_as_worst_is_the_worst_value_of_the_table(larger):
    table = frame({"a": [5.0, math.nan], "b": [4.0, 3.0], "c": [2.0, 6.0]})
    worst = 2.0 if larger else 6.0
    for scheme in ("mean-then-rank", "median-then-rank", "test-based"):
        expected = rank(table, scheme, larger, missing=worst)
        pd.testing.assert_frame_equal(rank(table, scheme, larger), expected)


def test_several_missing_in_a_case_share_the_rank_behind_all_others():
    table = frame({"a": [0.5], "b": [math.nan], "c": [0.5], "d": [math.nan], "e": [0.0]})
    assert scores_of(rank(table, "rank-then-mean")) == {"a": 1, "c": 1, "e": 3, "b": 4, "d": 4}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_row_that_is_not_there_is_a_missing_value(scheme):
    table = frame({"a": [0.9, math.nan, 0.2], "b": [0.4, 0.3, 0.5]})
    for missing in ("worst", 0):
        pd.testing.assert_frame_equal(
            rank(table.dropna(), scheme, missing=missing), rank(table, scheme, missing=missing)
        )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_order_of_rows_and_other_columns_do_not_matter(golden, scheme):
    scores, _ = golden
    task = scores[scores["task"] == "c_random"]
    shuffled = task.sample(frac=1, random_state=3).rename(columns={"task": "note"})
    assert ranks(rank(shuffled, scheme)) == ranks(rank(task, scheme))


def test_input_is_left_alone():
    table = frame({"a": [0.9, math.nan], "b": [0.4, 0.3]})
    before = table.copy(deep=True)
    compare_schemes(table)
    pd.testing.assert_frame_equal(table, before)


def test_schemes_beside_each_other_are_the_single_rankings():
    rng = np.random.default_rng(0)
    table = frame({name: rng.random(9) for name in "abcd"})
    both = compare_schemes(table, missing=0)
    assert list(dict.fromkeys(both["scheme"])) == list(SCHEMES)
    for scheme, block in both.groupby("scheme"):
        alone = rank(table, str(scheme), missing=0)
        pd.testing.assert_frame_equal(
            block.drop(columns="scheme").reset_index(drop=True), alone, check_like=True
        )
    assert compare_schemes(table, []).empty


ONE_CASE = {
    "mean-then-rank": ({"a": 0.5, "b": 0.9}, {"b": 1, "a": 2}),
    "median-then-rank": ({"a": 0.5, "b": 0.9}, {"b": 1, "a": 2}),
    "rank-then-mean": ({"a": 2, "b": 1}, {"b": 1, "a": 2}),
    "rank-then-median": ({"a": 2, "b": 1}, {"b": 1, "a": 2}),
    # One case cannot be significant.
    "test-based": ({"a": 0, "b": 0}, {"a": 1, "b": 1}),
    "test-based-holm": ({"a": 0, "b": 0}, {"a": 1, "b": 1}),
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_case(scheme):
    ranking = rank(frame({"a": [0.5], "b": [0.9]}), scheme)
    assert (scores_of(ranking), ranks(ranking)) == ONE_CASE[scheme]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_method(scheme):
    ranking = rank(frame({"a": [0.5, 0.7, math.nan]}), scheme, missing=0)
    score = {"mean-then-rank": 0.4, "median-then-rank": 0.5}.get(
        scheme, 1.0 if scheme.startswith("rank") else 0.0
    )
    assert scores_of(ranking) == pytest.approx({"a": score})
    assert ranks(ranking) == {"a": 1}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_all_values_equal(scheme):
    ranking = rank(frame(dict.fromkeys("abc", [0.3] * 5)), scheme)
    assert ranks(ranking) == {"a": 1, "b": 1, "c": 1}
    assert ranking["score"].notna().all()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("missing", ["worst", 0])
def test_all_values_missing(scheme, missing):
    ranking = rank(frame(dict.fromkeys("abc", [math.nan] * 4)), scheme, missing=missing)
    assert ranks(ranking) == {"a": 1, "b": 1, "c": 1}
    no_number = missing == "worst" and scheme in ("mean-then-rank", "median-then-rank")
    assert ranking["score"].isna().all() == no_number
    assert ranking["score"].isna().any() == no_number


@pytest.mark.parametrize("scheme", SCHEMES)
def test_method_without_any_value_is_last(scheme):
    rng = np.random.default_rng(1)
    good = 0.5 + rng.random(30) / 2
    table = frame({"none": [math.nan] * 30, "good": good, "worse": good - 0.3})
    assert list(rank(table, scheme)["method"]) == ["good", "worse", "none"]


def test_unknown_scheme_names_the_valid_ones():
    with pytest.raises(
        RankingError, match=r"unknown ranking scheme 'mean'\. .*Valid: mean-then-rank"
    ):
        rank(frame({"a": [1]}), "mean")


@pytest.mark.parametrize("missing", ["best", None, math.nan, math.inf, True])
def test_bad_missing_value_is_an_error(missing):
    with pytest.raises(RankingError, match=f"missing is {missing!r}; valid are 'worst' and finite"):
        rank(frame({"a": [1]}), "mean-then-rank", missing=missing)


@pytest.mark.parametrize("alpha", [0, 1, -0.1, 5, math.nan])
def test_bad_level_is_an_error(alpha):
    with pytest.raises(RankingError, match=f"alpha is {alpha!r}; valid are numbers between 0"):
        rank(frame({"a": [1]}), "test-based", alpha=alpha)


def test_bad_tables_are_errors_that_say_why():
    table = frame({"a": [1, 2], "b": [3, 4]})
    for change, message in (
        (table.drop(columns="value"), "lacks the columns value; it needs case, method, value"),
        (table.iloc[:0], "has no rows"),
        (pd.concat([table, table.iloc[[2]]]), "more than one row for case c0 and method b"),
        (table.assign(value=[1, 2, math.inf, 4]), "column value holds inf"),
        (table.assign(value=["1", "2", "n/a", "4"]), "column value holds 'n/a'; valid are finite"),
        (table.assign(method=["a", None, "b", "b"]), "row 1 has no method"),
    ):
        with pytest.raises(RankingError, match=message):
            rank(change, "mean-then-rank")
    assert issubclass(RankingError, UsageError)
