"""What a forgetting report says in words: never more than its intervals and tests carry."""

from __future__ import annotations

import numpy as np
import pytest
from study_reader import f1_by_case, staged
from study_sketch import sketch_study

from cellharness.report.study import load_study_report
from cellharness.report.study.change import change_table, threshold_table
from cellharness.report.study.remedies import remedy_table
from cellharness.report.study.result import caveats, fact_table
from cellharness.run_directory import RunDirectoryError
from cellharness.statistics import ALL
from cellharness.statistics.plasticity import compare_with_plain

LOSS = (-0.2, 0.2)
BOTH_WAYS = np.tile([-0.2, 0.2], 5)
BETTER = (-0.05, 0.19)
DEARER = (-0.05, 0.05)
OPEN = (-0.05, 0.2 + BOTH_WAYS)


class Told:
    """A study, what was found, and what is said of it."""

    def __init__(self, folder, changes, **options):
        self.run = sketch_study(folder, changes, **options)
        self.d = load_study_report(self.run)
        self.study, self.findings, self.words = self.d.study, self.d.findings, self.d.words
        self.caveats = " ".join(caveats(self.d))

    def rows(self, make):
        return [row.cells for row in make(self.d).rows]

    def facts(self):
        return [row.cells for row in fact_table(self.d).rows]


@pytest.fixture
def told(tmp_path):
    return lambda changes, **options: Told(tmp_path, changes, **options)


def claims(text):
    return [word for word in ("lost F1", "gained F1", "is proven in") if word in text]


def test_a_proven_loss_and_gain_are_called_so(told):
    case = told({"plain": LOSS})
    assert claims(case.words.change) == ["lost F1", "gained F1"]
    assert "(10 images), Plain lost F1: on average −0.200" in case.words.change
    assert "(10 images), Plain gained F1: on average +0.200" in case.words.change
    assert case.words.remedies == ""
    assert case.caveats.startswith("One training of each: what is said is of these trainings and")


def test_without_an_effect_no_change_is_proven(told):
    words = told({"plain": (BOTH_WAYS, BOTH_WAYS)}).words.change
    assert claims(words) == []
    assert words.count("the change under Plain is not significant: on average 0 (") == 2


def test_equal_scores_prove_nothing(told):
    nothing = (np.zeros(10), np.zeros(10))
    case = told({"plain": nothing, "replay": nothing})
    assert claims(case.words.change) == []
    assert case.words.change.count("on average 0 (95 % interval 0 to 0), p = 1.000") == 2
    assert case.words.remedies == (
        "No remedy is shown to lose less than Plain on unseen experiments."
    )


def test_what_is_said_of_every_change_is_what_its_interval_carries(tmp_path):
    """Small and large effects beside noise: a claim needs interval, test and mean."""
    rng = np.random.default_rng(3)
    said = set()
    for i in range(8):
        by = [rng.normal(shift, 0.12, 10) for shift in rng.choice([-0.2, -0.08, 0, 0.08], 2)]
        case = Told(tmp_path / str(i), {"plain": tuple(by)})
        changes = case.findings.changes
        for part, seen, own in (
            ("not trained on (", "unseen", by[0]),
            ("ts trained on (", "seen", by[1]),
        ):
            (text,) = [line for line in case.words.change.split(". ") if part in line]
            row = changes[(changes["level"] == "overall") & (changes["seen"] == seen)].iloc[0]
            carried = row["p_adjusted"] < 0.05 and row["low"] * row["high"] > 0
            word = "lost F1" if own.mean() < 0 else "gained F1"
            assert claims(text) == [word] * bool(carried)
            said.update(claims(text) or ["nothing"])
    assert said == {"lost F1", "gained F1", "nothing"}


def test_no_seen_case(told):
    case = told({"plain": LOSS, "replay": BETTER}, seen=0)
    assert "No image of experiments trained on was scored" in case.words.change
    assert "so every case is unseen" in case.caveats
    assert case.words.remedies == (
        "Replay is shown to lose less than Plain on unseen experiments; a comparable gain on seen "
        "ones is not shown for it."
    )
    assert case.rows(remedy_table)[0][5:] == ("0", "–", "not shown")


def test_no_unseen_case(told):
    case = told({"plain": LOSS, "replay": BETTER}, unseen=0)
    assert case.words.change.startswith("No image of experiments not trained on was scored")
    assert case.words.causes == case.words.remedies == ""
    assert case.rows(remedy_table)[0][1:5] == ("0", "–", "–", "too few units")
    assert case.rows(change_table)[1][2:8] == ("0", *["–"] * 5)


def test_one_case_proves_nothing(told):
    case = told({"plain": LOSS, "replay": BETTER}, unseen=1, seen=1)
    assert claims(case.words.change) == []
    assert case.words.change.count("nothing is concluded from 1 image") == 2
    assert case.words.causes.endswith(
        "1 image; 6 are the fewest that can show anything, under all protocols."
    )
    assert case.words.remedies == (
        "Whether remedies lose less than Plain on unseen experiments cannot be told: 1 image; 6 "
        "are the fewest that can show anything."
    )
    (row,) = [row for row in case.rows(change_table) if row[0] == "Plain"]
    assert row[5] == "−0.200", "no interval from a single case"


@pytest.mark.parametrize(
    ("changes", "short"),
    [
        ({"replay": BETTER}, "Replay is shown to lose less than Plain on unseen experiments; at a "
         "comparable gain on seen ones."),
        ({"replay": DEARER}, "Replay is shown to lose less than Plain on unseen experiments; at "
         "the cost of gain on seen ones."),
        ({"replay": OPEN}, "Replay is shown to lose less than Plain on unseen "
         "experiments; a comparable gain on seen ones is not shown for it."),
        ({"replay": (BOTH_WAYS - 0.15, 0.2)}, "No remedy is shown to lose less than Plain on "
         "unseen experiments."),
        ({"replay": (-0.21, 0.2)}, "No remedy is shown to lose less than Plain on unseen "
         "experiments."),
        ({"replay": BETTER, "slow": DEARER}, "Both remedies are shown to lose less than Plain on "
         "unseen experiments; at a comparable gain on seen ones: Replay; at the cost of gain on "
         "seen ones: Slow encoder."),
        ({"replay": (-0.3, 0.2), "slow": DEARER}, "Of 2 remedies, 1 is shown to lose less than "
         "Plain on unseen experiments; at the cost of gain on seen ones: Slow encoder."),
        ({"replay": OPEN, "slow": DEARER, "mix-50": DEARER}, "All 3 remedies are shown to lose "
         "less than Plain on unseen experiments; a comparable gain on seen ones is "
         "not shown for any of them; at the cost of gain on seen ones: Slow encoder and Half "
         "mixed."),
    ],
)  # fmt: skip
def test_remedies_in_short(told, changes, short):
    case = told({"plain": LOSS, **changes})
    assert case.words.remedies == short
    table = [row for row in case.rows(remedy_table) if row[4] == "yes"]
    named = [row[0] for row in table if row[7] == "comparable"]
    assert all(name in short for name in named)


def test_the_remedy_beside_is_the_one_that_keeps_most_at_a_comparable_gain(told):
    case = told({"plain": LOSS, "replay": (-0.1, 0.19), "slow": (-0.01, 0.05),
                 "mix-50": (-0.08, 0.18)})  # fmt: skip
    assert case.findings.best == "mix-50"


def test_failed_cases_count_as_zero(told):
    failed = {("plain-4.truth", "u03"): "oom", ("plain-4.truth", "u04"): "timeout",
              ("replay-4.truth", "s00"): "oom"}  # fmt: skip
    case = told({"plain": LOSS, "replay": BETTER}, statuses=failed)
    assert "3 pairs of weights and case without a mask, F1 0: 2 oom and 1 timeout." in case.caveats
    row = next(row for row in case.rows(change_table) if row[0] == "Plain")
    assert row[2] == "10"
    scores = f1_by_case(staged(case.run), "plain", 4, "truth")
    assert (scores == 0).sum() == 2
    unseen = scores[[name for name in scores.index if name.startswith("u")]]
    assert row[4] == f"{unseen.mean():.3f}"
    assert case.study.absent == ()


def test_a_training_that_failed_is_no_measurement(told):
    gone = {(f"replay-4.{p}", f"{k}{i:02}"): "error" for p in ("truth",) for k in "us"
            for i in range(10)}  # fmt: skip
    case = told({"plain": LOSS, "replay": BETTER, "slow": DEARER}, statuses=gone)
    assert case.findings.trained == ("plain", "slow")
    assert "Without scores, and in no comparison: Replay (no mask for any case (error)" in (
        case.caveats
    )
    assert ("Without scores", f"Replay: {case.study.absent[0][1]}") in case.facts()
    assert "without a mask, F1 0" not in case.caveats


def test_plain_fine_tuning_that_failed(told):
    gone = {(f"plain-4.{p}", f"{k}{i:02}"): "error" for p in ("truth", "estimate", "fixed")
            for k in "us" for i in range(10)}  # fmt: skip
    case = told({"plain": LOSS, "replay": BETTER}, statuses=gone)
    assert case.findings.subject == "replay"
    assert "On experiments not trained on (10 images), Replay lost F1" in case.words.change
    assert case.words.remedies == ""
    assert "Plain has no scores after training; figures of one training show Replay" in case.caveats
    assert case.findings.notes["comparison"].startswith("Plain has no scores after training")
    assert remedy_table(case.d) is None


def test_methods_that_are_missing_are_named(told):
    case = told({"plain": LOSS, "replay": BETTER}, unscored=("plain-4.fixed", "before.estimate"))
    assert dict(case.study.absent) == {
        "Before training, By estimate": "not in the score table",
        "Plain, epoch 4, By fixed": "not in the score table",
    }
    assert case.words.causes == ""
    assert case.findings.notes["causes"] == "Plain has no scores at epoch 4 under “By fixed”"


def test_a_last_stage_that_is_missing_is_told(told):
    case = told({"plain": LOSS, "replay": BETTER}, stages=(2, 4), unscored=("replay-4.truth",))
    assert case.findings.stages == {"plain": 4, "replay": 2}
    assert "Replay is judged at epoch 2, since epoch 4 has no scores." in case.caveats
    assert [row[1] for row in case.rows(change_table)[1:]] == ["4", "2"]


def test_cases_without_a_modality(told):
    case = told({"plain": LOSS, "replay": BETTER}, unseen=16, modalities=("DIC", ""),
                replayed={"replay": [["", "old"]]})  # fmt: skip
    assert case.study.modalities == ("DIC", "Unknown modality")
    assert not case.study.scores.loc[case.study.scores["experiment"] == "old", "seen"].any()
    assert case.study.scores.loc[case.study.scores["experiment"] == "new", "seen"].all()
    assert case.findings.met_again["replay"]["n_images"] == 8
    facts = dict(case.facts())
    assert facts["Trained on"] == "experiments new (DIC) and new (Unknown modality)"
    assert facts["Met again"] == "by Replay: experiment old (Unknown modality)"


def test_remedies_that_met_the_same_again_share_a_line(told):
    again = [["DIC", "old"]]
    case = told({"plain": LOSS, "replay": BETTER, "joint": BETTER, "other": BETTER},
                replayed={"replay": again, "joint": again})  # fmt: skip
    names = [case.study.labels[name] for name in ("replay", "joint")]
    found = [value for name, value in case.facts() if name == "Met again"]
    assert found == [f"by {names[0]} and {names[1]}: experiment old (DIC)"]


def test_experiments_without_a_name(told):
    case = told({"plain": LOSS}, experiments=("old", ""))
    seen = case.study.scores.groupby("experiment")["seen"].all()
    assert seen.to_dict() == {"": True, "old": False}
    assert dict(case.facts())["Trained on"] == "experiment unnamed (DIC)"


def test_what_was_met_again_leaves_only_unseen_cases_out(told):
    again = {"replay": [["DIC", "old"], ["DIC", "new"]], "slow": [["DIC", "new"]]}
    case = told({"plain": LOSS, "replay": BETTER, "slow": DEARER}, unseen=12,
                modalities=("DIC", "Fluorescent"), replayed=again)  # fmt: skip
    assert list(case.findings.met_again) == ["replay"]
    row = case.findings.met_again["replay"]
    assert row["n_images"] == 6
    scores = staged(case.run)
    gone = (scores["remedy"] == "replay") & (scores["modality"] == "DIC") & ~scores["seen"]
    expected = compare_with_plain(scores[~gone], "plain", "truth", unit="image")
    expected = expected[(expected["modality"] == ALL) & (expected["seen"] == "unseen")]
    expected = expected[expected["remedy"] == "replay"].iloc[0]
    assert row["estimate"] == pytest.approx(expected["estimate"])
    assert row["p_adjusted"] == pytest.approx(expected["p_adjusted"])
    assert "Replay met experiments again that are called unseen here" in case.caveats
    printed = [row[0] for row in case.rows(remedy_table)]
    assert printed == ["Replay", "without what it met again", "Slow encoder"]


def test_what_was_met_again_may_be_all_there_is(told):
    case = told({"plain": LOSS, "replay": BETTER}, replayed={"replay": [["DIC", "old"]]})
    assert case.findings.met_again["replay"]["n_images"] == 0
    assert case.rows(remedy_table)[1] == (
        "without what it met again", "0", "–", "–", "too few units", "–", "–", "–",
    )  # fmt: skip


def test_replayed_seen_experiments_are_not_met_again(told):
    case = told({"plain": LOSS, "replay": BETTER}, replayed={"replay": [["DIC", "new"]]})
    assert case.findings.comparison_own is None
    assert case.findings.met_again == {}
    assert "again" not in case.caveats


def test_too_few_cases_for_any_proof_are_told(told):
    case = told({"plain": LOSS}, unseen=5, seen=6)
    assert "to show any change, even if all went one way: unseen (5 images)." in (case.caveats)
    assert claims(case.words.change) == ["gained F1"]


def test_cases_that_are_enough_for_the_primary_contrast_are_not_called_too_few(told):
    case = told({"plain": LOSS, "replay": BETTER, "slow": BETTER, "mix-50": BETTER}, unseen=6)
    rows = case.findings.changes
    rows = rows[(rows["level"] == "overall") & (rows["seen"] == "unseen")]
    assert dict(zip(rows["remedy"], rows["verdict"], strict=True))["plain"] == "lower"
    assert rows["family_size"].max() == 3
    assert "to show any change" not in case.caveats


def test_too_few_cases_by_modality_are_told(told):
    changes = {"plain": LOSS, "replay": BETTER}
    case = told(changes, unseen=10, seen=18, modalities=("DIC", "Fluorescent"))
    rows = case.findings.changes
    proven = rows[(rows["level"] == "modality") & rows["verdict"].isin(["lower", "higher"])]
    assert "seen" in set(proven["seen"])
    assert "unseen" not in set(proven["seen"])
    assert case.caveats.endswith(
        "By modality, too few units to show any change, even if all went one way: unseen (at most "
        "5 images)."
    )


def test_a_protocol_may_have_the_name_of_a_remedy(told):
    case = told({"plain": LOSS, "truth": BETTER, "fixed": DEARER})
    assert "With both under “By truth” the loss is" in case.words.causes
    assert "those after under “By fixed”, the apparent loss" in case.words.causes
    assert case.words.remedies.startswith("Both remedies are shown to lose less")
    assert dict(case.facts())["Main protocol"] == "By truth"


def test_labels_that_are_alike_are_told_apart(told):
    remedies = [{"name": name, "label": "Same", "training": name} for name in ("plain", "replay")]
    case = told({"plain": LOSS, "replay": BETTER}, remedies=remedies)
    assert [row[0] for row in case.rows(change_table)[1:]] == ["Same (plain)", "Same (replay)"]


def test_one_modality_has_one_interval_for_its_cases(told):
    """All cases and those of the only modality are the same, and so must be what is said."""
    case = told({"plain": LOSS})
    (row,) = [row for row in case.rows(change_table) if row[0] == "Plain"]
    interval = row[5].partition("(")[2].rstrip(")")
    assert f"(95 % interval {interval})" in case.words.change


def test_other_thresholds_are_those_of_the_scores(told):
    case = told({"plain": LOSS, "replay": BETTER}, thresholds=(0.5, 0.9))
    rows = [row for row in case.rows(threshold_table) if len(row) > 1]
    assert [row[0] for row in rows] == ["Plain", "Replay"] * 2
    assert rows[0] == ("Plain", "−0.200*", "−0.200*")
    one = Told(case.run.parent / "one", {"plain": LOSS})
    assert threshold_table(one.d) is None


@pytest.mark.parametrize(
    ("unscored", "words"),
    [
        (("plain-4.truth",), "no weights after any training have scores under the main protocol"),
        (("before.truth",), "no weights before the training 'plain' have scores"),
    ],
)  # fmt: skip
def test_scores_before_and_after_are_needed(told, unscored, words):
    with pytest.raises(RunDirectoryError, match=words) as error:
        told({"plain": LOSS}, unscored=unscored)
    assert "not in the score table" in str(error.value)


def test_primary_contrast_and_margin_are_those_of_the_study(told):
    case = told({"plain": LOSS, "replay": BETTER}, primary="replay", margin=0.3)
    rows = case.findings.changes
    primary = rows[rows["family"] == ""]
    assert primary[["remedy", "level", "seen"]].to_numpy().tolist() == [
        ["replay", "overall", "unseen"]
    ]
    assert set(case.findings.comparison["margin"]) == {0.3}
    notes = " ".join(change_table(case.d).notes)
    assert "Primary, not corrected: Replay on all unseen experiments." in notes


def test_a_primary_that_is_no_remedy_is_refused(told):
    with pytest.raises(RunDirectoryError, match="primary"):
        told({"plain": LOSS}, primary="nobody")
