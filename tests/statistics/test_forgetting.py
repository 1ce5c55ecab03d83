from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from study_maker import CASES, one, simulated, study, unseen

from cellharness.statistics.forgetting import backward_transfer, forgetting
from cellharness.statistics.resampling import Resampling
from cellharness.statistics.staged_scores import ForgettingError
from cellharness.vocabulary import PRETRAINED

# R by hand. Unseen brightfield is b3; unseen fluorescent f1, f2, f3.
STAGES = {
    0: [0.5, 0.6, 0.70, 0.8, 0.9, 1.0],
    5: [0.7, 0.7, 0.75, 0.6, 0.6, 0.9],
    10: [0.9, 0.8, 0.50, 0.5, 0.3, 0.1],
}


@pytest.fixture
def scores():
    return study({(PRETRAINED, 0): STAGES[0], **{("tuned", s): STAGES[s] for s in (5, 10)}})


def test_backward_transfer_by_hand(scores):
    kept = scores.copy()
    frame = backward_transfer(scores)
    assert scores.equals(kept)
    assert frame["modality"].tolist() == ["Brightfield", "Fluorescent", "All"]
    found = frame.set_index("modality")
    assert found.loc["Brightfield", "backward_transfer"] == pytest.approx(0.5 - 0.7)
    assert found.loc["Fluorescent", "backward_transfer"] == pytest.approx(0.3 - 0.9)
    # Each task weighs the same, however many cases it has.
    assert found.loc["All", "backward_transfer"] == pytest.approx(-0.4)
    assert found.loc["All", ["tasks", "n", "n_missing"]].tolist() == [2, 4, 0]
    assert found.loc["Fluorescent", "low"] < -0.6 < found.loc["Fluorescent", "high"]
    # A single case has no interval, and so has no average that holds it.
    assert found.loc[["Brightfield", "All"], ["low", "high"]].isna().all(axis=None)


def test_by_experiment_and_of_other_parts(scores):
    frame = backward_transfer(scores, task="experiment")
    assert frame["experiment"].tolist() == ["tissue", "nuclei", "neurons", "All"]
    expected = [-0.2, 0.4 - 0.85, -0.9]
    np.testing.assert_allclose(frame["backward_transfer"], [*expected, np.mean(expected)])
    seen = backward_transfer(scores, part="seen")
    assert seen["modality"].tolist() == ["Brightfield", "All"]
    np.testing.assert_allclose(seen["backward_transfer"], 0.3)
    both = one(backward_transfer(scores, part="All"), modality="Brightfield")
    assert both["backward_transfer"] == pytest.approx(2.2 / 3 - 1.8 / 3)


def test_forgetting_by_hand(scores):
    frame = forgetting(scores)
    row = one(frame, modality="Brightfield")
    assert (row["initial"], row["best"], row["last"]) == (0.7, 0.75, 0.5)
    assert (row["best_stage"], row["stage"], row["stages"]) == (5, 10, 3)
    assert row["initial_minus_last"] == pytest.approx(0.2)
    assert row["max_minus_last"] == pytest.approx(0.25)
    row = one(frame, modality="Fluorescent")
    assert row["initial_minus_last"] == row["max_minus_last"] == pytest.approx(0.6)
    assert row["best_stage"] == 0
    row = one(frame, modality="All")
    assert row["initial_minus_last"] == pytest.approx(0.4)
    assert row["max_minus_last"] == pytest.approx(0.425)


def test_where_the_last_stage_is_the_best_the_definitions_part(scores):
    row = one(forgetting(scores, part="seen"), modality="Brightfield")
    assert row["initial_minus_last"] == pytest.approx(-0.3)
    assert row["max_minus_last"] == pytest.approx(0.7 - 0.85)
    assert row["max_with_last_minus_last"] == 0


# The published formulas, written as they are printed. Tasks are learned one after the other; here
# all old tasks are learned at stage 0, which is the first row of every accuracy matrix.


def lopez_paz_bwt(r):
    tasks = len(r)
    return sum(r[tasks - 1][i] - r[i][i] for i in range(tasks - 1)) / (tasks - 1)


def lopez_paz_fwt(r, b):
    tasks = len(r)
    return sum(r[i - 1][i] - b[i] for i in range(1, tasks)) / (tasks - 1)


def chaudhry_forgetting(a, k, j):
    """f_j^k, with a[l][j] the accuracy on task j after training l + 1 tasks, k from 1."""
    return max(a[step][j] for step in range(k - 1)) - a[k - 1][j]


def mammoth_forgetting(results):
    """Mean over tasks of the column's maximum, the last row included, less the last row."""
    columns = np.array(results)
    return float(np.mean(columns.max(axis=0) - columns[-1]))


def avalanche_forgetting(initial, last):
    return {key: initial[key] - last[key] for key in initial if key in last}


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_equal_to_the_published_formulas(statistic):
    stages = (0, 2, 4, 6, 8)
    scores = simulated(cases=80, stages=stages, remedies=("plain",))
    old = scores[~scores["seen"]]
    matrix = (
        old.pivot_table("f1", "stage", "modality", aggfunc=statistic, sort=False)
        .loc[list(stages)]
        .to_numpy()
    )
    tasks = list(dict.fromkeys(old["modality"]))
    options = {"statistic": statistic, "resampling": Resampling(10)}
    forgot = forgetting(scores, **options).set_index("modality")
    moved = backward_transfer(scores, **options).set_index("modality")
    at_start = dict(zip(tasks, matrix[0], strict=True))
    at_end = dict(zip(tasks, matrix[-1], strict=True))
    expected = avalanche_forgetting(at_start, at_end)
    for column, task in enumerate(tasks):
        row = forgot.loc[task]
        assert row["initial_minus_last"] == pytest.approx(expected[task], rel=1e-12)
        value = chaudhry_forgetting(matrix.tolist(), len(stages), column)
        assert row["max_minus_last"] == pytest.approx(value, rel=1e-12)
        assert moved.loc[task, "backward_transfer"] == -row["initial_minus_last"]
        # The paper's matrix of two tasks: the old one, then the training itself.
        r = [[matrix[0][column], math.nan], [matrix[-1][column], math.nan]]
        assert moved.loc[task, "backward_transfer"] == pytest.approx(lopez_paz_bwt(r), rel=1e-12)
    average = forgot.loc["All"]
    chaudhry = [chaudhry_forgetting(matrix.tolist(), len(stages), j) for j in range(len(tasks))]
    assert average["max_minus_last"] == pytest.approx(np.mean(chaudhry), rel=1e-12)
    assert average["max_with_last_minus_last"] == pytest.approx(
        mammoth_forgetting(matrix.tolist()), rel=1e-12
    )
    assert average["initial_minus_last"] == pytest.approx(np.mean(list(expected.values())))
    assert moved.loc["All", "backward_transfer"] == pytest.approx(-average["initial_minus_last"])


def test_missing_cases_are_counted_and_only_complete_ones_used(scores):
    scores.loc[(scores["case"] == "f3") & (scores["stage"] == 5), "f1"] = np.nan
    # The transfer needs the first and the last stage only, forgetting every one.
    row = one(backward_transfer(scores), modality="Fluorescent")
    assert (row["n"], row["n_missing"]) == (3, 0)
    row = one(forgetting(scores), modality="Fluorescent")
    assert (row["n"], row["n_missing"]) == (2, 1)
    assert row["initial"] == pytest.approx(0.85)
    scores.loc[(scores["case"] == "b3") & (scores["stage"] == 10), "f1"] = np.nan
    frame = backward_transfer(scores).set_index("modality")
    assert frame.loc["Brightfield", ["tasks", "n", "n_missing"]].tolist() == [0, 0, 1]
    assert math.isnan(frame.loc["Brightfield", "backward_transfer"])
    assert frame.loc["All", ["tasks", "n", "n_missing"]].tolist() == [1, 3, 1]
    assert frame.loc["All", "backward_transfer"] == pytest.approx(-0.6)
    assert one(forgetting(scores), modality="Brightfield")["best_stage"] == -1


def test_no_unseen_case_leaves_an_average_of_nothing():
    cases = unseen(5, seen=True)
    scores = study({("t", 0): [0.5] * 5, ("t", 1): [0.6] * 5}, cases)
    for frame in (backward_transfer(scores), forgetting(scores)):
        assert frame["modality"].tolist() == ["All"]
        assert frame["n"].tolist() == [0]
        assert frame[["last", "tasks"]].isna().to_numpy().tolist() == [[True, False]]


def test_ties_name_the_first_of_the_best_stages():
    cases = unseen(3)
    scores = study(
        {("t", s): [f1] * 3 for s, f1 in ((0, 0.5), (1, 0.8), (2, 0.8), (3, 0.4))}, cases
    )
    row = one(forgetting(scores), modality="DIC")
    assert (row["best_stage"], row["max_minus_last"]) == (1, pytest.approx(0.4))
    assert (row["max_low"], row["max_high"]) == pytest.approx((0.4, 0.4))


def test_intervals_equal_samples_written_out():
    scores = simulated(cases=60, stages=(0, 3, 6), remedies=("plain",))
    resampling = Resampling(samples=80, seed=3)
    found = one(forgetting(scores, resampling=resampling), modality="DIC")
    here = scores[~scores["seen"] & (scores["modality"] == "DIC")]
    wide = here.pivot_table("f1", "case", "stage").sort_index()
    times = resampling.draw(len(wide), "DIC", "All", "unseen").astype(int)
    samples = []
    for drawn in times.T:
        r = wide.to_numpy()[np.repeat(np.arange(len(wide)), drawn)].mean(axis=0)
        samples.append((r[0] - r[2], max(r[0], r[1]) - r[2]))
    ends = np.quantile(samples, [0.025, 0.975], axis=0)
    assert found[["initial_low", "max_low"]].tolist() == pytest.approx(ends[0].tolist())
    assert found[["initial_high", "max_high"]].tolist() == pytest.approx(ends[1].tolist())


def test_the_average_is_resampled_task_by_task():
    scores = simulated(cases=60, stages=(0, 3), remedies=("plain",))
    resampling = Resampling(samples=200)
    found = one(backward_transfer(scores, resampling=resampling), modality="All")
    samples = []
    for modality in dict.fromkeys(scores["modality"]):
        here = scores[~scores["seen"] & (scores["modality"] == modality)]
        wide = here.pivot_table("f1", "case", "stage").sort_index()
        weights = resampling.draw(len(wide), modality, "All", "unseen")
        samples.append((wide[3] - wide[0]).to_numpy() @ weights / len(wide))
    low, high = np.quantile(np.mean(samples, axis=0), [0.025, 0.975])
    assert (found["low"], found["high"]) == pytest.approx((low, high))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"task": "case"}, "unknown kind of task 'case'; valid: modality, experiment"),
        ({"statistic": "mode"}, "unknown statistic 'mode'; valid: mean, median"),
        ({"part": "old"}, "unknown part 'old'; valid: All, seen, unseen"),
    ],
)
def test_choices_are_checked(scores, choice, message):
    with pytest.raises(ForgettingError, match=message):
        backward_transfer(scores, **choice)


def test_every_training_has_its_rows(scores):
    more = study({("replay", 10): STAGES[5]}, CASES)
    frame = backward_transfer(pd.concat([scores, more]))
    assert frame["remedy"].unique().tolist() == ["tuned", "replay"]
    assert one(frame, remedy="replay", modality="Brightfield")["backward_transfer"] > 0
