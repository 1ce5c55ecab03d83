from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from study_maker import one

from cellharness.statistics.cell_curves import mark_found, recall_by_property
from cellharness.statistics.cell_properties import measure_cells
from cellharness.statistics.resampling import Resampling
from cellharness.statistics.staged_scores import ForgettingError


def cells(rows):
    columns = ["case", "cell", "area", "contrast", "density", "found_before", "found_after"]
    return pd.DataFrame(rows, columns=columns)


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
    frame = recall_by_property(by_hand, ["area"], bins=2)
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
    frame = recall_by_property(by_hand)
    contrast = frame[frame["property"] == "contrast"]
    assert contrast[["n", "n_undefined", "lower", "upper"]].to_numpy().tolist() == [
        [9, 1, 0.5, 0.5]
    ]
    assert one(frame, property="density")["n"] == 10
    nothing = by_hand.assign(contrast=np.nan)
    assert set(recall_by_property(nothing)["property"]) == {"area", "density"}


def test_many_equal_values_are_a_bin_of_their_own():
    values = np.r_[np.zeros(60), np.arange(1, 41)]
    table = cells([(f"c{i % 9}", i, v, 0.1, 0.1, True, v > 0) for i, v in enumerate(values)])
    frame = recall_by_property(table, ["area"], bins=5)
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
    frame = recall_by_property(table, ["area"], bins=8)
    edges = [-1, *frame["upper"]]
    bins = pd.cut(table["area"], edges, labels=False)
    expected = table.groupby(bins)[["found_before", "found_after"]].mean()
    np.testing.assert_allclose(frame["recall_before"], expected["found_before"])
    np.testing.assert_allclose(frame["recall_after"], expected["found_after"])
    assert frame["n"].tolist() == [50] * 8


def test_cases_are_drawn_with_all_their_cells():
    rng = np.random.default_rng(5)
    table = cells(
        [
            (f"c{i % 12:02}", i, rng.random(), 0.0, 0.0, *(rng.random(2) < [0.8, 0.4]))
            for i in range(150)
        ]
    )
    resampling = Resampling(samples=120, seed=9)
    row = one(recall_by_property(table, ["area"], bins=3, resampling=resampling), bin=1)
    here = table[(table["area"] > row["lower"]) & (table["area"] <= row["upper"])]
    times = resampling.draw(12).astype(int)
    samples = []
    for drawn in times.T:
        parts = [here[here["case"] == f"c{i:02}"] for i, t in enumerate(drawn) for _ in range(t)]
        sample = pd.concat(parts)
        was, now = sample["found_before"].mean(), sample["found_after"].mean()
        samples.append((was, now, now - was))
    ends = np.quantile(samples, [0.025, 0.975], axis=0)
    for number, name in enumerate(("before", "after", "change")):
        assert row[f"{name}_low"] == pytest.approx(ends[0, number])
        assert row[f"{name}_high"] == pytest.approx(ends[1, number])


def test_cells_of_one_case_have_no_interval(by_hand):
    frame = recall_by_property(by_hand.assign(case="a"), ["area"], bins=2)
    assert frame["n_cases"].tolist() == [1, 1]
    assert frame[["before_low", "after_high", "change_low"]].isna().all(axis=None)


def test_no_cells_are_no_rows():
    frame = recall_by_property(cells([]))
    assert frame.empty
    assert {"property", "recall_before", "change_low", "seed"} <= set(frame.columns)


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
    frame = recall_by_property(marked, ["area"], bins=2)
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
        recall_by_property(spoil(by_hand), **choice)
    assert math.isfinite(recall_by_property(by_hand)["change"].sum())
