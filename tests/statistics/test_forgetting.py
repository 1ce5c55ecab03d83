from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from study_maker import CASES, one, simulated, study, unseen

from cellharness.statistics.forgetting import forgetting_measures
from cellharness.statistics.staged_scores import ForgettingError
from cellharness.vocabulary import PRETRAINED

# R by hand. Unseen brightfield is b3; unseen fluorescent f1, f2, f3.
STAGES = {
    0: [0.5, 0.6, 0.70, 0.8, 0.9, 1.0],
    5: [0.7, 0.7, 0.75, 0.6, 0.6, 0.9],
    10: [0.9, 0.8, 0.50, 0.5, 0.3, 0.1],
}
TRANSFER, BEST = "backward transfer", "best minus last"


@pytest.fixture
def scores():
    return study({(PRETRAINED, 0): STAGES[0], **{("tuned", s): STAGES[s] for s in (5, 10)}})


def test_by_hand(scores):
    kept = scores.copy()
    frame = forgetting_measures(scores)
    assert scores.equals(kept)
    row = one(frame, measure=TRANSFER)
    # Each modality weighs the same, however many images it has: -0.2 and -0.6.
    assert row["estimate"] == pytest.approx(-0.4)
    assert (row["modalities"], row["n_images"], row["n_missing"]) == (2, 4, 0)
    assert row["verdict"] == "too few units"
    # Best of brightfield is epoch 5, of fluorescent the start: 0.25 and 0.6.
    assert one(frame, measure=BEST)["estimate"] == pytest.approx(0.425)
    seen = forgetting_measures(scores, part="seen")
    assert one(seen, measure=TRANSFER)["estimate"] == pytest.approx(0.3)
    # The last stage is the best, and does not count as a stage before it.
    assert one(seen, measure=BEST)["estimate"] == pytest.approx(0.7 - 0.85)


# The published formulas, written as they are printed. Tasks are learned one after the other; here
# all old tasks are learned at stage 0, which is the first row of every accuracy matrix.


def lopez_paz_bwt(r):
    tasks = len(r)
    return sum(r[tasks - 1][i] - r[i][i] for i in range(tasks - 1)) / (tasks - 1)


def chaudhry_forgetting(a, k, j):
    """f_j^k, with a[l][j] the accuracy on task j after training l + 1 tasks, k from 1."""
    return max(a[step][j] for step in range(k - 1)) - a[k - 1][j]


def avalanche_forgetting(initial, last):
    return {key: initial[key] - last[key] for key in initial if key in last}


def test_equal_to_the_published_formulas():
    stages = (0, 2, 4, 6, 8)
    scores = simulated(cases=80, stages=stages, remedies=("plain",))
    old = scores[~scores["seen"]]
    matrix = old.pivot_table("f1", "stage", "modality", sort=False).loc[list(stages)].to_numpy()
    tasks = range(matrix.shape[1])
    frame = forgetting_measures(scores)
    transfer, best = (one(frame, measure=name)["estimate"] for name in (TRANSFER, BEST))
    start, end = (dict(enumerate(matrix[at])) for at in (0, -1))
    assert transfer == pytest.approx(-np.mean(list(avalanche_forgetting(start, end).values())))
    # The paper's matrix of two tasks: the old one, then the training itself.
    each = [lopez_paz_bwt([[matrix[0][j], math.nan], [matrix[-1][j], math.nan]]) for j in tasks]
    assert transfer == pytest.approx(np.mean(each))
    chaudhry = [chaudhry_forgetting(matrix.tolist(), len(stages), j) for j in tasks]
    assert best == pytest.approx(np.mean(chaudhry))


def test_missing_cases_are_counted_and_only_complete_ones_used(scores):
    scores.loc[(scores["case"] == "f3") & (scores["stage"] == 5), "f1"] = np.nan
    frame = forgetting_measures(scores)
    # The transfer needs the first and the last stage only, the best every one.
    assert one(frame, measure=TRANSFER)["n_missing"] == 0
    assert one(frame, measure=BEST)["n_missing"] == 1
    scores.loc[(scores["case"] == "b3") & (scores["stage"] == 10), "f1"] = np.nan
    row = one(forgetting_measures(scores), measure=TRANSFER)
    assert (row["modalities"], row["n_images"], row["n_missing"]) == (1, 3, 1)
    assert row["estimate"] == pytest.approx(-0.6)


def test_no_unseen_case_leaves_an_average_of_nothing():
    scores = study({("t", 0): [0.5] * 5, ("t", 1): [0.6] * 5}, unseen(5, seen=True))
    frame = forgetting_measures(scores)
    assert frame["n_images"].tolist() == [0, 0]
    assert frame["estimate"].isna().all()


def test_parts_are_checked(scores):
    with pytest.raises(ForgettingError, match="unknown part 'old'; valid: All, seen, unseen"):
        forgetting_measures(scores, part="old")


def test_every_training_has_its_rows_and_they_are_a_family(scores):
    more = study({("replay", 10): STAGES[5]}, CASES)
    frame = forgetting_measures(pd.concat([scores, more]), unit="image")
    assert frame["remedy"].tolist() == ["tuned", "tuned", "replay", "replay"]
    assert set(frame["family"]) == {
        f"{measure} of the trainings, unseen experiments" for measure in (TRANSFER, BEST)
    }
