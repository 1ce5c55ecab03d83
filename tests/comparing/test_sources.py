from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from cellharness.comparing import ScoreChoice, SourceError, read_source

OFFICIAL = """names,true_num,pred_num,correct_num(TP),missed_num(FN),wrong_num(FP),\
precision,recall,dice,F1
a_label.tiff,34,30,8,26,22,0.2667,0.2353,0.9211,0.25
b_label.tiff,37,37,25,12,12,0.6757,0.6757,0.869,0.6757
"""


def long_table(**columns):
    rows = [
        (method, profile, case, "DIC", threshold, "ok", value + threshold / 100)
        for method, value in (("m", 0.5), ("n", 0.7))
        for profile in ("challenge", "strict")
        for case in ("a", "b")
        for threshold in (0.5, 0.7)
    ]
    names = ["method", "profile", "case", "modality", "threshold", "status", "f1"]
    return pd.DataFrame(rows, columns=names).assign(n_true=3, **columns)


def test_the_official_scripts_file_is_read_by_its_own_names(tmp_path):
    path = tmp_path / "mediar-0.5.csv"
    path.write_text(OFFICIAL)
    table = read_source(path, ScoreChoice())
    assert table["method"].unique().tolist() == ["mediar"]
    assert table["case"].tolist() == ["a", "b"]
    assert table["value"].tolist() == [0.25, 0.6757]
    assert table["n_true"].tolist() == [34, 37]
    assert read_source(path, ScoreChoice("dice"))["value"].tolist() == [0.9211, 0.869]


def test_cases_of_the_official_scripts_file_are_those_of_label_images(tmp_path):
    path = tmp_path / "mediar-0.5.csv"
    path.write_text(OFFICIAL.replace("a_label.tiff", "a_cp_masks.tif").replace("b_label", "b_gt"))
    assert read_source(path, ScoreChoice())["case"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("method,case,f1\nm,x,0.5\n,y,0.9\n", "no method in 1 of 2 rows"),
        ("method,case,f1\nm,x,\nm,y,\n", "no f1 in any of its 2 rows"),
    ],
)
def test_tables_that_say_too_little_are_refused(tmp_path, text, words):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(SourceError, match=words):
        read_source(path, ScoreChoice())


def test_the_official_scripts_file_of_another_threshold_is_refused(tmp_path):
    path = tmp_path / "mediar-0.5.csv"
    path.write_text(OFFICIAL)
    with pytest.raises(SourceError, match=r"at IoU 0\.5 by its name, and 0\.7 is asked for"):
        read_source(path, ScoreChoice(threshold=0.7))
    renamed = tmp_path / "mediar.csv"
    path.rename(renamed)
    assert len(read_source(renamed, ScoreChoice(threshold=0.7))) == 2


def test_a_golden_file_of_the_official_script_is_read(shared):
    table = read_source(shared / "golden/metric/reference-0.7.csv", ScoreChoice(threshold=0.7))
    truth = pd.read_csv(shared / "golden/metric/reference-0.7.csv")
    assert table["method"].unique().tolist() == ["reference"]
    np.testing.assert_array_equal(table["value"], truth["F1"])


def test_a_run_directory_gives_one_profile_and_threshold_under_its_labels(tmp_path):
    long_table().to_csv(tmp_path / "scores.csv", index=False)
    head = {"methods": [{"name": "m", "label": "Method M"}, {"name": "n", "label": "N"}]}
    (tmp_path / "run.json").write_text(json.dumps(head))
    table = read_source(tmp_path, ScoreChoice(threshold=0.7))
    assert table["method"].tolist() == ["Method M", "Method M", "N", "N"]
    assert table["value"].tolist() == pytest.approx([0.507, 0.507, 0.707, 0.707])


def test_labels_that_two_methods_share_are_not_used(tmp_path):
    long_table().to_csv(tmp_path / "scores.csv", index=False)
    head = {"methods": [{"name": name, "label": "Same"} for name in "mn"]}
    (tmp_path / "run.json").write_text(json.dumps(head))
    assert set(read_source(tmp_path, ScoreChoice())["method"]) == {"m", "n"}


def test_the_least_that_is_read_is_case_and_f1(tmp_path):
    path = tmp_path / "theirs.csv"
    path.write_text("case,f1\n001,0.5\n2,\n")
    table = read_source(path, ScoreChoice())
    assert table["case"].tolist() == ["001", "2"]
    assert table["method"].tolist() == ["theirs", "theirs"]
    assert table["value"].isna().tolist() == [False, True]
    assert table["modality"].tolist() == ["", ""]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image,score\na,1\n", r"has the columns image, score; read are a run directory"),
        ("case,f1\n", "has no rows"),
        ("", "cannot read .* as a CSV table"),
        ("case,f1\na,1\na,0\n", "has case 'a' of 'bad' more than once"),
        ("case,threshold,f1\na,0.9,1\n", r"no scores of threshold 0\.5; it has 0\.9"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, content, message):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(SourceError, match=message):
        read_source(path, ScoreChoice())


def test_missing_places_and_metrics_are_named(tmp_path):
    with pytest.raises(SourceError, match="holds no scores"):
        read_source(tmp_path, ScoreChoice())
    with pytest.raises(SourceError, match="no file or run directory"):
        read_source(tmp_path / "gone.csv", ScoreChoice())
    with pytest.raises(SourceError, match=r"unknown metric 'iou'\. Valid: .*f1, "):
        ScoreChoice("iou")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("abc", r"has f1 'abc' for case 'b'; valid are numbers from 0 to 1"),
        ("70.1", r"has f1 '70\.1' for case 'b'"),
        ("-0.1", r"has f1 '-0\.1' for case 'b'"),
        ("inf", r"has f1 'inf' for case 'b'"),
    ],
)
def test_what_is_no_score_is_refused_and_not_taken_as_missing(tmp_path, value, message):
    path = tmp_path / "mine.csv"
    path.write_text(f"case,f1\na,0.5\nb,{value}\n")
    with pytest.raises(SourceError, match=message):
        read_source(path, ScoreChoice())


def test_an_empty_field_is_a_case_without_a_score(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("case,f1\na,0.5\nb,\n")
    assert read_source(path, ScoreChoice())["value"].isna().tolist() == [False, True]


@pytest.mark.parametrize("head", ["case,f1", "names,F1"])
def test_rows_without_a_case_are_refused(tmp_path, head):
    path = tmp_path / "mine.csv"
    path.write_text(f"{head}\n,0.5\nb,0.3\n")
    with pytest.raises(SourceError, match="no name of a case in 1 of 2 rows"):
        read_source(path, ScoreChoice())
