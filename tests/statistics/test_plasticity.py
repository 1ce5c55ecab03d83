from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import wilcoxon
from study_maker import CASES, one, simulated, study, unseen

from cellharness.statistics.change import change
from cellharness.statistics.plasticity import compare_with_plain, stability_plasticity
from cellharness.statistics.resampling import Resampling
from cellharness.statistics.staged_scores import ForgettingError
from cellharness.vocabulary import PRETRAINED

BEFORE = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


@pytest.fixture
def scores():
    return study(
        {
            (PRETRAINED, 0): BEFORE,
            ("plain", 9): [0.9, 0.8, 0.5, 0.6, 0.3, 0.1],
            ("replay", 9): [0.8, 0.8, 0.7, 0.7, 0.9, np.nan],
        }
    )


def test_points_by_hand(scores):
    frame = stability_plasticity(scores).set_index("remedy")
    assert frame.loc["plain", "gain_seen"] == pytest.approx(0.3)
    assert frame.loc["plain", "loss_unseen"] == pytest.approx((0.2 + 0.2 + 0.6 + 0.9) / 4)
    assert frame.loc["replay", "gain_seen"] == pytest.approx(0.25)
    assert frame.loc["replay", "loss_unseen"] == pytest.approx(0.1 / 3)
    assert frame.loc["replay", ["n_seen", "n_unseen", "n_missing_unseen"]].tolist() == [2, 3, 1]
    medians = stability_plasticity(scores, statistic="median").set_index("remedy")
    assert medians.loc["plain", "loss_unseen"] == pytest.approx(0.4)
    assert medians.loc["replay", "loss_unseen"] == pytest.approx(0, abs=1e-15)


def test_points_and_intervals_are_those_of_the_changes():
    scores = simulated(cases=90, holes=0.02)
    points = stability_plasticity(scores)
    changes = change(scores)
    for row in points.to_dict("records"):
        here = {"remedy": row["remedy"], "level": "overall"}
        gain, loss = (one(changes, **here, seen=part) for part in ("seen", "unseen"))
        for ours, theirs in (
            (("gain_seen", "gain_low", "gain_high"), ("mean_change", "mean_low", "mean_high")),
        ):
            assert [row[n] for n in ours] == pytest.approx(gain[list(theirs)].tolist())
        # A loss is a change with the other sign, so its ends change places.
        expected = (-loss[["mean_change", "mean_high", "mean_low"]]).tolist()
        assert [row[n] for n in ("loss_unseen", "loss_low", "loss_high")] == pytest.approx(expected)


def test_without_seen_or_unseen_cases_a_point_lacks_a_coordinate():
    row = stability_plasticity(study({("t", 0): [0.5] * 4, ("t", 1): [0.4] * 4}, unseen(4))).iloc[0]
    assert row["n_seen"] == 0
    assert math.isnan(row["gain_seen"])
    assert row["loss_unseen"] == pytest.approx(0.1)


def test_comparison_by_hand(scores):
    frame = compare_with_plain(scores, "plain")
    row = one(frame, modality="All")
    assert (row["remedy"], row["plain"], row["plain_stage"]) == ("replay", "plain", 9)
    # After less after, as both start from the same weights: 0.2, 0.1, 0.6, and one missing.
    assert row["kept_more"] == pytest.approx(0.3)
    assert row["kept_more_median"] == pytest.approx(0.2)
    assert (row["n_unseen"], row["n_missing_unseen"]) == (3, 1)
    assert row["p_loses_less"] == row["p_loses_less_holm"] == 1 / 8
    assert not row["loses_less"]
    assert row["gain_difference"] == pytest.approx(-0.05)
    assert row["p_gain_differs"] == 1
    assert row["gain"] == "not shown"
    row = one(frame, modality="Fluorescent")
    assert (row["n_unseen"], row["n_seen"]) == (2, 0)
    assert math.isnan(row["gain_difference"])


def many(after_plain, after_remedy, cases=None, remedies=1):
    n = len(after_plain)
    runs = {("plain", 0): [0.7] * n, ("plain", 5): after_plain}
    for number in range(remedies):
        runs[f"r{number}", 0] = [0.7] * n
        runs[f"r{number}", 5] = after_remedy
    return study(runs, cases or unseen(n))


def test_losing_less_is_proven_with_holm_over_the_remedies():
    noise = np.linspace(-0.05, 0.05, 8)
    # All 8 pairs favour the remedy: p = 1 / 256, times the number of remedies.
    for remedies, proven in ((1, True), (12, True), (13, False)):
        scores = many(0.4 + noise, 0.5 + noise**2, remedies=remedies)
        frame = compare_with_plain(scores, "plain")
        rows = frame[frame["modality"] == "All"]
        np.testing.assert_allclose(rows["p_loses_less"], 1 / 256)
        np.testing.assert_allclose(rows["p_loses_less_holm"], remedies / 256)
        assert (rows["loses_less"] == proven).all()


def test_losing_less_needs_the_mean_as_well():
    better = np.r_[np.linspace(0.01, 0.02, 24), -0.6, -0.3]
    row = one(compare_with_plain(many(np.full(26, 0.6), 0.6 + better), "plain"), modality="All")
    assert row["p_loses_less_holm"] < 0.01
    assert row["kept_more_low"] < 0
    assert not row["loses_less"]


def test_p_equals_scipy():
    scores = simulated(cases=90)
    row = one(compare_with_plain(scores, "plain"), modality="DIC", remedy="replay")
    wide = scores[scores["stage"] == 10].pivot_table("f1", ["modality", "seen", "case"], "remedy")
    start = scores[(scores["stage"] == 0)].pivot_table("f1", ["modality", "seen", "case"], "remedy")
    moved = (wide - start).loc["DIC"]
    for part, alternative, name in (
        (False, "greater", "p_loses_less"), (True, "two-sided", "p_gain_differs"),
    ):  # fmt: skip
        pair = moved.loc[part]
        expected = wilcoxon(
            pair["replay"], pair["plain"], alternative=alternative, method="exact"
        ).pvalue
        assert row[name] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("shift", "word"),
    [(0.0, "comparable"), (-0.02, "comparable"), (0.1, "comparable"), (-0.2, "lower")],
)
def test_what_is_said_of_the_gain(shift, word):
    after = np.linspace(0.7, 0.75, 20)
    scores = many(after, after + shift + np.tile([-0.02, 0.02], 10), unseen(20, seen=True))
    row = one(compare_with_plain(scores, "plain"), modality="All")
    assert row["gain"] == word
    # Nothing is unseen here, and nothing is claimed of it.
    assert row["n_unseen"] == 0
    assert not row["loses_less"]


def test_a_wide_interval_shows_nothing_of_the_gain():
    after = np.full(20, 0.5)
    scores = many(after, after + np.tile([-0.4, 0.38], 10), unseen(20, seen=True))
    row = one(compare_with_plain(scores, "plain"), modality="All")
    assert row["gain_difference_low"] < -0.05
    assert row["gain_difference_high"] > 0
    assert row["gain"] == "not shown"
    assert one(compare_with_plain(scores, "plain", margin=0.5), modality="All")["gain"] == (
        "comparable"
    )


def test_five_cases_are_too_few_to_call_a_gain_comparable():
    for n, word in ((5, "not shown"), (6, "comparable")):
        scores = many([0.8] * n, [0.8] * n, unseen(n, seen=True))
        assert one(compare_with_plain(scores, "plain"), modality="All")["gain"] == word


def test_starts_of_their_own_are_taken_off():
    scores = study(
        {
            ("plain", 0): [0.9] * 6, ("plain", 1): [0.5] * 6,
            ("other", 0): [0.6] * 6, ("other", 1): [0.5] * 6,
        }
    )  # fmt: skip
    row = one(compare_with_plain(scores, "plain"), modality="All")
    assert row["kept_more"] == pytest.approx(0.3)


def test_nothing_to_compare_and_nobody_to_compare_with(scores):
    alone = scores[scores["remedy"] != "replay"]
    frame = compare_with_plain(alone, "plain")
    assert frame.empty
    assert {"kept_more", "loses_less", "gain", "margin"} <= set(frame.columns)
    with pytest.raises(ForgettingError, match=r"no training 'x' .* there are: plain, replay"):
        compare_with_plain(scores, "x")
    with pytest.raises(ForgettingError, match="margin is -1; valid are numbers from 0 on"):
        compare_with_plain(scores, "plain", margin=-1)
    assert len(CASES) == 6
    assert compare_with_plain(scores, "plain", resampling=Resampling(7))["samples"].eq(7).all()
