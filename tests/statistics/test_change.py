from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from study_maker import CASES, one, simulated, study, unseen

from cellharness.statistics import contrast
from cellharness.statistics.change import change
from cellharness.vocabulary import PRETRAINED

BEFORE = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
AFTER = [0.9, 0.8, 0.5, 0.6, 0.3, np.nan]


@pytest.fixture
def scores():
    return study({(PRETRAINED, 0): BEFORE, ("tuned", 5): BEFORE, ("tuned", 10): AFTER})


def test_by_hand(scores):
    kept = scores.copy()
    frame = change(scores)
    assert scores.equals(kept)
    row = one(frame, level="overall", seen="unseen")
    # The differences are -0.2, -0.2 and -0.6; the fourth image was not scored after.
    assert (row["n_images"], row["n_missing"], row["n_units"], row["stage"]) == (3, 1, 2, 10)
    assert row["median_change"] == pytest.approx(-0.2)
    assert row["estimate"] == pytest.approx(-1 / 3)
    assert (row["median_before"], row["median_after"]) == pytest.approx((0.8, 0.5))
    assert (row["mean_before"], row["mean_after"]) == pytest.approx((0.8, 1.4 / 3))
    assert row["verdict"] == "too few units"
    assert row["why_not"] == "2 experiments; 6 are the fewest that can show anything"
    row = one(frame, level="overall", seen="seen")
    assert row["median_change"] == row["estimate"] == pytest.approx(0.3)
    row = one(frame, level="experiment", experiment="neurons")
    assert (row["n_images"], row["n_missing"]) == (0, 1)
    assert math.isnan(row["p"])


def test_another_stage_and_the_start_itself(scores):
    frame = change(scores, stages=5, unit="image")
    row = one(frame, level="overall", seen="All")
    assert (row["stage"], row["n_images"], row["unit"]) == (5, 6, "image")
    assert row[["estimate", "low", "high", "p"]].tolist() == [0, 0, 0, 1]
    assert row["verdict"] == "not significant"


def test_before_may_have_a_protocol_of_its_own():
    scores = study(
        {("t", 0, "size"): BEFORE, ("t", 5, "fixed"): AFTER, ("t", 0, "fixed"): [0.0] * 6}
    )
    like = one(change(scores, "fixed"), level="overall", seen="seen")
    own = one(change(scores, "fixed", "size"), level="overall", seen="seen")
    assert like["estimate"] == pytest.approx(0.85)
    assert own["estimate"] == pytest.approx(0.3)
    assert (own["protocol"], own["before_protocol"]) == ("fixed", "size")


def test_every_group_is_the_contrast_of_after_and_before():
    scores = simulated(cases=120, remedies=("a", "b"), holes=0.03)
    frame = change(scores, unit="image")
    assert len(frame) == 2 * (3 + 4 * 3 + 4 * 3)
    tested = 0
    for row in frame.to_dict("records"):
        here = scores[(scores["remedy"] == row["remedy"]) & scores["stage"].isin([0, 10])]
        for column in ("modality", "experiment"):
            if row[column] != "All":
                here = here[here[column] == row[column]]
        if row["seen"] != "All":
            here = here[here["seen"] == (row["seen"] == "seen")]
        if here.empty:
            continue
        columns = {"stage": "method", "f1": "value"}
        table = here.rename(columns=columns).astype({"method": str})
        expected = contrast(table, "10", "0", unit="image")
        for name in ("estimate", "low", "high", "p"):
            assert row[name] == pytest.approx(getattr(expected, name), nan_ok=True)
        tested += not math.isnan(row["p"])
    assert tested > 10


def test_families_and_the_primary_contrast():
    scores = simulated(cases=120, remedies=("a", "b", "c"))
    frame = change(scores, primary="a", unit="image")
    assert set(frame["family"]) == {
        "", *(f"trainings, {part} experiments" for part in ("All", "seen", "unseen")),
        *(f"modality by modality, {r}, {part} experiments"
          for r in "abc" for part in ("All", "seen", "unseen")),
        *(f"experiment by experiment, {r}, {part} experiments"
          for r in "abc" for part in ("seen", "unseen")),
    }  # fmt: skip
    primary = one(frame, family="")
    assert tuple(primary[["remedy", "level", "seen"]]) == ("a", "overall", "unseen")
    assert primary["p_adjusted"] == primary["p"]
    assert primary["family_size"] == 1
    sizes = frame.groupby("family")["family_size"].first()
    assert sizes["trainings, unseen experiments"] == 2
    assert sizes["trainings, seen experiments"] == 3
    assert sizes["modality by modality, a, unseen experiments"] == 4


def test_what_is_shown_of_a_trainings_modalities_does_not_hang_on_the_others():
    scores = simulated(cases=60, remedies=("a", "b", "c"))
    alone = scores[scores["remedy"].isin(["a", PRETRAINED])]
    columns = ["modality", "seen", "p_adjusted", "verdict"]
    both = [change(table, unit="image") for table in (scores, alone)]
    first, second = (
        frame.loc[(frame["remedy"] == "a") & (frame["level"] == "modality"), columns]
        for frame in both
    )
    pd.testing.assert_frame_equal(first.reset_index(drop=True), second.reset_index(drop=True))


def test_a_loss_and_a_gain_are_found():
    frame = change(simulated(cases=120), unit="image")
    assert one(frame, remedy="plain", level="overall", seen="unseen")["verdict"] == "lower"
    assert one(frame, remedy="plain", level="overall", seen="seen")["verdict"] == "higher"
    rows = frame[frame["verdict"] == "lower"]
    assert (rows["high"] < 0).all()
    assert (rows["p_adjusted"] < 0.05).all()


def test_one_case_shows_nothing():
    frame = change(study({("t", 0): [0.9], ("t", 3): [0.1]}, unseen(1)))
    row = one(frame, level="overall", seen="unseen")
    assert (row["n_images"], row["verdict"]) == (1, "too few units")
    assert row["why_not"] == "1 experiment; 6 are the fewest that can show anything"
    assert math.isnan(row["low"])


@pytest.mark.parametrize("seen", [True, False])
def test_no_seen_and_no_unseen(seen):
    cases = unseen(8, seen=seen)
    frame = change(study({("t", 0): [0.9] * 8, ("t", 3): np.linspace(0.1, 0.8, 8)}, cases))
    full, empty = ("seen", "unseen") if seen else ("unseen", "seen")
    assert one(frame, level="overall", seen=full)["n_images"] == 8
    for level in ("overall", "modality"):
        row = one(frame, level=level, seen=empty)
        assert (row["n_images"], row["n_missing"]) == (0, 0)
        assert row["why_not"] == "no image has both scores"


def test_the_order_of_the_rows_changes_nothing():
    scores = simulated(holes=0.05)
    first, again = change(scores), change(scores.sample(frac=1, random_state=2))
    sort = {"by": ["remedy", "modality", "experiment", "seen"], "ignore_index": True}
    pd.testing.assert_frame_equal(first.sort_values(**sort), again.sort_values(**sort))


def test_cases_of_the_maker_are_as_the_tests_take_them():
    assert [facts[2] for facts in CASES.values()] == [True, True, False, False, False, False]
