from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from cellharness.statistics import (
    ALL,
    UNKNOWN_MODALITY,
    check_scores,
    count_statuses,
    differing_cases,
    profile_differences,
    summarise,
)

COLUMNS = (
    "method", "profile", "threshold", "case", "modality", "experiment", "seen", "status", "f1",
)  # fmt: skip


def table(rows: Sequence[tuple[object, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS))


@pytest.fixture
def scores() -> pd.DataFrame:
    """Two methods on four cases; method b times out on c2, which challenge then drops."""
    values = {
        ("a", "c1"): (0.9, 0.9), ("a", "c2"): (0.7, 0.7), ("a", "c3"): (0.5, 0.5),
        ("a", "c4"): (0.123456, 0.1235),
        ("b", "c1"): (0.6, 0.6), ("b", "c2"): (0.0, np.nan), ("b", "c3"): (0.8, 0.75),
        ("b", "c4"): (1.0, 1.0),
    }  # fmt: skip
    modality = {"c1": "DIC", "c2": "DIC", "c3": "Fluorescent", "c4": None}
    rows = []
    for (method, case), pair in values.items():
        status = "timeout" if (method, case) == ("b", "c2") else "ok"
        for profile, f1 in zip(("strict", "challenge"), pair, strict=True):
            about = (modality[case], f"e-{case}", case == "c1", status)
            rows.append((method, profile, 0.5, case, *about, f1))
    return table(rows)


def pick(frame: pd.DataFrame, **where: object) -> pd.Series:
    for column, value in where.items():
        frame = frame[frame[column] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def test_strict_counts_a_failed_case_as_zero(scores):
    row = pick(summarise(scores), method="b", profile="strict", modality="DIC")
    assert (row["n"], row["n_scored"], row["n_failed"]) == (2, 2, 1)
    assert row["median_f1"] == pytest.approx(0.3)
    assert row["mean_f1"] == pytest.approx(0.3)


def test_challenge_leaves_it_out_and_says_so(scores):
    row = pick(summarise(scores), method="b", profile="challenge", modality="DIC")
    assert (row["n"], row["n_scored"], row["n_failed"]) == (2, 1, 1)
    assert row["median_f1"] == pytest.approx(0.6)


def test_quartiles_are_those_of_numpy(scores):
    row = pick(summarise(scores), method="a", profile="strict", modality=ALL)
    values = [0.9, 0.7, 0.5, 0.123456]
    assert [row["q1"], row["median_f1"], row["q3"]] == pytest.approx(
        np.percentile(values, [25, 50, 75])
    )


def test_missing_modality_is_a_group_of_its_own(scores):
    summary = summarise(scores)
    assert list(dict.fromkeys(summary["modality"])) == [
        ALL, "DIC", "Fluorescent", UNKNOWN_MODALITY
    ]  # fmt: skip
    per_modality = summary[(summary["modality"] != ALL) & (summary["profile"] == "strict")]
    assert per_modality.groupby("method")["n"].sum().tolist() == [4, 4]


def test_two_columns_get_totals_over_each(scores):
    summary = summarise(scores, by=("modality", "seen"))
    assert pick(summary, method="a", profile="strict", modality=ALL, seen=ALL)["n"] == 4
    assert pick(summary, method="a", profile="strict", modality=ALL, seen=True)["n"] == 1
    assert pick(summary, method="a", profile="strict", modality="DIC", seen=ALL)["n"] == 2


def test_no_groups_gives_one_row_a_method_and_profile(scores):
    assert len(summarise(scores, by=())) == 4


def test_group_without_a_number_is_nan_not_gone(scores):
    scores.loc[scores["case"].isin(["c1", "c2"]), "f1"] = np.nan
    row = pick(summarise(scores), method="a", profile="strict", modality="DIC")
    assert (row["n"], row["n_scored"]) == (2, 0)
    assert np.isnan(row[["median_f1", "q1", "q3", "mean_f1"]].astype(float)).all()


def test_other_metric_names_its_columns(scores):
    scores["pq"] = 0.25
    row = pick(summarise(scores, value="pq"), method="a", profile="strict", modality=ALL)
    assert row["median_pq"] == 0.25
    assert "median_f1" not in row


def test_input_is_left_alone(scores):
    before = scores.copy(deep=True)
    summarise(scores)
    pd.testing.assert_frame_equal(scores, before)


def test_missing_row_is_an_error_that_names_it(scores):
    lacking = scores.drop(scores[(scores["method"] == "b") & (scores["case"] == "c3")].index)
    with pytest.raises(ValueError, match=r"no row for method b, .*case c3.*2 such rows"):
        summarise(lacking)


def test_double_row_is_an_error(scores):
    with pytest.raises(ValueError, match="more than one row for method a, profile strict"):
        check_scores(pd.concat([scores, scores.iloc[[0]]]))


def test_unknown_status_is_an_error(scores):
    scores.loc[0, "status"] = "fine"
    with pytest.raises(ValueError, match="unknown status 'fine'; valid: ok, empty"):
        check_scores(scores)


def test_missing_column_is_an_error(scores):
    with pytest.raises(ValueError, match="lacks the columns f1"):
        check_scores(scores.drop(columns="f1"))
    with pytest.raises(ValueError, match="no column stain"):
        summarise(scores, by=("stain",))


def test_empty_table_is_an_error(scores):
    with pytest.raises(ValueError, match="has no rows"):
        check_scores(scores.iloc[:0])


def test_statuses_are_counted_per_case_not_per_row(scores):
    counts = count_statuses(scores)
    strict = counts[counts["profile"] == "strict"]
    assert pick(strict, method="b", modality=ALL, status="ok")["n"] == 3
    assert pick(strict, method="b", modality="DIC", status="timeout")["n"] == 1
    assert counts[(counts["method"] == "a") & (counts["status"] == "timeout")].empty


def test_differing_cases_ignore_rounding(scores):
    cases = differing_cases(scores, 0.5)
    # c4 of method a differs only by the four decimals of the official script.
    assert list(zip(cases["method"], cases["case"], cases["dropped"], strict=True)) == [
        ("b", "c2", True),
        ("b", "c3", False),
    ]


def test_case_that_only_the_official_script_cannot_score_is_not_lost(scores):
    where = (scores["method"] == "a") & (scores["case"] == "c1")
    where &= scores["profile"] == "challenge"
    scores.loc[where, ["status", "f1"]] = ["error", np.nan]
    case = differing_cases(scores, 0.5).iloc[0]
    assert (case["case"], case["status_strict"], case["status_challenge"], case["dropped"]) == (
        "c1", "ok", "error", True
    )  # fmt: skip
    summary = summarise(scores, by=())
    assert pick(summary, method="a", profile="strict")["n_failed"] == 0
    assert pick(summary, method="a", profile="challenge")["n_failed"] == 1


def test_profile_differences(scores):
    row = pick(profile_differences(scores, 0.5), method="b")
    assert (row["n"], row["n_dropped"], row["n_differ"]) == (4, 1, 1)
    assert row["mean_strict"] == pytest.approx((0.6 + 0 + 0.8 + 1) / 4)
    assert row["mean_challenge"] == pytest.approx((0.6 + 0.75 + 1) / 3)
    assert pick(profile_differences(scores, 0.5), method="a")["n_dropped"] == 0


def test_profile_differences_need_both_profiles(scores):
    assert profile_differences(scores[scores["profile"] == "strict"], 0.5).empty
