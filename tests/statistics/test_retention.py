from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from study_maker import CASES, one, study, unseen

from cellharness.scoring import score_pair
from cellharness.statistics.resampling import Resampling
from cellharness.statistics.retention import cell_fates, cell_retention, retention
from cellharness.statistics.staged_scores import ForgettingError
from cellharness.vocabulary import PRETRAINED


def test_by_hand():
    scores = study(
        {
            (PRETRAINED, 0): [0.5, 0.49, 0.7, 0.8, 0.9, 0.2],
            ("t", 1): [0.5, 0.9, 0.4, 0.5, np.nan, 0],
        }
    )
    frame = retention(scores)
    counts = ["n", "n_missing", "kept", "lost", "won", "never"]
    assert one(frame, modality="All", seen="All")[counts].tolist() == [5, 1, 2, 1, 1, 1]
    assert one(frame, modality="Fluorescent", seen="unseen")[counts].tolist() == [2, 1, 1, 0, 0, 1]
    row = one(frame, modality="Brightfield", seen="seen")
    assert row[counts].tolist() == [2, 0, 1, 0, 1, 0]
    assert row["retention"] == 1
    # Exactly the threshold is correct, and another one gives other counts.
    strict = retention(scores, correct_from=0.8)
    assert one(strict, modality="All", seen="All")[counts].tolist() == [5, 1, 0, 1, 1, 3]
    assert one(strict, modality="All", seen="All")["retention"] == 0


def test_the_interval_is_the_exact_one_of_scipy():
    rng = np.random.default_rng(1)
    scores = study({("t", 0): rng.random(60), ("t", 1): rng.random(60)}, unseen(60))
    row = one(retention(scores, confidence=0.9), modality="All", seen="unseen")
    trials = int(row["kept"] + row["lost"])
    expected = binomtest(int(row["kept"]), trials).proportion_ci(0.9, method="exact")
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_all_kept_of_few_is_not_certain_and_none_correct_is_no_share():
    frame = retention(study({("t", 0): [0.9] * 3, ("t", 1): [0.9] * 3}, unseen(3)))
    row = one(frame, modality="DIC", seen="unseen")
    assert (row["retention"], row["high"]) == (1, 1)
    assert row["low"] == pytest.approx(0.025 ** (1 / 3))
    row = one(frame, modality="DIC", seen="seen")
    assert row["n"] == 0
    assert math.isnan(row["retention"])
    bad = retention(study({("t", 0): [0.1] * 3, ("t", 1): [0.9] * 3}, unseen(3)))
    row = one(bad, modality="DIC", seen="unseen")
    assert row["won"] == 3
    assert math.isnan(row["retention"])


def test_choices_are_checked():
    scores = study({("t", 0): [0.1], ("t", 1): [0.9]}, unseen(1))
    with pytest.raises(ForgettingError, match="correct_from is 0; valid are numbers above 0"):
        retention(scores, correct_from=0)
    with pytest.raises(ForgettingError, match="confidence is 95"):
        retention(scores, confidence=95)


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
    true = set(np.unique(truth).tolist()) - {0, *sides[0].excluded_true}
    found = [[m.gt_label for m in side.matches] for side in sides]
    (row,) = cell_fates({"a": true}, {"a": found[0]}, {"a": found[1]}).to_dict("records")
    assert row == {
        "case": "a", "n_true": 4, "scored": True, "kept": 2, "lost": 1, "won": 1, "never": 0,
    }  # fmt: skip


def test_a_case_not_scored_has_no_fates_and_a_failed_one_has():
    frame = cell_fates(
        {"a": [1, 2], "b": [1], "c": [1, 2, 3]}, {"a": [1], "b": [1], "c": []}, {"a": [], "c": None}
    )
    assert frame["scored"].tolist() == [True, False, False]
    assert frame.loc[0, ["kept", "lost", "won", "never"]].tolist() == [0, 1, 0, 1]
    assert frame.loc[1:, ["kept", "lost", "won", "never"]].isna().all(axis=None)


def test_what_cannot_be_a_match_is_refused():
    with pytest.raises(ForgettingError, match="case 'a': cell 7 was found, but is none"):
        cell_fates({"a": [1]}, {"a": [7]}, {"a": []})
    with pytest.raises(ForgettingError, match="case 'a': a cell was found twice"):
        cell_fates({"a": [1]}, {"a": []}, {"a": [1, 1]})
    with pytest.raises(ForgettingError, match="after has case 'b', of which the true cells"):
        cell_fates({"a": [1]}, {"a": []}, {"b": []})


def about():
    return pd.DataFrame(
        [(case, modality, is_seen) for case, (modality, _, is_seen) in CASES.items()],
        columns=["case", "modality", "seen"],
    )


def test_cells_are_pooled_by_hand():
    true = {case: range(1, 11) for case in CASES}
    before = {case: range(1, 9) for case in CASES}
    after = {"b1": range(1, 11), "b2": range(1, 9), "b3": range(1, 5), "f1": [9], "f2": range(1, 9)}
    frame = cell_retention(cell_fates(true, before, after), about())
    counts = ["n", "n_missing", "n_true", "kept", "lost", "won", "never"]
    row = one(frame, modality="Brightfield", seen="unseen")
    assert row[counts].tolist() == [1, 0, 10, 4, 4, 0, 2]
    assert row["retention"] == 0.5
    assert math.isnan(row["low"])
    row = one(frame, modality="Fluorescent", seen="All")
    assert row[counts].tolist() == [2, 1, 20, 8, 8, 1, 3]
    assert (row["retention"], row["recall_before"], row["recall_after"]) == (0.5, 0.8, 0.45)
    assert (row["low"], row["high"]) == (0, 1)
    row = one(frame, modality="All", seen="seen")
    assert row[counts].tolist() == [2, 0, 20, 16, 0, 2, 2]
    row = one(frame, modality="Fluorescent", seen="seen")
    assert (row["n"], row["kept"]) == (0, 0)
    assert math.isnan(row["retention"])


def test_cells_are_resampled_with_their_case():
    rng = np.random.default_rng(0)
    true = {f"c{i:02}": range(1, 30) for i in range(25)}
    before, after = (
        {case: np.flatnonzero(rng.random(29) < share) + 1 for case in true} for share in (0.8, 0.6)
    )
    cases = pd.DataFrame({"case": list(true), "modality": "DIC", "seen": False})
    fates = cell_fates(true, before, after)
    resampling = Resampling(samples=300, seed=4)
    found = one(cell_retention(fates, cases, resampling=resampling), modality="DIC", seen="unseen")
    times = resampling.draw(25, "DIC", "unseen").astype(int)
    kept, lost = fates["kept"].to_numpy(), fates["lost"].to_numpy()
    shares = [np.repeat(kept, t).sum() / np.repeat(kept + lost, t).sum() for t in times.T]
    ends = np.quantile(shares, [0.025, 0.975])
    assert (found["low"], found["high"]) == pytest.approx(tuple(ends))
    shuffled = cell_retention(fates.sample(frac=1, random_state=1), cases, resampling=resampling)
    assert one(shuffled, modality="DIC", seen="unseen").equals(found)


def test_a_case_nobody_knows_is_refused():
    fates = cell_fates({"x": [1]}, {"x": [1]}, {"x": [1]})
    with pytest.raises(ForgettingError, match="no modality or seen for case 'x'"):
        cell_retention(fates, about())
    twice = pd.concat([about(), about().assign(seen=True)])
    with pytest.raises(ForgettingError, match="case 'b3' stands in the table of cases with two"):
        cell_retention(fates, twice)
