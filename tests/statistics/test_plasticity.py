from __future__ import annotations

import math

import numpy as np
import pytest
from study_maker import one, study, unseen

from cellharness.statistics.contrasts import mean_difference
from cellharness.statistics.plasticity import compare_with_plain
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


def test_comparison_by_hand(scores):
    frame = compare_with_plain(scores, "plain")
    row = one(frame, modality="All", seen="unseen")
    assert (row["remedy"], row["plain"], row["plain_stage"]) == ("replay", "plain", 9)
    # After less after, as both start from the same weights: 0.2, 0.1, 0.6, and one missing.
    assert row["estimate"] == pytest.approx(0.3)
    assert row["median_difference"] == pytest.approx(0.2)
    assert (row["n_images"], row["n_missing"], row["n_units"]) == (3, 1, 2)
    assert row["verdict"] == "too few units"
    row = one(frame, modality="All", seen="seen")
    assert row["estimate"] == pytest.approx(-0.05)
    assert not row["comparable"]
    row = one(frame, modality="Fluorescent", seen="seen")
    assert row["n_images"] == 0
    assert math.isnan(row["estimate"])


def many(after_plain, after_remedy, cases=None, remedies=1):
    n = len(after_plain)
    runs = {("plain", 0): [0.7] * n, ("plain", 5): after_plain}
    for number in range(remedies):
        runs[f"r{number}", 0] = [0.7] * n
        runs[f"r{number}", 5] = after_remedy
    return study(runs, cases or unseen(n))


def test_losing_less_is_shown_with_holm_over_the_remedies():
    noise = np.linspace(-0.05, 0.05, 8)
    # All 8 pairs favour the remedy: p = 2 / 256, times the number of remedies.
    for remedies, verdict in ((1, "higher"), (6, "higher"), (7, "not significant")):
        scores = many(0.4 + noise, 0.5 + noise**2, remedies=remedies)
        frame = compare_with_plain(scores, "plain")
        rows = frame[(frame["modality"] == "All") & (frame["seen"] == "unseen")]
        np.testing.assert_allclose(rows["p"], 2 / 256)
        np.testing.assert_allclose(rows["p_adjusted"], remedies * 2 / 256)
        assert (rows["verdict"] == verdict).all()
        assert (rows["family_size"] == remedies).all()


@pytest.mark.parametrize(
    ("shift", "comparable", "verdict"),
    [(0.0, True, "not significant"), (-0.02, True, "lower"), (0.1, False, "higher"),
     (-0.2, False, "lower")],
)  # fmt: skip
def test_what_is_said_of_the_gain(shift, comparable, verdict):
    after = np.linspace(0.7, 0.75, 20)
    scores = many(after, after + shift + np.tile([-0.02, 0.02], 10), unseen(20, seen=True))
    row = one(compare_with_plain(scores, "plain"), modality="All", seen="seen")
    assert (row["comparable"], row["verdict"]) == (comparable, verdict)


def test_equivalence_is_two_one_sided_tests():
    rng = np.random.default_rng(0)
    after, difference = np.full(12, 0.5), rng.normal(0.01, 0.06, 12)
    scores = many(after, after + difference, unseen(12, seen=True))
    row = one(compare_with_plain(scores, "plain", margin=0.05), modality="All", seen="seen")
    expected = max(
        mean_difference(difference + 0.05).p_higher, mean_difference(difference - 0.05).p_lower
    )
    assert row["p_comparable"] == pytest.approx(expected)
    assert row["comparable"] == (expected < 0.05)


def test_a_wide_interval_shows_nothing_of_the_gain():
    after = np.full(20, 0.5)
    scores = many(after, after + np.tile([-0.4, 0.38], 10), unseen(20, seen=True))
    row = one(compare_with_plain(scores, "plain"), modality="All", seen="seen")
    assert row["verdict"] == "not significant"
    assert not row["comparable"]
    wide = one(compare_with_plain(scores, "plain", margin=0.5), modality="All", seen="seen")
    assert wide["comparable"]


def test_five_units_are_too_few_to_call_a_gain_comparable():
    for n, comparable in ((5, False), (6, True)):
        scores = many([0.8] * n, [0.8] * n, unseen(n, seen=True))
        row = one(compare_with_plain(scores, "plain"), modality="All", seen="seen")
        assert row["comparable"] == comparable


def test_starts_of_their_own_are_taken_off():
    scores = study(
        {
            ("plain", 0): [0.9] * 6, ("plain", 1): [0.5] * 6,
            ("other", 0): [0.6] * 6, ("other", 1): [0.5] * 6,
        }
    )  # fmt: skip
    row = one(compare_with_plain(scores, "plain"), modality="All", seen="unseen")
    assert row["estimate"] == pytest.approx(0.3)


def test_nothing_to_compare_and_nobody_to_compare_with(scores):
    alone = scores[scores["remedy"] != "replay"]
    frame = compare_with_plain(alone, "plain")
    assert frame.empty
    assert {"estimate", "verdict", "comparable", "margin"} <= set(frame.columns)
    with pytest.raises(ForgettingError, match=r"no training 'x' .* there are: plain, replay"):
        compare_with_plain(scores, "x")
    with pytest.raises(ForgettingError, match="margin is 0; valid are numbers above 0"):
        compare_with_plain(scores, "plain", margin=0)
