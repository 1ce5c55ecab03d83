from __future__ import annotations

import math

import numpy as np
import pytest
from study_maker import one, simulated, study, unseen

from cellharness.statistics.contrasts import mean_difference
from cellharness.statistics.forgetting import accuracy_frame
from cellharness.statistics.learning_curves import curves
from cellharness.vocabulary import PRETRAINED


def test_values_are_those_of_the_accuracy_frame():
    scores = simulated(cases=60, stages=(0, 2, 4), holes=0.05)
    keys = ["remedy", "stage", "modality", "seen"]
    found = curves(scores).set_index(keys)
    expected = accuracy_frame(scores).set_index(keys).loc[found.index]
    for name in ("n", "n_missing", "mean", "median"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-14)
    assert len(found) == 2 * 3 * 15


def test_one_curve_by_hand():
    scores = study(
        {
            (PRETRAINED, 0, "size"): [0.8, 0.6, 1.0],
            ("t", 1, "fixed"): [0.7, np.nan, 0.9],
            ("t", 2, "fixed"): [0.4, 0.3, 0.8],
        },
        unseen(3),
    )
    frame = curves(scores, "fixed", "size")
    frame = frame[(frame["modality"] == "DIC") & (frame["seen"] == "unseen")]
    assert frame["stage"].tolist() == [0, 1, 2]
    assert frame["protocol"].tolist() == ["size", "fixed", "fixed"]
    assert frame["n"].tolist() == [3, 2, 3]
    assert frame["n_missing"].tolist() == [0, 1, 0]
    np.testing.assert_allclose(frame["mean"], [0.8, 0.8, 0.5])
    np.testing.assert_allclose(frame["median"], [0.8, 0.8, 0.4])
    # The case that stage 1 lacks is not in its change: -0.1 and -0.1.
    np.testing.assert_allclose(frame["change"], [0, -0.1, -0.3], atol=1e-15)
    assert frame["n_images"].tolist() == [3, 2, 3]
    assert frame[["change_low", "change_high"]].isna().all(axis=None)


def test_changes_are_the_estimates_of_the_paired_differences():
    scores = simulated(cases=50, stages=(0, 5), remedies=("plain",))
    row = one(curves(scores, unit="image"), stage=5, modality="DIC", seen="unseen")
    here = scores[~scores["seen"] & (scores["modality"] == "DIC")]
    wide = here.pivot_table("f1", "case", "stage").to_numpy()
    found = mean_difference(wide[:, 1] - wide[:, 0], unit="image")
    ends = (found.estimate, found.low, found.high)
    assert tuple(row[["change", "change_low", "change_high"]]) == pytest.approx(ends)


def test_each_training_changes_from_its_own_start():
    runs = {("a", 0): [0.9] * 3, ("a", 1): [0.8] * 3, ("b", 0): [0.5] * 3, ("b", 1): [0.9] * 3}
    frame = curves(study(runs, unseen(3)))
    for remedy, by in (("a", -0.1), ("b", 0.4)):
        row = one(frame, remedy=remedy, stage=1, modality="DIC", seen="unseen")
        assert row["change"] == pytest.approx(by)
        assert one(frame, remedy=remedy, stage=0, modality="DIC", seen="unseen")["change"] == 0


def test_one_case_has_a_curve_without_intervals():
    frame = curves(study({("t", 0): [0.9], ("t", 3): [0.2]}, unseen(1)))
    row = one(frame, stage=3, modality="DIC", seen="unseen")
    assert (row["mean"], row["change"]) == (0.2, pytest.approx(-0.7))
    assert math.isnan(row["change_low"])
    assert one(frame, stage=3, modality="DIC", seen="seen")["n"] == 0
