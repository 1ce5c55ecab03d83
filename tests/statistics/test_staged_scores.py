from __future__ import annotations

import numpy as np
import pytest
from study_maker import CASES, one, study

from cellharness.errors import UsageError
from cellharness.statistics.forgetting import accuracy_frame
from cellharness.statistics.staged_scores import ForgettingError, read_scores
from cellharness.vocabulary import PRETRAINED

BEFORE = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
AFTER = [0.9, 0.8, 0.5, 0.6, 0.3, 0.1]


@pytest.fixture
def scores():
    return study({(PRETRAINED, 0): BEFORE, ("tuned", 5): AFTER, ("tuned", 10): AFTER[::-1]})


def test_order_of_rows_is_of_no_account(scores):
    straight = read_scores(scores)
    shuffled = read_scores(scores.sample(frac=1, random_state=1))
    assert straight.cases == shuffled.cases == tuple(CASES)
    for stage in (5, 10):
        np.testing.assert_array_equal(
            straight.after("tuned", "plain", stage), shuffled.after("tuned", "plain", stage)
        )
    assert straight.after("tuned", "plain", 10).tolist() == AFTER[::-1]


def test_a_row_that_is_not_there_is_a_case_not_scored(scores):
    table = read_scores(scores[~((scores["case"] == "f1") & (scores["stage"] == 5))])
    assert np.flatnonzero(np.isnan(table.after("tuned", "plain", 5))).tolist() == [3]
    assert not np.isnan(table.after("tuned", "plain", 10)).any()


def test_a_training_may_have_a_start_of_its_own(scores):
    own = study({(PRETRAINED, 0): BEFORE, ("a", 0): AFTER, ("a", 1): BEFORE, ("b", 1): BEFORE})
    table = read_scores(own)
    assert table.before("a", "plain").tolist() == AFTER
    assert table.before("b", "plain").tolist() == BEFORE
    assert table.before("a", "other") is None


def test_groups_are_a_grid_with_empty_parts_and_experiments_by_part(scores):
    groups = read_scores(scores).groups()
    found = {(g.modality, g.experiment, g.seen): g.rows.tolist() for g in groups}
    assert found == {
        ("All", "All", "All"): [0, 1, 2, 3, 4, 5],
        ("All", "All", "seen"): [0, 1],
        ("All", "All", "unseen"): [2, 3, 4, 5],
        ("Brightfield", "All", "All"): [0, 1, 2],
        ("Brightfield", "All", "seen"): [0, 1],
        ("Brightfield", "All", "unseen"): [2],
        ("Fluorescent", "All", "All"): [3, 4, 5],
        ("Fluorescent", "All", "seen"): [],
        ("Fluorescent", "All", "unseen"): [3, 4, 5],
        ("Brightfield", "smear", "seen"): [0, 1],
        ("Brightfield", "tissue", "unseen"): [2],
        ("Fluorescent", "nuclei", "unseen"): [3, 4],
        ("Fluorescent", "neurons", "unseen"): [5],
    }


def test_one_name_in_two_modalities_is_two_experiments():
    cases = {"a": ("DIC", "x", True), "b": ("Fluorescent", "x", False)}
    groups = read_scores(study({("t", 0): [1, 1], ("t", 1): [1, 1]}, cases)).groups(["experiment"])
    assert [(g.modality, g.rows.tolist()) for g in groups] == [("DIC", [0]), ("Fluorescent", [1])]


def test_seen_may_be_text_as_a_csv_gives_it(scores):
    scores["seen"] = scores["seen"].map({True: "True", False: "false"})
    assert read_scores(scores).seen.tolist() == [True, True, False, False, False, False]


def test_an_unnamed_modality_has_a_name():
    table = read_scores(study({("t", 0): [1.0]}, {"a": (None, "x", True)}))
    assert table.modalities == ("Unknown modality",)


def test_a_table_already_read_is_taken_as_it_is(scores):
    table = read_scores(scores)
    assert read_scores(table) is table


def with_value(scores, column, value):
    return scores.assign(**{column: [value, *scores[column].tolist()[1:]]})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s.drop(columns=["f1", "seen"]), "lack the columns seen, f1; they need remedy"),
        (lambda s: s.iloc[:0], "have no rows"),
        (lambda s: with_value(s, "f1", 1.5), "f1 is 1.5; valid are numbers from 0 to 1"),
        (lambda s: with_value(s, "f1", "good"), "f1 is 'good'"),
        (lambda s: with_value(s, "stage", -1), "stage -1 is not valid; stages are epochs"),
        (lambda s: with_value(s, "stage", 0.5), "stage 0.5 is not valid"),
        (lambda s: with_value(s, "seen", None), "seen is None; valid are True and False"),
        (lambda s: with_value(s, "seen", "maybe"), "seen is 'maybe'"),
        (lambda s: with_value(s, "case", None), "row 0 has no case"),
        (lambda s: with_value(s, "remedy", ""), "row 0 has no remedy"),
        (lambda s: with_value(s, "modality", "DIC"), "case 'b1' stands under more than one"),
        (
            lambda s: s.iloc[[*range(len(s)), 7]],
            "more than one row for remedy 'tuned', stage 5, protocol 'plain', case 'b2'",
        ),
        (
            lambda s: s.assign(remedy=PRETRAINED),
            "remedy 'pre-trained' has a row at stage 5; these are the weights before any training",
        ),
    ],
)
def test_what_is_wrong_is_named(scores, spoil, message):
    with pytest.raises(ForgettingError, match=message) as caught:
        read_scores(spoil(scores))
    assert isinstance(caught.value, UsageError)


def test_a_choice_that_is_not_there_is_named(scores):
    table = read_scores(scores)
    with pytest.raises(ForgettingError, match="under protocol 'x'; there are: plain"):
        table.pairs("x")
    with pytest.raises(ForgettingError, match="no scores at stage 7; it has stages 5, 10"):
        table.pairs(stages={"tuned": 7})
    both = study({("t", 0, "a"): BEFORE, ("t", 5, "b"): AFTER})
    with pytest.raises(ForgettingError, match="several protocols; name one of: a, b"):
        read_scores(both).pairs()
    with pytest.raises(ForgettingError, match=r"no scores before .* stage 0 is there for: t \(a\)"):
        read_scores(both).pairs("b")
    with pytest.raises(ForgettingError, match="no weights were scored after training"):
        read_scores(both).pairs("a")
    (pair,) = read_scores(both).pairs("b", "a")
    assert (pair.protocol, pair.before_protocol, pair.stage) == ("b", "a", 5)


def test_accuracy_frame_by_hand(scores):
    scores.loc[(scores["case"] == "f2") & (scores["stage"] == 5), "f1"] = np.nan
    kept = scores.copy()
    frame = accuracy_frame(scores)
    assert frame["remedy"].unique().tolist() == [PRETRAINED, "tuned"]
    assert len(frame) == (1 + 3) * 9
    row = one(frame, remedy="tuned", stage=5, modality="Fluorescent", seen="unseen")
    assert (row["n"], row["n_missing"]) == (2, 1)
    assert row["mean"] == row["median"] == pytest.approx(0.35)
    row = one(frame, remedy="tuned", stage=0, modality="All", seen="unseen")
    assert row[["mean", "median"]].tolist() == pytest.approx([0.85, 0.85])
    row = one(frame, remedy="tuned", stage=10, modality="Fluorescent", seen="seen")
    assert row["n"] == 0
    assert np.isnan(row["mean"])
    assert scores.equals(kept)
    assert "pooled_f1" not in frame


def test_accuracy_frame_pools_counts_where_the_table_has_them():
    scores = study({("t", 0): [1, 0.5, 0.0], ("t", 1): [1, 1, 1]}, dict(list(CASES.items())[:3]))
    scores["tp"] = [10, 1, 0, 10, 2, 0]
    scores["n_true"] = [10, 2, 5, 10, 2, np.nan]
    scores["n_pred"] = [10, 2, 0, 10, 2, 0]
    row = one(accuracy_frame(scores), stage=0, modality="All", seen="All")
    assert row["pooled_precision"] == pytest.approx(11 / 12)
    assert row["pooled_recall"] == pytest.approx(11 / 17)
    assert row["pooled_f1"] == pytest.approx(22 / 29)
    row = one(accuracy_frame(scores), stage=1, modality="All", seen="All")
    assert row["pooled_recall"] == 1
