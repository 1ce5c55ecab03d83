from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from study_maker import CASES, one

from cellharness.scoring import score_pair
from cellharness.scoring.cell_properties import PROPERTIES, measure_cells
from cellharness.statistics.cells import cell_retention, mark_found, recall_by_property
from cellharness.statistics.contrasts import mean_difference
from cellharness.statistics.staged_scores import ForgettingError


def cells(rows):
    columns = ["case", "cell", "area", "contrast", "density", "found_before", "found_after"]
    return pd.DataFrame(rows, columns=columns)


def cases_of(table, **facts):
    """Each case of a table an experiment of its own."""
    names = table["case"].unique()
    about = {"modality": "DIC", "experiment": names, "seen": False}
    return pd.DataFrame({"case": names} | about | facts)


@pytest.fixture
def by_hand():
    """Ten cells of areas 1 to 10 in two cases; the small ones are lost, one large one is won."""
    return cells(
        [
            (
                "ab"[i % 2], i, i + 1, [0.5, np.nan][i == 0], 0.0,
                i < 9, i >= 4,
            )
            for i in range(10)
        ]
    )  # fmt: skip


def test_by_hand(by_hand):
    frame = recall_by_property(by_hand, cases_of(by_hand), ["area"], bins=2)
    assert frame["lower"].tolist() == [1, 5]
    assert frame["upper"].tolist() == [5, 10]
    assert frame["middle"].tolist() == [3, 8]
    assert frame[["n", "n_cases", "kept", "lost", "won"]].to_numpy().tolist() == [
        [5, 2, 1, 4, 0],
        [5, 2, 4, 0, 1],
    ]
    np.testing.assert_allclose(frame["recall_before"], [1, 0.8])
    np.testing.assert_allclose(frame["recall_after"], [0.2, 1])
    np.testing.assert_allclose(frame["change"], [-0.8, 0.2])
    assert frame["n_undefined"].tolist() == [0, 0]


def test_cells_without_the_property_are_counted_and_ties_stay_together(by_hand):
    frame = recall_by_property(by_hand, cases_of(by_hand), PROPERTIES)
    contrast = frame[frame["property"] == "contrast"]
    assert contrast[["n", "n_undefined", "lower", "upper"]].to_numpy().tolist() == [
        [9, 1, 0.5, 0.5]
    ]
    assert one(frame, property="density")["n"] == 10
    nothing = by_hand.assign(contrast=np.nan)
    found = recall_by_property(nothing, cases_of(nothing), PROPERTIES)
    assert set(found["property"]) == {"area", "density"}


def test_many_equal_values_are_a_bin_of_their_own():
    values = np.r_[np.zeros(60), np.arange(1, 41)]
    table = cells([(f"c{i % 9}", i, v, 0.1, 0.1, True, v > 0) for i, v in enumerate(values)])
    frame = recall_by_property(table, cases_of(table), ["area"], bins=5)
    assert frame["n"].tolist() == [60, 20, 20]
    assert frame["upper"].tolist() == [0, 20, 40]
    assert frame["recall_after"].tolist() == [0, 1, 1]


def test_quantile_bins_hold_all_cells_as_pandas_cuts_them():
    rng = np.random.default_rng(2)
    table = cells(
        [
            (f"c{i % 20:02}", i, rng.lognormal(5, 1), 0.0, 0.0, *(rng.random(2) < p))
            for i, p in enumerate(np.linspace(0.3, 0.9, 400))
        ]
    )
    frame = recall_by_property(table, cases_of(table), ["area"], bins=8)
    edges = [-1, *frame["upper"]]
    bins = pd.cut(table["area"], edges, labels=False)
    expected = table.groupby(bins)[["found_before", "found_after"]].mean()
    np.testing.assert_allclose(frame["recall_before"], expected["found_before"])
    np.testing.assert_allclose(frame["recall_after"], expected["found_after"])
    assert frame["n"].tolist() == [50] * 8


def test_intervals_are_by_experiment_with_all_their_cells():
    rng = np.random.default_rng(5)
    table = cells(
        [
            (f"c{i % 24:02}", i, rng.random(), 0.0, 0.0, *(rng.random(2) < [0.8, 0.4]))
            for i in range(300)
        ]
    )
    about = cases_of(table, experiment=[f"e{i % 8}" for i in range(24)])
    row = one(recall_by_property(table, about, ["area"], bins=3), bin=1)
    assert (row["n_cases"], row["n_units"], row["unit"]) == (24, 8, "experiment")
    here = table[(table["area"] > row["lower"]) & (table["area"] <= row["upper"])]
    experiment = here["case"].str[1:].astype(int) % 8
    changes = here["found_after"].astype(float) - here["found_before"]
    for name, values in (
        ("before", here["found_before"]), ("after", here["found_after"]), ("change", changes)
    ):  # fmt: skip
        # Cell by cell, in place of case by case with weights.
        found = mean_difference(values.astype(float), experiment)
        assert row[f"{name}_low"] == pytest.approx(found.low)
        assert row[f"{name}_high"] == pytest.approx(min(found.high, 1))
    image = one(recall_by_property(table, about, ["area"], bins=3, unit="image"), bin=1)
    assert (image["unit"], image["n_units"]) == ("image", 24)


def test_cells_of_one_case_have_no_interval(by_hand):
    table = by_hand.assign(case="a")
    frame = recall_by_property(table, cases_of(table), ["area"], bins=2)
    assert frame["n_cases"].tolist() == [1, 1]
    assert frame[["before_low", "after_high", "change_low"]].isna().all(axis=None)


def test_no_cells_are_no_rows():
    frame = recall_by_property(cells([]), cases_of(cells([])), PROPERTIES)
    assert frame.empty
    assert {"property", "recall_before", "change_low", "confidence"} <= set(frame.columns)


def test_from_images_to_a_curve():
    labels = np.zeros((60, 60), np.uint8)
    for number in range(9):
        row, column = divmod(number, 3)
        side = 4 + number
        labels[row * 20 + 3 : row * 20 + 3 + side, column * 20 + 3 : column * 20 + 3 + side] = (
            number + 1
        )
    measured = measure_cells(labels.astype(float), labels)
    marked = mark_found("a", measured, range(2, 10), [7, 8, 9], excluded=[1])
    assert marked["cell"].tolist() == list(range(2, 10))
    assert marked["found_before"].all()
    assert marked["found_after"].tolist() == [False] * 5 + [True] * 3
    frame = recall_by_property(marked, cases_of(marked), ["area"], bins=2)
    assert frame["recall_after"].tolist() == [0, 0.75]
    with pytest.raises(ForgettingError, match="case 'a': cell 1 of found_after is none of the"):
        mark_found("a", measured, [], [1], excluded=[1])


@pytest.mark.parametrize(
    ("spoil", "choice", "message"),
    [
        (lambda t: t.drop(columns="area"), {}, "lack the columns area; they need case, cell"),
        (lambda t: pd.concat([t, t]), {}, "cell 0 of case 'a' stands there twice"),
        (lambda t: t, {"bins": 0}, "bins is 0; valid are whole numbers from 1 on"),
    ],
)
def test_input_is_checked(by_hand, spoil, choice, message):
    with pytest.raises(ForgettingError, match=message):
        recall_by_property(spoil(by_hand), cases_of(by_hand), PROPERTIES, **choice)
    assert math.isfinite(recall_by_property(by_hand, cases_of(by_hand), PROPERTIES)["change"].sum())


def about():
    rows = [(case, *facts) for case, facts in CASES.items()]
    return pd.DataFrame(rows, columns=["case", "modality", "experiment", "seen"])


def fates(found):
    """Ten cells a case, found before and after as given."""
    tables = [
        mark_found(case, pd.DataFrame({"cell": range(1, 11)}), *sides)
        for case, sides in found.items()
    ]
    return pd.concat(tables, ignore_index=True)


def test_cells_are_pooled_by_hand():
    after = {"b1": range(1, 11), "b2": range(1, 9), "b3": range(1, 5), "f1": [9], "f2": range(1, 9)}
    table = fates({case: (range(1, 9), found) for case, found in after.items()})
    frame = cell_retention(table, about())
    counts = ["n", "n_units", "n_true", "kept", "lost", "won", "never"]
    row = one(frame, modality="Brightfield", seen="unseen")
    assert row[counts].tolist() == [1, 1, 10, 4, 4, 0, 2]
    assert row["retention"] == 0.5
    assert math.isnan(row["low"])
    row = one(frame, modality="Fluorescent", seen="All")
    assert row[counts].tolist() == [3, 1, 20, 8, 8, 1, 3]
    assert (row["retention"], row["recall_before"], row["recall_after"]) == (0.5, 0.8, 0.45)
    row = one(frame, modality="All", seen="seen")
    assert row[counts].tolist() == [2, 1, 20, 16, 0, 2, 2]
    row = one(frame, modality="Fluorescent", seen="seen")
    assert (row["n"], row["kept"]) == (0, 0)
    assert math.isnan(row["retention"])


def test_the_share_kept_has_an_interval_by_unit():
    rng = np.random.default_rng(0)
    cases = [f"c{i:02}" for i in range(25)]
    table = fates({c: [np.flatnonzero(rng.random(10) < p) + 1 for p in (0.8, 0.6)] for c in cases})
    row = one(cell_retention(table, cases_of(table)), modality="DIC", seen="unseen")
    was = table[table["found_before"]]
    found = mean_difference(was["found_after"].astype(float), was["case"].str[1:].astype(int))
    assert (row["low"], row["high"]) == pytest.approx((found.low, found.high))
    shuffled = table.sample(frac=1, random_state=1)
    again = one(cell_retention(shuffled, cases_of(table)), modality="DIC", seen="unseen")
    assert again.equals(row)


def test_fates_from_matched_label_images():
    truth = np.zeros((24, 24), np.uint8)
    for number, corner in enumerate([(4, 4), (4, 14), (14, 4), (14, 14)]):
        truth[corner[0] : corner[0] + 6, corner[1] : corner[1] + 6] = number + 1
    truth[0, 0] = 9
    before, after = truth.copy(), truth.copy()
    before[before == 3] = 0
    after[(after == 1) | (after == 9)] = 0
    sides = [score_pair(truth, p, "strict", thresholds=0.5, matches=True) for p in (before, after)]
    assert sides[0].excluded_true == sides[1].excluded_true == (9,)
    found = [[m.gt_label for m in side.matches] for side in sides]
    table = mark_found("b1", measure_cells(truth / 9, truth), *found, sides[0].excluded_true)
    row = one(cell_retention(table, about()), modality="All", seen="All")
    assert row[["n_true", "kept", "lost", "won", "never"]].tolist() == [4, 2, 1, 1, 0]


def test_what_cannot_be_a_match_is_refused():
    ten = pd.DataFrame({"cell": range(10)})
    with pytest.raises(ForgettingError, match="case 'a': found_before has a cell twice"):
        mark_found("a", ten, [1, 1], [])
    table = fates({"x": ([1], [1])})
    with pytest.raises(ForgettingError, match="no modality, experiment and seen for case 'x'"):
        cell_retention(table, about())
    twice = pd.concat([about(), about().assign(seen=True)])
    with pytest.raises(ForgettingError, match="case 'b3' stands in the table of cases with two"):
        cell_retention(fates({"b1": ([1], [1])}), twice)
    with pytest.raises(ForgettingError, match="the cases lack the columns experiment"):
        cell_retention(table, about().drop(columns="experiment"))
