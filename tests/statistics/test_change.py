from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon
from study_maker import CASES, one, simulated, study, unseen

from cellharness.statistics.change import change
from cellharness.statistics.resampling import Resampling
from cellharness.statistics.staged_scores import ForgettingError
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
    # The differences are -0.2, -0.2 and -0.6; the fourth case was not scored after.
    assert (row["n"], row["n_missing"], row["n_changed"], row["stage"]) == (3, 1, 3, 10)
    assert row["median_change"] == pytest.approx(-0.2)
    assert row["mean_change"] == pytest.approx(-1 / 3)
    assert (row["median_before"], row["median_after"]) == pytest.approx((0.8, 0.5))
    assert (row["mean_before"], row["mean_after"]) == pytest.approx((0.8, 1.4 / 3))
    assert (row["p_loss"], row["p_two_sided"]) == (1 / 8, 1 / 4)
    assert row["verdict"] == "not proven"
    row = one(frame, level="overall", seen="seen")
    assert row["median_change"] == row["mean_change"] == pytest.approx(0.3)
    row = one(frame, level="experiment", experiment="neurons")
    assert (row["n"], row["n_missing"], row["verdict"]) == (0, 1, "no pairs")
    assert math.isnan(row["p_two_sided"])


def test_another_stage_and_the_start_itself(scores):
    frame = change(scores, stages=5)
    row = one(frame, level="overall", seen="All")
    assert (row["stage"], row["n"], row["n_changed"]) == (5, 6, 0)
    assert row[["mean_change", "mean_low", "mean_high"]].tolist() == [0, 0, 0]
    assert math.isnan(row["p_two_sided"])
    assert row["verdict"] == "not proven"


def test_before_may_have_a_protocol_of_its_own():
    scores = study(
        {("t", 0, "size"): BEFORE, ("t", 5, "fixed"): AFTER, ("t", 0, "fixed"): [0.0] * 6}
    )
    like = one(change(scores, "fixed"), level="overall", seen="seen")
    own = one(change(scores, "fixed", "size"), level="overall", seen="seen")
    assert like["mean_change"] == pytest.approx(0.85)
    assert own["mean_change"] == pytest.approx(0.3)
    assert (own["protocol"], own["before_protocol"]) == ("fixed", "size")


def test_equals_scipy_and_numpy_group_by_group():
    scores = simulated(cases=180, remedies=("a", "b", "c"), holes=0.03)
    frame = change(scores, resampling=Resampling(20))
    assert len(frame) == 3 * (3 + 4 * 3 + 4 * 3)
    wide = scores.pivot_table(
        index=["case", "modality", "experiment", "seen"],
        columns=["remedy", "stage"], values="f1", dropna=False, observed=True,
    ).dropna(how="all")  # fmt: skip
    tested = 0
    for row in frame.to_dict("records"):
        cases = wide.reset_index()
        keep = np.ones(len(cases), bool)
        for column in ("modality", "experiment"):
            if row[column] != "All":
                keep &= (cases[column] == row[column]).to_numpy()
        if row["seen"] != "All":
            keep &= (cases["seen"] == (row["seen"] == "seen")).to_numpy()
        pair = wide[row["remedy"]][keep][[0, 10]]
        difference = (pair[10] - pair[0]).dropna()
        assert row["n"] == len(difference)
        assert row["n_missing"] == keep.sum() - len(difference)
        if not len(difference):
            continue
        assert row["median_change"] == pytest.approx(np.median(difference))
        assert row["mean_change"] == pytest.approx(np.mean(difference))
        changed = difference[difference != 0]
        if len(changed) and len(changed) <= 50 and changed.abs().is_unique:
            for side, name in (("less", "p_loss"), ("two-sided", "p_two_sided")):
                p = wilcoxon(changed, alternative=side, method="exact").pvalue
                assert row[name] == pytest.approx(p, rel=1e-12)
                tested += 1
    assert tested > 50


def holm(p):
    adjusted, highest = [math.nan] * len(p), 0.0
    known = sorted((value, i) for i, value in enumerate(p) if not math.isnan(value))
    for step, (value, i) in enumerate(known):
        highest = max(highest, min(1.0, value * (len(known) - step)))
        adjusted[i] = highest
    return adjusted


def test_a_family_is_one_level_and_part_of_one_training():
    frame = change(simulated(cases=60, remedies=("a", "b", "c")), resampling=Resampling(20))
    families = frame.groupby("family")
    assert set(families.groups) == {
        f"{remedy}, {kind}"
        for remedy in "abc"
        for kind in (
            *(f"{level}, {part}" for level in ("overall", "modality")
              for part in ("All", "seen", "unseen")),
            "experiment, seen", "experiment, unseen",
        )
    }  # fmt: skip
    for _, family in families:
        for name in ("remedy", "level", "seen"):
            assert len(family[name].unique()) == 1
        assert (family["family_size"] == family["p_loss"].notna().sum()).all()
        for name in ("p_loss", "p_two_sided"):
            np.testing.assert_allclose(family[f"{name}_holm"], holm(family[name].tolist()))
    assert len(families.get_group("a, modality, unseen")) == 4


def test_what_is_proven_of_a_training_does_not_hang_on_the_others():
    scores = simulated(cases=60, remedies=("a", "b", "c"))
    alone = scores[scores["remedy"].isin(["a", PRETRAINED])]
    columns = ["modality", "seen", "level", "p_two_sided_holm", "verdict"]
    both = [change(table, resampling=Resampling(20)) for table in (scores, alone)]
    first, second = (frame[frame["remedy"] == "a"][columns] for frame in both)
    pd.testing.assert_frame_equal(first.reset_index(drop=True), second.reset_index(drop=True))


def test_a_loss_and_a_gain_are_found():
    frame = change(simulated(cases=120))
    assert one(frame, remedy="plain", level="overall", seen="unseen")["verdict"] == "loss"
    assert one(frame, remedy="plain", level="overall", seen="seen")["verdict"] == "gain"
    rows = frame[frame["verdict"] == "loss"]
    assert (rows["mean_high"] < 0).all()
    assert (rows["p_two_sided_holm"] < 0.05).all()


def test_one_case_proves_nothing():
    frame = change(study({("t", 0): [0.9], ("t", 3): [0.1]}, unseen(1)))
    row = one(frame, level="overall", seen="unseen")
    assert (row["n"], row["p_loss"], row["verdict"]) == (1, 0.5, "not proven")
    assert math.isnan(row["mean_low"])


@pytest.mark.parametrize("seen", [True, False])
def test_no_seen_and_no_unseen(seen):
    cases = unseen(8, seen=seen)
    frame = change(study({("t", 0): [0.9] * 8, ("t", 3): np.linspace(0.1, 0.8, 8)}, cases))
    full, empty = ("seen", "unseen") if seen else ("unseen", "seen")
    assert one(frame, level="overall", seen=full)["n"] == 8
    for level in ("overall", "modality"):
        row = one(frame, level=level, seen=empty)
        assert (row["n"], row["n_missing"], row["verdict"]) == (0, 0, "no pairs")


def test_the_seed_decides_and_nothing_else():
    scores = simulated(holes=0.05)
    first, again = change(scores), change(scores.sample(frac=1, random_state=2))
    sort = {"by": ["remedy", "modality", "experiment", "seen"], "ignore_index": True}
    first, again = first.sort_values(**sort), again.sort_values(**sort)
    pd.testing.assert_frame_equal(first, again)
    other = change(scores, resampling=Resampling(seed=1)).sort_values(**sort)
    assert (other["seed"] == 1).all()
    assert (other["mean_change"] == first["mean_change"]).all()
    assert (other["mean_low"] != first["mean_low"]).mean() > 0.5


def test_the_level_is_checked(scores):
    with pytest.raises(ForgettingError, match="alpha is 5; valid are numbers between 0 and 1"):
        change(scores, alpha=5)


def test_cases_of_the_maker_are_as_the_tests_take_them():
    assert [facts[2] for facts in CASES.values()] == [True, True, False, False, False, False]
